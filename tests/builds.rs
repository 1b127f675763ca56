//! Bytes count once, whatever Python allocates with.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::support::{
    Heaptide, Program, Python, Report,
    host::{can_record, has, pythons, skip, two_builds},
    program::{place, script},
    report::Site,
};

/// What the program does and says in a test: an order, and the line that keeps.
const LARGE: [(&str, &str); 3] = [("make", "makes"), ("zero", "zeroes"), ("grow", "grows")];

/// What a program says that it keeps, and what heaptide says.
struct Seen {
    /// For each line with large blocks its own figure and heaptide's.
    large: [(u64, u64); 3],
    small: (u64, u64),
    report: Report,
    command: String,
}

/// Starts a program, with heaptide beside it while it allocates.
#[track_caller]
fn watch(command: &mut Command) -> Seen {
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
    fn expect_large(&self) -> &Self {
        for (truth, found) in self.large {
            let is_near = found.abs_diff(truth) * 20 <= truth;
            assert!(is_near, "{}: {found} not {truth}", self.command);
        }
        self
    }

    /// Checks the figure for small objects, and that nothing else counts them again.
    #[track_caller]
    fn expect_small(&self) -> &Self {
        let (truth, found) = self.small;
        let is_near = found.abs_diff(truth) * 4 <= truth;
        assert!(is_near, "{}: {found} not {truth}", self.command);
        let lines = self.large.iter().map(|(_, found)| found).sum::<u64>() + found;
        self.expect_total(lines)
    }

    /// Checks that large blocks are all there is, and that the report says so.
    #[track_caller]
    fn expect_large_only(&self) -> &Self {
        assert_eq!(self.small.1, 0, "{}", self.command);
        self.expect_total(self.large.iter().map(|(_, found)| found).sum())
            .expect_note("blocks of up to 512 bytes are not measured")
    }

    /// Checks that other lines have little: less than if any of these lines counted twice, but
    /// room for the table in which tracemalloc keeps its records.
    #[track_caller]
    fn expect_total(&self, lines: u64) -> &Self {
        let total = self.report.totals.retained.estimate;
        let is_near = total.abs_diff(lines) * 100 <= lines * 15;
        assert!(is_near, "{}: {total} not {lines}", self.command);
        self
    }

    #[track_caller]
    fn expect_note(&self, text: &str) -> &Self {
        let notes = self.report.recording.notes.join("\n");
        assert!(notes.contains(text), "{}: {notes}", self.command);
        self
    }

    #[track_caller]
    fn expect_no_notes(&self) {
        let notes = &self.report.recording.notes;
        assert!(notes.is_empty(), "{}: {notes:?}", self.command);
    }
}

/// The program, run with this variable.
fn with(python: &Python, name: &str, value: &str) -> Command {
    let mut command = python.command();
    command.env(name, value).arg(script("keeps_all_sizes"));
    command
}

#[test]
fn debug_hooks_add_their_own_bytes_and_no_more() {
    for python in pythons() {
        let seen = watch(&mut with(&python, "PYTHONMALLOC", "debug"));
        seen.expect_large().expect_small().expect_no_notes();
    }
    for python in two_builds() {
        let seen = watch(&mut with(&python, "PYTHONMALLOC", "pymalloc_debug"));
        seen.expect_large().expect_small().expect_no_notes();
    }
}

/// Small objects are not probed there, so there is a note in the place of a figure.
#[test]
fn where_all_comes_from_malloc_large_blocks_are_measured_and_small_ones_are_said_not_to_be() {
    for python in two_builds() {
        for setting in ["malloc", "malloc_debug"] {
            let seen = watch(&mut with(&python, "PYTHONMALLOC", setting));
            seen.expect_large().expect_large_only();
        }
    }
}

#[test]
fn tracemalloc_does_not_count_twice() {
    for python in two_builds() {
        let seen = watch(&mut with(&python, "PYTHONTRACEMALLOC", "1"));
        // Its records come from malloc, so a slow machine may have to keep to the budget.
        seen.expect_large().expect_small();
    }
}

#[test]
fn functions_that_pass_requests_on_do_not_count_twice() {
    if !has("cc") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let library = folder.path().join("forwards.so");
    let compiled = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(script("forwards").with_extension("c"))
        .status();
    assert!(compiled.unwrap().success());
    let start = "import ctypes, runpy, sys; ctypes.PyDLL(sys.argv[1]).forward(); \
                 sys.path.insert(0, sys.argv[2]); runpy.run_path(sys.argv[3])";
    for python in two_builds() {
        let program = script("keeps_all_sizes");
        let mut command = python.command();
        command.args(["-c", start]).arg(&library);
        command.args([program.parent().expect("it is in a folder"), &program]);
        let seen = watch(&mut command);
        seen.expect_large().expect_small();
        seen.expect_note("forwards.so: small objects are attributed only if");
    }
}

/// A preloaded library; `None` where it is missing.
#[track_caller]
fn library(name: &str) -> Option<String> {
    let path = format!("/usr/lib/x86_64-linux-gnu/{name}");
    let is_here = Path::new(&path).exists();
    if !is_here {
        skip(&format!("there is no {path}"));
    }
    is_here.then_some(path)
}

#[test]
fn jemalloc_in_front_of_the_c_library_is_measured() {
    let Some(library) = library("libjemalloc.so.2") else {
        return;
    };
    for python in two_builds() {
        let seen = watch(&mut with(&python, "LD_PRELOAD", &library));
        seen.expect_large().expect_small().expect_no_notes();
    }
}

/// No probe is cheap in its functions, and where others in front of it are inlined, figures from
/// there would be wrong.
#[test]
fn mimalloc_in_front_of_the_c_library_is_said_to_hide_large_blocks() {
    let Some(library) = library("libmimalloc.so.2") else {
        return;
    };
    for python in two_builds() {
        let seen = watch(&mut with(&python, "LD_PRELOAD", &library));
        let small_alone = seen.expect_small();
        small_alone.expect_note("blocks over 512 bytes are not measured");
        assert!(seen.large.iter().all(|(_, found)| *found == 0));
    }
}

#[test]
fn a_build_with_assertions_is_measured() {
    let path = Path::new("/usr/bin/python3.11d");
    if !can_record() {
        return;
    }
    if !path.exists() {
        skip(&format!("there is no {}", path.display()));
        return;
    }
    let seen = watch(Command::new(path).arg(script("keeps_all_sizes")));
    seen.expect_large().expect_small().expect_no_notes();
}
