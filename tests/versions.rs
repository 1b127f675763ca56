//! What is particular to a version or a build of the interpreter.

use crate::support::{
    Heaptide, Program,
    heaptide::heaptide,
    host::{can_record, find},
    program::{place, script},
};

#[test]
fn lines_are_right_where_code_was_compiled_while_it_ran() {
    if !can_record() {
        return;
    }
    for python in ["3.14", "3.15"].into_iter().flat_map(find) {
        let mut command = python.command();
        let mut program = Program::spawn(command.arg(script("runs_hot")).env("PYTHON_JIT", "1"));
        if program.step("is_compiled") != "true" {
            eprintln!("skipped: {} was built without a compiler", python.name);
            continue;
        }
        program.step("warm_up");
        let heaptide = Heaptide::attach(&program);
        program.step("keep");
        let report = heaptide.stop().report();
        let expected = [("makes", 200 * 10_000), ("keeps more", 100 * 20_000)];
        for (line, bytes) in expected {
            let site = report.site(&place("runs_hot", line));
            assert!(
                site.retained().abs_diff(bytes) < bytes / 50,
                "{}: {site:?}",
                python.name
            );
        }
        let makes = report.site(&place("runs_hot", "makes"));
        let caller = &makes.stack[makes.stack.len() - 2];
        assert!(caller.is_at(&place("runs_hot", "keeps")), "{makes:?}");
    }
}

#[test]
fn what_mimalloc_has_handed_out_is_counted_as_the_interpreter_counts_it() {
    if !can_record() {
        return;
    }
    for python in ["3.13", "3.14", "3.15", "3.13t"].into_iter().flat_map(find) {
        let mut command = python.command();
        let command = command.arg(script("counts_its_blocks"));
        let mut program = Program::spawn(command.env("PYTHONMALLOC", "mimalloc"));
        program.step("keep");
        let expected: u64 = program.ask("count");
        let advice = heaptide(&["doctor", &program.pid().to_string()]).stdout;
        let counted = advice.split_once("mimalloc has ").unwrap().1;
        let counted: u64 = counted.split(' ').next().unwrap().parse().unwrap();
        assert!(
            expected > 200_000 && counted.abs_diff(expected) < 1000,
            "{advice}"
        );
    }
}

#[test]
fn without_a_gil_hundreds_of_threads_are_found() {
    if !can_record() {
        return;
    }
    for python in find("3.13t") {
        let mut program = Program::start(&python, "keeps_in_many_threads");
        let heaptide = Heaptide::attach(&program);
        program.step("without_gil 300");
        program.step("foreign 20");
        let report = heaptide.stop().report();
        report.expect_no_losses();
        let kept = report.site(&place("keeps_in_many_threads", "keeps without the GIL"));
        let bytes = 300 * 100_000;
        assert!(kept.retained().abs_diff(bytes) < bytes / 100, "{kept:?}");
        assert!(report.loss("no-thread-state") >= 20);
    }
}

#[test]
fn without_a_gil_threads_are_told_apart_and_what_is_particular_is_said() {
    if !can_record() {
        return;
    }
    for python in find("3.13t") {
        let mut program = Program::start(&python, "maps_in_threads");
        let heaptide = Heaptide::attach(&program);
        let mapped: u64 = program.ask("threads");
        program.step("ask");
        let report = heaptide.stop().report();
        report.expect_no_losses();
        let maps = report.site(&place("maps_in_threads", "maps"));
        assert_eq!(maps.mapped, mapped, "{maps:?}");
        assert_eq!(maps.function, "work");
        let asks = report.site(&place("maps_in_threads", "asks"));
        // The C library rounds to pages, and what the call itself needs are small objects.
        assert!(asks.retained().abs_diff(1_000_000) < 8192, "{asks:?}");
        let notes = report.recording.notes.join("\n");
        assert!(notes.contains("mimalloc"), "{notes}");
    }
}
