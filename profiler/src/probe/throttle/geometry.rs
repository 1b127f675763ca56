//! Where windows lie in their periods, and what those are worth that the probes slowed down.

use super::{DEAR_JITTER, SPAN};

/// No period is longer, however little the target works.
const LONGEST_PERIOD: f64 = 600.0;
/// The target has at least so small a part of a window for itself.
const LEAST_PROGRESS: f64 = 0.02;

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

/// How many times as much the target would have done in a window without the probes: it used the
/// processors for so long, the probes took so much of that, and by what it did before, it had so
/// much to do. What it could not do in the window for lack of time, it would have done; but not
/// more than there was to do.
pub(super) fn slowing(cpu: f64, cost: f64, demand: Option<f64>) -> f64 {
    let done = (cpu - cost).max(LEAST_PROGRESS * cpu);
    if done <= 0.0 {
        return 1.0;
    }
    demand.unwrap_or(cpu).clamp(done, cpu.max(done)) / done
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
