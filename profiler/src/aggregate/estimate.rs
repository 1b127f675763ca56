//! A number and how far it can be trusted.

use std::{collections::BTreeMap, sync::Arc};

use super::{anchor::Anchor, doubt::Doubt, groups::WindowKind, series::Series};
use crate::profile::{ProcessKey, SizeClass};

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
    series: BTreeMap<(ProcessKey, WindowKind), Series>,
    /// What was scaled to sums that are known.
    anchored: BTreeMap<(ProcessKey, SizeClass), Anchored>,
    /// How far the windows may be wrong on which the rest rests, in bytes or pieces.
    doubt: Doubt,
}

/// What was scaled to a sum that is known.
#[derive(Clone, Debug)]
struct Anchored {
    anchor: Arc<Anchor>,
    /// Its share in that sum.
    share: f64,
    /// How far the windows may be wrong that showed this.
    doubt: Doubt,
}

/// Who holds a part of a known sum is known from objects that look alive, some of which are others
/// in the same place: so large a part of what is held by the smaller side may belong to the other,
/// as a standard deviation.
const GHOST_ERROR: f64 = 0.25;

/// A share smaller than that tells nothing about how large the whole seems to be.
const LEAST_SHARE: f64 = 0.02;

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
        windows: (ProcessKey, WindowKind),
        groups: u32,
        values: impl Iterator<Item = (u32, f64)>,
    ) {
        let series = self.series.entry(windows);
        let series = series.or_insert_with(|| Series::new(groups));
        for (group, value) in values {
            series.add(group, value);
        }
    }

    /// Says that a share of what was added was scaled to a sum that is known.
    pub(super) fn add_anchored(
        &mut self,
        class: (ProcessKey, SizeClass),
        anchor: &Arc<Anchor>,
        (share, doubt): (f64, Doubt),
    ) {
        let anchored = self.anchored.entry(class).or_insert_with(|| Anchored {
            anchor: Arc::clone(anchor),
            share: 0.0,
            doubt: Doubt::default(),
        });
        anchored.share += share;
        anchored.doubt.add(doubt, 1.0);
    }

    /// Says how far the windows may be wrong on which an estimate rests.
    pub(super) fn add_doubt(&mut self, doubt: Doubt) {
        self.doubt.add(doubt, 1.0);
    }

    /// Adds the sum of a process, or of some, of which nothing was added yet.
    pub(super) fn add_process(&mut self, other: &Self) {
        self.estimate = self.estimate.saturating_add(other.estimate);
        self.floor = self.floor.saturating_add(other.floor);
        self.variance += other.variance;
        self.add_slack(other.slack);
        self.series.extend(other.series.clone());
        self.anchored.extend(other.anchored.clone());
        self.add_doubt(other.doubt);
    }

    /// The estimate with its interval.
    pub(super) fn estimate(&self) -> Estimate {
        let (of_windows, of_anchors) = self.variances();
        let freedom = self.series.values().map(Series::freedom).max();
        let doubt = self.doubt();
        let variance = self.variance + of_windows + of_anchors + doubt.hits.powi(2);
        let floor = self.floor.min(self.estimate);
        let (low, high) = interval(as_float(self.estimate - floor), variance, reach(freedom));
        let low = floor.saturating_add(rounded((low - doubt.below).max(0.0)));
        let high = floor.saturating_add(rounded(high + doubt.above));
        Estimate {
            estimate: self.estimate,
            low: low.min(self.estimate),
            high: high.max(self.estimate).saturating_add(self.slack),
        }
    }
}

impl Sum {
    /// How far the windows may be wrong in the same way. What is a part of a known sum can only be
    /// too large where the rest of the sum is too small.
    fn doubt(&self) -> Doubt {
        let mut all = self.doubt;
        for Anchored {
            anchor,
            share,
            doubt,
        } in self.anchored.values()
        {
            all.add(*doubt, (1.0 - share).max(0.0));
            all.above += share * anchor.above;
        }
        all
    }

