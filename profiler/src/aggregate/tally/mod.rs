//! What each process did at each stack over a part of a recording, and what that weighs.

mod gather;
mod known;
mod lasting;

use std::{collections::BTreeMap, sync::Arc};

pub(super) use self::gather::is_followed;
use self::gather::tally;
use super::{
    Metric, Selection,
    ages::Ages,
    anchor::Anchor,
    doubt::Doubt,
    estimate::{Sum, as_float, rounded},
    groups::WindowKind,
    observation::Observation,
    selection::Part,
};
use crate::profile::{Census, Counters, Metered, ProcessKey, Recorded, StackId};

/// The most that the blocks of one pool take.
const POOL_CAPACITY: u64 = 16 << 10;

/// The sums of one meter for one process and stack. All metrics of blocks are made from these, so
/// that stacks add up to sites, and sites to totals.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// The process.
    pub(super) process: ProcessKey,
    /// The stack.
    pub(super) stack: StackId,
    meter: Metered,
    /// The sums.
    pub(super) counters: Counters,
    /// The same by groups of windows, where they were sampled.
    by_group: Vec<(u32, Counters)>,
    /// What is still held of it.
    kept: Kept,
    /// How many groups there are.
    groups: u32,
    /// How far each of them may be wrong.
    doubts: Arc<[Doubt]>,
    held: Held,
    /// By what to multiply what windows showed to be got, so that each kind of work weighs as much
    /// as it lasted.
    lasting: f64,
    /// How many pools one that was seen to open stands for.
    pool_scale: f64,
}

/// What is still held, by what was seen.
#[derive(Clone, Debug, Default)]
struct Kept {
    bytes: u64,
    count: u64,
    /// The bytes by when they were got, if that is known.
    ages: Ages,
    /// Bytes and pieces by groups of windows, where they were sampled.
    by_group: Vec<(u32, [f64; 2])>,
}

/// What is known of what is held apart from what was seen.
#[derive(Clone, Debug)]
enum Held {
    /// Nothing.
    AsSeen,
    /// There can be at most this part of what the samples say.
    Capped(f64),
    /// The sum of this size class.
    Anchored(Arc<Anchor>),
}

impl Held {
    /// By what to multiply what the samples say.
    fn factor(&self) -> f64 {
        match self {
            Self::AsSeen => 1.0,
            Self::Capped(part) => *part,
            Self::Anchored(anchor) => anchor.factor,
        }
    }
}

/// What a metric counts of what a meter counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Aspect {
    Bytes,
    Pieces,
    KeptBytes,
}

impl Aspect {
    /// `None` if nothing.
    const fn of(meter: Metered, metric: Metric) -> Option<Self> {
        match (metric, meter) {
            (Metric::Mapped, Metered::Mapping) => Some(Self::KeptBytes),
            (Metric::Resident, Metered::Page) => Some(Self::Bytes),
            (_, Metered::Mapping | Metered::Page | Metered::Copied(_))
            | (Metric::Mapped | Metric::Resident, _) => None,
            (Metric::Retained, _) => Some(Self::KeptBytes),
            (Metric::Allocated, _) => Some(Self::Bytes),
            (Metric::Allocations, _) => Some(Self::Pieces),
        }
    }
}

impl Tally {
    /// What it counts.
    pub(super) const fn meter(&self) -> Metered {
        self.meter
    }

    /// What it adds to a metric.
    pub(super) fn value(&self, metric: Metric) -> u64 {
        let Some(aspect) = Aspect::of(self.meter, metric) else {
            return 0;
        };
        let (got, kept) = match aspect {
            Aspect::Bytes => (self.counters.bytes_in, self.kept.bytes),
            Aspect::Pieces => (self.counters.count_in, self.kept.count),
            Aspect::KeptBytes => (self.kept.bytes, self.kept.bytes),
        };
        let got = match aspect {
            Aspect::KeptBytes => got,
            // What is held is gone last.
            _ => rounded(self.lasting * as_float(got)).max(kept),
        };
        match (&self.held, aspect) {
            (Held::AsSeen, _) | (Held::Capped(_), Aspect::Bytes | Aspect::Pieces) => got,
            // What windows say contradicts what is known of elders: both may be right.
            (Held::Anchored(anchor), Aspect::Bytes | Aspect::Pieces) if anchor.above > 0.0 => got,
            // What is gone was seen; only what is still held is known better.
            _ => got.saturating_sub(kept) + rounded(self.held.factor() * as_float(kept)),
        }
    }

    /// Adds when what it retains was got.
    pub(super) fn add_ages_to(&self, ages: &mut Ages) {
        if Aspect::of(self.meter, Metric::Retained).is_some() {
            ages.add(&self.kept.ages, self.held.factor());
        }
    }

