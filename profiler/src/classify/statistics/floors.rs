//! The floor of a series, which it comes back to, and the peaks above it.

use super::{Point, count};

/// The lowest point of each of so many stretches of equal length. Peaks that are shorter than a
/// stretch do not show.
pub(in crate::classify) fn floors(points: &[Point], stretches: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let length = (last.0 - first.0) / count(stretches.max(1));
    let mut floors: Vec<Point> = Vec::new();
    let mut rest = points;
    for number in 1..=stretches {
        let end = if number == stretches {
            f64::INFINITY
        } else {
            length.mul_add(count(number), first.0)
        };
        let (these, later) = rest.split_at(rest.partition_point(|it| it.0 <= end));
        floors.extend(these.iter().min_by(|a, b| a.1.total_cmp(&b.1)));
        rest = later;
    }
    floors
}

/// What rises above the floor and comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::classify) struct Peaks {
    /// How many there are.
    pub(in crate::classify) count: usize,
    /// How high the median one is.
    pub(in crate::classify) height: f64,
    /// Which part of the time they take.
    pub(in crate::classify) share: f64,
}

/// The stretches in which the series lies above a level by more than `least`, and comes back. The
/// level is a line through the points of `floor`, as it was before or will be, whichever is lower.
pub(in crate::classify) fn peaks(points: &[Point], floor: &[Point], least: f64) -> Peaks {
    let mut heights: Vec<f64> = Vec::new();
    let (mut current, mut above) = (None::<f64>, 0);
    for point in points {
        let height = point.1 - level_at(floor, point.0);
        if height > least {
            above += 1;
            current = Some(current.map_or(height, |it| it.max(height)));
        } else if height < least / 2.0 {
            heights.extend(current.take());
        }
    }
    Peaks {
        count: heights.len(),
        height: super::median(&heights),
        share: f64::from(above) / count(points.len().max(1)),
    }
}

/// The lower of the neighbouring floors.
fn level_at(floor: &[Point], time: f64) -> f64 {
    let after = floor.partition_point(|it| it.0 <= time);
    let before = after.checked_sub(1).and_then(|index| floor.get(index));
    let sides = before.into_iter().chain(floor.get(after));
    sides.map(|it| it.1).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A level with a peak of two points in every ten.
    fn spiky() -> Vec<Point> {
        (0..60)
            .map(|x| (f64::from(x), if x % 10 >= 8 { 150.0 } else { 100.0 }))
            .collect()
    }

    #[test]
    fn the_floor_is_what_it_comes_back_to() {
        let floor = floors(&spiky(), 6);
        assert_eq!(floor.len(), 6);
        assert!(floor.iter().all(|it| (it.1 - 100.0).abs() < 1e-9));
    }

    #[test]
    fn a_peak_counts_when_it_has_come_back() {
        let points = spiky();
        let found = peaks(&points, &floors(&points, 6), 20.0);
        assert_eq!(found.count, 5, "the last one did not come back");
        assert!((found.height - 50.0).abs() < 1e-9);
        assert!((found.share - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_rising_line_has_no_peaks() {
        let points: Vec<Point> = (0..60).map(f64::from).map(|x| (x, x)).collect();
        assert_eq!(peaks(&points, &floors(&points, 12), 8.0).count, 0);
    }

    proptest! {
        #[test]
        fn nothing_lies_below_all_floors(values in prop::collection::vec(0.0..1e9_f64, 1..60)) {
            let points: Vec<Point> = (0..).map(f64::from).zip(values).collect();
            let lowest = |points: &[Point]| points.iter().map(|it| it.1).fold(1e9, f64::min);
            let floor = floors(&points, 7);
            prop_assert!(floor.len() <= 7);
            prop_assert!((lowest(&floor) - lowest(&points)).abs() < 1e-9);
        }
    }
}
