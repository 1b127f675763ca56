//! A recording for other tools: what each stack, or each line, weighs, in the formats that they
//! read.

mod pprof;
mod profile;
mod speedscope;
mod table;
#[cfg(test)]
mod tests;
mod threads;

use std::collections::BTreeSet;

pub use pprof::pprof;
pub use speedscope::speedscope;
pub use table::table;

use super::{Subject, flamegraph::folded_lines};
use crate::{
    aggregate::{Metric, Selection, weigh},
    profile::{Recorded, StackId},
    units::Pid,
};

/// Stacks as lines, `outermost;…;innermost 1234`, as flame graph tools read them.
pub fn folded(recorded: &Recorded, selection: &Selection, metric: Metric) -> String {
    let weights = weigh(recorded, selection, metric);
    let mut lines = folded_lines(&recorded.stacks, &weights).join("\n");
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines
}

/// The processes that are asked for, each pid once.
fn pids(subject: &Subject<'_>, selection: &Selection) -> BTreeSet<Pid> {
    let processes = subject.findings.processes.iter();
    processes
        .map(|process| process.pid)
        .filter(|pid| selection.pid.is_none_or(|asked| asked == *pid))
        .collect()
}

/// What the stacks of one process weigh.
fn weights_of(
    recorded: &Recorded,
    selection: &Selection,
    pid: Pid,
    metric: Metric,
) -> Vec<(StackId, u64)> {
    let selection = Selection {
        pid: Some(pid),
        ..*selection
    };
    weigh(recorded, &selection, metric)
}
