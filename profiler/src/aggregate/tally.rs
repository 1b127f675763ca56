//! What each process did at each stack over a part of a recording, and what that weighs.

use std::collections::{BTreeMap, HashMap};

use super::{
    Metric, Selection,
    estimate::{Sum, as_float, rounded},
    groups::Groups,
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
    /// How many groups there are.
    groups: u32,
    /// Which part of what is held, by the samples, there can be at most.
    held: f64,
    /// How many pools one that was seen to open stands for.
    pool_scale: f64,
}

impl Tally {
    /// What it adds to a metric.
    pub(super) fn value(&self, metric: Metric) -> u64 {
        let value = of_metric(&self.counters, self.meter, metric).unsigned_or_zero();
        if self.is_capped(metric) {
            rounded(as_float(value) * self.held)
        } else {
            value
        }
    }

    fn is_capped(&self, metric: Metric) -> bool {
        metric == Metric::Retained && self.held < 1.0
    }

    /// Adds it to the sum of a metric.
    pub(super) fn add_to(&self, sum: &mut Sum, metric: Metric) {
        let value = self.value(metric);
        match (self.meter, metric) {
            (Metered::Pool | Metered::SampledPool, Metric::Retained) => {
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
            (Metered::SampledBlock, _) => sum.add_estimate(value),
            _ => sum.add_exact(value),
        }
        if !self.by_group.is_empty() {
            let factor = if self.is_capped(metric) {
                self.held
            } else {
                1.0
            };
            let values = (self.by_group.iter()).map(|(group, counters)| {
                let value = of_metric(counters, self.meter, metric);
                (*group, factor * value.as_float())
            });
            sum.add_series((self.process, self.meter), self.groups, values);
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

/// What was got, less what was given back.
#[derive(Clone, Copy)]
struct Balance {
    got: u64,
    given: u64,
}

impl Balance {
    /// What was got before the part may be given back in it; that is not less than nothing.
    const fn unsigned_or_zero(self) -> u64 {
        self.got.saturating_sub(self.given)
    }

    const fn as_float(self) -> f64 {
        as_float(self.got) - as_float(self.given)
    }
}

/// What counters say of a metric.
const fn of_metric(counters: &Counters, meter: Metered, metric: Metric) -> Balance {
    let is_heap = !matches!(meter, Metered::Mapping | Metered::Page);
    let (got, given) = match (metric, meter) {
        (Metric::Mapped, Metered::Mapping) => (counters.bytes_in, counters.bytes_out),
        (Metric::Resident, Metered::Page) => (counters.bytes_in, 0),
        (Metric::Retained, _) if is_heap => (counters.bytes_in, counters.bytes_out),
        (Metric::Allocated, _) if is_heap => (counters.bytes_in, 0),
        (Metric::Allocations, _) if is_heap => (counters.count_in, 0),
        _ => (0, 0),
    };
    Balance { got, given }
}

/// What was summed up so far for one process, stack and meter.
#[derive(Default)]
struct Gathered {
    counters: Counters,
    by_group: Vec<(u32, Counters)>,
}

/// Adds up a part of a recording, in the order of process, stack and meter. `observations` are by
/// the number of the process.
pub(super) fn tally(
    part: &Part<'_>,
    observations: &[Observation],
    censuses: &[Vec<&Census>],
) -> Vec<Tally> {
    let groups = Groups::new(part);
    let mut sums = BTreeMap::<_, Gathered>::new();
    for (number, interval) in part.intervals.iter().enumerate() {
        for change in &interval.changes {
            if !part.has(change.process) {
                continue;
            }
            let key = (change.process, change.stack, change.meter);
            let gathered = sums.entry(key).or_default();
            gathered.counters.add(change.counters);
            if let Some(group) = groups.of(change.process, change.meter, number) {
                gathered.by_group.push((group, change.counters));
            }
        }
    }
    let mut tallies: Vec<Tally> = (sums.into_iter())
        .map(|((process, stack, meter), gathered)| Tally {
            process,
            stack,
            meter,
            counters: gathered.counters,
            by_group: gathered.by_group,
            groups: groups.count(process, meter),
            held: 1.0,
            pool_scale: if meter == Metered::SampledPool {
                observations[process.0 as usize].pool_scale()
            } else {
                1.0
            },
        })
        .collect();
    cap(&mut tallies, censuses);
    tallies
}

/// No process holds more than what it has in memory and in swap. Samples can say so by chance.
fn cap(tallies: &mut [Tally], censuses: &[Vec<&Census>]) {
    let mut estimated = HashMap::<ProcessKey, u64>::new();
    let is_sampled = |tally: &&mut Tally| !tally.by_group.is_empty();
    for tally in tallies.iter_mut().filter(is_sampled) {
        let sum = estimated.entry(tally.process).or_default();
        *sum = sum.saturating_add(tally.value(Metric::Retained));
    }
    for tally in tallies.iter_mut().filter(is_sampled) {
        let size = (censuses[tally.process.0 as usize].last())
            .map(|last| last.rss.saturating_add(last.swap.unwrap_or_default()));
        let sum = estimated[&tally.process];
        if let Some(size) = size.filter(|size| (1..sum).contains(size)) {
            tally.held = as_float(size) / as_float(sum);
        }
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

/// What each stack weighs by a metric, in the order of the stacks; those that weigh nothing are
/// left out. The stacks of a site add up to the estimate of the site.
pub fn weigh(recorded: &Recorded, selection: &Selection, metric: Metric) -> Vec<(StackId, u64)> {
    let part = Part::new(recorded, selection);
    let censuses = part.censuses();
    let observations = observations(&part, recorded, &censuses);
    let mut weights = BTreeMap::<_, u64>::new();
    for tally in tally(&part, &observations, &censuses) {
        let weight = weights.entry(tally.stack).or_default();
        *weight = weight.saturating_add(tally.value(metric));
    }
    weights
        .into_iter()
        .filter(|(_, weight)| *weight > 0)
        .collect()
}
