//! Chance, which no target can foresee.

use std::time::Duration;

/// Numbers by xorshift. The time keeps the processes of one tree apart.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Random {
    /// A number from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
    pub fn draw(&mut self, now: Duration) -> f64 {
        let mut bits = self.0 ^ u64::from(now.subsec_nanos());
        bits = bits.max(1);
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        self.0 = bits;
        (bits >> 32) as f64 / f64::from(u32::MAX)
    }
}
