//! Every number that a verdict turns on, in one place. `docs/verdicts.md` explains them.

use super::statistics::Contrast;

/// One MiB, as a number to calculate with.
pub(super) const MIB: f64 = 1_048_576.0;

/// With fewer moments or seconds than this, nothing is said.
pub(super) const FEWEST_MOMENTS: usize = 9;
/// See [`FEWEST_MOMENTS`].
pub(super) const FEWEST_SECONDS: f64 = 8.0;

/// How long a recording should be, if nothing else tells: at 45 s most patterns show, at 120 s all.
pub(super) const ENOUGH_SECONDS: f64 = 120.0;

/// A process that has used less processor time than this is starting …
pub(super) const YOUNG_CPU: f64 = 1.5;
/// … and this much of its course is left out: so many seconds, …
pub(super) const START_SECONDS: f64 = 5.0;
/// … and no more than this part.
pub(super) const START_SHARE: f64 = 0.2;

/// Growth matters from so many bytes on, …
pub(super) const MATTERS: f64 = MIB;
/// … from such a part of the size it began with, …
pub(super) const MATTERS_SHARE: f64 = 0.01;
/// … and from so many times the noise of single values.
pub(super) const MATTERS_NOISE: f64 = 5.0;

/// A trend is sure when rises outnumber falls by so many standard deviations.
pub(super) const SURE_Z: f64 = 2.0;
/// Growth of so many times what matters needs no trend: it was a step.
pub(super) const SURE_RISE: f64 = 3.0;

/// Of what is left, so little is from the first half where what comes in pushes out what is old.
pub(super) const YOUNG: f64 = 0.1;

/// A peak is so many bytes high, or such a part of the floor, whichever is more.
pub(super) const PEAK: f64 = 6.0 * MIB;
/// See [`PEAK`].
pub(super) const PEAK_SHARE: f64 = 0.08;
/// Peaks take at most this part of the time: otherwise they are the level.
pub(super) const PEAK_TIME: f64 = 0.75;
/// Growth below peaks that are this many times as high is a part of a mixture.
pub(super) const PEAK_TO_RISE: f64 = 0.6;

/// The level of the end was reached when this part of the time was left: growth levelled off.
pub(super) const LEVEL_REST: f64 = 0.28;
/// Less than this was left: it goes straight on.
pub(super) const STRAIGHT_REST: f64 = 0.18;
/// The slope of the last third, as a part of that of the first, of what levels off …
pub(super) const LEVEL_LATE: f64 = 0.3;
/// … and of what goes straight on.
pub(super) const STRAIGHT_LATE: f64 = 0.5;
/// A curve that levels off and misses by this part less than a straight line is the better one.
pub(super) const CURVED: f64 = 0.6;

/// A step accounts for this part of what a size varies, in squares.
pub(super) const STEP: f64 = 0.93;

/// Activity that changes too fast for phases leaves open for so long whether growth follows it.
pub(super) const UNEVEN_SECONDS: f64 = 30.0;

/// What tells busy from quiet by processor time: cores.
pub(super) const CONTRAST: Contrast = Contrast {
    times: 3.0,
    least: 0.02,
    seconds: 4.0,
};
/// The same by connections or messages per second …
pub(super) const EVENT_CONTRAST: Contrast = Contrast {
    times: 3.0,
    least: 0.8,
    seconds: 4.0,
};
/// … and by bytes received per second.
pub(super) const BYTE_CONTRAST: Contrast = Contrast {
    times: 3.0,
    least: 100.0,
    seconds: 4.0,
};
/// A rate is told by about so many events: then chance alone makes no difference of three times.
pub(super) const STRETCH_EVENTS: f64 = 16.0;
/// Events that are so rare that they take more seconds for that have no phases.
pub(super) const LONGEST_STRETCH: f64 = 8.0;
/// Up to so many events per second are none: a check of health now and then.
pub(super) const NO_TRAFFIC: f64 = 0.05;
/// With no traffic, a process that uses more processors than this works on something else.
pub(super) const IDLE_CORES: f64 = 0.5;
/// Connections on which is received more often than this, on average, carry many requests each.
pub(super) const KEPT_ALIVE: f64 = 4.0;
/// Who gets more messages than this for each receive from clients works for a broker.
pub(super) const WORKER_MESSAGES: f64 = 10.0;
/// After traffic falls, memory may take so many seconds to come to rest.
pub(super) const SETTLES: f64 = 1.5;
/// Quiet phases tell something from so many seconds on, in all.
pub(super) const QUIET_SECONDS: f64 = 6.0;
/// What is got in quiet phases is at least so large a part of the growth, or of what matters.
pub(super) const QUIET_PART: f64 = 0.1;
/// Growth in quiet phases, as a part of that in busy ones: below, it rests …
pub(super) const RESTS: f64 = 0.2;
/// … and above, it goes on.
pub(super) const GOES_ON: f64 = 0.6;
/// A later busy phase that adds less than this part of what the first one did adds nothing.
pub(super) const ADDS: f64 = 0.2;

/// So much of what live objects had grown by was freed, and the resident size did not follow.
pub(super) const FREED: f64 = 0.4;
/// At least so many bytes.
pub(super) const FREED_BYTES: f64 = 6.0 * MIB;
/// The resident size kept this part of its rise.
pub(super) const KEPT: f64 = 0.6;
/// An allocator that holds this part of the resident size without using it keeps it.
pub(super) const UNUSED_SHARE: f64 = 0.3;
/// At least so many bytes.
pub(super) const UNUSED_BYTES: f64 = 24.0 * MIB;

/// So many processes of one kind are a fleet …
pub(super) const FLEET: usize = 3;
/// … whose sum is a problem from so many private bytes on, each …
pub(super) const FLEET_PRIVATE: f64 = 16.0 * MIB;
/// … and of which the private part is this much of the whole.
pub(super) const FLEET_SHARE: f64 = 0.5;
/// Processes that start this many seconds after the recording are a step: before, it is starting.
pub(super) const FLEET_STARTS: f64 = 5.0;
/// Steps at starts explain at least this part of the growth.
pub(super) const STEP_SHARE: f64 = 0.5;
/// A pattern is a part of a mixture when it has this part of the growth.
pub(super) const PART: f64 = 0.2;

/// How sure the best verdict is by how long was recorded, in seconds.
const SURE_BY_TIME: [(f64, f64); 6] = [
    (8.0, 0.55),
    (15.0, 0.72),
    (30.0, 0.9),
    (60.0, 0.95),
    (120.0, 0.98),
    (600.0, 0.99),
];

/// How sure the best verdict can be after so many seconds.
pub(super) fn sure_after(seconds: f64) -> f64 {
    let mut before = SURE_BY_TIME[0];
    for next in SURE_BY_TIME {
        if seconds < next.0 {
            let part = ((seconds - before.0) / (next.0 - before.0).max(1.0)).max(0.0);
            return (next.1 - before.1).mul_add(part, before.1);
        }
        before = next;
    }
    before.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_recordings_are_surer() {
        let sure = [1.0, 8.0, 20.0, 45.0, 100.0, 300.0, 9000.0].map(sure_after);
        assert!(
            sure.is_sorted() && sure[0] > 0.5 && sure[6] < 1.0,
            "{sure:?}"
        );
    }
}
