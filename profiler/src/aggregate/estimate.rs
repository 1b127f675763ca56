//! A number and how far it can be trusted.

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

/// How many standard deviations a 95 % interval reaches to either side.
const REACH: f64 = 1.96;

/// Adds estimates up: what is independent by squares, what is not as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    estimate: u64,
    /// What was seen with certainty.
    floor: u64,
    /// Squares of how far the parts reach to either side.
    squares: f64,
    /// By how much the parts may be larger together, because they are lower bounds.
    slack: u64,
}

impl Sum {
    /// Adds what was counted.
    pub(super) fn add_exact(&mut self, value: u64) {
        self.estimate = self.estimate.saturating_add(value);
        self.floor = self.floor.saturating_add(value);
    }

    /// Adds an estimate that rests on so many independent events, of which `seen` is certain.
    pub(super) fn add_sampled(&mut self, estimate: u64, seen: u64, samples: u64) {
        self.estimate = self.estimate.saturating_add(estimate);
        self.floor = self.floor.saturating_add(seen);
        let reach = REACH * as_float(estimate) / as_float(samples.max(1)).sqrt();
        self.squares += reach * reach;
    }

    /// Adds a lower bound and how much more it may be.
    pub(super) fn add_at_least(&mut self, value: u64, slack: u64) {
        self.add_exact(value);
        self.slack = self.slack.saturating_add(slack);
    }

    /// The estimate with its interval.
    pub(super) fn estimate(&self) -> Estimate {
        let reach = rounded(self.squares.sqrt());
        let low = self.estimate.saturating_sub(reach);
        let high = self.estimate.saturating_add(reach);
        Estimate {
            estimate: self.estimate,
            low: low.max(self.floor.min(self.estimate)),
            high: high.saturating_add(self.slack),
        }
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
        one.add_sampled(4000, 0, 400);
        for _ in 0..4 {
            parts.add_sampled(1000, 0, 100);
        }
        assert_eq!(one.estimate(), parts.estimate());
        assert_eq!(one.estimate().low, 4000 - 392);
        assert_eq!(one.estimate().high, 4000 + 392);
    }

    #[test]
    fn the_interval_never_ends_below_what_was_seen() {
        let mut sum = Sum::default();
        sum.add_sampled(1000, 500, 4);
        let Estimate { low, high, .. } = sum.estimate();
        assert_eq!((low, high), (500, 1980));
    }

    #[test]
    fn a_lower_bound_may_only_be_more() {
        let mut sum = Sum::default();
        sum.add_at_least(100, 900);
        let Estimate { low, high, .. } = sum.estimate();
        assert_eq!((low, high), (100, 1000));
    }
}