    /// Adds it to the sum of a metric.
    pub(super) fn add_to(&self, sum: &mut Sum, metric: Metric) {
        let Some(aspect) = Aspect::of(self.meter, metric) else {
            return;
        };
        let value = self.value(metric);
        match (self.meter, aspect) {
            (Metered::Pool | Metered::SampledPool, Aspect::KeptBytes) => {
                sum.add_sampled(value, self.counters.samples);
            }
            (Metered::Pool, _) => {
                sum.add_exact(value);
                sum.add_slack(self.pool_slack(value));
            }
            (Metered::SampledPool, _) => {
                sum.add_estimate(value);
                sum.add_slack(self.pool_slack(value));
            }
            (Metered::SampledBlock | Metered::SampledObject(_), _) => sum.add_estimate(value),
            _ => sum.add_exact(value),
        }
        if let Some(kind) = WindowKind::of(self.meter) {
            sum.add_series((self.process, kind), self.groups, self.series(aspect));
            let mut doubt = Doubt::default();
            for (group, value) in self.series(aspect) {
                if let Some(of_group) = self.doubts.get(group as usize) {
                    doubt.add(*of_group, value);
                }
            }
            self.add_anchor(sum, aspect, doubt);
        }
    }

    /// What groups of windows showed.
    fn series(&self, aspect: Aspect) -> impl Iterator<Item = (u32, f64)> {
        let got = (self.by_group.iter()).map(move |(group, counters)| match aspect {
            Aspect::Pieces => (*group, self.lasting * as_float(counters.count_in)),
            Aspect::Bytes | Aspect::KeptBytes => {
                (*group, self.lasting * as_float(counters.bytes_in))
            }
        });
        let factor = self.held.factor();
        let kept =
            (self.kept.by_group.iter()).map(move |(group, [bytes, _])| (*group, factor * bytes));
        let is_kept = aspect == Aspect::KeptBytes;
        got.filter(move |_| !is_kept)
            .chain(kept.filter(move |_| is_kept))
    }

    /// What is held is as sure as the sum that it was scaled to, but for its share in that.
    fn add_anchor(&self, sum: &mut Sum, aspect: Aspect, doubt: Doubt) {
        if let (Held::Anchored(anchor), Metered::SampledObject(class), Aspect::KeptBytes) =
            (&self.held, self.meter, aspect)
        {
            let share = as_float(self.kept.bytes) / anchor.total;
            sum.add_anchored((self.process, class), anchor, (share, doubt));
        } else {
            sum.add_doubt(doubt);
        }
    }

    /// How much more than `value` may have passed through the pools: at most as if each had been
    /// filled once from end to end.
    fn pool_slack(&self, value: u64) -> u64 {
        let bytes_in = self.counters.bytes_in;
        let opened = rounded(as_float(self.counters.samples) * self.pool_scale);
        let bytes = opened
            .saturating_mul(POOL_CAPACITY)
            .saturating_sub(bytes_in);
        if bytes_in == 0 || value == bytes_in {
            return bytes;
        }
        rounded(as_float(value) * (as_float(bytes) / as_float(bytes_in)))
    }
}

/// What a recording, or a part of it, adds up to: for several questions to the same part.
#[derive(Debug)]
pub struct Tallies<'a> {
    pub(super) recorded: &'a Recorded,
    pub(super) selection: Selection,
    pub(super) part: Part<'a>,
    /// The censuses of each process, by its number.
    pub(super) censuses: Vec<Vec<&'a Census>>,
    /// How each process was observed, by its number.
    pub(super) observations: Vec<Observation>,
    /// The sums, in the order of process, stack and meter.
    pub(super) all: Vec<Tally>,
}

impl<'a> Tallies<'a> {
    /// Adds up.
    pub fn of(recorded: &'a Recorded, selection: &Selection) -> Self {
        let part = Part::new(recorded, selection);
        let censuses = part.censuses();
        let observations = observations(&part, recorded, &censuses);
        Self {
            all: tally(&part, &observations, &censuses),
            recorded,
            selection: *selection,
            part,
            censuses,
            observations,
        }
    }

    /// The recording.
    pub const fn recorded(&self) -> &'a Recorded {
        self.recorded
    }

    /// Which part of it this is.
    pub const fn selection(&self) -> Selection {
        self.selection
    }

    /// What each stack weighs by a metric, in the order of the stacks; those that weigh nothing
    /// are left out. The stacks of a site add up to the estimate of the site.
    pub fn weights(&self, metric: Metric) -> Vec<(StackId, u64)> {
        let mut weights = BTreeMap::<_, u64>::new();
        for tally in &self.all {
            let weight = weights.entry(tally.stack).or_default();
            *weight = weight.saturating_add(tally.value(metric));
        }
        weights
            .into_iter()
            .filter(|(_, weight)| *weight > 0)
            .collect()
    }
}

/// How each process was observed, by its number.
pub(super) fn observations(
    part: &Part<'_>,
    recorded: &Recorded,
    censuses: &[Vec<&Census>],
) -> Vec<Observation> {
    (censuses.iter().zip(&recorded.processes))
        .map(|(censuses, process)| Observation::new(part, process, censuses))
        .collect()
}

/// What each stack weighs by a metric: see [`Tallies::weights`].
pub fn weigh(recorded: &Recorded, selection: &Selection, metric: Metric) -> Vec<(StackId, u64)> {
    Tallies::of(recorded, selection).weights(metric)
}
