//! What processes do during the current interval, until it is closed.

use std::{collections::HashMap, time::Duration};

use crate::profile::{Change, Counters, Interval, Metered, ProcessKey, StackId};

/// Collects what processes do during an interval.
#[derive(Debug, Default)]
pub(super) struct Collector {
    changes: HashMap<(ProcessKey, StackId, Metered), Counters>,
}

impl Collector {
    /// A process did something at a stack.
    pub(super) fn add(
        &mut self,
        process: ProcessKey,
        stack: StackId,
        meter: Metered,
        counters: Counters,
    ) {
        let key = (process, stack, meter);
        self.changes.entry(key).or_default().add(counters);
    }

    /// Closes the interval and begins a new one. The same input gives the same interval, however
    /// it was ordered within the interval.
    pub(super) fn take(&mut self, start: Duration, end: Duration) -> Interval {
        let mut changes: Vec<_> = (self.changes.drain())
            .filter(|(_, counters)| *counters != Counters::default())
            .map(|((process, stack, meter), counters)| Change {
                process,
                stack,
                meter,
                counters,
            })
            .collect();
        changes.sort_unstable_by_key(|change| (change.process, change.stack, change.meter));
        Interval {
            start,
            end,
            changes,
            ..Interval::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(bytes: u64) -> Counters {
        Counters {
            bytes_in: bytes,
            count_in: 1,
            samples: 1,
            ..Counters::default()
        }
    }

    #[test]
    fn what_happens_at_one_place_is_added_up_and_sorted() {
        let mut collector = Collector::default();
        let key = ProcessKey;
        collector.add(key(1), StackId(2), Metered::Block, got(5));
        collector.add(key(0), StackId(3), Metered::Page, got(1));
        collector.add(key(0), StackId(3), Metered::Block, got(2));
        collector.add(key(1), StackId(2), Metered::Block, got(7));
        collector.add(key(0), StackId(1), Metered::Block, Counters::default());
        let interval = collector.take(Duration::ZERO, Duration::from_secs(1));
        let rows: Vec<_> = (interval.changes.iter())
            .map(|change| (change.process.0, change.stack.0, change.counters.bytes_in))
            .collect();
        assert_eq!(rows, [(0, 3, 2), (0, 3, 1), (1, 2, 12)]);
        assert_eq!(interval.changes[2].counters.samples, 2);
    }

    #[test]
    fn a_new_interval_begins_empty() {
        let mut collector = Collector::default();
        collector.add(ProcessKey(0), StackId(1), Metered::Block, got(5));
        let first = collector.take(Duration::ZERO, Duration::from_secs(1));
        assert_eq!(first.changes.len(), 1);
        let (start, end) = (Duration::from_secs(1), Duration::from_secs(2));
        let empty = Interval {
            start,
            end,
            ..Interval::default()
        };
        assert_eq!(collector.take(start, end), empty);
    }
}
