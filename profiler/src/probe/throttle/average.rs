//! Averages that forget.

/// No quotient is higher than this; what seems to be is an error of a clock.
const MAX_AVERAGE: f64 = 10_000.0;

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
