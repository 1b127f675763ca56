//! Stacks as folded lines: `outermost;…;innermost 1234`.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    mem,
};

use super::tree::Tree;
use crate::{
    profile::{Frame, FrameId, StackId, StackTable},
    report::{Owner, Places},
};

/// The longest label, in columns: no window shows more, and no name of a target may take more.
const LABEL: usize = 200;
/// The largest sum that the drawing computes with: beyond it, its numbers are no longer exact.
const LARGEST: u64 = 1 << 53;

/// Folded stacks, sorted, and each only once.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// The lines.
    pub(super) lines: Vec<String>,
    /// Whose code each label in them stands for.
    pub(super) owners: BTreeMap<String, Owner>,
    /// What a unit in the lines stands for.
    pub(super) factor: f64,
    /// The sum of all weights.
    pub(super) total: u64,
}

impl Folded {
    /// Folds all stacks that weigh something.
    pub(super) fn all(stacks: &StackTable, weights: &[(StackId, u64)]) -> Self {
        Self::of(stacks, weights, false)
    }

    /// Folds what is wide enough to be drawn; what is not counts for its caller.
    pub(super) fn drawn(stacks: &StackTable, weights: &[(StackId, u64)]) -> Self {
        Self::of(stacks, weights, true)
    }

    fn of(stacks: &StackTable, weights: &[(StackId, u64)], is_drawn: bool) -> Self {
        let (mut tree, labels) = tree(&[Column::of(stacks, weights)]);
        if is_drawn {
            tree.prune();
        }
        let total = tree.total(0);
        let divisor = divisor(total);
        let mut is_used = vec![false; labels.names.len()];
        let lines = lines(&tree, &labels, divisor, |label| is_used[label] = true);
        let used = labels.names.iter().zip(&labels.owners).zip(is_used);
        let used = used.filter(|(_, is_used)| *is_used);
        Self {
            lines,
            owners: used
                .map(|((name, owner), _)| (name.clone(), *owner))
                .collect(),
            factor: f64::from(divisor),
            total: u64::try_from(total).unwrap_or(u64::MAX),
        }
    }

    /// Whether there is nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }
}

/// Folded stacks with two weights each, sorted, and each only once.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// The lines; none if the second weights are all zero.
    pub(super) lines: Vec<String>,
    /// What a unit in the lines stands for.
    pub(super) factor: f64,
}

impl Pairs {
    /// Folds the stacks that are wide enough to be drawn by their second weights.
    pub(super) fn of(columns: &[Column<'_>; 2]) -> Self {
        let (mut tree, labels) = tree(columns);
        let is_empty = tree.total(1) == 0;
        let divisor = divisor(tree.total(0).max(tree.total(1)));
        tree.prune();
        Self {
            lines: if is_empty {
                Vec::new()
            } else {
                lines(&tree, &labels, divisor, |_label| ())
            },
            factor: f64::from(divisor),
        }
    }
}

/// By what sums are divided so that the drawing can compute with them.
fn divisor(total: u128) -> u32 {
    let mut divisor: u32 = 1;
    while total / u128::from(divisor) > u128::from(LARGEST) {
        divisor *= 2;
    }
    divisor
}

/// Stacks, what they weigh, and which frame stands for one of theirs.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) stacks: &'a StackTable,
    weights: &'a [(StackId, u64)],
    /// The frames that stand for some of its own; all others stand for themselves.
    replaced: Option<Replaced<'a>>,
}

/// Frames that stand for others, and the table that has them.
type Replaced<'a> = (&'a HashMap<FrameId, FrameId>, &'a StackTable);

impl<'a> Column<'a> {
    /// Each frame stands for itself.
    pub(super) const fn of(stacks: &'a StackTable, weights: &'a [(StackId, u64)]) -> Self {
        Self {
            stacks,
            weights,
            replaced: None,
        }
    }

    /// Some frames of another table stand for those of this one.
    pub(super) const fn replaced(self, by: Replaced<'a>) -> Self {
        Self {
            replaced: Some(by),
            ..self
        }
    }

    /// What weighs something.
    pub(super) fn heavy(&self) -> impl Iterator<Item = (StackId, u64)> + 'a {
        let weights = self.weights.iter().copied();
        weights.filter(|(_, weight)| *weight > 0)
    }

    /// The frame that stands for one.
    fn frame(&self, id: FrameId) -> &'a Frame {
        let other = self.replaced.and_then(|(frames, stacks)| {
            let id = frames.get(&id)?;
            Some(stacks.frame(*id))
        });
        other.unwrap_or_else(|| self.stacks.frame(id))
    }

    /// The frames of all stacks that weigh something.
    fn frames(&self) -> Vec<&'a Frame> {
        let mut is_seen = vec![false; self.stacks.stack_count()];
        let mut is_used = vec![false; self.stacks.frame_count()];
        let mut frames = Vec::new();
        for (stack, _) in self.heavy() {
            let mut rest = stack;
            while let Some((frame, caller)) = self.stacks.innermost(rest) {
                if mem::replace(&mut is_seen[rest.0 as usize], true) {
                    break;
                }
                if !mem::replace(&mut is_used[frame.0 as usize], true) {
                    frames.push(self.frame(frame));
                }
                rest = caller;
            }
        }
        frames
    }
}

