//! Processes come and go while heaptide records, and it keeps track of them.

use crate::{
    objects::expect_all,
    support::{
        Heaptide, Program, Report, heaptide::heaptide, host::python, program::place,
        report::Process,
    },
};

#[test]
fn workers_that_were_forked_before_are_found() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "forks_workers");
    let workers: Vec<u32> = program.ask("fork");
    let heaptide = Heaptide::attach(&program);
    program.step("work");
    let report = heaptide.stop().report();
    report.expect_no_losses();
    for (pid, line) in workers.iter().zip(["first", "second", "third"]) {
        assert_eq!(
            report.site(&place("forks_workers", line)).pids,
            [*pid],
            "{line}"
        );
    }
}

/// Those of tiny objects, too, of which a budget would look at the stacks of some only.
#[test]
fn a_worker_that_is_forked_while_recording_is_seen_with_all_stacks() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "forks_workers");
    let mut heaptide = Heaptide::attach_with(&program, &["--verbose", "--exact"]);
    let workers: Vec<u32> = program.ask("fork");
    heaptide.wait_for(&format!("process {} is measured", workers[0]));
    program.step("work_on_small");
    let report = heaptide.stop().report();
    let small = report.site(&place("forks_workers", "small"));
    expect_all("objects", &python, small.allocations.estimate, 20_000);
}

#[test]
fn children_are_left_alone_if_nobody_wants_them() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "forks_workers");
    let before: Vec<u32> = program.ask("fork");
    let heaptide = Heaptide::attach_with(&program, &["--no-children"]);
    let after: Vec<u32> = program.ask("fork");
    program.step("work");
    let report = heaptide.stop().report();
    let pids: Vec<u32> = report.processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, [program.pid()], "besides {before:?} and {after:?}");
    assert!(report.find(&place("forks_workers", "first")).is_none());
}

#[test]
fn a_worker_that_is_a_new_python_is_found_again() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "spawns_worker");
    let mut heaptide = Heaptide::attach_with(&program, &["--verbose"]);
    let worker: u32 = program.ask("start");
    heaptide.wait_for(&format!("process {worker} is measured: it runs CPython"));
    program.step("work");
    let report = heaptide.stop().report();
    let site = report.site(&place("spawns_worker", "the worker"));
    assert_eq!(site.pids, [worker]);
    assert!(site.retained().abs_diff(5_000_000) < 4096, "{site:?}");
    assert!(
        report
            .process(worker)
            .python
            .as_ref()
            .unwrap()
            .starts_with(&python.version)
    );
    assert!(report.process(worker).command.contains("multiprocessing"));
}

#[test]
fn two_hundred_children_that_end_at_once_are_counted() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "forks_workers");
    let heaptide = Heaptide::attach(&program);
    let children: Vec<u32> = program.ask("forget");
    // It still answers, and so do workers that it forks now.
    let workers: Vec<u32> = program.ask("fork");
    program.step("work");
    let report = heaptide.stop().report();
    for child in children {
        assert!(report.process(child).ended.is_some(), "{child}");
    }
    for worker in workers {
        assert_eq!(report.process(worker).ended, None, "{worker}");
    }
}

/// Whether the line of `becomes_another` that keeps memory is in a report.
fn keeps_are_known(report: &Report) -> bool {
    let keeps = report.find(&place("becomes_another", "keeps"));
    keeps.is_some_and(|site| site.retained() >= 1_000_000)
}

#[test]
fn a_program_that_becomes_another_is_no_python_any_more() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "becomes_another");
    let heaptide = Heaptide::attach(&program);
    program.step("keep");
    heaptide.wait_until_recorded(keeps_are_known);
    assert_eq!(program.step("become"), "became");
    assert_eq!(program.step("an echo"), "an echo");
    let report = heaptide.stop().report();
    let Process {
        command,
        python,
        ended,
        retained,
        ..
    } = report.process(program.pid());
    assert_eq!(command, "cat");
    assert_eq!(*python, None);
    assert_eq!(*ended, None);
    assert!(
        retained.estimate >= 1_000_000,
        "what it held to the end stays on record"
    );
    assert!(keeps_are_known(&report));
}

#[test]
fn a_recording_ends_with_its_target() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "becomes_another");
    let heaptide = Heaptide::attach_with(&program, &["--duration", "1h"]);
    program.step("keep");
    heaptide.wait_until_recorded(keeps_are_known);
    let pid = program.pid();
    assert!(program.finish().success());
    let report = heaptide.wait().report();
    assert!(report.process(pid).ended.is_some(), "{report:?}");
    // Python gave it back before it ended, but it was there.
    let keeps = report.site(&place("becomes_another", "keeps"));
    assert!(keeps.allocated.estimate >= 1_000_000, "{keeps:?}");
}

#[test]
fn a_target_may_end_while_heaptide_attaches() {
    let Some(python) = python() else {
        return;
    };
    let folder = tempfile::TempDir::new().unwrap();
    for attempt in 0..5 {
        let mut program = Program::start(&python, "becomes_another");
        program.tell("end");
        let path = folder.path().join(attempt.to_string());
        let (pid, path) = (program.pid().to_string(), path.display().to_string());
        let output = heaptide(&["attach", &pid, "-d", "1h", "-o", &path]);
        match output.code {
            Some(0) => drop(Report::of(path.as_ref())),
            _ => output.expect_refusal(4, &[&pid, "hint: "]),
        }
        program.wait();
    }
}

#[test]
fn several_processes_share_a_recording() {
    let Some(python) = python() else {
        return;
    };
    let mut first = Program::start(&python, "becomes_another");
    let mut second = Program::start(&python, "becomes_another");
    let pids = [first.pid(), second.pid()];
    let [a, b] = pids.map(|pid| pid.to_string());
    let heaptide = Heaptide::record("attach", &[&a, &b]);
    first.step("keep");
    second.step("keep");
    second.step("keep");
    let report = heaptide.stop().report();
    report.expect_no_losses();
    let mut found = report.site(&place("becomes_another", "keeps")).pids.clone();
    found.sort_unstable();
    let mut expected = pids;
    expected.sort_unstable();
    assert_eq!(found, expected);
    let retained = pids.map(|pid| report.process(pid).retained.estimate / 1_000_000);
    assert_eq!(retained, [1, 2]);
}
