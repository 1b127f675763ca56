//! The probes of one process for one class of sites, and when they are open.

use std::time::Duration;

use profiler_common::cookie::Place;

use super::{
    clock::{Clock, thread_time},
    cost::CostModel,
    places::Places,
    reference::Reference,
    urgency::Urgency,
};
use crate::{
    aggregate::{Comparison, Correction, Window},
    probe::{Links, Order, Passed, Probe, ProbeError, Site, Throttle, Timing, Window as Opening},
    process::census::processor_of,
    source::{Plan, SiteClass},
    units::Pid,
};

/// What probes cost that are hit all the time, in processors.
const MANY_HITS: f64 = 0.9;

/// No probes are left open that briefly: whoever waits that long cannot do anything else meanwhile,
/// but takes them away on time, and not when the next look happens to come.
const BRIEF: Duration = Duration::from_millis(5);

/// No window of probes that are hit rarely is shorter, in seconds: it would show too little.
const BRIEFEST_OF_RARE: f64 = 0.004;

/// Where the target runs, heaptide works in its place while it opens a window, and no longer than
/// that while it closes one …
const IN_ITS_PLACE: f64 = 2.0;

/// … which takes no longer than this to open. If the target has gone on elsewhere meanwhile, that
/// takes longer, and interrupts it for a part of that time only. By what programs lost more than
/// their hits cost, with 258 breakpoints of 35 µs.
const LONGEST_IN_ITS_PLACE: Duration = Duration::from_millis(1);
const ELSEWHERE: f64 = 1.3;

/// The probes of one process for one class of sites.
pub(super) struct Channel {
    class: SiteClass,
    links: Links,
    throttle: Throttle,
    /// As what the probes were opened last.
    opening: Option<Opening>,
    /// Whether the probes were taken away though their time was not over.
    is_interrupted: bool,
    /// What happened while others had their turn.
    postponed: Passed,
    /// For how long heaptide worked to open the last window.
    worked: Duration,
    places: Places,
    /// What rare ones of its probes tell, if they are hit very often.
    reference: Option<Reference>,
    /// The thread that hit one of these last.
    thread: Option<u32>,
}

/// What channels work with.
#[derive(Clone, Copy)]
pub(super) struct Means {
    pub(super) clock: Clock,
    pub(super) model: CostModel,
    /// Whether there is time to look at rare probes alone.
    pub(super) may_look: bool,
}

/// What came of looking after channels.
#[derive(Default)]
pub(super) struct Outcome {
    /// Which probes were opened or closed.
    pub(super) shifts: Vec<(SiteClass, Shift)>,
    /// Links that are to be detached at once …
    pub(super) closed: Links,
    /// … and those for which there is time.
    pub(super) unneeded: Links,
    /// What could not be attached.
    pub(super) errors: Vec<ProbeError>,
    /// Until links are on their way.
    pub(super) urgency: Option<Urgency>,
    /// Whether rare probes were looked at alone.
    pub(super) looked: bool,
}

impl Outcome {
    /// Takes over what came of another channel.
    pub(super) fn append(&mut self, mut other: Self) {
        self.shifts.append(&mut other.shifts);
        self.closed.append(other.closed);
        self.unneeded.append(other.unneeded);
        self.errors.append(&mut other.errors);
        self.urgency = self.urgency.take().or(other.urgency);
        self.looked |= other.looked;
    }
}

/// Probes were opened or closed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shift {
    /// They are open as this window says.
    Opened(Window),
    /// What they see from this time on does not count.
    Closed {
        /// When.
        at: Duration,
        /// For how much more than by the weight of the window stands what they saw.
        correction: Correction,
    },
    /// It is known how much slower they made the target in an earlier window.
    Compared(Comparison),
}

impl Channel {
    /// A closed channel, whose probes may take this part of the target's time.
    pub(super) fn new(class: SiteClass, limit: f64, timing: Timing) -> Self {
        let is_rare = class != SiteClass::Objects;
        let briefest = if is_rare { BRIEFEST_OF_RARE } else { 0.0 };
        let briefest = timing.briefest.max(briefest);
        Self {
            class,
            links: Links::default(),
            throttle: Throttle::new(limit, Timing { briefest, ..timing }),
            opening: None,
            is_interrupted: false,
            postponed: Passed::default(),
            worked: Duration::ZERO,
            places: Places::default(),
            reference: None,
            thread: None,
        }
    }

    /// The same for probes that are hit very often.
    #[must_use]
    pub(super) fn expecting_many_hits(mut self) -> Self {
        self.throttle = self.throttle.expecting(MANY_HITS);
        self.reference = Some(Reference::default());
        self
    }

