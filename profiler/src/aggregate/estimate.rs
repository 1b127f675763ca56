//! A number and how far it can be trusted.

use std::collections::BTreeMap;

use crate::profile::{Metered, ProcessKey};

/// An estimate with its 95 % interval. Where everything was observed, all three are the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Estimate {
    /// The best single number.
    pub estimate: u64,
    /// The lower end of the interval; never below what was seen with certainty.
    pub low: u64,
    /// The upper end of the interval.
    pub high: u64,
}

impl Estimate {
    /// A number that was counted, not estimated.
    pub const fn exact(value: u64) -> Self {
        Self {
            estimate: value,
            low: value,
            high: value,
        }
    }
}

/// How many standard deviations a 95 % interval reaches to either side, if these are known from so
/// many samples, from one up (Student's distribution).
const REACH: [f64; 10] = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];

/// The same for very many samples; in between it comes down to it in proportion.
const REACH_OF_MANY: f64 = 1.96;

/// Adds estimates up: what is independent by squares, what is not as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    estimate: u64,
    /// What was seen with certainty.
    floor: u64,
    /// The variance of what rests on independent events.
    variance: f64,
    /// By how much the parts may be larger together, because they are lower bounds.
    slack: u64,
    /// What rests on windows, by those who have windows of their own.
    series: BTreeMap<(ProcessKey, Metered), Series>,
}

/// What the windows of one process showed, one after the other; groups of neighbouring windows
/// count as one. The same groups for all sums, so that what comes together adds up together.
#[derive(Clone, Debug, Default)]
struct Series {
    by_group: BTreeMap<u32, f64>,
    groups: u32,
}

impl Series {
    /// The variance of the sum: half of the squared differences of neighbours. What grows or ebbs
    /// slowly is known well, since there is a window for each part of it; what appears in a single
    /// window might as well have been missed.
    fn variance(&self) -> f64 {
        let groups = f64::from(self.groups);
        if self.groups < 2 {
            return self.by_group.values().map(|value| value * value).sum();
        }
        let (mut squares, mut before) = (0.0, None);
        for (group, value) in &self.by_group {
            squares += match before {
                Some((last, other)) if last + 1 == *group => (value - other) * (value - other),
                Some((_, other)) => value * value + other * other,
                None if *group > 0 => value * value,
                None => 0.0,
            };
            before = Some((*group, *value));
        }
        if let Some((last, value)) = before
            && last + 1 < self.groups
        {
            squares += value * value;
        }
        squares / 2.0 * groups / (groups - 1.0)
    }
}

impl Sum {
    /// Adds what was counted.
    pub(super) fn add_exact(&mut self, value: u64) {
        self.estimate = self.estimate.saturating_add(value);
        self.floor = self.floor.saturating_add(value);
    }

    /// Adds an estimate that rests on so many independent events.
    pub(super) fn add_sampled(&mut self, estimate: u64, samples: u64) {
        self.add_estimate(estimate);
        self.variance += as_float(estimate).powi(2) / as_float(samples.max(1));
    }

    /// Adds what may be so much more than what was added.
    pub(super) fn add_slack(&mut self, slack: u64) {
        self.slack = self.slack.saturating_add(slack);
    }

    /// Adds an estimate, how uncertain which is, is told apart: see [`Self::add_series`].
    pub(super) fn add_estimate(&mut self, estimate: u64) {
        self.estimate = self.estimate.saturating_add(estimate);
    }

    /// Says how an estimate that was added came about: what each group of windows had to do with
    /// it.
    pub(super) fn add_series(
        &mut self,
        windows: (ProcessKey, Metered),
        groups: u32,
        values: impl Iterator<Item = (u32, f64)>,
    ) {
        let series = self.series.entry(windows).or_default();
        series.groups = groups;
        for (group, value) in values {
            *series.by_group.entry(group).or_default() += value;
        }
    }

