//! The tree of frames that a flamegraph draws: frames that look alike are one.

use foldhash::{HashMap, HashMapExt as _};

use super::folded::Column;
use crate::profile::FrameId;

/// Frames that are narrower than this part of the whole are left out. The drawing library draws
/// none that is narrower than a ten-thousandth.
const NARROWEST: u128 = 10_100;

/// The number of the root, which is no frame.
const ROOT: usize = 0;

/// Labels by caller, with `COLUMNS` weights each. The last column is the one that is drawn as
/// width.
#[derive(Debug)]
pub(super) struct Tree<const COLUMNS: usize> {
    nodes: Vec<Node<COLUMNS>>,
    known: HashMap<(usize, usize), usize>,
}

/// A label and its caller, which has a smaller number.
#[derive(Clone, Copy, Debug)]
struct Node<const COLUMNS: usize> {
    caller: usize,
    label: usize,
    /// What weighs here and in nothing that is called from here.
    own: [u64; COLUMNS],
}

impl<const COLUMNS: usize> Tree<COLUMNS> {
    /// Puts stacks together whose frames have the same labels; `label` gives that of a frame of a
    /// column, by the column's number. `none` is the label of a stack without frames.
    pub(super) fn of(
        columns: &[Column<'_>; COLUMNS],
        mut label: impl FnMut(usize, FrameId) -> usize,
        none: usize,
    ) -> Self {
        let root = Node {
            caller: ROOT,
            label: none,
            own: [0; COLUMNS],
        };
        let mut tree = Self {
            nodes: vec![root],
            known: HashMap::new(),
        };
        let mut path = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            let stacks = column.stacks;
            let mut nodes: Vec<Option<usize>> = vec![None; stacks.stack_count()];
            for (stack, weight) in column.heavy() {
                // Upwards to what is known already, and down again.
                let mut rest = stack;
                let mut node = ROOT;
                path.clear();
                while let Some((frame, caller)) = stacks.innermost(rest) {
                    if let Some(known) = nodes[rest.0 as usize] {
                        node = known;
                        break;
                    }
                    path.push((rest, frame));
                    rest = caller;
                }
                while let Some((stack, frame)) = path.pop() {
                    node = tree.child(node, label(number, frame));
                    nodes[stack.0 as usize] = Some(node);
                }
                if node == ROOT {
                    node = tree.child(ROOT, none);
                }
                let own = &mut tree.nodes[node].own[number];
                *own = own.saturating_add(weight);
            }
        }
        tree
    }

    fn child(&mut self, caller: usize, label: usize) -> usize {
        let next = self.nodes.len();
        let node = *self.known.entry((caller, label)).or_insert(next);
        if node == next {
            self.nodes.push(Node {
                caller,
                label,
                own: [0; COLUMNS],
            });
        }
        node
    }

    /// The sum of a column.
    pub(super) fn total(&self, column: usize) -> u128 {
        let own = self.nodes.iter().map(|node| u128::from(node.own[column]));
        own.sum()
    }

    /// Gives what is too narrow to be drawn to its caller: sums and what is drawn stay the same.
    /// What differs between columns is told of a frame itself, so in those before the last, as
    /// much is added as the width grew by.
    pub(super) fn prune(&mut self) {
        let width = COLUMNS - 1;
        let total = self.total(width);
        let mut inclusive: Vec<u128> = (self.nodes.iter())
            .map(|node| u128::from(node.own[width]))
            .collect();
        for number in (1..self.nodes.len()).rev() {
            let Node { caller, own, .. } = self.nodes[number];
            inclusive[caller] += inclusive[number];
            // What stands on the ground has no caller to give anything to.
            if caller != ROOT && inclusive[number] * NARROWEST < total {
                self.nodes[number].own = [0; COLUMNS];
                for sum in &mut self.nodes[caller].own {
                    *sum = sum.saturating_add(own[width]);
                }
            }
        }
    }

