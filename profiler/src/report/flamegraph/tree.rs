//! The tree of frames that a flamegraph draws: frames that look alike are one.

use std::collections::HashMap;

use crate::profile::{FrameId, StackId, StackTable};

/// Frames that are narrower than this part of the whole are left out. The drawing library draws
/// none that is narrower than twice that.
const NARROWEST: u128 = 20_000;

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
    /// Puts stacks together whose frames have the same labels. `none` is the label of a stack
    /// without frames.
    pub(super) fn of(
        stacks: &StackTable,
        weights: [&[(StackId, u64)]; COLUMNS],
        mut label: impl FnMut(FrameId) -> usize,
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
        let mut nodes: Vec<Option<usize>> = vec![None; stacks.stack_count()];
        let mut path = Vec::new();
        for (column, weights) in weights.into_iter().enumerate() {
            for (stack, weight) in weights.iter().filter(|(_, weight)| *weight > 0) {
                // Upwards to what is known already, and down again.
                let mut rest = *stack;
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
                    node = tree.child(node, label(frame));
                    nodes[stack.0 as usize] = Some(node);
                }
                if node == ROOT {
                    node = tree.child(ROOT, none);
                }
                let own = &mut tree.nodes[node].own[column];
                *own = own.saturating_add(*weight);
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

    /// Each node that weighs something: the labels from the outermost to its own, and its weights.
    pub(super) fn paths(&self) -> impl Iterator<Item = (Vec<usize>, [u64; COLUMNS])> {
        let heavy = self.nodes.iter().enumerate().skip(1);
        let heavy = heavy.filter(|(_, node)| node.own.iter().any(|weight| *weight > 0));
        heavy.map(|(number, node)| {
            let mut path = Vec::new();
            let mut rest = number;
            while rest != ROOT {
                path.push(self.nodes[rest].label);
                rest = self.nodes[rest].caller;
            }
            path.reverse();
            (path, node.own)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Frame;

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
        let label = |id| usize::from(table.frame(id).function.as_bytes()[0]);
        let columns = columns.each_ref().map(Vec::as_slice);
        let mut tree = Tree::of(&table, columns, label, usize::from(b'-'));
        if is_pruned {
            tree.prune();
        }
        let letter = |label: usize| u8::try_from(label).map_or('?', char::from);
        let mut told: Vec<_> = tree
            .paths()
            .map(|(path, own)| (path.into_iter().map(letter).collect::<String>(), own))
            .collect();
        told.sort();
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
        let together = [("a", [100_000]), ("a b c", [4]), ("a b d", [4])];
        let expected = [("a", [100_000]), ("ab", [8])];
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
