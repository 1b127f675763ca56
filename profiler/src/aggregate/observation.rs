//! For which part of its time a process was observed, and what that cost it.

use std::time::Duration;

use super::selection::Part;
use crate::profile::{Census, ProcessRecord, own_time};

/// Probes take a moment to open: a gap up to this long is no gap if the process ran much longer.
const OPENING: Duration = Duration::from_millis(500);

/// How a process was observed during a part of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Observation {
    /// How long it was there.
    pub(super) span: Duration,
    /// How long the probes of blocks over 512 bytes were open.
    pub(super) blocks: Duration,
    /// How long the probes of pools were open.
    pub(super) pools: Duration,
    /// How long the probes of small objects were open.
    pub(super) objects: Duration,
    /// How often they were opened.
    pub(super) object_windows: u64,
    /// Processor time that probes took.
    pub(super) cost: Duration,
    /// The time that counts as the process's own.
    pub(super) own: Duration,
}

impl Observation {
    /// Compares the last census with the one before the part, or with the start of the process.
    pub(super) fn new(part: &Part<'_>, process: &ProcessRecord, censuses: &[&Census]) -> Self {
        let Some(last) = censuses.last() else {
            return Self::default();
        };
        let base = censuses.first().filter(|first| first.time <= part.start);
        let since = base.map_or(process.started, |base| base.time);
        let nothing = Census::default();
        let before = base.copied().unwrap_or(&nothing);
        // What the process had used before its first census is not known to be of this part.
        let costed = base.or(censuses.first()).copied().unwrap_or(last);
        Self {
            span: last.time.saturating_sub(since),
            blocks: last.blocks_observed.saturating_sub(before.blocks_observed),
            pools: last.pools_observed.saturating_sub(before.pools_observed),
            objects: last
                .objects_observed
                .saturating_sub(before.objects_observed),
            object_windows: last.object_windows.saturating_sub(before.object_windows),
            cost: last.probe_cost.saturating_sub(costed.probe_cost),
            own: own_time(
                last.cpu.saturating_sub(costed.cpu),
                last.time.saturating_sub(costed.time),
            ),
        }
    }

    /// Adds what was observed of another process.
    pub(super) fn add(&mut self, other: Self) {
        self.span += other.span;
        self.blocks += other.blocks.min(other.span);
        self.pools += other.pools.min(other.span);
        self.objects += other.objects.min(other.span);
        self.object_windows += other.object_windows;
        self.cost += other.cost;
        self.own += other.own;
    }

    /// For which part of the time blocks over 512 bytes were observed, up to one. Where nothing
    /// tells, nothing.
    pub(super) fn block_fraction(&self) -> f64 {
        self.fraction(self.blocks)
    }

    fn fraction(&self, observed: Duration) -> f64 {
        if self.span.is_zero() {
            return 0.0;
        }
        let fraction = observed.as_secs_f64() / self.span.as_secs_f64();
        let missing = self.span.saturating_sub(observed);
        if fraction >= 0.98 || (fraction >= 0.8 && missing <= OPENING) {
            1.0
        } else {
            fraction
        }
    }

    /// The same for small objects; `None` if they were not observed one by one.
    pub(super) fn object_fraction(&self) -> Option<f64> {
        self.has_objects().then(|| self.fraction(self.objects))
    }

    /// Whether small objects were observed one by one, so that pools need not stand for them.
    pub(super) const fn has_objects(&self) -> bool {
        !self.objects.is_zero()
    }

    /// How many pools there are, by the time, for one that was seen to open.
    pub(super) fn pool_scale(&self) -> f64 {
        let fraction = self.fraction(self.pools);
        if fraction > 0.0 { 1.0 / fraction } else { 1.0 }
    }

    /// The share of the processes' own time that probes took, in percent.
    pub(super) fn overhead_percent(&self) -> Option<f64> {
        let is_known = !self.own.is_zero();
        is_known.then(|| 100.0 * self.cost.as_secs_f64() / self.own.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(span: u64, observed: u64) -> Observation {
        Observation {
            span: Duration::from_millis(span),
            blocks: Duration::from_millis(observed),
            pools: Duration::from_millis(span),
            objects: Duration::ZERO,
            object_windows: 0,
            cost: Duration::ZERO,
            own: Duration::from_millis(span),
        }
    }

    #[test]
    fn the_time_that_probes_take_to_open_is_no_gap() {
        assert!(observed(30_000, 29_700).block_fraction() >= 1.0);
        assert!(observed(3000, 2600).block_fraction() >= 1.0);
        assert!((observed(600, 100).block_fraction() - 1.0 / 6.0).abs() < 1e-9);
        assert!((observed(30_000, 15_000).block_fraction() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn where_nothing_tells_nothing_was_observed() {
        for observation in [observed(0, 0), observed(1000, 0)] {
            assert!(observation.block_fraction() <= 0.0);
        }
        assert_eq!(observed(0, 0).overhead_percent(), None);
        assert!(observed(0, 0).pool_scale() <= 1.0);
    }
}
