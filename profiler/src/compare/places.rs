//! Which line of one recording is which of another.

use std::collections::{BTreeMap, HashMap};

use super::{
    align::{Line, align},
    files::{Files, pair},
};
use crate::{
    aggregate::Spread,
    profile::{Frame, FrameId, Recorded},
};

/// Which line is which.
#[derive(Clone, Debug, Default)]
pub(super) struct Matches {
    /// The frame after, by the one before.
    pub(super) after: HashMap<FrameId, FrameId>,
    /// The other way round.
    pub(super) before: HashMap<FrameId, FrameId>,
    /// Files that have another path now.
    pub(super) renamed: Vec<(String, String)>,
}

/// The lines of a function in a file.
type Functions<'a> = BTreeMap<(&'a str, &'a str), Vec<(Line, FrameId)>>;

impl Matches {
    /// Matches all lines of two recordings.
    pub(super) fn of(recordings: [&Recorded; 2], spreads: [&Spread; 2]) -> Self {
        let functions = [0, 1].map(|side| functions(recordings[side], spreads[side]));
        let files = functions.each_ref().map(files);
        let files = pair(&files[0], &files[1]);
        let mut matches = Self {
            renamed: (files.iter())
                .filter(|(before, after)| before != after)
                .map(|(before, after)| ((*before).to_owned(), (*after).to_owned()))
                .collect(),
            ..Self::default()
        };
        for ((file, function), before) in &functions[0] {
            let key = files.get(file).map(|file| (*file, *function));
            let Some(after) = key.and_then(|key| functions[1].get(&key)) else {
                continue;
            };
            let lines = |list: &[(Line, FrameId)]| list.iter().map(|it| it.0).collect::<Vec<_>>();
            for (one, other) in align(&lines(before), &lines(after)) {
                matches.after.insert(before[one].1, after[other].1);
                matches.before.insert(after[other].1, before[one].1);
            }
        }
        matches
    }
}

/// All frames of a recording, by file and function, in the order of lines.
fn functions<'a>(recorded: &'a Recorded, spread: &Spread) -> Functions<'a> {
    let mut pieces = HashMap::<FrameId, (u64, u64)>::new();
    for line in &spread.lines {
        if let Some(frame) = line.frame {
            let (bytes, count) = pieces.entry(frame).or_default();
            *bytes = bytes.saturating_add(line.flows.allocated.estimate.estimate);
            *count = count.saturating_add(line.allocations);
        }
    }
    let mut functions = Functions::new();
    for (id, frame) in frames(recorded) {
        let line = Line {
            number: frame.line,
            piece: pieces
                .get(&id)
                .map(|(bytes, count)| quotient(*bytes, *count)),
        };
        let key = (frame.file.as_str(), frame.function.as_str());
        functions.entry(key).or_default().push((line, id));
    }
    for lines in functions.values_mut() {
        lines.sort_by_key(|(line, _)| line.number);
    }
    functions
}

fn frames(recorded: &Recorded) -> impl Iterator<Item = (FrameId, &Frame)> {
    let stacks = &recorded.stacks;
    let count = u32::try_from(stacks.frame_count()).unwrap_or(u32::MAX);
    (0..count).map(FrameId).map(|id| (id, stacks.frame(id)))
}

fn files<'a>(functions: &Functions<'a>) -> Files<'a> {
    let mut files = Files::new();
    for (file, function) in functions.keys() {
        files.entry(file).or_default().insert(function);
    }
    files
}

#[expect(clippy::cast_precision_loss, reason = "sizes are compared roughly")]
fn quotient(bytes: u64, count: u64) -> f64 {
    bytes as f64 / count.max(1) as f64
}
