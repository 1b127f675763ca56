//! How often something that takes a while may be done.

use std::time::{Duration, Instant};

/// Does something about once per period, and less often if it takes long: reading the page tables
/// of a large process, for example, keeps a lock that the process needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    period: Duration,
    next: Option<Instant>,
}

/// The share of the time that may go into it: one part in so many.
const SHARE: u32 = 200;

impl Pace {
    /// Once per `period`, starting now.
    pub(super) const fn new(period: Duration) -> Self {
        Self { period, next: None }
    }

    /// Runs `work` if it is time.
    pub(super) fn run<T>(&mut self, now: Instant, work: impl FnOnce() -> T) -> Option<T> {
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        let start = Instant::now();
        let result = work();
        self.plan(now, start.elapsed());
        Some(result)
    }

    fn plan(&mut self, now: Instant, took: Duration) {
        // A little early is better than one tick late.
        let period = self.period.mul_f64(0.97);
        self.next = Some(now + period.max(took * SHARE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_work_is_done_less_often() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(1));
        assert_eq!(pace.run(start, || 1), Some(1));
        assert_eq!(pace.run(start + Duration::from_millis(500), || 2), None);
        assert_eq!(pace.run(start + Duration::from_secs(1), || 3), Some(3));
        pace.plan(start, Duration::from_millis(50));
        assert_eq!(pace.run(start + Duration::from_secs(9), || 4), None);
        assert_eq!(pace.run(start + Duration::from_secs(10), || 5), Some(5));
    }
}
