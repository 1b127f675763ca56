//! Which line of a function is which, when lines have moved: most move together, and the order of
//! the others stays.

/// What is known of a line of a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) number: u32,
    /// How large the pieces are that it allocates; `None` if it only calls others.
    pub(super) piece: Option<f64>,
}

/// Functions with more lines than this in a recording are made up.
const MOST: usize = 500;

/// Pieces that differ by more than this are of other code.
const LIKE: f64 = 0.25;

/// Pairs lines of a function before and after, by their places in two ascending lists.
pub(super) fn align(before: &[Line], after: &[Line]) -> Vec<(usize, usize)> {
    let shift = if before.len().max(after.len()) > MOST {
        0
    } else {
        best_shift(before, after)
    };
    let mut pairs = Vec::new();
    let mut done = (0, 0);
    for (place, line) in before.iter().enumerate() {
        let number = i64::from(line.number) + shift;
        let found = after.binary_search_by_key(&number, |other| i64::from(other.number));
        if let Ok(other) = found {
            between(before, after, (done, (place, other)), &mut pairs);
            pairs.push((place, other));
            done = (place + 1, other + 1);
        }
    }
    between(
        before,
        after,
        (done, (before.len(), after.len())),
        &mut pairs,
    );
    pairs
}

/// By how much most lines moved; if that may be several, the least.
fn best_shift(before: &[Line], after: &[Line]) -> i64 {
    let mut scores = std::collections::BTreeMap::<i64, f64>::new();
    for line in before {
        for other in after {
            let shift = i64::from(other.number) - i64::from(line.number);
            *scores.entry(shift).or_default() += likeness(*line, *other);
        }
    }
    let mut best = (0_i64, 0.0);
    for (shift, score) in scores {
        let is_nearer = shift.abs() < best.0.abs() && score > best.1 - 1e-9;
        if score > best.1 + 1e-9 || is_nearer {
            best = (shift, score);
        }
    }
    best.0
}

/// How much two lines are alike.
fn likeness(line: Line, other: Line) -> f64 {
    match (line.piece, other.piece) {
        (Some(one), Some(other)) => 1.0 + ratio(one, other),
        (None, None) => 1.0,
        _ => 0.5,
    }
}

fn ratio(one: f64, other: f64) -> f64 {
    let ratio = one.min(other) / one.max(other);
    if ratio.is_finite() { ratio } else { 1.0 }
}

/// From where to where in both lists.
type Gap = ((usize, usize), (usize, usize));

/// Pairs what allocates between two pairs of lines, in its order, so that pieces are as alike as
/// they can be.
fn between(before: &[Line], after: &[Line], gap: Gap, pairs: &mut Vec<(usize, usize)>) {
    let ((from, other_from), (to, other_to)) = gap;
    let (rows, columns) = (to - from, other_to.saturating_sub(other_from));
    if rows == 0 || columns == 0 || rows.max(columns) > MOST {
        return;
    }
    let score = |row: usize, column: usize| {
        let pieces = (before[from + row].piece, after[other_from + column].piece);
        match pieces {
            (Some(one), Some(other)) => Some(ratio(one, other)).filter(|it| *it >= LIKE),
            _ => None,
        }
    };
    let mut best = vec![vec![0.0_f64; columns + 1]; rows + 1];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let paired = score(row, column).map_or(0.0, |it| it + best[row + 1][column + 1]);
            best[row][column] = paired.max(best[row + 1][column]).max(best[row][column + 1]);
        }
    }
    let (mut row, mut column) = (0, 0);
    while row < rows && column < columns {
        let here = best[row][column];
        let paired = score(row, column).map(|it| it + best[row + 1][column + 1]);
        if paired.is_some_and(|paired| paired >= here) {
            pairs.push((from + row, other_from + column));
            (row, column) = (row + 1, column + 1);
        } else if best[row + 1][column] >= here {
            row += 1;
        } else {
            column += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines that allocate pieces of a size; with zero they only call.
    fn lines(list: &[(u32, f64)]) -> Vec<Line> {
        let line = |(number, piece): &(u32, f64)| Line {
            number: *number,
            piece: (*piece > 0.0).then_some(*piece),
        };
        list.iter().map(line).collect()
    }

    #[track_caller]
    fn check(before: &[(u32, f64)], after: &[(u32, f64)], expected: &[(u32, u32)]) {
        let pairs = align(&lines(before), &lines(after));
        let pairs: Vec<_> = (pairs.iter())
            .map(|(one, other)| (before[*one].0, after[*other].0))
            .collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn lines_that_stay_are_themselves() {
        check(
            &[(10, 64.0), (12, 64.0)],
            &[(10, 64.0), (12, 64.0)],
            &[(10, 10), (12, 12)],
        );
    }

    #[test]
    fn lines_that_moved_together_are_matched() {
        check(
            &[(10, 64.0), (12, 64.0)],
            &[(12, 64.0), (14, 64.0)],
            &[(10, 12), (12, 14)],
        );
        check(&[(26, 64.0)], &[(31, 64.0)], &[(26, 31)]);
    }

    #[test]
    fn lines_after_an_inserted_one_are_matched_in_their_order() {
        check(
            &[(10, 64.0), (12, 512.0), (13, 48.0)],
            &[(10, 64.0), (11, 9000.0), (14, 512.0), (15, 48.0)],
            &[(10, 10), (12, 14), (13, 15)],
        );
        check(
            &[(10, 64.0), (12, 512.0)],
            &[(10, 64.0), (15, 500.0)],
            &[(10, 10), (12, 15)],
        );
    }

    #[test]
    fn a_line_that_does_something_else_is_another() {
        check(
            &[(10, 64.0), (12, 512.0)],
            &[(10, 64.0), (13, 32.0)],
            &[(10, 10)],
        );
        check(
            &[(10, 64.0), (12, 9000.0), (15, 48.0)],
            &[(10, 64.0), (14, 48.0)],
            &[(10, 10), (15, 14)],
        );
    }

    #[test]
    fn lines_that_call_show_the_way() {
        check(
            &[(10, 0.0), (11, 64.0), (12, 0.0)],
            &[(11, 64.0), (20, 0.0), (21, 64.0), (22, 0.0)],
            &[(10, 20), (11, 21), (12, 22)],
        );
    }

    proptest! {
        #[test]
        fn nothing_is_paired_twice_and_order_stays(
            before in prop::collection::btree_map(1_u32..60, 0.0..4000.0, 0..12),
            after in prop::collection::btree_map(1_u32..60, 0.0..4000.0, 0..12),
        ) {
            let [before, after] = [before, after]
                .map(|map| lines(&map.into_iter().collect::<Vec<_>>()));
            let pairs = align(&before, &after);
            for pair in pairs.windows(2) {
                prop_assert!(pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
            }
        }

        #[test]
        fn what_only_moved_is_found_again(
            before in prop::collection::btree_map(1_u32..600, 1.0..4000.0, 0..12),
            shift in 0_u32..100,
        ) {
            let before = lines(&before.into_iter().collect::<Vec<_>>());
            let mut after = before.clone();
            for line in &mut after {
                line.number += shift;
            }
            let same: Vec<_> = (0..before.len()).map(|place| (place, place)).collect();
            prop_assert_eq!(align(&before, &after), same);
        }
    }
}
