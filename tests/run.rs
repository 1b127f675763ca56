//! `heaptide run` records a command from its first instruction, and ends as the command does.

use std::{fs, process::Command};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    Ended, Heaptide, Python, Report,
    heaptide::{binary, heaptide, output},
    host::{can_record, python},
    program::{place, script},
};

/// The arguments of `heaptide run` for a program that ends as told.
fn arguments(python: &Python, told: &[&str]) -> Vec<String> {
    let program = [python.path.clone(), script("ends_as_told")];
    let program = program.iter().map(|path| path.display().to_string());
    let told = told.iter().map(|&word| word.to_owned());
    ["--".to_owned()]
        .into_iter()
        .chain(program)
        .chain(told)
        .collect()
}

/// Runs a program that ends as told.
fn run(python: &Python, told: &[&str]) -> Ended {
    let arguments = arguments(python, told);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Heaptide::record("run", &arguments).wait()
}

#[test]
fn the_exit_status_of_the_command_is_passed_on() {
    let Some(python) = python() else {
        return;
    };
    for (told, code) in [
        (["0"].as_slice(), 0),
        (&["3"], 3),
        (&["signal", "9"], 128 + 9),
        (&["signal", "15"], 128 + 15),
    ] {
        let ended = run(&python, told);
        assert_eq!(
            ended.output.code,
            Some(code),
            "{told:?}: {}",
            ended.output.stderr
        );
        let report = Report::of(&ended.recording);
        assert!(report.recording.complete, "{told:?}");
        assert!(report.processes[0].ended.is_some(), "{told:?}");
    }
}

#[test]
fn what_happens_before_python_runs_is_recorded() {
    let Some(python) = python() else {
        return;
    };
    // A program that is over before anything can be known of its Python.
    let report = run(&python, &["0"]).report();
    let early = |report: &Report| -> u64 {
        report
            .sites
            .iter()
            .filter(|site| site.line == 0)
            .map(|site| site.mapped)
            .sum()
    };
    // The dynamic linker and the allocator map memory before there is any Python.
    assert!(early(&report) > 1 << 20, "{report:#?}");
    assert_eq!(report.totals.mapped, report.processes[0].mapped);
}

#[test]
fn what_a_program_does_early_has_its_line() {
    let Some(python) = python() else {
        return;
    };
    let [python, program] =
        [&python.path, &script("keeps_from_the_start")].map(|path| path.display().to_string());
    // What packages import at the start of Python may use up the budget before the program begins.
    let arguments = ["--", &python, "-S", &program];
    let mut heaptide = Heaptide::record("run", &arguments);
    heaptide.wait_for("waiting");
    heaptide.signal(Signal::TERM);
    let ended = heaptide.wait();
    assert_eq!(ended.output.code, Some(0), "{}", ended.output.stderr);
    let report = ended.report();
    let allocated = report
        .site(&place("keeps_from_the_start", "keeps at once"))
        .allocated;
    // Probes are placed while it runs, since nothing stops it: what is early has no line.
    assert!(allocated.estimate >= 50_000_000, "{report:#?}");
}

/// Starts a program that waits for a signal, and waits until it does and heaptide measures it.
fn run_until_signal(python: &Python, flags: &[&str]) -> Heaptide {
    let arguments = arguments(python, &["on-signal"]);
    let flags = ["--verbose"].iter().chain(flags).copied();
    let arguments: Vec<&str> = flags.chain(arguments.iter().map(String::as_str)).collect();
    let mut heaptide = Heaptide::record("run", &arguments);
    // Its handler is in place when it says so.
    heaptide.wait_for("waiting");
    heaptide.wait_for("is measured: it runs CPython");
    heaptide
}

#[test]
fn a_signal_is_passed_on_to_the_command() {
    let Some(python) = python() else {
        return;
    };
    let heaptide = run_until_signal(&python, &[]);
    heaptide.signal(Signal::TERM);
    let ended = heaptide.wait();
    assert_eq!(ended.output.code, Some(7), "{}", ended.output.stderr);
    let report = Report::of(&ended.recording);
    assert!(
        report.processes[0]
            .python
            .as_ref()
            .unwrap()
            .starts_with(&python.version)
    );
    // All probes could be placed, although it was met while it started.
    assert_eq!(report.recording.notes, [""; 0]);
}

#[test]
fn a_command_outlives_a_recording_that_is_over() {
    let Some(python) = python() else {
        return;
    };
    let heaptide = run_until_signal(&python, &["--duration", "500ms"]);
    heaptide.wait_until_recorded(|report| report.recording.complete);
    heaptide.signal(Signal::TERM);
    let ended = heaptide.wait();
    assert_eq!(ended.output.code, Some(7), "{}", ended.output.stderr);
    assert_eq!(Report::of(&ended.recording).processes[0].ended, None);
}

#[test]
fn an_interpreter_that_is_found_by_another_program_is_measured() {
    let Some(python) = python() else {
        return;
    };
    let mut arguments = arguments(&python, &["on-signal"]);
    arguments.splice(1..1, ["env".to_owned(), "HEAPTIDE_TEST=1".to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut heaptide = Heaptide::record("run", &[["--verbose"].as_slice(), &arguments].concat());
    heaptide.wait_for("is measured: it runs CPython");
    heaptide.wait_for("waiting");
    heaptide.signal(Signal::TERM);
    assert_eq!(heaptide.wait().output.code, Some(7));
}

#[test]
fn a_command_that_is_not_there_is_refused() {
    heaptide(&["run", "--", "no-such-program"])
        .expect_refusal(2, &["no-such-program", "on the PATH"]);
    heaptide(&["run", "--", "/no/such/program"]).expect_refusal(2, &["/no/such/program"]);
}

#[test]
fn a_command_does_not_start_if_it_cannot_be_recorded() {
    if !can_record() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("existing.heaptide");
    fs::write(&path, "precious").unwrap();
    let mark = folder.path().join("mark");
    let refused = output(
        Command::new(binary())
            .args(["run", "-o"])
            .arg(&path)
            .args(["--", "touch"])
            .arg(&mark),
    );
    refused.expect_refusal(2, &["exists already"]);
    assert!(!mark.exists(), "the command was run");
    assert_eq!(
        refused.stderr.matches("error: ").count(),
        1,
        "{}",
        refused.stderr
    );
}
