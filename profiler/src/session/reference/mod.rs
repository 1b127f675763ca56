//! By how much probes slow a target down, as those of them tell that are hit rarely.
//!
//! Where objects are made one after the other, open probes leave the target a few hundredths of
//! the time. How many cannot be told by what a hit costs: a tenth more or less of that would be
//! several times as much of what is left. But before a window opens, the probes that are hit
//! rarely can be opened alone. They hardly slow anything down, so they are hit about as often as
//! these places are come to without any probes. By so many times as they are hit less often in
//! the window, the target was slower in it.

use std::{thread, time::Duration};

use profiler_common::cookie::Place;

use super::{channel::Means, clock::Clock, cost::CostModel};
use crate::{
    aggregate::{Comparison, Correction},
    probe::{Busy, Links, Passed, Probe, ProbeError, Site, SiteProgram},
    source::PlannedSites,
    units::Pid,
};

/// So many hits must have been seen to tell which places are come to rarely.
const ENOUGH: f64 = 600.0;

/// Those that are opened alone have no larger share of the hits together …
const WANTED: f64 = 0.015;
/// … but where there are none that have this together, …
const ENOUGH_WANTED: f64 = 0.003;
/// … those of up to this share do, too, or half of it after each time that these were too many.
const MOST_WANTED: f64 = 0.06;

/// With a smaller share they tell nothing.
const LEAST_WANTED: f64 = 0.0001;

/// Hits that are wanted each time …
const HITS: f64 = 300.0;

/// … in no less and no more time than this.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(3);

/// If probes that are opened alone took a larger part of the time, they tell nothing.
const CROWDED: f64 = 0.5;

/// Other processes wait meanwhile, so that two looks are at least so long apart.
const LOOKS_APART: Duration = Duration::from_millis(60);

/// The part of what was learnt that is forgotten with each comparison.
const FORGOTTEN: f64 = 0.01;

/// So many comparisons, and hits in their windows, are enough to know.
const KNOWN_WINDOWS: f64 = 5.0;
const KNOWN_HITS: f64 = 30.0;

/// Hits cost so many times what the model says, until windows tell more …
const DEAR: f64 = 1.2;
/// … and no more than so many.
const DEAREST: f64 = 3.0;

/// A target that comes to rare places so many times as often in a window as before it, and by so
/// many hits more, does something else now: that is no comparison.
const FASTER: f64 = 2.0;
const BY_CHANCE: f64 = 10.0;

/// Each hit leaves the target at least so much for its own work, as far as the model tells. How
/// much less it leaves where objects are close together is known of all such windows together.
const LEAST_LEFT: Duration = Duration::from_nanos(400);

/// By no larger factor do windows differ from what their hits tell.
const MOST: f64 = 60.0;

/// When rare probes may be looked at alone, in whatever process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    next: Duration,
}

impl Looks {
    /// What channels work with now.
    pub(super) fn means(self, clock: Clock, model: CostModel) -> Means {
        Means {
            clock,
            model,
            may_look: clock.now() >= self.next,
        }
    }

    /// It is now, and some were looked at, or not.
    pub(super) fn note(&mut self, looked: bool, now: Duration) {
        if looked {
            self.next = now + LOOKS_APART;
        }
    }
}

/// What rare probes tell of one process.
#[derive(Debug, Default)]
pub(super) struct Reference {
    /// Hits in windows, by place.
    seen: Vec<f64>,
    /// The places that were opened alone last.
    chosen: Vec<Place>,
    /// How often they took too much of the time to tell anything.
    crowded: u8,
    /// The last window.
    window: Window,
    /// How many records were lost before it.
    lost: u64,
    /// What came of the comparison that was made last.
    compared: Option<Comparison>,
    learnt: Learnt,
}

/// A window in which all probes were open, and what was seen before it.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// Hits per second of the chosen places, when they were open alone.
    alone: Option<f64>,
    from: Duration,
    until: Duration,
    /// Hits of the chosen places.
    chosen_hits: u32,
    /// What hits cost, by the model of costs.
    cost: Duration,
    /// When one hit came right after the other.
    busy: Busy,
}

impl Window {
    fn seconds(&self) -> f64 {
        self.until.saturating_sub(self.from).as_secs_f64()
    }

    /// The part of it that hits took, by the model of costs.
    fn share(&self) -> f64 {
        (self.cost.as_secs_f64() / self.seconds()).min(1.0)
    }

