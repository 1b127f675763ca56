//! Hits of probes that follow closely upon one another.
//!
//! The kernel brings the clock of a thread that runs up to date at its ticks, every 1 to 10 ms,
//! which is about as long as a window. But while hits follow upon one another, the thread runs.

use std::{collections::HashMap, time::Duration};

use crate::probe::Busy;

/// A thread that hits probes so soon after one another, in nanoseconds, was on a processor all the
/// time.
const CLOSE: u64 = 200_000;

/// Threads come and go: if more of them are known than this, all are forgotten.
const MOST_THREADS: usize = 4096;

/// The hits of the threads of one process, since it was asked for them.
#[derive(Debug, Default)]
pub(super) struct CloseHits {
    /// When each thread hit a probe last, in nanoseconds.
    last: HashMap<u32, u64>,
    /// The sum of gaps between hits that were close.
    time_ns: u64,
    close: u32,
    all: u32,
}

impl CloseHits {
    /// A thread hit a probe at this time. Returns how long ago its last hit was.
    pub(super) fn hit(&mut self, thread: u32, time_ns: u64) -> Option<u64> {
        self.all = self.all.saturating_add(1);
        let gap = time_ns.saturating_sub(self.last.insert(thread, time_ns)?);
        if gap <= CLOSE {
            self.time_ns = self.time_ns.saturating_add(gap);
            self.close = self.close.saturating_add(1);
        }
        Some(gap)
    }

    /// The time since the last call in which threads were surely on processors, and which part of
    /// that all hits took, if they cost so much together.
    pub(super) fn busy(&mut self, cost: Duration) -> Busy {
        let (close, all) = (
            std::mem::take(&mut self.close),
            std::mem::take(&mut self.all),
        );
        let time = Duration::from_nanos(std::mem::take(&mut self.time_ns));
        if self.last.len() > MOST_THREADS {
            self.last.clear();
        }
        let part = f64::from(close) / f64::from(all.max(1));
        Busy {
            time,
            cost: cost.mul_f64(part).min(time),
            hits: close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROS: Duration = Duration::from_micros(1);

    #[test]
    fn a_thread_is_busy_between_hits_that_are_close() {
        let mut hits = CloseHits::default();
        for micros in [0, 100, 250, 5000, 5100] {
            hits.hit(1, micros * 1000);
            hits.hit(2, micros * 100);
        }
        let busy = hits.busy(100 * MICROS);
        // The second thread has one gap more that is short: 500 µs are not, 25 are.
        assert_eq!(busy.time, (350 + 10 + 15 + 10) * MICROS);
        assert_eq!((busy.hits, busy.cost), (6, 60 * MICROS));
    }

    #[test]
    fn hits_cost_no_more_than_the_time_in_which_they_came() {
        let mut hits = CloseHits::default();
        (0..10).for_each(|number| {
            hits.hit(1, number * 1000);
        });
        let busy = hits.busy(80 * MICROS);
        assert_eq!((busy.time, busy.cost), (9 * MICROS, 9 * MICROS));
        assert_eq!(hits.busy(MICROS), Busy::default());
    }
}
