//! Stacks as folded lines: `outermost;…;innermost 1234`.

use std::collections::{BTreeMap, HashMap, HashSet};

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
        let (mut tree, labels) = tree(stacks, [weights]);
        if is_drawn {
            tree.prune();
        }
        let total = tree.total(0);
        let divisor = divisor(total);
        let mut is_used = vec![false; labels.names.len()];
        for (path, _) in tree.paths() {
            for label in path {
                is_used[label] = true;
            }
        }
        let used = labels.names.iter().zip(&labels.owners).zip(is_used);
        let used = used.filter(|(_, is_used)| *is_used);
        Self {
            lines: lines(&tree, &labels, divisor),
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
    pub(super) fn of(
        stacks: &StackTable,
        first: &[(StackId, u64)],
        second: &[(StackId, u64)],
    ) -> Self {
        let (mut tree, labels) = tree(stacks, [first, second]);
        let is_empty = tree.total(1) == 0;
        let divisor = divisor(tree.total(0).max(tree.total(1)));
        tree.prune();
        Self {
            lines: if is_empty {
                Vec::new()
            } else {
                lines(&tree, &labels, divisor)
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

/// The tree of what is drawn, and what its labels are.
fn tree<'a, const COLUMNS: usize>(
    stacks: &'a StackTable,
    weights: [&[(StackId, u64)]; COLUMNS],
) -> (Tree<COLUMNS>, Labels<'a>) {
    let mut labels = Labels::of(stacks, &weights);
    let none = labels.named(&Frame::pseudo("(no stack)"));
    let tree = Tree::of(stacks, weights, |frame| labels.number(frame), none);
    (tree, labels)
}

/// Sorted by stack: so the drawing library expects them.
fn lines<const COLUMNS: usize>(
    tree: &Tree<COLUMNS>,
    labels: &Labels<'_>,
    divisor: u32,
) -> Vec<String> {
    let folded = tree.paths().map(|(path, own)| {
        let names: Vec<&str> = path
            .iter()
            .map(|label| labels.names[*label].as_str())
            .collect();
        (names.join(";"), own)
    });
    let mut folded: Vec<(String, [u64; COLUMNS])> = folded.collect();
    folded.sort_unstable();
    let line = |(stack, own): (String, [u64; COLUMNS])| {
        with_numbers(stack, own.map(|sum| sum / u64::from(divisor)))
    };
    folded.into_iter().map(line).collect()
}

/// A folded stack becomes a line; it is long, so it is not copied for that.
fn with_numbers<const COUNT: usize>(mut stack: String, numbers: [u64; COUNT]) -> String {
    for number in numbers {
        stack.push(' ');
        stack.push_str(&number.to_string());
    }
    stack
}

/// A weight of so many milliseconds as one of a second.
pub(super) fn scaled(weight: u64, milliseconds: u128) -> u64 {
    let scaled = u128::from(weight) * 1000 / milliseconds.max(1);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// The labels of frames, by number.
struct Labels<'a> {
    stacks: &'a StackTable,
    places: Places,
    of_frames: HashMap<FrameId, usize>,
    numbers: HashMap<String, usize>,
    names: Vec<String>,
    owners: Vec<Owner>,
}

impl<'a> Labels<'a> {
    fn of(stacks: &'a StackTable, weights: &[&[(StackId, u64)]]) -> Self {
        let drawn = weights.iter().copied().flatten();
        let drawn = drawn.filter(|(_, weight)| *weight > 0);
        let mut is_seen = vec![false; stacks.stack_count()];
        let mut frames = HashSet::new();
        for (stack, _) in drawn {
            let mut rest = *stack;
            while let Some((frame, caller)) = stacks.innermost(rest) {
                if std::mem::replace(&mut is_seen[rest.0 as usize], true) {
                    break;
                }
                frames.insert(frame);
                rest = caller;
            }
        }
        Self {
            stacks,
            places: Places::of(frames.iter().map(|id| stacks.frame(*id))),
            of_frames: HashMap::new(),
            numbers: HashMap::new(),
            names: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// The number of a frame's label.
    fn number(&mut self, frame: FrameId) -> usize {
        if let Some(number) = self.of_frames.get(&frame) {
            return *number;
        }
        let number = self.named(self.stacks.frame(frame));
        self.of_frames.insert(frame, number);
        number
    }

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
