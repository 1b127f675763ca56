//! A program that keeps blocks of all sizes, and what heaptide says of it.

use std::process::Command;

use super::{
    Heaptide, Program, Python, Report,
    program::{place, script},
    report::Site,
};

/// What the program does and says in a test: an order, and the line that keeps.
const LARGE: [(&str, &str); 3] = [("make", "makes"), ("zero", "zeroes"), ("grow", "grows")];

/// What a program says that it keeps, and what heaptide says.
pub(crate) struct Seen {
    /// For each line with large blocks its own figure and heaptide's.
    pub(crate) large: [(u64, u64); 3],
    pub(crate) small: (u64, u64),
    pub(crate) report: Report,
    command: String,
}

/// Starts a program, with heaptide beside it while it allocates.
#[track_caller]
pub(crate) fn watch(command: &mut Command) -> Seen {
    let mut program = Program::spawn(command);
    let heaptide = Heaptide::attach(&program);
    let large = LARGE.map(|(order, line)| (program.ask(order), line));
    let small = program.ask("small");
    let report = heaptide.stop().report();
    report.expect_no_losses();
    let retained = |line| {
        let site = report.find(&place("keeps_all_sizes", line));
        site.map_or(0, Site::retained)
    };
    Seen {
        large: large.map(|(truth, line)| (truth, retained(line))),
        small: (small, retained("keeps small")),
        report,
        command: format!("{command:?}"),
    }
}

impl Seen {
    #[track_caller]
    pub(crate) fn expect_large(&self) -> &Self {
        for (truth, found) in self.large {
            let is_near = found.abs_diff(truth) * 20 <= truth;
            assert!(is_near, "{}: {found} not {truth}", self.command);
        }
        self
    }

    /// Checks the figure for small objects, and that nothing else counts them again.
    #[track_caller]
    pub(crate) fn expect_small(&self) -> &Self {
        let (truth, found) = self.small;
        let is_near = found.abs_diff(truth) * 4 <= truth;
        assert!(is_near, "{}: {found} not {truth}", self.command);
        let lines = self.large.iter().map(|(_, found)| found).sum::<u64>() + found;
        self.expect_total(lines)
    }

    /// Checks that other lines have little: less than if any of these lines counted twice, but
    /// room for the table in which tracemalloc keeps its records.
    #[track_caller]
    pub(crate) fn expect_total(&self, lines: u64) -> &Self {
        let total = self.report.totals.retained.estimate;
        let is_near = total.abs_diff(lines) * 100 <= lines * 15;
        assert!(is_near, "{}: {total} not {lines}", self.command);
        self
    }

    #[track_caller]
    pub(crate) fn expect_note(&self, text: &str) -> &Self {
        let notes = self.report.recording.notes.join("\n");
        assert!(notes.contains(text), "{}: {notes}", self.command);
        self
    }

    #[track_caller]
    pub(crate) fn expect_no_notes(&self) {
        let notes = &self.report.recording.notes;
        assert!(notes.is_empty(), "{}: {notes:?}", self.command);
    }
}

/// The program, run with this variable.
pub(crate) fn with(python: &Python, name: &str, value: &str) -> Command {
    let mut command = python.command();
    command.env(name, value).arg(script("keeps_all_sizes"));
    command
}
