//! Whether the probes of small objects see all of them: what they saw against what pools say.
//!
//! A pool's header counts the blocks that it has handed out. While probes are open it cannot count
//! up by more than what they saw handed out of it. So some pools are read at the beginning of
//! a window and at its end, and compared with what came from them. If probes missed something, the
//! scan of the code did: what lines retain would be divided wrongly, and nobody would know.

use std::collections::HashMap;

use crate::{
    process::memory::Memory,
    python::pools::{PoolHeader, Pools},
};

/// So many pools are watched in one window: those that were used last in the one before.
const POOLS: usize = 256;

/// So many blocks must have been counted up before the test is decided.
const ENOUGH: u64 = 300;

/// It has failed if more than one in so many was not seen. A look that comes at a bad moment
/// explains single ones.
const TOLERATED: u64 = 50;

/// How the test went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// The probes see what pools hand out.
    Passed,
    /// They do not: so many blocks of so many came from pools unseen.
    Failed {
        /// Unseen.
        missed: u64,
        /// In all.
        counted: u64,
    },
}

/// The test of one process.
#[derive(Debug, Default)]
pub(super) struct SelfTest {
    /// What was handed out of each pool since probes opened.
    seen: HashMap<u64, u64>,
    /// Pools to be watched in the next window.
    candidates: Vec<u64>,
    before: Vec<(u64, PoolHeader)>,
    /// The same pools at the end of the window.
    after: Vec<Option<PoolHeader>>,
    counted: u64,
    missed: u64,
    outcome: Option<Outcome>,
}

impl SelfTest {
    /// Probes have just opened.
    pub(super) fn begin(&mut self, pools: &Pools, memory: &Memory) {
        if self.outcome.is_some() {
            return;
        }
        self.candidates = (self.seen.drain().map(|(pool, _)| pool).take(POOLS)).collect();
        self.candidates.sort_unstable();
        let headers = pools.read_pool_headers(memory, &self.candidates);
        let known = self.candidates.iter().zip(headers);
        self.before = known
            .filter_map(|(pool, header)| Some((*pool, header?)))
            .collect();
        self.after.clear();
    }

    /// Probes are about to be taken away; what they saw up to now need not be taken in yet.
    pub(super) fn end(&mut self, pools: &Pools, memory: &Memory) {
        if self.outcome.is_none() && self.after.is_empty() {
            let watched: Vec<u64> = self.before.iter().map(|(pool, _)| *pool).collect();
            self.after = pools.read_pool_headers(memory, &watched);
        }
    }

    /// Probes stay open: reads the pools that are watched, or begins anew.
    pub(super) fn go_on(&mut self, pools: &Pools, memory: &Memory) {
        if self.before.is_empty() {
            self.begin(pools, memory);
        } else {
            self.end(pools, memory);
        }
    }

    /// A block was handed out of a pool.
    pub(super) fn saw(&mut self, pool: u64) {
        if self.outcome.is_none() {
            *self.seen.entry(pool).or_default() += 1;
        }
    }

    /// All that probes saw has been taken in. Says how the test went, once, when that is known.
    pub(super) fn judge(&mut self) -> Option<Outcome> {
        if self.outcome.is_some() {
            return None;
        }
        for ((pool, before), after) in self.before.drain(..).zip(self.after.drain(..)) {
            let Some(after) = after.filter(|after| after.size_class == before.size_class) else {
                continue;
            };
            let counted = u64::from(after.count.saturating_sub(before.count));
            let seen = self.seen.get(&pool).copied().unwrap_or_default();
            self.counted += counted;
            self.missed += counted.saturating_sub(seen);
        }
        if self.counted >= ENOUGH {
            let (missed, counted) = (self.missed, self.counted);
            self.outcome = Some(if missed.saturating_mul(TOLERATED) > counted {
                Outcome::Failed { missed, counted }
            } else {
                Outcome::Passed
            });
        }
        self.outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: PoolHeader = PoolHeader {
        count: 10,
        size_class: 3,
    };

    /// Windows in which each of two pools hands out ten blocks more, of which probes see `seen`.
    fn windows(count: u32, seen: u64) -> Option<Outcome> {
        let mut test = SelfTest::default();
        let mut outcome = None;
        for _ in 0..count {
            test.before = vec![(0x1000, HEADER), (0x2000, HEADER)];
            let grown = PoolHeader {
                count: 20,
                ..HEADER
            };
            test.after = vec![Some(grown); 2];
            test.seen.clear();
            for pool in [0x1000, 0x2000] {
                (0..seen).for_each(|_| test.saw(pool));
            }
            outcome = outcome.or(test.judge());
        }
        outcome
    }

    #[test]
    fn probes_that_see_all_or_more_pass() {
        assert_eq!(windows(14, 10), None);
        assert_eq!(windows(15, 10), Some(Outcome::Passed));
        assert_eq!(windows(15, 500), Some(Outcome::Passed));
    }

    #[test]
    fn probes_that_miss_some_fail() {
        let failed = Outcome::Failed {
            missed: 30,
            counted: 300,
        };
        assert_eq!(windows(15, 9), Some(failed));
    }

    #[test]
    fn pools_that_hold_something_else_by_now_tell_nothing() {
        let mut test = SelfTest {
            before: vec![(0x1000, HEADER); 2],
            ..SelfTest::default()
        };
        let other = PoolHeader {
            count: 500,
            size_class: 4,
        };
        test.after = vec![None, Some(other)];
        assert_eq!(test.judge(), None);
        assert_eq!((test.counted, test.missed), (0, 0));
    }
}
