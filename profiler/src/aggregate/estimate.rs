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