    /// Calls `visit` with each node that weighs something: the labels from the outermost to its
    /// own, and its weights. Callers come before what they call, and what has the same caller in
    /// the order of the labels' ranks.
    pub(super) fn walk(&self, ranks: &[usize], mut visit: impl FnMut(&[usize], [u64; COLUMNS])) {
        let rank = |number: usize| (self.nodes[number].caller, ranks[self.nodes[number].label]);
        let mut children: Vec<usize> = (1..self.nodes.len()).collect();
        children.sort_unstable_by_key(|number| rank(*number));
        let mut starts = vec![0; self.nodes.len() + 1];
        for node in &self.nodes[1..] {
            starts[node.caller + 1] += 1;
        }
        for number in 1..starts.len() {
            starts[number] += starts[number - 1];
        }
        let children_of = |number: usize| children[starts[number]..starts[number + 1]].iter();
        let mut path = Vec::new();
        let mut open = vec![children_of(ROOT)];
        while let Some(rest) = open.last_mut() {
            let Some(number) = rest.next() else {
                open.pop();
                path.pop();
                continue;
            };
            let Node { label, own, .. } = self.nodes[*number];
            path.push(label);
            if own.iter().any(|weight| *weight > 0) {
                visit(&path, own);
            }
            open.push(children_of(*number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Frame, StackId, StackTable};

    /// A table with stacks of frames with these names, outermost first.
    fn stacks(paths: &[&str]) -> (StackTable, Vec<StackId>) {
        let mut table = StackTable::default();
        let ids = paths.iter().map(|path| {
            let frames = path.split_whitespace().map(Frame::pseudo);
            let frames: Vec<FrameId> = frames.map(|it| table.intern_frame(&it)).collect();
            table.intern(frames)
        });
        let ids = ids.collect();
        (table, ids)
    }

    /// The paths of a tree as text, with frames labelled by the first letter of their names.
    fn told<const COLUMNS: usize>(
        paths: &[(&str, [u64; COLUMNS])],
        is_pruned: bool,
    ) -> Vec<(String, [u64; COLUMNS])> {
        let names: Vec<&str> = paths.iter().map(|(path, _)| *path).collect();
        let (table, ids) = stacks(&names);
        let column = |column: usize| -> Vec<(StackId, u64)> {
            let weights = paths.iter().map(|(_, weights)| weights[column]);
            ids.iter().copied().zip(weights).collect()
        };
        let columns: [Vec<(StackId, u64)>; COLUMNS] = std::array::from_fn(column);
        let label = |_column, id| usize::from(table.frame(id).function.as_bytes()[0]);
        let columns = columns
            .each_ref()
            .map(|weights| Column::of(&table, weights));
        let mut tree = Tree::of(&columns, label, usize::from(b'-'));
        if is_pruned {
            tree.prune();
        }
        let letter = |label: usize| u8::try_from(label).map_or('?', char::from);
        let ranks: Vec<usize> = (0..256).collect();
        let mut told = Vec::new();
        tree.walk(&ranks, |path, own| {
            told.push((path.iter().copied().map(letter).collect::<String>(), own));
        });
        told
    }

    #[test]
    fn frames_with_the_same_label_are_one() {
        let paths = [("a b1 c", [3]), ("a b2 c", [4]), ("a b1", [5]), ("", [6])];
        let expected = [("-", [6]), ("ab", [5]), ("abc", [7])];
        let expected = expected.map(|(path, own)| (path.to_owned(), own));
        assert_eq!(told(&paths, false), expected);
    }

    #[test]
    fn what_is_too_narrow_weighs_in_its_caller() {
        let paths = [("a", [100_000]), ("a b c", [2]), ("a b d", [2]), ("z", [1])];
        let expected = [("a", [100_004]), ("z", [1])];
        let expected = expected.map(|(path, own)| (path.to_owned(), own));
        assert_eq!(told(&paths, true), expected);
        let together = [("a", [100_000]), ("a b c", [6]), ("a b d", [6])];
        let expected = [("a", [100_000]), ("ab", [12])];
        let expected = expected.map(|(path, own)| (path.to_owned(), own));
        assert_eq!(
            told(&together, true),
            expected,
            "together they are wide enough"
        );
    }

    #[test]
    fn what_becomes_of_a_frame_itself_is_told_as_before() {
        let paths = [
            ("a", [50_000, 100_000]),
            ("a gone", [700, 0]),
            ("a new", [0, 3]),
        ];
        let expected = [("a", [50_003, 100_003])];
        let expected = expected.map(|(path, own)| (path.to_owned(), own));
        assert_eq!(told(&paths, true), expected);
    }
}
