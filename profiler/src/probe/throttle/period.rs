//! Periods, and the windows in them.

use std::time::Duration;

/// A period and its window, as they were decided at its beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    pub(super) opens: Duration,
    pub(super) length: Duration,
    pub(super) end: Duration,
    pub(super) weight: f64,
    /// How busy the target was when it was planned.
    pub(super) work: f64,
    /// What the window may cost.
    pub(super) price: f64,
}

impl Period {
    /// The two windows of a period in their order. Any moment may lie in either of them.
    pub(super) fn pair(one: Self, other: Self) -> [Self; 2] {
        let ordered = if one.opens <= other.opens {
            [one, other]
        } else {
            [other, one]
        };
        ordered.map(|period| Self {
            weight: (period.weight / 2.0).max(1.0),
            ..period
        })
    }
}
