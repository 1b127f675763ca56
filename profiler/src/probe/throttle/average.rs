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
