//! The file format of speedscope: a sampled profile for each process.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{pids, weights_of};
use crate::{
    aggregate::{Metric, Selection},
    profile::{Frame, FrameId, StackTable},
    report::Subject,
};

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

/// Writes what each stack of each process weighs.
pub fn speedscope(subject: &Subject<'_>, selection: &Selection, metric: Metric) -> String {
    let recorded = subject.recorded;
    let mut frames = Frames::new(&recorded.stacks);
    let profiles: Vec<Value> = pids(subject, selection)
        .into_iter()
        .map(|pid| {
            let weights = weights_of(recorded, selection, pid, metric);
            let total = weights
                .iter()
                .fold(0_u64, |sum, (_, weight)| sum.saturating_add(*weight));
            let samples: Vec<Vec<usize>> = weights
                .iter()
                .map(|(stack, _)| {
                    let innermost_first = recorded.stacks.frames_of(*stack);
                    let mut numbers: Vec<usize> =
                        innermost_first.map(|id| frames.number(id)).collect();
                    numbers.reverse();
                    numbers
                })
                .collect();
            let weights: Vec<u64> = weights.iter().map(|(_, weight)| *weight).collect();
            json!({
                "type": "sampled",
                "name": format!("process {pid}, {}", metric.name()),
                "unit": if metric.is_bytes() { "bytes" } else { "none" },
                "startValue": 0,
                "endValue": total,
                "samples": samples,
                "weights": weights,
            })
        })
        .collect();
    let file = json!({
        "$schema": SCHEMA,
        "name": format!("{}, {}", recorded.facts.target, metric.name()),
        "exporter": format!("heaptide {}", env!("CARGO_PKG_VERSION")),
        "activeProfileIndex": 0,
        "shared": { "frames": frames.written },
        "profiles": profiles,
    });
    format!("{file}\n")
}

/// The frames that stacks need, each once.
struct Frames<'a> {
    stacks: &'a StackTable,
    numbers: HashMap<FrameId, usize>,
    written: Vec<Value>,
}

impl<'a> Frames<'a> {
    fn new(stacks: &'a StackTable) -> Self {
        Self {
            stacks,
            numbers: HashMap::new(),
            written: Vec::new(),
        }
    }

    fn number(&mut self, id: FrameId) -> usize {
        let next = self.written.len();
        let number = *self.numbers.entry(id).or_insert(next);
        if number == next {
            self.written.push(described(self.stacks.frame(id)));
        }
        number
    }
}

fn described(frame: &Frame) -> Value {
    let mut described = json!({ "name": frame.function });
    if !frame.file.is_empty() {
        described["file"] = json!(frame.file);
    }
    if frame.line > 0 {
        described["line"] = json!(frame.line);
    }
    described
}
