//! What of a process's course a verdict looks at.

use super::{
    activity::{Activity, Came},
    statistics::{Phase, Point, phases},
    thresholds::{CONTRAST, IDLE_CORES, START_SECONDS, START_SHARE, YOUNG_CPU},
};
use crate::aggregate::{Course, Moment, ProcessFinding, old_share};

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
    /// By how much more than at the start, where all of it could be read.
    pub(super) more_unused: Option<f64>,
    /// Busy and quiet phases; none if they do not differ.
    pub(super) phases: Vec<Phase>,
    /// Whether activity is uneven, be it only for moments.
    pub(super) is_uneven: bool,
    /// Whether nothing came to it, all the time.
    pub(super) is_idle: bool,
    /// What came to it, if that is counted.
    pub(super) came: Option<Came>,
    /// Of what was got since the start and is left, the part that is from the first half.
    pub(super) old_share: Option<f64>,
}

impl Signals {
    /// The series of a process, without its start, and what came to it, if that is counted.
    pub(super) fn of_process(process: &ProcessFinding, came: Option<Came>) -> Self {
        let signals = Self::of(&process.course, came);
        let kept = process.allocator.map(|it| (it.start.kept(), it.end.kept()));
        Self {
            unused: kept.map(|(_, end)| float(end)).or(signals.unused),
            more_unused: kept.map(|(start, end)| float(end.saturating_sub(start))),
            ..signals
        }
    }

    /// The same, of a course without looks at allocators.
    pub(super) fn of(course: &Course, came: Option<Came>) -> Self {
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
        let used = rates.iter().map(|it| it.1).sum::<f64>() / float(rates.len().max(1) as u64);
        let is_idle = came.as_ref().is_some_and(Came::is_nothing) && used < IDLE_CORES;
        // Where traffic is counted, processor time is none.
        let (rates, contrast) = match &came {
            Some(came) => (came.rates().unwrap_or_default(), came.activity.contrast()),
            None => (rates, CONTRAST),
        };
        Self {
            size: size.collect(),
            live: live.unwrap_or_default(),
            unused: last.and_then(unused).map(float),
            more_unused: None,
            phases: phases(&rates, contrast),
            is_uneven: contrast.is_in(&rates),
            is_idle,
            came,
            old_share: old_share(&course.left),
        }
    }

    /// What stands for traffic.
    pub(super) fn activity(&self) -> Activity {
        self.came
            .as_ref()
            .map_or(Activity::ProcessorTime, |came| came.activity)
    }

    /// How much came in the time that is looked at.
    pub(super) fn came_in_all(&self) -> Option<f64> {
        let (first, last) = (self.size.first()?, self.size.last()?);
        Some(self.came.as_ref()?.between(first.0, last.0))
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
        assert!((Signals::of(&course(0), None).seconds() - 54.0).abs() < 1e-9);
        assert!((Signals::of(&course(100), None).seconds() - 59.0).abs() < 1e-9);
    }

    #[test]
    fn live_is_what_is_handed_out_in_small_blocks_and_in_large() {
        let signals = Signals::of(&course(9), None);
        assert_eq!(signals.live[3], (3.0, 55.0));
        assert_eq!(signals.unused, Some(20.0));
        assert_eq!(signals.old_share, Some(0.75));
    }

    #[test]
    fn what_was_never_touched_is_not_kept() {
        let mut course = course(9);
        course.moments[59].anonymous = Some(60);
        assert_eq!(Signals::of(&course, None).unused, Some(10.0));
    }

    #[test]
    fn what_is_not_known_of_all_moments_is_not_known() {
        let mut course = course(9);
        course.moments[7].small = None;
        assert!(Signals::of(&course, None).live.is_empty());
        assert!(Signals::of(&Course::default(), None).size.is_empty());
    }
}
