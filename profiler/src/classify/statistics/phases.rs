//! Busy and quiet phases of a rate of activity.

use super::{Point, median, quantile};

/// A phase, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::classify) struct Phase {
    /// When it starts.
    pub(in crate::classify) start: f64,
    /// When it ends.
    pub(in crate::classify) end: f64,
    /// Whether it is a busy one.
    pub(in crate::classify) is_busy: bool,
}

impl Phase {
    /// How long it is.
    pub(in crate::classify) fn length(&self) -> f64 {
        self.end - self.start
    }
}

/// By how much busy and quiet must differ, and how long a phase is at least.
#[derive(Clone, Copy, Debug)]
pub(in crate::classify) struct Contrast {
    /// How many times as high the rate is when busy.
    pub(in crate::classify) times: f64,
    /// How high it is then at least.
    pub(in crate::classify) least: f64,
    /// Seconds of the shortest phase.
    pub(in crate::classify) seconds: f64,
}

impl Contrast {
    fn is_between(self, low: f64, high: f64) -> bool {
        high >= self.least && high >= low * self.times
    }

    /// Whether a rate is uneven, be it only for moments.
    pub(in crate::classify) fn is_in(self, rates: &[Point]) -> bool {
        let values: Vec<f64> = rates.iter().map(|it| it.1).collect();
        self.is_between(quantile(&values, 0.1), quantile(&values, 0.85))
    }
}

/// The phases of a rate, each known at the end of its interval. Nothing if they do not differ: one
/// kind of phase tells nothing.
pub(in crate::classify) fn phases(rates: &[Point], contrast: Contrast) -> Vec<Phase> {
    let values: Vec<f64> = rates.iter().map(|it| it.1).collect();
    let smooth: Vec<f64> = (0..values.len())
        .map(|at| median(&values[at.saturating_sub(1)..(at + 2).min(values.len())]))
        .collect();
    let (low, high) = (quantile(&smooth, 0.05), quantile(&smooth, 0.9));
    if !contrast.is_between(low, high) {
        return Vec::new();
    }
    // Quiet is near to the lowest: what a half-busy service does is not quiet.
    let limit = (high - low).mul_add(0.25, low);
    let mut found: Vec<Phase> = Vec::new();
    for (pair, value) in rates.windows(2).zip(&smooth[1..]) {
        let (start, end) = (pair[0].0, pair[1].0);
        let is_busy = *value > limit;
        match found.last_mut() {
            Some(last) if last.is_busy == is_busy => last.end = end,
            _ => found.push(Phase {
                start,
                end,
                is_busy,
            }),
        }
    }
    let found = without_short(found, contrast.seconds);
    if found.len() < 2 { Vec::new() } else { found }
}

/// Joins what is too short with what is around it, the shortest first.
fn without_short(mut phases: Vec<Phase>, seconds: f64) -> Vec<Phase> {
    while phases.len() > 1 {
        let lengths = phases.iter().enumerate();
        let shortest = lengths.min_by(|a, b| a.1.length().total_cmp(&b.1.length()));
        let Some((at, _)) = shortest.filter(|(_, it)| it.length() < seconds) else {
            break;
        };
        phases[at].is_busy = !phases[at].is_busy;
        phases.dedup_by(|later, earlier| {
            let is_same = later.is_busy == earlier.is_busy;
            if is_same {
                earlier.end = later.end;
            }
            is_same
        });
    }
    phases
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTRAST: Contrast = Contrast {
        times: 4.0,
        least: 0.02,
        seconds: 4.0,
    };

    fn found(rate: impl Fn(u32) -> f64) -> Vec<(f64, f64, bool)> {
        let rates: Vec<Point> = (0..60).map(|x| (f64::from(x), rate(x))).collect();
        let phases = phases(&rates, CONTRAST);
        phases
            .iter()
            .map(|it| (it.start, it.end, it.is_busy))
            .collect()
    }

    #[test]
    fn busy_and_quiet_are_told_apart() {
        let busy = |x| if (20..40).contains(&x) { 0.5 } else { 0.01 };
        let expected = [(0.0, 19.0, false), (19.0, 39.0, true), (39.0, 59.0, false)];
        assert_eq!(found(busy), expected);
    }

    #[test]
    fn what_is_even_has_no_phases() {
        assert!(found(|x| f64::from(x % 3).mul_add(0.05, 0.5)).is_empty());
        assert!(found(|_| 0.0).is_empty());
        assert!(found(|x| if x < 30 { 0.001 } else { 0.01 }).is_empty());
    }

    #[test]
    fn a_moment_is_no_phase() {
        let expected = [(0.0, 29.0, true), (29.0, 59.0, false)];
        let rate = |x: u32| match x {
            10..12 => 0.0,
            0..30 => 0.5,
            _ => 0.0,
        };
        assert_eq!(found(rate), expected);
    }

    proptest! {
        #[test]
        fn phases_follow_one_another(values in prop::collection::vec(0.0..1.0_f64, 0..60)) {
            let rates: Vec<Point> = (0..).map(f64::from).zip(values).collect();
            let phases = phases(&rates, CONTRAST);
            for pair in phases.windows(2) {
                prop_assert!((pair[0].end - pair[1].start).abs() < 1e-9);
                prop_assert!(pair[0].is_busy != pair[1].is_busy);
            }
        }
    }
}
