//! Frames and threads of every kind are found, under the names and lines that the interpreter gives
//! them itself.

use std::collections::BTreeMap;

use crate::support::{
    Ended, Heaptide, Program, Python,
    host::{can_record, find, pythons},
    program::{Place, place},
    report::{Frame, Site},
};

/// A frame as the interpreter knows it: its name, file and line.
type Known = (String, String, u32);

fn known(frame: &Frame) -> Known {
    (frame.function.clone(), frame.file.clone(), frame.line)
}

/// The size of a block in `keeps_in_many_threads`.
const SIZE: u64 = 100_000;

/// Whether this is what so many blocks take: what is beside them is small.
fn is_near(found: u64, count: u64, size: u64) -> bool {
    found.abs_diff(count * size) <= size / 100 * count
}

fn retains(site: &Site, count: u64, size: u64) -> bool {
    is_near(site.retained(), count, size)
}

#[test]
fn odd_frames_are_named_as_the_interpreter_names_them() {
    for python in pythons() {
        let ended = keep_in_odd_frames(&python, &[], Site::retained);
        // Names are not trusted: none of them controls the terminal or fills it.
        let summary = ended.output.stdout;
        for shown in [r"<one\n\u{1b}[31mtwo\t>:1", "ng_long_"] {
            assert!(summary.contains(shown), "{summary}");
        }
        assert!(!summary.contains('\x1b'), "{summary}");
        let longest = summary.lines().map(|line| line.chars().count()).max();
        assert!(longest < Some(300), "{summary}");
    }
}

#[test]
fn odd_frames_are_named_without_a_gil() {
    if can_record() {
        for python in find("3.13t") {
            keep_in_odd_frames(&python, &["mapped"], |site| site.mapped);
        }
    }
}

/// Compares the stack of each kind of frame with what the interpreter says, and what it got there
/// with a megabyte.
fn keep_in_odd_frames(python: &Python, arguments: &[&str], got: fn(&Site) -> u64) -> Ended {
    let mut program = Program::start_with(python, "keeps_in_odd_frames", arguments);
    let heaptide = Heaptide::attach(&program);
    let stacks: BTreeMap<String, Vec<Known>> = program.ask("everything");
    let ended = heaptide.stop();
    let report = ended.report();
    report.expect_no_losses();
    assert!(stacks.len() > 24, "{stacks:?}");
    for (kind, stack) in stacks {
        let (_, file, line) = stack.last().unwrap().clone();
        let site = report.site(&Place { file, line });
        let found: Vec<Known> = site.stack.iter().map(known).collect();
        assert_eq!(found, stack, "{python:?}: {kind}");
        if kind == "nested awaits" {
            // Whoever awaits is there, out to what drives the event loop.
            let chain = [
                "run_tasks",
                "outer",
                "middle",
                "wait_for",
                "inner",
                "innermost",
            ];
            let names: Vec<&str> = stack.iter().map(|(name, ..)| &**name).collect();
            assert!(names.ends_with(&chain), "{python:?}: {names:?}");
            assert_eq!(names[0], "<module>");
        }
        assert!(
            is_near(got(site), 1, 1_000_000),
            "{python:?}: {kind}: {site:?}"
        );
    }
    ended
}

#[test]
fn threads_are_followed_however_many_there_are_and_however_short_they_live() {
    const ORDERS: [(&str, &str, u64); 3] = [
        ("together", "keeps together", 200),
        ("passing", "keeps and ends", 300),
        ("callbacks", "called back", 20),
    ];
    for python in pythons() {
        let mut program = Program::start(&python, "keeps_in_many_threads");
        let heaptide = Heaptide::attach(&program);
        for (order, _, count) in ORDERS {
            program.step(&format!("{order} {count}"));
        }
        program.step("foreign 20");
        program.step("without_gil 200");
        let report = heaptide.stop().report();
        report.expect_no_losses();
        let site = |comment| report.site(&place("keeps_in_many_threads", comment));
        for (_, comment, count) in ORDERS {
            let site = site(comment);
            assert!(retains(site, count, SIZE), "{python:?}: {site:?}");
        }
        // There is no line for a thread that runs no Python, but what it keeps is not left out.
        assert!(report.loss("no-thread-state") >= 20, "{python:?}");
        let is_foreign = |site: &&Site| site.function == "[no Python thread state]";
        let foreign = report.sites.iter().find(is_foreign).unwrap();
        assert!(retains(foreign, 20, SIZE), "{python:?}: {foreign:?}");
        let kept = site("keeps without the GIL");
        assert!(retains(kept, 200, SIZE), "{python:?}: {kept:?}");
    }
}

#[test]
fn what_a_subinterpreter_keeps_counts_for_a_line_inside_or_for_the_one_that_runs_it() {
    let inside = Place {
        file: "inside.py".to_owned(),
        line: 10,
    };
    for python in pythons() {
        let mut program = Program::start(&python, "keeps_in_subinterpreter");
        let is_there: bool = program.ask("create");
        assert!(is_there, "{python:?}");
        let heaptide = Heaptide::attach(&program);
        program.step("keep");
        program.step("thread");
        let report = heaptide.stop().report();
        let outside = report.site(&place("keeps_in_subinterpreter", "runs it"));
        // Since 3.12 it has a GIL of its own. Before, it is seen in the thread that made it.
        let count_inside = u64::from(["3.8", "3.9", "3.10", "3.11"].contains(&&*python.version));
        let found = report.find(&inside).map_or(0, Site::retained);
        assert_eq!(found / 1_000_000, count_inside, "{python:?}: {report:?}");
        assert_eq!(
            outside.retained() / 1_000_000,
            2 - count_inside,
            "{python:?}: {outside:?}"
        );
    }
}