    /// By how much hits slowed the target down, as far as the model of costs tells, in times.
    fn crowding(&self) -> f64 {
        let cost = self.cost.as_secs_f64();
        let least = LEAST_LEFT.as_secs_f64() * f64::from(self.busy.hits.max(1));
        cost / (self.seconds() - cost).max(least)
    }
}

/// Sums over windows. Rates are in hits per second.
#[derive(Clone, Copy, Debug, Default)]
struct Learnt {
    windows: f64,
    hits: f64,
    alone: f64,
    in_window: f64,
    /// What is missed in windows if their crowding tells it.
    crowded: f64,
    /// The part of windows that hits took, by the model of costs and as it is.
    modelled: f64,
    taken: f64,
}

impl Learnt {
    fn forget(&mut self) {
        for sum in [
            &mut self.windows,
            &mut self.hits,
            &mut self.alone,
            &mut self.in_window,
            &mut self.crowded,
            &mut self.modelled,
            &mut self.taken,
        ] {
            *sum *= 1.0 - FORGOTTEN;
        }
    }

    /// How many times slower the target is in a window that is crowded like that, if that is known.
    fn slowing(&self, crowding: f64) -> Option<f64> {
        if self.windows < KNOWN_WINDOWS || self.hits < KNOWN_HITS {
            return None;
        }
        let missed = (self.alone - self.in_window).max(0.0);
        Some(1.0 + (missed / self.crowded).min(MOST) * crowding)
    }
}

impl Reference {
    /// A probe was hit.
    pub(super) fn saw(&mut self, place: Place, time: Duration) {
        let number = usize::from(place.0);
        if self.seen.len() <= number {
            self.seen.resize(number + 1, 0.0);
        }
        if let Some(hits) = self.seen.get_mut(number) {
            *hits += 1.0;
        }
        if (self.window.from..self.window.until).contains(&time) {
            self.window.chosen_hits += u32::from(self.chosen.contains(&place));
        }
    }

