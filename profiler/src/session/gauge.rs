//! What a hit really costs where hits follow upon one another, by how far they are apart.
//!
//! Calibration tells what a hit costs in a tight loop of heaptide's own. In a target that allocates
//! without pause, a small error of that would be a large one of what is left of a window for the
//! target itself. But there, the shortest gaps between hits are hardly more than a hit.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::close_hits::CloseHits;
use crate::probe::Busy;

/// The part of the gaps that are taken for bare hits: what is below is luck, what is above, the
/// target's own work.
const BARE: f64 = 0.1;

/// By how many nanoseconds a hit slows down the code behind it, which finds its caches and branch
/// predictions gone, less the shortest work of the target's own between two hits. The sum is
/// measured at 20 ns, in loops that make strings and bytearrays, by what they lost.
const AFTERMATH: u64 = 20;

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

/// So many windows are remembered.
const REMEMBERED: usize = 100;

/// Gaps between the hits of the threads of one process.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Whether the stack of each thread was looked at when it hit a probe last.
    had_stack: HashMap<u32, bool>,
    plain: Vec<u64>,
    with_stack: Vec<u64>,
    close: CloseHits,
    /// What the programs took since probes opened, and how often they ran.
    handlers: (Duration, u32),
    /// What a trap costs without its program, by what was seen since probes opened …
    trap: Option<Duration>,
    /// … and in the windows before.
    traps: VecDeque<Duration>,
}

impl Gauge {
    /// Forgets what was seen so far: probes have just opened.
    pub(super) fn reset(&mut self) {
        let mut traps = std::mem::take(&mut self.traps);
        traps.extend(self.trap);
        if traps.len() > REMEMBERED {
            traps.pop_front();
        }
        *self = Self {
            traps,
            ..Self::default()
        };
    }

    /// A thread hit a probe at this time, and its stack was looked at or not.
    pub(super) fn hit(&mut self, thread: u32, time_ns: u64, has_stack: bool) {
        let had_stack = self.had_stack.insert(thread, has_stack);
        let (Some(had_stack), Some(gap)) = (had_stack, self.close.hit(thread, time_ns)) else {
            return;
        };
        let gaps = if had_stack {
            &mut self.with_stack
        } else {
            &mut self.plain
        };
        if gaps.len() < MOST {
            gaps.push(gap);
        }
    }

    /// The time since the last call in which threads were surely on processors, and how much of
    /// that the hits took, if all of them cost so much.
    pub(super) fn busy(&mut self, cost: Duration) -> Busy {
        self.close.busy(cost)
    }

    /// What so many hits cost each, of which the programs took `handlers`, where it should be
    /// `expected`.
    pub(super) fn cost(&mut self, hits: u32, handlers: Duration, expected: Duration) -> Duration {
        let handler = handlers / hits.max(1);
        self.handlers.0 += handlers;
        self.handlers.1 += hits;
        let Some(trap) = self.usual_trap(expected.saturating_sub(handler)) else {
            return expected;
        };
        handler + trap
    }

    /// What a trap costs without its program: the median of all windows, since it is the same in
    /// all, and one alone tells it only roughly.
    fn usual_trap(&mut self, expected: Duration) -> Option<Duration> {
        self.trap = self.trap(expected).or(self.trap);
        let mut traps: Vec<Duration> = self.traps.iter().copied().chain(self.trap).collect();
        let middle = traps.len() / 2;
        (!traps.is_empty()).then(|| *traps.select_nth_unstable(middle).1)
    }

    /// The same by this window alone; `None` if there were too few hits to tell.
    fn trap(&mut self, expected: Duration) -> Option<Duration> {
        let count = self.plain.len() + self.with_stack.len();
        let handler = self.handlers.0 / self.handlers.1.max(1);
        if count < ENOUGH {
            return None;
        }
        let bare = [&mut self.plain, &mut self.with_stack]
            .map(|gaps| (bare(gaps) + AFTERMATH).saturating_mul(gaps.len() as u64));
        let hit = bare.iter().sum::<u64>() / count as u64;
        let hit = hit + self.slow_hits(hit) / count as u64;
        let trap = Duration::from_nanos(hit).saturating_sub(handler);
        Some(trap.min(expected))
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
    /// What the program takes of that.
    const HANDLER: Duration = Duration::from_nanos(400);

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
        let found = gauge.cost(10_000, HANDLER * 10_000, EXPECTED).as_nanos();
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
        let found = gauge.cost(2000, HANDLER * 2000, EXPECTED);
        assert_eq!(found, Duration::from_nanos(1000 + AFTERMATH));
    }

    #[test]
    fn few_hits_tell_nothing() {
        let mut gauge = Gauge::default();
        (0..100).for_each(|number| gauge.hit(1, number * 1000, false));
        assert_eq!(gauge.cost(100, HANDLER * 100, EXPECTED), EXPECTED);
        gauge.reset();
        assert_eq!(gauge.cost(100, HANDLER * 100, EXPECTED), EXPECTED);
    }

    #[test]
    fn what_a_trap_costs_is_that_of_most_windows() {
        let mut gauge = Gauge::default();
        let mut found = Duration::ZERO;
        for gap in [1100, 1000, 1200, 1000, 1000] {
            gauge.reset();
            (0..1000).for_each(|number| gauge.hit(1, number * gap, false));
            found = gauge.cost(1000, HANDLER * 1000, EXPECTED);
        }
        assert_eq!(found, Duration::from_nanos(1000 + AFTERMATH));
        // What the program takes is that of the hits that are asked for.
        let longer = gauge.cost(10, HANDLER * 20, EXPECTED + HANDLER);
        assert!(longer > found + HANDLER / 2, "{longer:?}");
    }

    #[test]
    fn a_thread_whose_hits_are_close_is_busy_between_them() {
        let mut gauge = Gauge::default();
        (0..11).for_each(|number| gauge.hit(1, number * 1000, false));
        gauge.hit(1, 50_000_000, false);
        gauge.hit(1, 50_001_000, false);
        let hit = Duration::from_nanos(900);
        let busy = gauge.busy(hit * 13);
        assert_eq!(busy.time, Duration::from_micros(11));
        assert_eq!((busy.hits, busy.cost), (11, hit * 11));
        assert_eq!(gauge.busy(hit), Busy::default());
    }
}