    /// Opens or closes the probes, as what they cost demands.
    pub(super) fn pay(
        &mut self,
        probe: &mut Probe,
        target: (Pid, &Plan),
        (now, mut passed): (Duration, Passed),
        means: Means,
    ) -> Outcome {
        passed += std::mem::take(&mut self.postponed);
        if let Some(reference) = self.reference.as_mut().filter(|_| self.throttle.is_open()) {
            reference.charge(passed);
        }
        match self.throttle.observe(now, passed) {
            Order::Close { correction } => {
                self.is_interrupted = false;
                let at = now;
                let correction = self.correct(at, correction);
                let is_quick = self.has_probes() && self.has_many_hits() && self.is_quick(probe);
                Outcome {
                    shifts: vec![(self.class, Shift::Closed { at, correction })],
                    closed: std::mem::take(&mut self.links),
                    urgency: is_quick.then(|| self.urgency(target.0)),
                    ..Outcome::default()
                }
            }
            Order::Keep => match self.opening.filter(|_| self.is_interrupted) {
                Some(opening) => self.open(probe, target, opening, means),
                None => Outcome::default(),
            },
            Order::Open(opening) => self.open(probe, target, opening, means),
        }
    }

    fn open(
        &mut self,
        probe: &mut Probe,
        (pid, plan): (Pid, &Plan),
        opening: Opening,
        means: Means,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        self.opening = Some(opening);
        if opening.length.is_some() && self.is_quick(probe) {
            outcome.unneeded = probe.make_ready();
            outcome.urgency = Some(self.urgency(pid));
        }
        let start = thread_time();
        self.is_interrupted = false;
        if opening.length.is_some() {
            match self.look_alone(probe, (pid, plan), means) {
                Ok(links) => {
                    outcome.looked = !links.is_empty();
                    outcome.closed = links;
                }
                Err(error) => outcome.errors.push(error),
            }
        }
        let compared = (self.reference.as_mut()).and_then(Reference::take_comparison);
        (outcome.shifts).extend(compared.map(|it| (self.class, Shift::Compared(it))));
        let before = means.clock.now();
        let errors = self.write(probe, (pid, plan), opening, before);
        outcome.errors.extend(errors);
        let window = self.opened_window(opening, before, means.clock.now());
        outcome.shifts.push((self.class, Shift::Opened(window)));
        self.worked = thread_time().saturating_sub(start);
        outcome
    }

    /// The probes were written between these times. What is open for good counts from the first
    /// event on, and a sample from when all of its probes are in place.
    fn opened_window(&mut self, opening: Opening, before: Duration, opened: Duration) -> Window {
        let (from, until) = match opening.length {
            Some(length) => (opened, opened.saturating_add(length)),
            None => (before, Duration::MAX),
        };
        if let (Some(reference), Some(_)) = (&mut self.reference, opening.length) {
            reference.opened(from, until);
        }
        Window {
            from,
            until,
            weight: opening.weight,
        }
    }

    /// For as long as probes of windows are written or taken away: where the target runs.
    fn urgency(&self, pid: Pid) -> Urgency {
        let thread = self.thread.unwrap_or(pid.0);
        Urgency::begin_on(processor_of(pid, thread))
    }

    /// Whether its probes are written and taken away so often that it has to be quick, and can be.
    fn is_quick(&self, probe: &Probe) -> bool {
        let is_brief = self.has_many_hits() || self.brief_length().is_some();
        is_brief && probe.has_multi_links()
    }

