//! A slope that single peaks do not bend.

/// More points than this are thinned out evenly: pairs grow with the square.
const MOST_POINTS: usize = 256;

/// The slope of points by Theil and Sen: the median of the slopes of all pairs. A third of the
/// points may be anything without moving it far. Zero with fewer than two moments.
pub(super) fn theil_sen(points: &[(f64, f64)]) -> f64 {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    // Counted from the end, so that the last point is one of them.
    let points: Vec<_> = points.iter().rev().step_by(step).collect();
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (index, (x, y)) in points.iter().enumerate() {
        let later = points[index + 1..].iter();
        let slope = later.map(|(u, v)| (v - y) / (u - x));
        // Two points of one moment have none.
        slopes.extend(slope.filter(|slope| slope.is_finite()));
    }
    median(&mut slopes).unwrap_or_default()
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    let is_odd = values.len() % 2 == 1;
    if values.is_empty() {
        return None;
    }
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = below.iter().copied().max_by(f64::total_cmp);
    match lower {
        Some(lower) if !is_odd => Some(f64::midpoint(lower, upper)),
        _ => Some(upper),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(points: &[(f64, f64)], expected: f64) {
        let slope = theil_sen(points);
        assert!((slope - expected).abs() < 1e-6, "{slope}");
    }

    fn line(count: u32) -> Vec<(f64, f64)> {
        let points = (0..count).map(f64::from);
        points.map(|x| (x, 100.0 + 7.0 * x)).collect()
    }

    #[test]
    fn a_line_has_its_slope() {
        check(&line(2), 7.0);
        check(&line(1000), 7.0);
    }

    #[test]
    fn too_few_points_have_none() {
        check(&[], 0.0);
        check(&[(1.0, 5.0)], 0.0);
        check(&[(1.0, 5.0), (1.0, 9.0)], 0.0);
    }

    #[test]
    fn peaks_do_not_bend_it() {
        let mut points = line(60);
        for point in points.iter_mut().step_by(6) {
            point.1 += 1e9;
        }
        let slope = theil_sen(&points);
        assert!((6.5..7.5).contains(&slope), "{slope}");
    }

    #[test]
    fn the_median_of_an_even_number_lies_in_between() {
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
    }

    proptest! {
        #[test]
        fn it_is_always_a_number(points in prop::collection::vec((0.0..1e9, 0.0..1e18), 0..50)) {
            prop_assert!(theil_sen(&points).is_finite());
        }
    }
}
