//! What each process did at each stack over a part of a recording, and what that weighs.

use std::collections::BTreeMap;

use super::{
    Metric, Selection,
    estimate::{Sum, as_float, rounded},
    observation::Observation,
    selection::Part,
};
use crate::profile::{Census, Counters, Metered, ProcessKey, Recorded, StackId};

/// The most that the blocks of one pool take.
const POOL_CAPACITY: u64 = 16 << 10;

/// The sums of one meter for one process and stack. All metrics of blocks are made from these, so
/// that stacks add up to sites, and sites to totals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    /// The process.
    pub(super) process: ProcessKey,
    /// The stack.
    pub(super) stack: StackId,
    meter: Metered,
    /// The sums.
    pub(super) counters: Counters,
    /// How many blocks one that was seen stands for.
    scale: f64,
}

impl Tally {
    /// What it adds to a metric, as it was counted.
    fn seen(&self, metric: Metric) -> u64 {
        let counters = &self.counters;
        // What was got before the part may be given back in it; that is not less than nothing.
        let held = counters.bytes_in.saturating_sub(counters.bytes_out);
        match (metric, self.meter) {
            (Metric::Retained, Metered::Block | Metered::Pool)
            | (Metric::Mapped, Metered::Mapping) => held,
            (Metric::Allocated, Metered::Block | Metered::Pool)
            | (Metric::Resident, Metered::Page) => counters.bytes_in,
            (Metric::Allocations, Metered::Block | Metered::Pool) => counters.count_in,
            _ => 0,
        }
    }

    /// What it adds to a metric.
    pub(super) fn value(&self, metric: Metric) -> u64 {
        let seen = self.seen(metric);
        if self.scale > 1.0 {
            rounded(as_float(seen) * self.scale)
        } else {
            seen
        }
    }

    /// Adds it to the sum of a metric.
    pub(super) fn add_to(&self, sum: &mut Sum, metric: Metric) {
        let (seen, value) = (self.seen(metric), self.value(metric));
        let samples = self.counters.samples;
        match (self.meter, metric) {
            (Metered::Pool, Metric::Retained) => sum.add_sampled(value, 0, samples),
            (Metered::Pool, _) => sum.add_at_least(value, self.pool_slack(value)),
            _ if self.scale > 1.0 => sum.add_sampled(value, seen, samples),
            _ => sum.add_exact(value),
        }
    }

    /// How much more than `seen` may have passed through the pools: at most as if each had been
    /// filled once from end to end.
    fn pool_slack(&self, seen: u64) -> u64 {
        let bytes_in = self.counters.bytes_in;
        let bytes = (self.counters.samples.saturating_mul(POOL_CAPACITY)).saturating_sub(bytes_in);
        if bytes_in == 0 || seen == bytes_in {
            return bytes;
        }
        rounded(as_float(seen) * (as_float(bytes) / as_float(bytes_in)))
    }
}

/// Adds up a part of a recording, in the order of process, stack and meter. `observations` are by
/// the number of the process.
pub(super) fn tally(part: &Part<'_>, observations: &[Observation]) -> Vec<Tally> {
    let mut sums = BTreeMap::<_, Counters>::new();
    for change in part.intervals.iter().flat_map(|interval| &interval.changes) {
        if part.has(change.process) {
            let key = (change.process, change.stack, change.meter);
            sums.entry(key).or_default().add(change.counters);
        }
    }
    let scale_of = |process: ProcessKey, meter| observations[process.0 as usize].scale(meter);
    (sums.into_iter())
        .map(|((process, stack, meter), counters)| Tally {
            process,
            stack,
            meter,
            counters,
            scale: scale_of(process, meter),
        })
        .collect()
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
    let observations = observations(&part, recorded, &part.censuses());
    let mut weights = BTreeMap::<_, u64>::new();
    for tally in tally(&part, &observations) {
        let weight = weights.entry(tally.stack).or_default();
        *weight = weight.saturating_add(tally.value(metric));
    }
    weights
        .into_iter()
        .filter(|(_, weight)| *weight > 0)
        .collect()
}
