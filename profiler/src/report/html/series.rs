//! Series over time, as few points as a chart can show.

use crate::{
    aggregate::{Moment, ProcessFinding},
    profile::{LifecycleKind, ProcessKey},
    report::Subject,
};

/// Seconds, and a value.
pub(super) type Point = (f64, f64);

/// Points of a stack.
const STEPS: u32 = 240;
/// Points of a line.
const MOST: usize = 480;

/// The times that a chart shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Span {
    /// From the first to the last moment of any process; `None` if there is no time between them.
    pub(super) fn of(subject: &Subject<'_>) -> Option<Self> {
        let processes = &subject.findings.processes;
        let times = processes.iter().flat_map(|it| &it.course.moments);
        let times = times.map(|moment| moment.time.as_secs_f64());
        let (from, to) = times.fold((f64::MAX, 0.0_f64), |(from, to), time| {
            (from.min(time), to.max(time))
        });
        (to > from).then_some(Self { from, to })
    }

    /// Evenly spaced times.
    fn times(self) -> impl Iterator<Item = f64> {
        let step = (self.to - self.from) / f64::from(STEPS);
        (0..=STEPS).map(move |number| self.from + step * f64::from(number))
    }

    /// From when to when a process counts.
    pub(super) fn of_process(self, process: &ProcessFinding) -> (f64, f64) {
        let end = process.ended.map_or(self.to, |ended| ended.as_secs_f64());
        (process.started.as_secs_f64(), end)
    }

    /// Whether a time can be shown.
    pub(super) fn has(self, time: f64) -> bool {
        (self.from..=self.to).contains(&time)
    }
}

/// A series at the times of a chart: between two times it is as large as it was at most, between
/// two points it goes straight, and where the process did not run it is zero.
pub(super) fn resampled(points: &[Point], lived: (f64, f64), span: Span) -> Vec<Point> {
    let mut before = f64::MIN;
    let value = |time: f64| {
        let (start, end) = lived;
        let value = if time < start || time > end {
            0.0
        } else {
            at(points, time)
        };
        let passed = points.partition_point(|point| point.0 <= before)
            ..points.partition_point(|point| point.0 <= time);
        before = time;
        let most = points[passed.start.min(passed.end)..passed.end].iter();
        most.map(|point| point.1).fold(value, f64::max)
    };
    let mut value = value;
    span.times().map(|time| (time, value(time))).collect()
}

/// How fast a count rose, at the times of a chart: as much as came from each to the next, so that
/// nothing is left out and nothing counts twice.
pub(super) fn rates(counts: &[Point], span: Span) -> Vec<Point> {
    let times: Vec<f64> = span.times().collect();
    let rates = times.windows(2).map(|pair| {
        let came = at(counts, pair[1]) - at(counts, pair[0]);
        (pair[1], came.max(0.0) / (pair[1] - pair[0]).max(1e-9))
    });
    let rates: Vec<Point> = rates.collect();
    let first = rates.first().map(|(_, rate)| (span.from, *rate));
    first.into_iter().chain(rates).collect()
}

/// The sum of series at the same times.
pub(super) fn summed(all: impl Iterator<Item = Vec<Point>>, span: Span) -> Vec<Point> {
    let zero = span.times().map(|time| (time, 0.0)).collect();
    all.fold(zero, |mut sum: Vec<Point>, one| {
        for (sum, one) in sum.iter_mut().zip(one) {
            sum.1 += one.1;
        }
        sum
    })
}

/// The value of a series at a time: straight between two points, and as at its ends beyond them.
fn at(points: &[Point], time: f64) -> f64 {
    let next = points.partition_point(|point| point.0 < time);
    match (points[..next].last(), points.get(next)) {
        (Some(before), Some(after)) => between(*before, *after, time),
        (Some(only), None) | (None, Some(only)) => only.1,
        (None, None) => 0.0,
    }
}

fn between(one: Point, other: Point, time: f64) -> f64 {
    let part = (time - one.0) / (other.0 - one.0).max(1e-9);
    one.1 + part * (other.1 - one.1)
}

/// A line with as few points as can be told apart: of each stretch the least and the most.
pub(super) fn thinned(points: Vec<Point>) -> Vec<Point> {
    if points.len() <= MOST {
        return points;
    }
    let stretches = points.chunks(points.len().div_ceil(MOST / 2));
    let ends = stretches.flat_map(|stretch| {
        let by_value = |one: &&Point, other: &&Point| one.1.total_cmp(&other.1);
        let mut ends = Vec::from_iter(stretch.iter().min_by(by_value));
        ends.extend(stretch.iter().max_by(by_value));
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        ends.into_iter().copied()
    });
    ends.collect()
}

