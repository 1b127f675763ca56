//! How growth goes with activity: in busy phases, in quiet ones, or in both.

use super::{
    Pattern,
    opinion::Measures,
    statistics::{Phase, Point, median, trend},
    thresholds as limit,
};

/// Growth by phases of activity: seconds and bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rhythm {
    /// How long it was quiet, in all, without the moments in which it came to rest.
    pub(super) quiet_seconds: f64,
    /// How long it was busy, in all.
    pub(super) busy_seconds: f64,
    /// Growth per second while quiet.
    pub(super) quiet_rate: f64,
    /// Growth per second while busy.
    pub(super) busy_rate: f64,
    /// How much each busy phase added.
    pub(super) rises: Vec<f64>,
    /// Which part of the rise of the last busy phase was in its second half.
    pub(super) late_part: f64,
    /// Whether it is quiet at the end.
    pub(super) ends_quiet: bool,
    /// The part of the whole time that the longest busy phase takes.
    pub(super) busy_share: f64,
}

impl Rhythm {
    /// Bytes by which it grew while quiet, and while busy.
    fn amounts(&self) -> (f64, f64) {
        let amount = |rate: f64, seconds: f64| (rate * seconds).max(0.0);
        (
            amount(self.quiet_rate, self.quiet_seconds),
            amount(self.busy_rate, self.busy_seconds),
        )
    }
}

/// The rhythm of a size; nothing if phases do not differ, or quiet ones are too short.
pub(super) fn rhythm(size: &[Point], phases: &[Phase]) -> Option<Rhythm> {
    let mut rhythm = Rhythm {
        ends_quiet: phases.last().is_some_and(|it| !it.is_busy),
        ..Rhythm::default()
    };
    let span = size.last()?.0 - size.first()?.0;
    let mut quiet_growth = 0.0;
    for phase in phases {
        let settled = phase.start + limit::SETTLES;
        if phase.is_busy {
            let (from, to) = (
                level(size, phase.start),
                level(size, phase.end + limit::SETTLES),
            );
            let half = level(size, f64::midpoint(phase.start, phase.end));
            rhythm.rises.push(to - from);
            rhythm.late_part = (to - half) / (to - from).max(1.0);
            rhythm.busy_seconds += phase.length();
            rhythm.busy_share = rhythm.busy_share.max(phase.length() / span);
        } else if let Some(trend) = trend(between(size, settled, phase.end)) {
            let length = phase.end - settled;
            quiet_growth += trend.slope * length;
            rhythm.quiet_seconds += length;
        }
    }
    if rhythm.quiet_seconds < limit::QUIET_SECONDS || rhythm.busy_seconds <= 0.0 {
        return None;
    }
    rhythm.quiet_rate = quiet_growth / rhythm.quiet_seconds;
    rhythm.busy_rate = rhythm.rises.iter().sum::<f64>() / rhythm.busy_seconds;
    Some(rhythm)
}

/// The points between two times, both included.
fn between(points: &[Point], from: f64, to: f64) -> &[Point] {
    let first = points.partition_point(|it| it.0 < from);
    let end = points.partition_point(|it| it.0 <= to);
    &points[first.min(end)..end]
}

/// The value at about a time.
fn level(points: &[Point], time: f64) -> f64 {
    let at = points.partition_point(|it| it.0 <= time);
    let near = &points[at.saturating_sub(2)..(at + 1).min(points.len())];
    median(&near.iter().map(|it| it.1).collect::<Vec<_>>())
}

/// The pattern of what grows with such a rhythm, and how sure that is; nothing if it might be one
/// or the other.
pub(super) fn pattern(rhythm: &Rhythm, measures: &Measures) -> Option<(Pattern, f64)> {
    let part = rhythm.quiet_rate / rhythm.busy_rate.max(1.0);
    let (quiet, busy) = rhythm.amounts();
    let grows_quiet = quiet >= limit::QUIET_PART * measures.matters.max(measures.rise());
    if grows_quiet && (part >= limit::GOES_ON || busy < 0.25 * measures.rise()) {
        return Some((Pattern::IdleGrowth, 1.0));
    }
    if part >= limit::RESTS && grows_quiet {
        let is_both = quiet >= measures.matters && busy >= measures.matters;
        return is_both.then_some((Pattern::Mixed, 0.8));
    }
    let (first, last) = (rhythm.rises.first()?, rhythm.rises.last()?);
    if rhythm.rises.len() > 1 {
        return if *last >= limit::ADDS * first {
            Some((Pattern::TrafficGrowth, 1.0))
        } else {
            Some((Pattern::CacheFill, 0.9))
        };
    }
    let goes_on = rhythm.late_part >= 0.3 && rhythm.busy_share >= 0.35;
    match (goes_on, rhythm.ends_quiet) {
        (true, true) => Some((Pattern::TrafficGrowth, 0.85)),
        (true, false) => Some((Pattern::TrafficGrowth, 0.8)),
        (false, true) => Some((Pattern::IdleRetention, 0.95)),
        (false, false) if rhythm.late_part < 0.2 => Some((Pattern::CacheFill, 0.8)),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases() -> Vec<Phase> {
        [0.0, 20.0, 40.0]
            .map(|start| Phase {
                start,
                end: start + 20.0,
                is_busy: (start - 20.0_f64).abs() < 1.0,
            })
            .to_vec()
    }

    fn found(size: impl Fn(f64) -> f64) -> Rhythm {
        let size: Vec<Point> = (0..=60).map(f64::from).map(|x| (x, size(x))).collect();
        rhythm(&size, &phases()).unwrap()
    }

    #[test]
    fn what_grows_only_when_busy_rests_when_quiet() {
        let rhythm = found(|x| (x - 20.0).clamp(0.0, 20.0) * 10.0);
        assert!(
            rhythm.quiet_rate.abs() < 0.1 && rhythm.busy_rate > 9.0,
            "{rhythm:?}"
        );
        assert!(rhythm.ends_quiet && rhythm.late_part > 0.4, "{rhythm:?}");
    }

    #[test]
    fn what_grows_always_grows_when_quiet() {
        let rhythm = found(|x| x * 10.0);
        assert!((rhythm.quiet_rate - 10.0).abs() < 0.1, "{rhythm:?}");
        let (quiet, busy) = rhythm.amounts();
        assert!(quiet > 300.0 && busy > 180.0);
    }

    #[test]
    fn short_silence_tells_nothing() {
        let phases: Vec<Phase> = phases().into_iter().filter(|it| it.is_busy).collect();
        assert_eq!(rhythm(&[(0.0, 1.0), (60.0, 2.0)], &phases), None);
    }
}