/// The tree of what is drawn, and what its labels are.
fn tree<const COLUMNS: usize>(columns: &[Column<'_>; COLUMNS]) -> (Tree<COLUMNS>, Labels) {
    let mut labels = Labels::of(columns);
    let none = labels.named(&Frame::pseudo("(no stack)"));
    let mut numbers = columns.map(|column| vec![None; column.stacks.frame_count()]);
    let label = |column: usize, frame: FrameId| {
        let number = &mut numbers[column][frame.0 as usize];
        *number.get_or_insert_with(|| labels.named(columns[column].frame(frame)))
    };
    let tree = Tree::of(columns, label, none);
    (tree, labels)
}

/// The lines, sorted: so the drawing library expects them. `uses` is told the labels in them.
fn lines<const COLUMNS: usize>(
    tree: &Tree<COLUMNS>,
    labels: &Labels,
    divisor: u32,
    mut uses: impl FnMut(usize),
) -> Vec<String> {
    let mut lines = Vec::new();
    tree.walk(&labels.ranks(), |path, own| {
        let mut line = String::new();
        for label in path {
            uses(*label);
            if !line.is_empty() {
                line.push(';');
            }
            line.push_str(&labels.names[*label]);
        }
        for sum in own {
            write!(line, " {}", sum / u64::from(divisor)).expect("a string takes everything");
        }
        lines.push(line);
    });
    // They are sorted but for labels with which other ones start.
    lines.sort_unstable();
    lines
}

/// A weight of so many milliseconds as one of a second.
pub(super) fn scaled(weight: u64, milliseconds: u128) -> u64 {
    let scaled = u128::from(weight) * 1000 / milliseconds.max(1);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// The labels of frames, by number.
struct Labels {
    places: Places,
    numbers: HashMap<String, usize>,
    names: Vec<String>,
    owners: Vec<Owner>,
}

impl Labels {
    fn of(columns: &[Column<'_>]) -> Self {
        Self {
            places: Places::of(columns.iter().flat_map(Column::frames)),
            numbers: HashMap::new(),
            names: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// The places of the labels if these are sorted.
    fn ranks(&self) -> Vec<usize> {
        let mut sorted: Vec<usize> = (0..self.names.len()).collect();
        sorted.sort_unstable_by_key(|label| &self.names[*label]);
        let mut ranks = vec![0; sorted.len()];
        for (rank, label) in sorted.into_iter().enumerate() {
            ranks[label] = rank;
        }
        ranks
    }

    /// The number of a frame's label.
    fn named(&mut self, frame: &Frame) -> usize {
        let label = one_field(&self.places.label_within(frame, LABEL));
        let owner = Owner::of(frame);
        let next = self.names.len();
        let number = *self.numbers.entry(label.clone()).or_insert(next);
        if number == next {
            self.names.push(label);
            self.owners.push(owner);
        }
        // Two frames may look alike; then the code that the user can change has the say.
        self.owners[number] = owner.min(self.owners[number]);
        number
    }
}

/// Makes a label a field of a folded line: a semicolon would end the field, a number at the end
/// would pass for the weight, and a `#` at the beginning for a comment.
fn one_field(label: &str) -> String {
    let label = label.replace(';', ",");
    if label.starts_with('#') || label.ends_with(|c: char| c.is_ascii_digit()) {
        format!("[{label}]")
    } else {
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(frames: &[Frame]) -> (StackTable, StackId) {
        let mut table = StackTable::default();
        let ids: Vec<FrameId> = frames.iter().map(|f| table.intern_frame(f)).collect();
        let stack = table.intern(ids);
        (table, stack)
    }

    #[track_caller]
    fn check(names: &[&str], expected: &str) {
        let frames: Vec<Frame> = names.iter().map(|name| Frame::pseudo(name)).collect();
        let (table, stack) = table(&frames);
        assert_eq!(Folded::all(&table, &[(stack, 7)]).lines, [expected]);
    }

    #[test]
    fn what_means_something_in_a_folded_line_is_replaced() {
        check(&["a;b", "c\nd"], "a,b;c\\nd 7");
        check(&["# no comment", "x"], "[# no comment];x 7");
        check(&["x", "takes 12"], "x;[takes 12] 7");
        check(&["", " "], "?;? 7");
        check(&[], "(no stack) 7");
    }

    #[test]
    fn stacks_that_look_alike_are_one() {
        let one = Frame {
            function: "f".to_owned(),
            file: "/one/lib/python3.12/site-packages/a.py".to_owned(),
            line: 1,
        };
        let other = Frame {
            file: "/other/lib/python3.12/site-packages/a.py".to_owned(),
            ..one.clone()
        };
        let mut table = StackTable::default();
        let weights = [(&one, 3), (&other, 4)].map(|(frame, weight)| {
            let id = table.intern_frame(frame);
            (table.intern([id]), weight)
        });
        assert_eq!(Folded::all(&table, &weights).lines, ["f (a.py:1) 7"]);
    }

    #[test]
    fn sums_beyond_what_can_be_drawn_are_scaled() {
        let (mut table, one) = table(&[Frame::pseudo("one")]);
        let id = table.intern_frame(&Frame::pseudo("other"));
        let other = table.intern([id]);
        let folded = Folded::all(&table, &[(one, u64::MAX), (other, u64::MAX)]);
        assert_eq!(folded.total, u64::MAX);
        let drawn: u64 = folded
            .lines
            .iter()
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        assert!(drawn <= LARGEST);
        assert!(folded.factor > 1.0);
    }

    #[test]
    fn what_weighs_nothing_is_left_out() {
        let (table, stack) = table(&[Frame::pseudo("x")]);
        assert!(Folded::all(&table, &[(stack, 0)]).is_empty());
        assert!(Folded::all(&table, &[]).is_empty());
    }
}