/// Something of each moment, where it is known.
pub(super) fn line(moments: &[Moment], of: impl Fn(&Moment) -> Option<u64>) -> Vec<Point> {
    let known = moments.iter().filter_map(|moment| {
        let value = of(moment)?;
        Some((moment.time.as_secs_f64(), float(value)))
    });
    known.collect()
}

/// The processors that a process kept busy from one moment to the next.
pub(super) fn processors(moments: &[Moment]) -> Vec<Point> {
    let rates = moments.windows(2).map(|pair| {
        let used = pair[1].cpu.saturating_sub(pair[0].cpu).as_secs_f64();
        let passed = pair[1].time.saturating_sub(pair[0].time).as_secs_f64();
        (pair[1].time.as_secs_f64(), used / passed.max(1e-3))
    });
    rates.collect()
}

/// Something that became of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) time: f64,
    pub(super) process: ProcessKey,
    pub(super) kind: LifecycleKind,
}

/// What became of the processes that the findings are about, in the order of time.
pub(super) fn events(subject: &Subject<'_>, span: Span) -> Vec<Event> {
    let keys: Vec<ProcessKey> = (subject.findings.processes.iter())
        .map(|process| process.key)
        .collect();
    let all = subject.recorded.intervals.iter();
    let all = all
        .flat_map(|interval| &interval.lifecycles)
        .map(|it| Event {
            time: it.time.as_secs_f64(),
            process: it.process,
            kind: it.kind,
        });
    let mut events: Vec<Event> = all
        .filter(|event| span.has(event.time) && keys.contains(&event.process))
        .collect();
    events.sort_by(|one, other| one.time.total_cmp(&other.time));
    events
}

/// Bytes as a number to draw.
#[expect(clippy::cast_precision_loss, reason = "a chart shows three digits")]
pub(super) const fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPAN: Span = Span {
        from: 0.0,
        to: 240.0,
    };

    fn drawn_at(points: &[Point], time: f64) -> f64 {
        let found = points.iter().find(|it| (it.0 - time).abs() < 1e-6);
        found.unwrap().1
    }

    #[test]
    fn a_process_counts_while_it_runs_and_a_peak_is_seen() {
        let points = [(10.0, 4.0), (20.0, 8.0), (20.4, 90.0), (30.0, 8.0)];
        let drawn = resampled(&points, (10.0, 40.0), SPAN);
        let cases = [
            (9.0, 0.0),
            (10.0, 4.0),
            (15.0, 6.0),
            (21.0, 90.0),
            (40.0, 8.0),
            (41.0, 0.0),
        ];
        for (time, expected) in cases {
            assert!(
                (drawn_at(&drawn, time) - expected).abs() < 1e-6,
                "{time}: {drawn:?}"
            );
        }
        assert!(
            resampled(&[], (0.0, 9.0), SPAN)
                .iter()
                .all(|it| it.1 == 0.0)
        );
    }

    #[test]
    fn a_count_is_drawn_as_how_fast_it_rose() {
        let counts = [(10.0, 100.0), (20.0, 100.0), (20.5, 150.0), (100.0, 150.0)];
        let rates = rates(&counts, SPAN);
        assert!((drawn_at(&rates, 21.0) - 50.0).abs() < 1e-6, "{rates:?}");
        let others = rates.iter().filter(|it| it.1 > 1e-6).count();
        assert_eq!(others, 1, "what came before the first look has no time");
    }

    proptest! {
        #[test]
        fn rates_have_all_that_was_counted(
            rises in prop::collection::vec(0.0..1e6_f64, 2..600),
        ) {
            let mut count = 0.0;
            let step = SPAN.to / f64::from(u32::try_from(rises.len() - 1).unwrap());
            let counts = (0_u32..).zip(&rises).map(|(number, rise)| {
                count += rise;
                (step * f64::from(number), count)
            });
            let counts: Vec<Point> = counts.collect();
            let drawn = rates(&counts, SPAN);
            // They are a second apart.
            let sum: f64 = drawn[1..].iter().map(|it| it.1).sum();
            let came = count - rises[0];
            prop_assert!((sum - came).abs() <= 1e-6 * count, "{} {}", sum, came);
        }

        #[test]
        fn a_thin_line_keeps_its_ends_in_value(
            values in prop::collection::vec(0.0..1e12_f64, 1..3000),
        ) {
            let points: Vec<Point> = (0_u32..).map(f64::from).zip(values).collect();
            let thin = thinned(points.clone());
            prop_assert!(thin.len() <= MOST);
            let most = |of: &[Point]| of.iter().map(|it| it.1).fold(f64::MIN, f64::max);
            let least = |of: &[Point]| of.iter().map(|it| it.1).fold(f64::MAX, f64::min);
            prop_assert!((most(&thin) - most(&points)).abs() < 1e-9);
            prop_assert!((least(&thin) - least(&points)).abs() < 1e-9);
        }
    }
}
