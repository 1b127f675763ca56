//! Counts of what was not measured, by reason.

use std::collections::BTreeMap;

use profiler_common::loss::Loss;

/// How often each reason for not measuring something occurred.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Losses(BTreeMap<Loss, u64>);

impl Losses {
    /// Counts `times` more of a reason.
    pub fn add(&mut self, loss: Loss, times: u64) {
        if times > 0 {
            let count = self.0.entry(loss).or_default();
            *count = count.saturating_add(times);
        }
    }

    /// Counts what `other` has counted, too.
    pub fn merge(&mut self, other: &Self) {
        for (loss, times) in other.iter() {
            self.add(loss, times);
        }
    }

    /// How often a reason occurred.
    pub fn count(&self, loss: Loss) -> u64 {
        self.0.get(&loss).copied().unwrap_or_default()
    }

    /// The reasons that occurred, in the order of the catalogue.
    pub fn iter(&self) -> impl Iterator<Item = (Loss, u64)> {
        self.0.iter().map(|(loss, times)| (*loss, *times))
    }

    /// How many observations are missing from the data.
    pub fn missing(&self) -> u64 {
        self.iter()
            .filter(|(loss, _)| loss.loses_data())
            .fold(0, |sum, (_, times)| sum.saturating_add(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_from_the_data_counts_as_missing() {
        let mut losses = Losses::default();
        losses.add(Loss::RingFull, 2);
        losses.add(Loss::NoThreadState, 40);
        losses.add(Loss::StackTooDeep, 0);
        assert_eq!(losses.missing(), 2);
        assert_eq!(losses.iter().count(), 2);
    }

    #[test]
    fn counts_stop_at_the_largest_number() {
        let mut losses = Losses::default();
        losses.add(Loss::RingFull, u64::MAX);
        losses.add(Loss::RingFull, 1);
        losses.add(Loss::BadRecord, 1);
        losses.merge(&losses.clone());
        assert_eq!(losses.count(Loss::RingFull), u64::MAX);
        assert_eq!(losses.missing(), u64::MAX);
    }
}