    /// Attaches the probes of a window.
    fn write(
        &mut self,
        probe: &mut Probe,
        (pid, plan): (Pid, &Plan),
        opening: Opening,
        now: Duration,
    ) -> Vec<ProbeError> {
        let class = self.class;
        let of_class = || (plan.sites.iter()).filter(move |planned| planned.class == class);
        let all = of_class().map(|planned| planned.sites.len()).sum();
        if self.has_many_hits() && self.is_quick(probe) && opening.length.is_some() {
            self.places.choose(all, now);
        } else {
            self.places.choose_all();
        }
        let mut errors = Vec::new();
        for planned in of_class() {
            let opens = |site: &&Site| self.places.opens(Place::of(site.cookie));
            let sites: Vec<Site> = planned.sites.iter().filter(opens).copied().collect();
            match probe.attach_sites(planned.program, pid, &planned.path(), &sites) {
                Ok(links) => self.links.append(links),
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// Before a window, looks at what rare ones of its probes show alone. Returns their links.
    fn look_alone(
        &mut self,
        probe: &mut Probe,
        (pid, plan): (Pid, &Plan),
        means: Means,
    ) -> Result<Links, ProbeError> {
        let planned = plan.sites.iter().find(|it| it.class == self.class);
        match (&mut self.reference, planned) {
            (Some(reference), Some(planned)) if probe.has_multi_links() => {
                reference.look(probe, (pid, planned), means)
            }
            _ => Ok(Links::default()),
        }
    }

    /// A window closes, and what was seen in it stands for so many times as much by the throttle.
    fn correct(&mut self, at: Duration, correction: f64) -> Correction {
        let length = self.opening.and_then(|opening| opening.length);
        match (&mut self.reference, length) {
            (Some(reference), Some(length)) => reference.correct(at, length, correction),
            _ => Correction::of(correction),
        }
    }

    /// A thread hit one of its probes. Returns for how many hits this one stands because of its
    /// place.
    pub(super) fn saw(&mut self, thread: u32, place: Place, time: Duration) -> u32 {
        self.thread = Some(thread);
        if let Some(reference) = &mut self.reference {
            reference.saw(place, time);
        }
        self.places.saw(place)
    }

    /// Whether none of its places is left out.
    pub(super) const fn opens_all(&self) -> bool {
        self.places.opens_all()
    }

    /// The process runs another program now, whose places are others.
    pub(super) fn forget_places(&mut self) {
        self.reference = self.reference.take().map(|_| Reference::default());
        self.places = Places::default();
    }

    /// How many times as much its hits cost as the model says.
    pub(super) fn dearness(&self) -> f64 {
        self.reference.as_ref().map_or(1.0, Reference::dearness)
    }

    /// What a window costs the target besides hits.
    pub(super) fn price_of_opening(&self) -> Duration {
        let in_its_place = self.worked.min(LONGEST_IN_ITS_PLACE);
        let elsewhere = self.worked.saturating_sub(in_its_place);
        in_its_place.mul_f64(IN_ITS_PLACE) + elsewhere.mul_f64(ELSEWHERE)
    }

    /// It is the turn of others to open a window; so much has passed meanwhile.
    pub(super) fn postpone(&mut self, passed: Passed) {
        self.postponed += passed;
    }

    /// The probes have just been opened; so much has passed meanwhile.
    pub(super) fn opened(&mut self, now: Duration, passed: Passed) {
        if let Some(reference) = &mut self.reference {
            reference.began();
        }
        self.throttle.opened(now, passed);
    }

    /// What they show comes faster than it can be taken in.
    pub(super) fn relieve(&mut self) {
        if self.throttle.is_open() {
            self.throttle.relieve();
        }
    }

    /// Whether its probes are hit very often.
    pub(super) fn has_many_hits(&self) -> bool {
        self.class == SiteClass::Objects
    }

    /// Whether its probes are open, or were told to open.
    pub(super) const fn is_open(&self) -> bool {
        self.throttle.is_open()
    }

    /// Whether its probes are in place for a limited time.
    pub(super) fn has_window(&self) -> bool {
        let has_end = self.opening.is_some_and(|it| it.length.is_some());
        has_end && self.is_open() && self.has_probes()
    }

    /// Whether its probes are in place.
    pub(super) fn has_probes(&self) -> bool {
        !self.links.is_empty()
    }

    /// What its probes are for.
    pub(super) const fn class(&self) -> SiteClass {
        self.class
    }

    /// Takes the probes away, and returns them for whoever has the time to wait. If the process
    /// goes on with another program, they come back with its plan.
    pub(super) fn take_links(&mut self) -> Links {
        self.is_interrupted = self.throttle.is_open();
        std::mem::take(&mut self.links)
    }

    /// Takes away the probes of a window that is over, though it is not booked yet.
    pub(super) fn take_links_of_window(&mut self) -> Links {
        std::mem::take(&mut self.links)
    }

    /// How long the window is that they are open for, if it is brief.
    pub(super) fn brief_length(&self) -> Option<Duration> {
        let opening = self.opening.filter(|_| self.is_open())?;
        opening.length.filter(|length| *length <= BRIEF)
    }

    /// For how long they have been open; not at all if the plan has no such sites.
    pub(super) fn open_time(&self, plan: Option<&Plan>, now: Duration) -> Duration {
        if self.has_sites(plan) {
            self.throttle.open_time(now)
        } else {
            Duration::ZERO
        }
    }

    /// How often they were opened.
    pub(super) fn windows(&self, plan: Option<&Plan>) -> u64 {
        if self.has_sites(plan) {
            self.throttle.windows()
        } else {
            0
        }
    }

    fn has_sites(&self, plan: Option<&Plan>) -> bool {
        let mut sites = plan.iter().flat_map(|plan| &plan.sites);
        sites.any(|planned| planned.class == self.class)
    }

    /// Whether they are open only part of the time.
    pub(super) fn is_sampled(&self) -> bool {
        self.throttle.is_sampling()
    }

    /// Whether the probes took most of the time in which they were open.
    pub(super) fn is_crowded(&self) -> bool {
        self.throttle.is_crowded()
    }

    /// How soon to look at them again.
    pub(super) fn check_within(&self) -> Duration {
        self.throttle.check_within()
    }
}

/// How long windows take to close. A link over many sites takes its breakpoints away at once; one
/// for each site waits for a grace period of the kernel first, in which they go on to cost.
pub(super) const fn timing(has_multi_links: bool) -> Timing {
    if has_multi_links {
        Timing {
            closing: 0.002,
            briefest: 0.0005,
        }
    } else {
        Timing {
            closing: 0.25,
            briefest: 0.1,
        }
    }
}
