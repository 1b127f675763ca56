//! Whether the probes of small objects see all of them: what they saw against what pools say.
//!
//! A pool's header counts the blocks that it has handed out and not got back. Each hit tells this
//! count. From hit to hit it cannot go up by more than what was seen handed out meanwhile. If it
//! does, there are places where small objects are handed out which the scan of the code did not
//! find: what lines retain would be divided wrongly, and nobody would know.

use std::time::Duration;

use foldhash::HashMap;

/// So many pools are watched at a time.
const POOLS: usize = 1 << 16;

/// By so much must pools have counted up before the test can fail.
const ENOUGH: u64 = 300;

/// When pools have counted up by so much, all kinds of objects were among it.
const PLENTY: u64 = 100_000;

/// It has failed if more than one in so many was not seen.
const TOLERATED: u64 = 50;

/// Some places count before their probe, and others after it.
const SLACK: u64 = 1;

/// The probes do not see what pools hand out: so many blocks of so many came from pools unseen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Failure {
    /// Unseen.
    pub(super) missed: u64,
    /// In all.
    pub(super) counted: u64,
}

/// The test of one process.
#[derive(Debug, Default)]
pub(super) struct SelfTest {
    /// All probes were in place from this time on.
    from: Duration,
    /// Until this time.
    until: Duration,
    /// The pools that were seen since then.
    pools: HashMap<u64, Watched>,
    /// What was seen since it was known last that nothing was lost.
    pending: Tally,
    total: Tally,
    /// So many records were lost by then.
    lost: u64,
    is_over: bool,
}

/// A pool since it was seen first.
#[derive(Clone, Copy, Debug)]
struct Watched {
    /// Its count at the last hit.
    count: u64,
    /// The most that it can be, if all that it hands out is seen; less if it gets some back.
    bound: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    counted: u64,
    missed: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.counted += other.counted;
        self.missed += other.missed;
    }
}

impl SelfTest {
    /// All probes are in place.
    pub(super) fn opened(&mut self, at: Duration) {
        self.pools.clear();
        self.from = at;
        self.until = Duration::MAX;
    }

    /// Probes are about to be taken away.
    pub(super) fn closed(&mut self, at: Duration) {
        self.until = self.until.min(at);
    }

    /// A block was handed out of a pool that had handed out so many.
    pub(super) fn saw(&mut self, time: Duration, pool: u64, count: u32) {
        if self.is_over || !(self.from..=self.until).contains(&time) {
            return;
        }
        let count = u64::from(count);
        let Some(watched) = self.pools.get_mut(&pool) else {
            if self.pools.len() < POOLS {
                let bound = count + 1 + SLACK;
                self.pools.insert(pool, Watched { count, bound });
            }
            return;
        };
        self.pending.counted += count.saturating_sub(watched.count);
        self.pending.missed += count.saturating_sub(watched.bound);
        // What was missed is not missed again.
        let known = watched.bound.max(count).min(count + SLACK);
        *watched = Watched {
            count,
            bound: known + 1,
        };
    }

    /// So many records were lost up to now. Says that the test has failed, once.
    pub(super) fn judge(&mut self, lost: u64) -> Option<Failure> {
        let pending = std::mem::take(&mut self.pending);
        if lost == self.lost {
            self.total.add(pending);
        } else {
            self.lost = lost;
            self.pools.clear();
        }
        let Tally { counted, missed } = self.total;
        let has_failed = counted >= ENOUGH && missed.saturating_mul(TOLERATED) > counted;
        if self.is_over || !(has_failed || counted >= PLENTY) {
            return None;
        }
        self.is_over = true;
        self.pools = HashMap::default();
        has_failed.then_some(Failure { missed, counted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> SelfTest {
        let mut test = SelfTest::default();
        test.opened(at(0));
        test
    }

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A pool hands out so many blocks; probes see one of every `of`.
    fn fill(test: &mut SelfTest, pool: u64, count: u32, of: usize) {
        for handed_out in (0..count).step_by(of) {
            test.saw(at(1), pool, handed_out);
        }
    }

    #[test]
    fn probes_that_see_all_do_not_fail() {
        let mut test = open();
        for pool in 0..1000 {
            fill(&mut test, pool, 120, 1);
            assert_eq!(test.judge(0), None);
        }
        assert!(test.is_over);
    }

    #[test]
    fn probes_that_miss_some_fail_once() {
        let mut test = open();
        fill(&mut test, 0, 250, 2);
        assert_eq!(test.judge(0), None, "it is too early to tell");
        fill(&mut test, 1, 250, 2);
        let (missed, counted) = (246, 496);
        assert_eq!(test.judge(0), Some(Failure { missed, counted }));
        fill(&mut test, 2, 250, 2);
        assert_eq!(test.judge(0), None);
    }

    #[test]
    fn blocks_that_come_back_hide_nothing_that_comes_later() {
        let mut test = open();
        fill(&mut test, 0, 400, 1);
        fill(&mut test, 0, 400, 2);
        assert!(test.judge(0).is_some());
    }

    #[test]
    fn places_that_count_before_their_probe_are_no_failure() {
        let mut test = open();
        (0..1000).for_each(|count| test.saw(at(1), 0, count + count % 2));
        assert_eq!(test.judge(0), None);
        assert_eq!(test.total.missed, 0);
    }

    #[test]
    fn what_was_lost_is_not_held_against_the_probes() {
        let mut test = open();
        fill(&mut test, 0, 1000, 2);
        assert_eq!(test.judge(1), None);
        test.saw(at(1), 0, 5000);
        assert_eq!((test.judge(1), test.total.counted), (None, 0));
    }

    #[test]
    fn what_happens_between_windows_is_not_expected_to_be_seen() {
        let mut test = open();
        test.closed(at(10));
        // A later end does not reopen it, and neither do records that come late.
        test.closed(at(30));
        fill(&mut test, 0, 2, 1);
        test.saw(at(20), 0, 1000);
        test.opened(at(40));
        test.saw(at(39), 0, 2000);
        test.saw(at(41), 0, 3000);
        assert_eq!((test.judge(0), test.total.missed), (None, 0));
    }
}
