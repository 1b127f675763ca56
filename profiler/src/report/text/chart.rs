//! A chart of a process's resident size that fits into a line.

use std::ops::Range;

use crate::{
    aggregate::Moment,
    report::{
        Subject,
        screen::{Line, Look, Screen, Worth},
    },
    units::Bytes,
};

/// From low to high.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How many columns the chart of a single process has.
pub(super) const COLUMNS: usize = 40;

/// A single process's size over time, with the least and the most of it.
pub(super) fn of_single(screen: &mut Screen, subject: &Subject<'_>) {
    let [process] = subject.findings.processes.as_slice() else {
        return;
    };
    let moments = process.course.moments.as_slice();
    let sizes = moments.iter().map(|it| it.rss);
    let (Some(least), Some(most)) = (sizes.clone().min(), sizes.max()) else {
        return;
    };
    if moments.len() < 2 {
        return;
    }
    let range = format!("  {} to {}", Bytes(least), Bytes(most));
    let line = Line::new(Look::Plain, bars(moments, COLUMNS)).and(Look::Dim, range);
    screen.labelled(Worth::Advice, "course", line);
}

/// So many bars, each as high as the largest size in its part of the time. What changes by less
/// than a tenth hardly shows.
pub(super) fn bars(moments: &[Moment], columns: usize) -> String {
    let columns = columns.min(moments.len());
    let all = || moments.iter().map(|it| it.rss);
    let (Some(least), Some(most)) = (all().min(), all().max()) else {
        return String::new();
    };
    let least = least.min(most - most / 10);
    let largest = |column: usize| {
        let part = &moments[part(moments.len(), column, columns)];
        part.iter().map(|it| it.rss).max().unwrap_or(least)
    };
    let largest: Vec<u64> = (0..columns).map(largest).collect();
    draw(&largest, least, most)
}

/// So many bars, each as high as a count rose in its part of the time, from none to the most.
pub(super) fn rate_bars(counts: &[u64], columns: usize) -> String {
    let columns = columns.min(counts.len());
    let rise = |column: usize| {
        let part = part(counts.len(), column, columns);
        let before = counts[part.start.saturating_sub(1)];
        let rise = counts[part.end - 1].saturating_sub(before);
        // Parts differ by a moment in their length.
        let steps = (part.end - part.start.saturating_sub(1)).saturating_sub(1);
        rise.saturating_mul(1000) / (steps.max(1) as u64)
    };
    let rises: Vec<u64> = (0..columns).map(rise).collect();
    let most = rises.iter().copied().max().unwrap_or(0);
    draw(&rises, 0, most)
}

/// The moments that belong to a column.
const fn part(moments: usize, column: usize, columns: usize) -> Range<usize> {
    moments * column / columns..moments * (column + 1) / columns
}

/// A bar for each value.
fn draw(values: &[u64], least: u64, most: u64) -> String {
    let range = u128::from((most - least).max(1));
    let bar = |value: &u64| {
        let above = u128::from(value.saturating_sub(least));
        let last = BARS.len() - 1;
        let height = usize::try_from(above * BARS.len() as u128 / (range + 1)).unwrap_or(last);
        BARS[height.min(last)]
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drawn(sizes: &[u64], columns: usize) -> String {
        let moment = |rss: &u64| Moment {
            rss: *rss,
            ..Moment::default()
        };
        let moments: Vec<Moment> = sizes.iter().map(moment).collect();
        bars(&moments, columns)
    }

    #[test]
    fn bars_rise_with_the_size() {
        assert_eq!(drawn(&[10, 20, 30, 40, 50, 60, 70, 80], 8), "▁▂▃▄▅▆▇█");
        assert_eq!(drawn(&[10, 80, 10, 10], 2), "█▁");
        assert_eq!(drawn(&[1000, 950, 1010], 3), "█▄█");
        assert_eq!(drawn(&[], 9), "");
    }

    #[test]
    fn rates_are_what_a_count_rises_by() {
        assert_eq!(rate_bars(&[0, 80, 90, 100, 180], 5), "▁█▁▁█");
        assert_eq!(rate_bars(&[0, 10, 20, 30], 2), "██");
        assert_eq!(rate_bars(&[5, 5, 5], 3), "▁▁▁");
        assert_eq!(rate_bars(&[], 3), "");
    }

    proptest! {
        #[test]
        fn a_chart_fits(
            sizes in prop::collection::vec(any::<u64>(), 0..80),
            columns in 1..50_usize,
        ) {
            prop_assert_eq!(drawn(&sizes, columns).chars().count(), columns.min(sizes.len()));
        }
    }
}
