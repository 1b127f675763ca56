//! Whether growth goes straight on, levels off, or was a single step.

use super::{Point, count, median, trend};

/// Time constants that are tried, in parts of the whole time.
const TIME_CONSTANTS: [f64; 8] = [0.04, 0.08, 0.13, 0.2, 0.3, 0.45, 0.7, 1.0];

/// What is below the end by at most this part of the rise is at the end's level.
const NEAR: f64 = 0.07;

/// How growth went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::classify) struct Shape {
    /// Which part of the time was left when the level of the end was reached.
    pub(in crate::classify) rest: f64,
    /// The slope of the last third as a part of the slope of the first.
    pub(in crate::classify) late: f64,
    /// By which part a curve that levels off misses less, in squares, than a straight line.
    pub(in crate::classify) gain: f64,
    /// Seconds in which the rest of the growth falls to about a third, in that curve.
    pub(in crate::classify) time_constant: f64,
}

impl Shape {
    /// The shape of a series that rises; nothing if it does not.
    pub(in crate::classify) fn of(points: &[Point], noise: f64) -> Option<Self> {
        let (first, last) = (points.first()?, points.last()?);
        let span = last.0 - first.0;
        let ends = points.len().div_ceil(10).max(2).min(points.len());
        let level = |points: &[Point]| median(&points.iter().map(|it| it.1).collect::<Vec<_>>());
        let (start, end) = (
            level(&points[..ends]),
            level(&points[points.len() - ends..]),
        );
        let near = end - ((end - start) * NEAR).max(noise);
        let reached = points.iter().find(|it| it.1 >= near)?;
        let third = points.len() / 3;
        let early = trend(&points[..=third])?.slope;
        let late = trend(&points[points.len() - third - 1..])?.slope;
        let straight = misses(points, |time| time);
        let curves = TIME_CONSTANTS.map(|part| {
            let constant = part * span;
            let curve = |time: f64| -(-(time - first.0) / constant).exp();
            (misses(points, curve), constant)
        });
        let best = curves.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
        let mean = (end - start) / span;
        (end > start && span > 0.0).then(|| Self {
            rest: (last.0 - reached.0) / span,
            late: late / early.max(mean),
            gain: 1.0 - best.0 / straight.max(f64::MIN_POSITIVE),
            time_constant: best.1,
        })
    }
}

/// The sum of squares by which `a + b · curve` misses the points at best.
fn misses(points: &[Point], curve: impl Fn(f64) -> f64) -> f64 {
    let share = count(points.len()).recip();
    let pairs: Vec<Point> = points.iter().map(|(x, y)| (curve(*x), *y)).collect();
    let mean = pairs.iter().fold((0.0, 0.0), |mean, it| {
        (it.0.mul_add(share, mean.0), it.1.mul_add(share, mean.1))
    });
    let (mut both, mut of_curve, mut of_values) = (0.0, 0.0, 0.0);
    for pair in &pairs {
        let from_mean = (pair.0 - mean.0, pair.1 - mean.1);
        of_curve += from_mean.0 * from_mean.0;
        both += from_mean.0 * from_mean.1;
        of_values += from_mean.1 * from_mean.1;
    }
    if of_curve > 0.0 {
        (of_values - both * both / of_curve).max(0.0)
    } else {
        of_values
    }
}

/// The largest single step: when, and how high, by the medians before and after it. Nothing if
/// less than `share` of what the values vary is due to it.
pub(in crate::classify) fn step(points: &[Point], share: f64) -> Option<Point> {
    let total = scatter(points);
    let places = 2..points.len().saturating_sub(1);
    let best = places
        .map(|at| (at, scatter(&points[..at]) + scatter(&points[at..])))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    let (at, left) = best;
    let level = |points: &[Point]| median(&points.iter().map(|it| it.1).collect::<Vec<_>>());
    let height = level(&points[at..]) - level(&points[..at]);
    let size = points[at].1.abs().max(height.abs());
    // What is left of equal values by rounding is no step.
    (height.abs() > 1e-9 * size && left <= total * (1.0 - share)).then(|| (points[at].0, height))
}

/// The sum of squared distances from the mean.
fn scatter(points: &[Point]) -> f64 {
    misses(points, |_| 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(value: impl Fn(f64) -> f64) -> Vec<Point> {
        (0..60).map(f64::from).map(|x| (x, value(x))).collect()
    }

    #[test]
    fn a_straight_line_does_not_rest() {
        let shape = Shape::of(&points(|x| 3.0 * x), 0.0).unwrap();
        assert!(shape.rest < 0.12, "{shape:?}");
        assert!((shape.late - 1.0).abs() < 0.05, "{shape:?}");
    }

    #[test]
    fn a_curve_that_levels_off_rests_at_the_end() {
        let curve = points(|x| -500.0 * (-x / 10.0).exp());
        let shape = Shape::of(&curve, 0.0).unwrap();
        assert!(shape.rest > 0.4 && shape.late < 0.05, "{shape:?}");
        assert!(shape.gain > 0.9, "{shape:?}");
        assert!((5.0..20.0).contains(&shape.time_constant), "{shape:?}");
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        let stepped = points(|x| if x < 24.0 { 100.0 } else { 180.0 });
        assert_eq!(step(&stepped, 0.9), Some((24.0, 80.0)));
        assert_eq!(step(&points(|x| x), 0.9), None);
        assert_eq!(step(&points(|_| 5.0), 0.9), None);
    }

    proptest! {
        #[test]
        fn any_series_has_a_shape_or_none(
            values in prop::collection::vec(-1e12..1e12_f64, 0..40),
        ) {
            let points: Vec<Point> = (0..).map(f64::from).zip(values).collect();
            if let Some(shape) = Shape::of(&points, 1.0) {
                prop_assert!((0.0..=1.0).contains(&shape.rest));
                prop_assert!(shape.late.is_finite() && shape.gain.is_finite());
            }
            let _step = step(&points, 0.5);
        }
    }
}
