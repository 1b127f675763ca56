//! A slope with an interval that single peaks do not bend, by Theil and Sen, and whether there is
//! a trend at all, by Mann and Kendall.

use super::{Point, count, median};

/// Points to look at: pairs grow with the square.
const MOST_POINTS: usize = 64;

/// Half of a normal distribution's central 95 %.
const Z95: f64 = 1.96;

/// How much of a value its neighbour may be taken to repeat: what is above is the form of the
/// curve.
const MOST_REPEATED: f64 = 0.7;

/// A slope per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::classify) struct Trend {
    /// The median of the slopes of all pairs.
    pub(in crate::classify) slope: f64,
    /// The lower end of its 95 % interval.
    pub(in crate::classify) low: f64,
    /// The upper end.
    pub(in crate::classify) high: f64,
    /// By how many standard deviations there are more rises than falls among pairs.
    pub(in crate::classify) z: f64,
}

/// The trend of points; nothing with fewer than four.
///
/// What neighbours have in common is allowed for: a series that wanders tells less than as many
/// independent values would.
pub(in crate::classify) fn trend(points: &[Point]) -> Option<Trend> {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let points: Vec<Point> = points.iter().copied().step_by(step).collect();
    if points.len() < 4 {
        return None;
    }
    let mut slopes = slopes(&points);
    slopes.sort_by(f64::total_cmp);
    let pairs = count(slopes.len());
    if slopes.is_empty() {
        return None;
    }
    let slope = median(&slopes);
    let signs: f64 = slopes
        .iter()
        .map(|it| if *it == 0.0 { 0.0 } else { it.signum() })
        .sum();
    let n = count(points.len());
    let variance = n * (n - 1.0) * 2.0_f64.mul_add(n, 5.0) / 18.0 * inflation(&points, slope);
    let half = Z95 * variance.sqrt();
    let at = |place: f64| super::quantile(&slopes, place / pairs);
    Some(Trend {
        slope,
        low: at((pairs - half) / 2.0),
        high: at(f64::midpoint(pairs, half)),
        z: signs / variance.sqrt(),
    })
}

fn slopes(points: &[Point]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (index, (x, y)) in points.iter().enumerate() {
        let later = points[index + 1..].iter();
        let slope = later.map(|(u, v)| (v - y) / (u - x));
        slopes.extend(slope.filter(|slope| slope.is_finite()));
    }
    slopes
}

/// By how much the variance grows because neighbours resemble one another.
fn inflation(points: &[Point], slope: f64) -> f64 {
    let rest: Vec<f64> = points.iter().map(|(x, y)| slope.mul_add(-x, *y)).collect();
    let middle = median(&rest);
    let sum = |lag: usize| -> f64 {
        let pairs = rest.iter().zip(rest.iter().skip(lag));
        pairs.map(|(a, b)| (a - middle) * (b - middle)).sum()
    };
    let whole = sum(0);
    if whole <= 0.0 {
        return 1.0;
    }
    let repeated = (sum(1) / whole).clamp(0.0, MOST_REPEATED);
    (1.0 + repeated) / (1.0 - repeated)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(slope: f64) -> Vec<Point> {
        let points = (0..40).map(f64::from);
        points
            .map(|x| (x, slope.mul_add(x, 100.0) + (x * 7.0) % 3.0))
            .collect()
    }

    #[test]
    fn a_rise_is_sure_and_its_slope_known() {
        let found = trend(&line(5.0)).unwrap();
        assert!((found.slope - 5.0).abs() < 0.1, "{found:?}");
        assert!(found.low > 4.5 && found.high < 5.5 && found.z > 5.0);
    }

    #[test]
    fn a_level_with_noise_has_no_trend() {
        let found = trend(&line(0.0)).unwrap();
        assert!(found.low <= 0.0 && found.high >= 0.0, "{found:?}");
        assert!(found.z.abs() < 2.0);
    }

    #[test]
    fn a_third_may_be_peaks() {
        let mut points = line(5.0);
        points.iter_mut().step_by(4).for_each(|it| it.1 += 1e6);
        let found = trend(&points).unwrap();
        assert!((3.0..7.0).contains(&found.slope), "{found:?}");
    }

    #[test]
    fn too_few_points_have_none() {
        assert_eq!(trend(&[(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]), None);
        assert_eq!(trend(&[(0.0, 1.0); 5]), None);
    }

    proptest! {
        #[test]
        fn the_slope_lies_in_its_interval(
            values in prop::collection::vec(-1e12..1e12_f64, 4..40),
        ) {
            let points: Vec<Point> = (0..).map(f64::from).zip(values).collect();
            let found = trend(&points).unwrap();
            prop_assert!(found.low <= found.slope && found.slope <= found.high);
            prop_assert!(found.z.is_finite());
        }

        #[test]
        fn what_is_turned_over_has_the_opposite_slope(
            values in prop::collection::vec(-1e9..1e9_f64, 4..40),
        ) {
            let points: Vec<Point> = (0..).map(f64::from).zip(values).collect();
            let turned: Vec<Point> = points.iter().map(|(x, y)| (*x, -y)).collect();
            let (one, other) = (trend(&points).unwrap(), trend(&turned).unwrap());
            prop_assert!((one.slope + other.slope).abs() <= 1e-6 * one.slope.abs().max(1.0));
        }
    }
}
