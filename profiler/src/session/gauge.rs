//! What a hit really costs where hits follow upon one another, by how far they are apart.
//!
//! Calibration tells what a hit costs in a tight loop of heaptide's own. In a target that allocates
//! without pause, a small error of that would be a large one of what is left of a window for the
//! target itself. But there, the shortest gaps between hits are hardly more than a hit.

use std::{collections::HashMap, time::Duration};

/// The part of the gaps that are taken for bare hits: what is below is luck, what is above, the
/// target's own work.
const BARE: f64 = 0.1;

/// By how many nanoseconds a hit slows down the code behind it, which finds its caches and branch
/// predictions gone. Measured at 60 ns in loops that make dicts and strings, by what they lost.
const AFTERMATH: u64 = 50;

/// Gaps that are so many times as long as a hit costs, and no longer than so many nanoseconds, are
/// hits that took long (interrupts, faults in the kernel) …
const SLOW: u64 = 4;
const SLOWEST: u64 = 30_000;

/// … if they are rare. More than one in so many is the target's own work.
const RARE: usize = 30;

/// Hits are dense if most of the time between them is theirs.
const DENSE: u64 = 2;

/// So many gaps tell enough, and so many are kept.
const ENOUGH: usize = 200;
const MOST: usize = 20_000;

/// Gaps between the hits of the threads of one process.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    last: HashMap<u32, Hit>,
    plain: Vec<u64>,
    with_stack: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Hit {
    time_ns: u64,
    has_stack: bool,
}

impl Gauge {
    /// Forgets what was seen so far: probes have just opened.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// A thread hit a probe at this time, and its stack was looked at or not.
    pub(super) fn hit(&mut self, thread: u32, time_ns: u64, has_stack: bool) {
        let hit = Hit { time_ns, has_stack };
        let Some(last) = self.last.insert(thread, hit) else {
            return;
        };
        let gaps = if last.has_stack {
            &mut self.with_stack
        } else {
            &mut self.plain
        };
        if gaps.len() < MOST {
            gaps.push(time_ns.saturating_sub(last.time_ns));
        }
    }

    /// What a hit costs on average, where `expected` is what it should.
    pub(super) fn cost(&mut self, expected: Duration) -> Duration {
        let count = self.plain.len() + self.with_stack.len();
        if count < ENOUGH {
            return expected;
        }
        let expected = u64::try_from(expected.as_nanos()).unwrap_or(u64::MAX);
        let bare = [&mut self.plain, &mut self.with_stack]
            .map(|gaps| (bare(gaps) + AFTERMATH).saturating_mul(gaps.len() as u64));
        let hit = (bare.iter().sum::<u64>() / count as u64).min(expected);
        Duration::from_nanos(hit + self.slow_hits(hit) / count as u64)
    }

    /// By how much slow hits took longer than a hit does.
    fn slow_hits(&self, hit: u64) -> u64 {
        let gaps = || self.plain.iter().chain(&self.with_stack);
        let limit = hit.saturating_mul(SLOW);
        let is_slow = |gap: &&u64| (limit..SLOWEST.max(limit)).contains(*gap);
        let others: u64 = gaps().filter(|gap| **gap < limit).sum();
        let others_count = gaps().filter(|gap| **gap < limit).count();
        let slow = gaps().filter(is_slow).count();
        let is_dense = others < (others_count as u64).saturating_mul(hit * DENSE);
        if !is_dense || slow * RARE > self.plain.len() + self.with_stack.len() {
            return 0;
        }
        gaps().filter(is_slow).map(|gap| gap - hit).sum()
    }
}

/// The gap that is that of a bare hit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a list"
)]
fn bare(gaps: &mut [u64]) -> u64 {
    if gaps.is_empty() {
        return 0;
    }
    let place = (gaps.len() as f64 * BARE) as usize;
    *gaps.select_nth_unstable(place).1
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Duration = Duration::from_nanos(1250);

    /// A thread that works for `own` nanoseconds between hits, of which every hundredth is slow.
    fn cost(own: impl Fn(u64) -> u64) -> (u64, u64) {
        let mut gauge = Gauge::default();
        let (mut time, mut truth) = (0, 0);
        for number in 0..10_000_u64 {
            let has_stack = number % 4 == 0;
            gauge.hit(1, time, has_stack);
            let slow = if number % 100 == 7 { 9000 } else { 0 };
            let cost = if has_stack { 1800 } else { 900 } + AFTERMATH + slow;
            truth += cost;
            time += cost + own(number);
        }
        let found = gauge.cost(EXPECTED).as_nanos();
        (u64::try_from(found).unwrap(), truth / 10_000)
    }

    #[test]
    fn a_hit_costs_what_the_shortest_gaps_are() {
        let (found, truth) = cost(|number| 10 + number * 37 % 80);
        assert!(found.abs_diff(truth) < 80, "{found} for {truth}");
    }

    #[test]
    fn a_target_that_works_between_hits_does_not_make_them_dearer() {
        let (found, _) = cost(|number| 20_000 + number % 50);
        assert_eq!(found, 1250);
        // Long pauses between dense hits are its own work, too.
        let (found, truth) = cost(|number| if number % 50 == 0 { 1_000_000 } else { 50 });
        assert!(found.abs_diff(truth) < 150, "{found} for {truth}");
    }

    #[test]
    fn threads_are_told_apart() {
        let mut gauge = Gauge::default();
        for number in 0..1000 {
            gauge.hit(1, number * 1000, false);
            gauge.hit(2, number * 1000 + 500, false);
        }
        assert_eq!(gauge.cost(EXPECTED), Duration::from_nanos(1050));
    }

    #[test]
    fn few_hits_tell_nothing() {
        let mut gauge = Gauge::default();
        (0..100).for_each(|number| gauge.hit(1, number * 1000, false));
        assert_eq!(gauge.cost(EXPECTED), EXPECTED);
        gauge.reset();
        assert_eq!(gauge.cost(EXPECTED), EXPECTED);
    }
}
