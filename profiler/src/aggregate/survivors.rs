//! What is still held at the end, by when it was got.

use std::{collections::BTreeMap, time::Duration};

use super::estimate::{as_float, rounded};
use crate::profile::{Metered, ProcessKey, StackId, Survivor};

/// Adds up what is held, by when it was got.
#[derive(Debug)]
pub(super) struct SurvivorCensus {
    /// Milliseconds that are not told apart.
    slice: u32,
    /// Bytes and blocks.
    held: BTreeMap<(Key, u32), (f64, f64)>,
}

/// Who holds what.
type Key = (ProcessKey, StackId, Metered);

impl SurvivorCensus {
    /// Nothing yet; times closer than `slice` are not told apart.
    pub(super) fn new(slice: Duration) -> Self {
        Self {
            slice: u32::try_from(slice.as_millis()).unwrap_or(u32::MAX).max(1),
            held: BTreeMap::new(),
        }
    }

    /// Adds so many bytes in so many blocks, got at a time in milliseconds, that are there with
    /// this probability.
    pub(super) fn add(&mut self, key: Key, born: u32, (bytes, count): (u64, u64), chance: f64) {
        let held = self.held.entry((key, born / self.slice)).or_default();
        held.0 = as_float(bytes).mul_add(chance, held.0);
        held.1 = as_float(count).mul_add(chance, held.1);
    }

    /// Adds what was added up already.
    pub(super) fn take_over(&mut self, survivor: &Survivor) {
        let key = (survivor.process, survivor.stack, survivor.meter);
        let sums = (survivor.bytes, survivor.count);
        self.add(key, super::objects::millis(survivor.born), sums, 1.0);
    }

    /// The sums.
    pub(super) fn into_survivors(self) -> Vec<Survivor> {
        let slice = Duration::from_millis(self.slice.into());
        let survivors = self.held.into_iter();
        survivors
            .map(
                |(((process, stack, meter), number), (bytes, count))| Survivor {
                    process,
                    stack,
                    meter,
                    born: slice * number + slice / 2,
                    bytes: rounded(bytes),
                    count: rounded(count),
                },
            )
            .filter(|survivor| survivor.bytes > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_got_at_about_the_same_time_is_one() {
        let mut census = SurvivorCensus::new(Duration::from_secs(1));
        let key = (ProcessKey(0), StackId(3), Metered::Block);
        census.add(key, 100, (1000, 1), 1.0);
        census.add(key, 900, (1000, 1), 0.5);
        census.add(key, 1000, (700, 1), 1.0);
        let found = census.into_survivors();
        let sums = found.iter().map(|one| (one.born.as_millis(), one.bytes));
        assert_eq!(sums.collect::<Vec<_>>(), [(500, 1500), (1500, 700)]);
    }
}