    /// The variances of what rests on windows, and of the sums to which it was scaled. What grows
    /// in proportion to such a sum is as sure as the sum; only how far it departs from that is not.
    fn variances(&self) -> (f64, f64) {
        let mut series = self.series.clone();
        let mut of_anchors = 0.0;
        for ((process, _), anchored) in &self.anchored {
            let Anchored { anchor, share, .. } = anchored;
            of_anchors += (share * anchor.error).powi(2);
            let others = anchor.factor * anchor.total * share.min(1.0 - share).max(0.0);
            of_anchors += (GHOST_ERROR * others).powi(2);
            if let Some(series) = series.get_mut(&(*process, WindowKind::Objects))
                && *share >= LEAST_SHARE
            {
                series.subtract(&anchor.series, anchor.factor * share);
            }
        }
        (series.values().map(Series::variance).sum(), of_anchors)
    }
}

/// The interval of a sum that cannot be negative, with its variance: as if it were that of as many
/// equal events as have this variance together, which come at random times. The quantiles are
/// those of the gamma distribution, with one event more for the upper one (Fay and Feuer,
/// *Statistics in Medicine* 16, 1997), by Wilson and Hilferty's approximation.
///
/// So few events may be as few as none, or several times as many; and many have about a normal
/// distribution.
fn interval(sum: f64, variance: f64, reach: f64) -> (f64, f64) {
    if sum <= 0.0 || variance <= 0.0 {
        return (sum, sum + reach * variance.max(0.0).sqrt());
    }
    let (event, count) = (variance / sum, sum * sum / variance);
    let quantile = |shape: f64, deviations: f64| {
        let root = 1.0 - 1.0 / (9.0 * shape) + deviations / (3.0 * shape.sqrt());
        event * shape * root.max(0.0).powi(3)
    };
    let (low, high) = (quantile(count, -reach), quantile(count + 1.0, reach));
    (low.min(sum), high.max(sum))
}

/// How many standard deviations to either side are in an interval, if these are known from so many
/// samples; without a number, because all rests on independent events.
fn reach(freedom: Option<u32>) -> f64 {
    let Some(freedom) = freedom else {
        return REACH_OF_MANY;
    };
    match (freedom as usize).checked_sub(1) {
        // A single group tells nothing about how groups differ: it is taken for its own deviation.
        None => REACH_OF_MANY,
        Some(index) => REACH.get(index).copied().unwrap_or_else(|| {
            let last = REACH[REACH.len() - 1] - REACH_OF_MANY;
            REACH_OF_MANY + last * as_float(REACH.len() as u64) / f64::from(freedom)
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
        // The exact interval of 400 events: 361.7 to 441.2.
        assert_eq!((one.estimate().low, one.estimate().high), (3618, 4412));
    }

    #[test]
    fn the_interval_never_ends_below_what_was_seen() {
        let mut sum = Sum::default();
        sum.add_exact(500);
        sum.add_sampled(500, 1);
        let Estimate { low, high, .. } = sum.estimate();
        // One event may have been 0.025 to 5.57 (exactly), by the approximation 0.016.
        assert!(
            (500..520).contains(&low) && (3200..3300).contains(&high),
            "{low} to {high}"
        );
    }

    fn of_windows(values: &[f64]) -> Estimate {
        let mut sum = Sum::default();
        let total: f64 = values.iter().sum();
        sum.add_estimate(rounded(total));
        let groups = u32::try_from(values.len()).unwrap();
        let values = (0..).zip(values.iter().copied());
        sum.add_series((ProcessKey(0), WindowKind::Blocks), groups, values);
        sum.estimate()
    }

    #[test]
    fn windows_that_agree_give_a_narrow_interval() {
        let steady = of_windows(&[100.0; 40]);
        assert_eq!((steady.low, steady.high), (4000, 4000));
        let growing: Vec<f64> = (0..40).map(f64::from).collect();
        let Estimate { low, high, .. } = of_windows(&growing);
        assert!(low > 760 && high < 802, "{low} to {high}");
    }

    #[test]
    fn what_a_single_window_showed_may_be_next_to_nothing_or_a_multiple() {
        let mut values = [0.0; 40];
        values[17] = 1000.0;
        let Estimate { low, high, .. } = of_windows(&values);
        assert!(low < 30 && high > 3000, "{low} to {high}");
        assert!(of_windows(&[1000.0]).high > 5000);
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
