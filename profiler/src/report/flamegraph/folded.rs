//! Stacks as folded lines: `outermost;…;innermost 1234`.

use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// Whose code each label stands for.
    pub(super) owners: BTreeMap<String, Owner>,
    /// What a unit in the lines stands for.
    pub(super) factor: f64,
    /// The sum of all weights.
    pub(super) total: u64,
}

impl Folded {
    /// Folds the stacks that weigh something.
    pub(super) fn of(stacks: &StackTable, weights: &[(StackId, u64)]) -> Self {
        let mut labels = Labels::of(stacks, weights);
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (stack, weight) in weights.iter().filter(|(_, weight)| *weight > 0) {
            let sum = sums.entry(labels.fold(*stack)).or_default();
            *sum = sum.saturating_add(*weight);
        }
        let total: u128 = sums.values().map(|sum| u128::from(*sum)).sum();
        let mut divisor: u32 = 1;
        while total / u128::from(divisor) > u128::from(LARGEST) {
            divisor *= 2;
        }
        let lines = sums
            .into_iter()
            .map(|(stack, sum)| with_numbers(stack, [sum / u64::from(divisor)]))
            .collect();
        Self {
            lines,
            owners: labels.owners,
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
    /// Folds the stacks that weigh something on either side.
    pub(super) fn of(
        stacks: &StackTable,
        first: &[(StackId, u64)],
        second: &[(StackId, u64)],
    ) -> Self {
        let all = [first, second].concat();
        let mut labels = Labels::of(stacks, &all);
        let mut sums: BTreeMap<String, [u64; 2]> = BTreeMap::new();
        for (side, weights) in [first, second].into_iter().enumerate() {
            for (stack, weight) in weights {
                let sum = &mut sums.entry(labels.fold(*stack)).or_default()[side];
                *sum = sum.saturating_add(*weight);
            }
        }
        let total = |side: usize| sums.values().map(|sum| u128::from(sum[side])).sum::<u128>();
        let mut divisor: u32 = 1;
        while total(0).max(total(1)) / u128::from(divisor) > u128::from(LARGEST) {
            divisor *= 2;
        }
        let is_empty = total(1) == 0;
        let line = |(stack, sum): (String, [u64; 2])| {
            with_numbers(stack, sum.map(|sum| sum / u64::from(divisor)))
        };
        Self {
            lines: if is_empty {
                Vec::new()
            } else {
                sums.into_iter().map(line).collect()
            },
            factor: f64::from(divisor),
        }
    }
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

/// The labels of frames.
struct Labels<'a> {
    stacks: &'a StackTable,
    places: Places,
    known: HashMap<FrameId, String>,
    owners: BTreeMap<String, Owner>,
}

impl<'a> Labels<'a> {
    fn of(stacks: &'a StackTable, weights: &[(StackId, u64)]) -> Self {
        let drawn = weights.iter().filter(|(_, weight)| *weight > 0);
        let frames = drawn.flat_map(|(stack, _)| stacks.frames_of(*stack));
        let frames: HashSet<FrameId> = frames.collect();
        Self {
            stacks,
            places: Places::of(frames.iter().map(|id| stacks.frame(*id))),
            known: HashMap::new(),
            owners: BTreeMap::new(),
        }
    }

    fn fold(&mut self, stack: StackId) -> String {
        let stacks = self.stacks;
        let mut frames: Vec<FrameId> = stacks.frames_of(stack).collect();
        if frames.is_empty() {
            return self.named(&Frame::pseudo("(no stack)"));
        }
        frames.reverse();
        for id in &frames {
            if !self.known.contains_key(id) {
                let label = self.named(stacks.frame(*id));
                self.known.insert(*id, label);
            }
        }
        let labels: Vec<&str> = frames.iter().map(|id| self.known[id].as_str()).collect();
        labels.join(";")
    }

    fn named(&mut self, frame: &Frame) -> String {
        let label = one_field(&self.places.label_within(frame, LABEL));
        // Two frames may look alike; then the code that the user can change has the say.
        let owner = Owner::of(frame);
        self.owners
            .entry(label.clone())
            .and_modify(|known| *known = owner.min(*known))
            .or_insert(owner);
        label
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
        assert_eq!(Folded::of(&table, &[(stack, 7)]).lines, [expected]);
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
        assert_eq!(Folded::of(&table, &weights).lines, ["f (a.py:1) 7"]);
    }

    #[test]
    fn sums_beyond_what_can_be_drawn_are_scaled() {
        let (mut table, one) = table(&[Frame::pseudo("one")]);
        let id = table.intern_frame(&Frame::pseudo("other"));
        let other = table.intern([id]);
        let folded = Folded::of(&table, &[(one, u64::MAX), (other, u64::MAX)]);
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
        assert!(Folded::of(&table, &[(stack, 0)]).is_empty());
        assert!(Folded::of(&table, &[]).is_empty());
    }
}
