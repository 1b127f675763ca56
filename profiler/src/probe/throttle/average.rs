//! Averages that forget.

/// No quotient is higher than this; what seems to be is an error of a clock.
const MAX_AVERAGE: f64 = 10_000.0;

/// So many times as much as usual is odd.
const ODDLY_MUCH: f64 = 2.0;

/// A quotient of two sums that forget.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Average {
    sum: f64,
    per: f64,
}

impl Average {
    /// Knows a quotient, from so much.
    pub(super) fn of(value: f64, per: f64) -> Self {
        let sum = value * per;
        Self { sum, per }
    }

    /// Adds to both sums, and forgets a part of what was there.
    pub(super) fn add(&mut self, sum: f64, per: f64, forget: f64) {
        let keep = (-forget).exp();
        self.sum = self.sum * keep + sum;
        self.per = self.per * keep + per;
    }

    /// Adds one to the number and something to the sum. What is far more than usual, and than
    /// `least`, will not be so again.
    pub(super) fn add_usual(&mut self, one: f64, least: f64, forget: f64) {
        let most = self.known().map(|usual| (usual * ODDLY_MUCH).max(least));
        self.add(most.map_or(one, |most| one.min(most)), 1.0, forget);
    }

    /// `None` if nothing was added yet.
    pub(super) fn known(self) -> Option<f64> {
        (self.per > 0.0).then(|| self.value())
    }

    /// The quotient; zero if nothing was added yet.
    pub(super) fn value(self) -> f64 {
        if self.sum > 0.0 {
            (self.sum / self.per).min(MAX_AVERAGE)
        } else {
            0.0
        }
    }
}

/// After so many windows, what probes cost is known from them.
const LESSONS: u32 = 4;

/// What the first windows cost, until they are enough to tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lesson {
    cost: Average,
    windows: u32,
}

impl Lesson {
    /// One more cost so much in so many seconds. Returns what a second costs, once that is known.
    pub(super) fn learn(&mut self, cost: f64, seconds: f64) -> Option<f64> {
        self.cost.add(cost, seconds, 0.0);
        self.windows += 1;
        (self.windows >= LESSONS).then(|| self.cost.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_hardly_counts_and_what_stays_does() {
        let mut average = Average::default();
        (0..20).for_each(|_| average.add_usual(1.0, 0.5, 0.125));
        average.add_usual(50.0, 0.5, 0.125);
        assert!(average.value() < 1.2);
        (0..40).for_each(|_| average.add_usual(10.0, 0.5, 0.125));
        assert!(average.value() > 9.0);
    }

    #[test]
    fn an_average_that_was_nothing_can_grow() {
        let mut average = Average::default();
        (0..40).for_each(|number| average.add_usual(f64::from(number.min(1)), 0.5, 0.125));
        assert!(average.value() > 0.9);
    }
}
