//! Where windows lie in their periods, and what those are worth that the probes slowed down.

use std::time::Duration;

use super::{Busy, DEAR_JITTER, Passed, SPAN};

/// No period is longer, however little the target works.
const LONGEST_PERIOD: f64 = 600.0;
/// The target has at least so small a part of a window for itself.
const LEAST_PROGRESS: f64 = 0.01;

/// How long a period is, in seconds, whose window costs `price` and which has to earn `needed`,
/// and whether the window may lie anywhere in it.
///
/// Windows at the ends of neighbouring periods are close together, so a span can hold two more
/// than it pays for, and looks that come late make them longer. Those that are dear need more
/// room, or a place around the middle.
pub(super) fn spacing(price: f64, needed: f64, earning: f64) -> (f64, bool) {
    if needed <= 0.0 {
        return (0.0, true);
    }
    if earning <= 0.0 {
        return (LONGEST_PERIOD, true);
    }
    let bare = needed / earning;
    let share = price / (earning * SPAN);
    let left = 1.0 - 2.5 * share;
    let roomy = if left > 0.0 {
        bare * left.recip().max(1.0)
    } else {
        f64::INFINITY
    };
    let middle = bare.max(SPAN) / (1.0 - DEAR_JITTER);
    (roomy.min(middle).min(LONGEST_PERIOD), roomy <= middle)
}

/// How many times as much the target would have done in a window without the probes: the window
/// lasted `age` seconds, the probes took a part of the time on processors, and by what it did
/// before, the target keeps so many processors busy.
///
/// What it could not do for lack of time, it would have done; but not more than there was to do,
/// nor more than fits in beside its pauses: these last as long with probes as without.
pub(super) fn slowing(passed: Passed, age: f64, pace: Option<f64>) -> f64 {
    let Busy { time, cost, .. } = passed.busy;
    // The clock may be wrong by as much as the window is long.
    let most = age * pace.unwrap_or_default().max(1.0);
    let most = Duration::try_from_secs_f64(most).unwrap_or(Duration::MAX);
    let clock = passed.cpu.min(most).max(time);
    let cpu = clock.as_secs_f64();
    let in_busy = time.saturating_sub(cost).as_secs_f64();
    let besides = clock.saturating_sub(time);
    let besides = besides.saturating_sub(passed.cost.saturating_sub(cost));
    let done = (in_busy + besides.as_secs_f64()).max(LEAST_PROGRESS * cpu);
    if done <= 0.0 {
        return 1.0;
    }
    let pauses = (age - cpu).max(0.0);
    let room = done * (cpu + pauses) / (done + pauses);
    let demand = pace.map_or(cpu, |pace| pace * age);
    demand.clamp(done, room.max(done)) / done
}

/// Where a window begins and ends in its period, and how probable it is that any moment lies in
/// it. So that moments at the ends are no less probable, the window may hang over at either side,
/// and what hangs over is cut off.
pub(super) fn anywhere(length: f64, span: f64, chance: f64) -> (f64, f64, f64) {
    let from = (span + length) * chance - length;
    (
        from.max(0.0),
        (from + length).min(span),
        length / (span + length),
    )
}

/// A number between two, as probably in one order of magnitude as in another.
pub(super) fn log_between(low: f64, high: f64, chance: f64) -> f64 {
    low * (high / low).powf(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(number: u64) -> Duration {
        Duration::from_micros(number)
    }

    fn busy(cpu: u64, time: u64, cost: u64) -> Passed {
        let (time, cost) = (micros(time), micros(cost));
        Passed {
            own: Duration::ZERO,
            cpu: micros(cpu),
            cost,
            besides: Duration::ZERO,
            busy: Busy {
                time,
                cost,
                hits: 1,
            },
        }
    }

    #[track_caller]
    fn check(passed: Passed, pace: f64, expected: f64) {
        let found = slowing(passed, 0.007, Some(pace));
        assert!((found - expected).abs() < 0.01, "{found}");
    }

    #[test]
    fn a_busy_target_had_the_part_of_a_window_that_probes_left_it() {
        check(busy(7000, 7000, 6000), 1.0, 7.0);
        let by_clock = Passed {
            busy: Busy::default(),
            ..busy(7000, 0, 6000)
        };
        check(by_clock, 1.0, 7.0);
    }

    #[test]
    fn a_clock_that_is_late_or_early_changes_nothing_where_hits_are_close() {
        for cpu in [0, 4000, 8000] {
            check(busy(cpu, 7000, 6000), 1.0, 7.0);
        }
    }

    #[test]
    fn a_target_with_little_to_do_did_all_of_it() {
        check(busy(4000, 3000, 2700), 0.03, 1.0);
        check(busy(0, 0, 0), 1.0, 1.0);
    }

    #[test]
    fn a_target_that_pauses_had_time_for_nearly_all_it_had_to_do() {
        // It was busy all the time until a moment ago, and now it works for 0.2 ms in 5.
        for cpu in [0, 1400, 4000] {
            check(busy(cpu, 1400, 1200), 1.0, 1.2);
        }
    }
}
