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

/// The stretches in which the series lies by more than `least` above what it was once before and
/// will be once later, whichever is higher.
pub(in crate::classify) fn peaks(points: &[Point], least: f64) -> Peaks {
    let mut heights: Vec<f64> = Vec::new();
    let (mut current, mut above) = (None::<f64>, 0);
    let before = lowest_so_far(points.iter().copied());
    let mut after = lowest_so_far(points.iter().rev().copied());
    after.reverse();
    for (point, (before, after)) in points.iter().zip(before.iter().zip(&after)) {
        let height = point.1 - before.max(*after);
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

/// The lowest value up to each point.
fn lowest_so_far(points: impl Iterator<Item = Point>) -> Vec<f64> {
    let lowest = points.scan(f64::INFINITY, |lowest, point| {
        *lowest = lowest.min(point.1);
        Some(*lowest)
    });
    lowest.collect()
}

/// The series without a peak that it begins in, and one that it ends in: half as high as `height`
/// at least, and no longer than two fifths of it.
pub(in crate::classify) fn without_open_peaks(points: &[Point], height: f64) -> &[Point] {
    let most = points.len() * 2 / 5;
    let lowest = |points: &[Point]| points.iter().map(|it| it.1).fold(f64::INFINITY, f64::min);
    let (head, tail) = (&points[..most], &points[points.len() - most..]);
    let (head_limit, tail_limit) = (lowest(head) + height / 2.0, lowest(tail) + height / 2.0);
    let skipped = head.iter().take_while(|it| it.1 > head_limit).count();
    let cut = tail.iter().rev().take_while(|it| it.1 > tail_limit).count();
    &points[skipped..points.len() - cut]
}

/// For each point what the series does not fall below any more: its floor, if that rises.
pub(in crate::classify) fn rising_floor(points: &[Point]) -> Vec<Point> {
    let mut floor = lowest_so_far(points.iter().rev().copied());
    floor.reverse();
    let times = points.iter().map(|it| it.0);
    times.zip(floor).collect()
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
        let found = peaks(&spiky(), 20.0);
        assert_eq!(found.count, 5, "the last one did not come back");
        assert!((found.height - 50.0).abs() < 1e-9);
        assert!((found.share - 1.0 / 6.0).abs() < 1e-9);
    }

    #[test]
    fn a_rising_line_has_no_peaks() {
        let points: Vec<Point> = (0..60).map(f64::from).map(|x| (x, x)).collect();
        assert_eq!(peaks(&points, 8.0), Peaks::default());
        let falling: Vec<Point> = points.iter().map(|(x, y)| (*x, -y)).collect();
        assert_eq!(peaks(&falling, 8.0), Peaks::default());
    }

    #[test]
    fn a_peak_that_did_not_end_is_cut_off() {
        let points = spiky();
        let closed = without_open_peaks(&points, 50.0);
        assert_eq!(closed.last(), Some(&(57.0, 100.0)));
        assert_eq!(without_open_peaks(&points[8..], 50.0)[0], (10.0, 100.0));
        assert!(
            rising_floor(closed)
                .iter()
                .all(|it| (it.1 - 100.0).abs() < 1e-9)
        );
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