    /// The estimate with its interval.
    pub(super) fn estimate(&self) -> Estimate {
        let of_windows: f64 = self.series.values().map(Series::variance).sum();
        let groups = self.series.values().map(|series| series.groups).max();
        let reach = rounded(reach(groups) * (self.variance + of_windows).sqrt());
        let low = self.estimate.saturating_sub(reach);
        let high = self.estimate.saturating_add(reach);
        Estimate {
            estimate: self.estimate,
            low: low.max(self.floor.min(self.estimate)),
            high: high.saturating_add(self.slack),
        }
    }
}

/// How many standard deviations to either side are in an interval, if they rest on so many groups
/// of windows, or on independent events alone.
fn reach(groups: Option<u32>) -> f64 {
    let Some(groups) = groups else {
        return REACH_OF_MANY;
    };
    // A single group tells nothing about how groups differ: it is taken for its own deviation.
    let freedom = groups.saturating_sub(1) as usize;
    match freedom.checked_sub(1) {
        None => REACH_OF_MANY,
        Some(index) => REACH.get(index).copied().unwrap_or_else(|| {
            let last = REACH[REACH.len() - 1] - REACH_OF_MANY;
            REACH_OF_MANY + last * as_float(REACH.len() as u64) / f64::from(groups - 1)
        }),
    }
}

/// A number for calculations that are not exact anyway.
#[expect(clippy::cast_precision_loss, reason = "estimates do not have 53 bits")]
pub(super) const fn as_float(value: u64) -> f64 {
    value as f64
}

/// The nearest whole number; zero if it is negative or none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates"
)]
pub(super) fn rounded(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_has_no_interval() {
        let mut sum = Sum::default();
        sum.add_exact(30);
        sum.add_exact(12);
        assert_eq!(sum.estimate(), Estimate::exact(42));
    }

    #[test]
    fn independent_parts_narrow_each_other() {
        let (mut one, mut parts) = (Sum::default(), Sum::default());
        one.add_sampled(4000, 400);
        for _ in 0..4 {
            parts.add_sampled(1000, 100);
        }
        assert_eq!(one.estimate(), parts.estimate());
        assert_eq!(one.estimate().low, 4000 - 392);
        assert_eq!(one.estimate().high, 4000 + 392);
    }

    #[test]
    fn the_interval_never_ends_below_what_was_seen() {
        let mut sum = Sum::default();
        sum.add_exact(500);
        sum.add_sampled(500, 1);
        let Estimate { low, high, .. } = sum.estimate();
        assert_eq!((low, high), (500, 1980));
    }

    fn of_windows(values: &[f64]) -> Estimate {
        let mut sum = Sum::default();
        let total: f64 = values.iter().sum();
        sum.add_estimate(rounded(total));
        let groups = u32::try_from(values.len()).unwrap();
        let values = (0..).zip(values.iter().copied());
        sum.add_series((ProcessKey(0), Metered::SampledBlock), groups, values);
        sum.estimate()
    }

    #[test]
    fn windows_that_agree_give_a_narrow_interval() {
        let steady = of_windows(&[100.0; 40]);
        assert_eq!((steady.low, steady.high), (4000, 4000));
        let growing: Vec<f64> = (0..40).map(f64::from).collect();
        let Estimate { low, high, .. } = of_windows(&growing);
        assert!(low > 760 && high < 800, "{low} to {high}");
    }

    #[test]
    fn what_a_single_window_showed_may_be_next_to_nothing_or_a_multiple() {
        let mut values = [0.0; 40];
        values[17] = 1000.0;
        let Estimate { low, high, .. } = of_windows(&values);
        assert!(low == 0 && high > 3000, "{low} to {high}");
        assert_eq!(of_windows(&[1000.0]).high, 2960);
        assert!(of_windows(&[10.0, 12.0]).high > 30);
    }

    #[test]
    fn a_lower_bound_may_only_be_more() {
        let mut sum = Sum::default();
        sum.add_exact(100);
        sum.add_slack(900);
        let Estimate { low, high, .. } = sum.estimate();
        assert_eq!((low, high), (100, 1000));
    }
}