    /// A window is about to open: opens the rare ones of the probes alone for a moment. Returns
    /// their links.
    #[expect(
        clippy::disallowed_methods,
        reason = "how often probes are hit shows in time and nothing else"
    )]
    pub(super) fn look(
        &mut self,
        probe: &mut Probe,
        (pid, planned): (Pid, &PlannedSites),
        means: Means,
    ) -> Result<Links, ProbeError> {
        self.settle(probe.lost_records());
        let Means {
            clock,
            model,
            may_look,
        } = means;
        if !may_look {
            return Ok(Links::default());
        }
        self.choose();
        let sites: Vec<Site> = (planned.sites.iter().copied())
            .filter(|site| self.chosen.contains(&Place::of(site.cookie)))
            .collect();
        if sites.is_empty() {
            return Ok(Links::default());
        }
        let links = probe.attach_sites(SiteProgram::ObjectCounted, pid, &planned.path(), &sites)?;
        let (Some(before), start) = (probe.counters(pid), clock.now()) else {
            return Ok(links);
        };
        thread::sleep(self.patience());
        // While heaptide works, the target may wait for its processor.
        let end = clock.now();
        if let Some(after) = probe.counters(pid) {
            let elapsed = end.saturating_sub(start).as_secs_f64();
            let cost = model.since(&before, &after).counted.as_secs_f64();
            let hits = (after.counted_objects).saturating_sub(before.counted_objects);
            self.looked(natural_rate(hits, cost, elapsed));
        }
        Ok(links)
    }

    /// The places that were opened alone are come to that often, if that could be told.
    fn looked(&mut self, alone: Option<f64>) {
        self.window.alone = alone;
        self.crowded = self.crowded.saturating_add(u8::from(alone.is_none()));
    }

    /// All probes are open now.
    pub(super) fn opened(&mut self, from: Duration, until: Duration) {
        (self.window.from, self.window.until) = (from, until);
    }

    /// All of what has happened from here on is in the window.
    pub(super) fn began(&mut self) {
        (self.window.cost, self.window.busy) = (Duration::ZERO, Busy::default());
    }

    /// So much has happened in the window since the last call.
    pub(super) fn charge(&mut self, passed: Passed) {
        self.window.cost += passed.cost;
        self.window.busy += passed.busy;
    }

    /// The window has closed that was to be so long, after which the throttle says that what was
    /// seen stands for so many times as much. Returns what is nearer to the truth.
    pub(super) fn correct(&mut self, at: Duration, length: Duration, by_model: f64) -> Correction {
        self.window.until = self.window.until.min(at);
        let seconds = self.window.seconds();
        if seconds <= 0.0 {
            return Correction::of(by_model);
        }
        let early = (length.as_secs_f64() / seconds).max(1.0);
        let crowding = self.window.crowding();
        Correction {
            times: (self.learnt.slowing(crowding)).map_or(by_model, |slowing| early * slowing),
            early,
            crowding,
            busy: (self.window.busy.time.as_secs_f64() / seconds).min(1.0),
        }
    }

    /// What came of the comparison that was made last.
    pub(super) fn take_comparison(&mut self) -> Option<Comparison> {
        self.compared.take()
    }

    /// How many times as much hits cost as the model says.
    pub(super) fn dearness(&self) -> f64 {
        if self.learnt.modelled > 0.0 {
            (self.learnt.taken / self.learnt.modelled).clamp(1.0, DEAREST)
        } else {
            DEAR
        }
    }

    /// How long to look to see enough.
    fn patience(&self) -> Duration {
        let rate = self.learnt.alone / self.learnt.windows;
        let enough = Duration::try_from_secs_f64(HITS / rate).unwrap_or(SHORTEST);
        enough.clamp(SHORTEST, LONGEST)
    }

    /// All of what the last window showed has come, or was lost: so many records up to now.
    fn settle(&mut self, lost: u64) {
        let window = std::mem::take(&mut self.window);
        let is_whole = window.seconds() > 0.0 && self.lost == lost;
        self.lost = lost;
        let Some(alone) = window.alone.filter(|_| is_whole) else {
            return;
        };
        let in_window = f64::from(window.chosen_hits) / window.seconds();
        if f64::from(window.chosen_hits) > FASTER * alone * window.seconds() + BY_CHANCE {
            return;
        }
        self.compared = Some(Comparison {
            time: window.from,
            alone,
            in_window,
            hits: window.chosen_hits,
            crowding: window.crowding(),
        });
        let learnt = &mut self.learnt;
        learnt.forget();
        learnt.windows += 1.0;
        learnt.hits += f64::from(window.chosen_hits);
        learnt.alone += alone;
        learnt.in_window += in_window;
        learnt.crowded += in_window * window.crowding();
        if let Some(slowing) = learnt.slowing(window.crowding()) {
            learnt.modelled += window.share();
            learnt.taken += 1.0 - slowing.recip();
        }
    }

    /// Chooses the places that are come to rarely, but often enough to tell something.
    fn choose(&mut self) {
        let total: f64 = self.seen.iter().sum();
        self.chosen.clear();
        if total < ENOUGH {
            return;
        }
        let shares: Vec<(Place, f64)> = (0..)
            .map(Place)
            .zip(self.seen.iter().map(|hits| hits / total))
            .filter(|(_, share)| *share > 0.0)
            .collect();
        let most = MOST_WANTED * 0.5_f64.powi(self.crowded.into());
        let [(few, of_few), (more, of_more)] = [WANTED, most].map(|most| up_to(most, &shares));
        if of_few >= ENOUGH_WANTED && most >= WANTED {
            self.chosen = few;
        } else if of_more >= LEAST_WANTED {
            self.chosen = more;
        }
        for hits in &mut self.seen {
            *hits *= 1.0 - FORGOTTEN;
        }
    }
}

/// Places that have up to this share of the hits together, and what they have.
fn up_to(most: f64, shares: &[(Place, f64)]) -> (Vec<Place>, f64) {
    let mut rare: Vec<_> = (shares.iter().copied())
        .filter(|(_, share)| *share <= most)
        .collect();
    rare.sort_by(|one, other| other.1.total_cmp(&one.1));
    let (mut chosen, mut together) = (Vec::new(), 0.0);
    for (place, share) in rare {
        if together + share <= most {
            together += share;
            chosen.push(place);
        }
    }
    (chosen, together)
}

/// How many hits a second there are without what they cost; `None` if they cost too much to tell.
#[expect(clippy::cast_precision_loss, reason = "some thousands at most")]
fn natural_rate(hits: u64, cost: f64, elapsed: f64) -> Option<f64> {
    (cost < CROWDED * elapsed).then(|| hits as f64 / (elapsed - cost))
}

#[cfg(test)]
mod tests;
