//! How far windows can be wrong all in the same way: they stand for what the target would have
//! done without probes, and that is not known for sure where probes took much of the time.

use crate::profile::Census;

/// What a hit costs is known to within so large a part, as a standard deviation.
const HIT_ERROR: f64 = 0.02;

/// The target has at least so small a part of a window for itself.
const LEAST_LEFT: f64 = 0.05;

/// By how much more or less windows may stand for: as a part of what they stand for, or in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Doubt {
    /// It may be so much more, because the target had more to do in windows than on average …
    pub(super) above: f64,
    /// … or so much less.
    pub(super) below: f64,
    /// One standard deviation of what is due to how well it is known what a hit costs.
    pub(super) hits: f64,
}

impl Doubt {
    /// Of windows in which probes were open for so many seconds and took so many, while in so many
    /// seconds of the clock the target used the processors for `cpu`, probes and all.
    ///
    /// By its pace the target had a part of the windows' time to do, on average. If it is either
    /// busy or idle, its pace at a time differs from the average by `2 p (1 - p)` in the mean.
    fn of(open: f64, cost: f64, cpu: f64, elapsed: f64) -> Self {
        if open <= 0.0 || elapsed <= 0.0 {
            return Self::default();
        }
        // A target that is always busy has the rest of the time.
        let pace = ((cpu - cost) / (elapsed - cost).max(0.5 * elapsed)).max(0.0);
        let processors = pace.max(1.0);
        let left = (1.0 - cost / (open * processors)).clamp(LEAST_LEFT, 1.0);
        let demand = pace / processors;
        let spread = 2.0 * demand * (1.0 - demand);
        let done = |demand: f64| demand.clamp(left, 1.0);
        let usual = done(demand);
        Self {
            above: done(demand + spread) / usual - 1.0,
            below: 1.0 - done(demand - spread) / usual,
            hits: if usual > left {
                HIT_ERROR * (1.0 - left) / left
            } else {
                0.0
            },
        }
    }

    /// Of the windows of small objects between two censuses.
    pub(super) fn between(before: &Census, now: &Census) -> Self {
        let passed = |of: fn(&Census) -> std::time::Duration| {
            of(now).saturating_sub(of(before)).as_secs_f64()
        };
        Self::of(
            passed(|it| it.objects_observed),
            passed(|it| it.probe_cost),
            passed(|it| it.cpu),
            passed(|it| it.time),
        )
    }

    /// Adds so many times another one. All windows are wrong in the same way, so nothing cancels.
    pub(super) fn add(&mut self, other: Self, times: f64) {
        let times = times.abs();
        self.above = other.above.mul_add(times, self.above);
        self.below = other.below.mul_add(times, self.below);
        self.hits = other.hits.mul_add(times, self.hits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_always_busy_leaves_only_the_cost_of_hits_in_doubt() {
        let doubt = Doubt::of(0.02, 0.015, 1.0, 1.0);
        assert!(
            doubt.above.abs() < 1e-9 && doubt.below.abs() < 1e-9,
            "{doubt:?}"
        );
        assert!((doubt.hits - 3.0 * HIT_ERROR).abs() < 1e-9, "{doubt:?}");
    }

    #[test]
    fn where_probes_leave_enough_time_nothing_is_in_doubt() {
        let doubt = Doubt::of(0.02, 0.002, 0.2, 1.0);
        assert_eq!(doubt, Doubt::default());
        assert_eq!(Doubt::of(0.0, 0.0, 0.5, 1.0), Doubt::default());
    }

    #[test]
    fn a_target_that_is_busy_half_of_the_time_may_have_been_so_in_windows_or_not() {
        let doubt = Doubt::of(0.02, 0.015, 0.5075, 1.0);
        assert!((doubt.above - 1.0).abs() < 1e-9, "{doubt:?}");
        assert!((doubt.below - 0.5).abs() < 1e-9, "{doubt:?}");
    }
}
