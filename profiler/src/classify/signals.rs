//! What of a process's course a verdict looks at.

use super::{
    statistics::{Phase, Point, phases},
    thresholds::{CONTRAST, START_SECONDS, START_SHARE, YOUNG_CPU},
};
use crate::aggregate::{Course, Moment, ProcessFinding, old_share};

/// What stands for traffic.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Activity {
    /// Processor time that the process used: the fallback.
    #[default]
    ProcessorTime,
}

impl Activity {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessorTime => "processor-time",
        }
    }

    /// As a person would say it.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::ProcessorTime => "processor time",
        }
    }
}

/// The series of one process, in seconds and bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals {
    /// Resident bytes.
    pub(super) size: Vec<Point>,
    /// Bytes in blocks that are not freed; empty if that is not known. Zero is anywhere.
    pub(super) live: Vec<Point>,
    /// Bytes that allocators hold and do not use, at the end: of all that could be read, or else of
    /// Python's.
    pub(super) unused: Option<f64>,
    /// Busy and quiet phases; none if they do not differ.
    pub(super) phases: Vec<Phase>,
    /// Whether activity is uneven, be it only for moments.
    pub(super) is_uneven: bool,
    /// Of what was got since the start and is left, the part that is from the first half.
    pub(super) old_share: Option<f64>,
}

impl Signals {
    /// The series of a process, without its start.
    pub(super) fn of_process(process: &ProcessFinding) -> Self {
        let signals = Self::of(&process.course);
        let kept = process.allocator.map(|it| float(it.end.kept()));
        Self {
            unused: kept.or(signals.unused),
            ..signals
        }
    }

    /// The same, of a course without looks at allocators.
    pub(super) fn of(course: &Course) -> Self {
        let moments = without_start(&course.moments);
        let point = |moment: &Moment, value: f64| (moment.time.as_secs_f64(), value);
        let size = moments.iter().map(|it| point(it, float(it.rss)));
        let live: Option<Vec<Point>> = (moments.iter())
            .map(|it| Some(point(it, float(it.small?) + it.large)))
            .collect();
        let rates: Vec<Point> = (moments.windows(2))
            .map(|pair| {
                let used = pair[1].cpu.saturating_sub(pair[0].cpu);
                let passed = pair[1].time.saturating_sub(pair[0].time).as_secs_f64();
                point(&pair[1], used.as_secs_f64() / passed.max(1e-3))
            })
            .collect();
        let last = moments.last();
        Self {
            size: size.collect(),
            live: live.unwrap_or_default(),
            unused: last.and_then(unused).map(float),
            phases: phases(&rates, CONTRAST),
            is_uneven: CONTRAST.is_in(&rates),
            old_share: old_share(&course.left),
        }
    }

    /// How many seconds are looked at.
    pub(super) fn seconds(&self) -> f64 {
        match (self.size.first(), self.size.last()) {
            (Some(first), Some(last)) => last.0 - first.0,
            _ => 0.0,
        }
    }
}

/// Leaves out what a process that has only just started gets for its modules.
fn without_start(moments: &[Moment]) -> &[Moment] {
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else {
        return moments;
    };
    if first.cpu.as_secs_f64() > YOUNG_CPU {
        return moments;
    }
    let span = last.time.saturating_sub(first.time).as_secs_f64();
    let skipped = (span * START_SHARE).min(START_SECONDS);
    let passed = |it: &Moment| it.time.saturating_sub(first.time).as_secs_f64();
    &moments[moments.partition_point(|it| passed(it) < skipped)..]
}

/// What the allocator holds and does not use, as far as it can be resident: address space that was
/// never touched costs nothing.
fn unused(moment: &Moment) -> Option<u64> {
    let touched = moment.reserved?.min(moment.anonymous.unwrap_or(moment.rss));
    touched.checked_sub(moment.small?)
}

/// Bytes as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "three digits matter")]
pub(super) const fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aggregate::Aged;

    fn course(first_cpu: u64) -> Course {
        let moment = |second: u64| Moment {
            time: Duration::from_secs(second),
            rss: 100 + second,
            small: Some(50),
            reserved: Some(70),
            large: 5.0,
            cpu: Duration::from_secs(first_cpu) + Duration::from_millis(100 * second),
            ..Moment::default()
        };
        let left = |from, bytes| Aged {
            from: Duration::from_secs(from),
            to: Duration::from_secs(from + 30),
            bytes,
        };
        Course {
            moments: (0..60).map(moment).collect(),
            left: vec![left(0, 30), left(30, 10)],
        }
    }

    #[test]
    fn the_start_of_a_process_is_left_out() {
        assert!((Signals::of(&course(0)).seconds() - 54.0).abs() < 1e-9);
        assert!((Signals::of(&course(100)).seconds() - 59.0).abs() < 1e-9);
    }

    #[test]
    fn live_is_what_is_handed_out_in_small_blocks_and_in_large() {
        let signals = Signals::of(&course(9));
        assert_eq!(signals.live[3], (3.0, 55.0));
        assert_eq!(signals.unused, Some(20.0));
        assert_eq!(signals.old_share, Some(0.75));
    }

    #[test]
    fn what_was_never_touched_is_not_kept() {
        let mut course = course(9);
        course.moments[59].anonymous = Some(60);
        assert_eq!(Signals::of(&course).unused, Some(10.0));
    }

    #[test]
    fn what_is_not_known_of_all_moments_is_not_known() {
        let mut course = course(9);
        course.moments[7].small = None;
        assert!(Signals::of(&course).live.is_empty());
        assert!(Signals::of(&Course::default()).size.is_empty());
    }
}
