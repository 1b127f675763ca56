//! What a program keeps is found at the line that keeps it, and nothing else is.

use crate::support::{Heaptide, Program, Python, Report, host::pythons, program::place};

/// Whether a figure is as large as expected, but for so many percent of it.
fn is_near(figure: u64, expected: u64, percent: u64) -> bool {
    figure.abs_diff(expected) * 100 <= expected * percent
}

/// Lets a program do something while heaptide watches.
fn watch(program: &mut Program, orders: &[&str]) -> Report {
    let heaptide = Heaptide::attach(program);
    for order in orders {
        program.step(order);
    }
    heaptide.stop().report()
}

#[test]
fn large_blocks_that_are_kept_are_told_from_those_that_are_dropped() {
    for python in pythons() {
        let mut program = Program::start(&python, "keeps_large_strings");
        let heaptide = Heaptide::attach(&program);
        let mut held: u64 = 0;
        for _ in 0..20 {
            held = program.ask("handle");
        }
        let report = heaptide.stop().report();
        report.expect_no_losses();
        let total = report.totals.retained.estimate;
        let keeps = report.site(&place("keeps_large_strings", "keeps"));
        assert_eq!(keeps.function, "keep", "{python:?}");
        assert!(
            keeps.retained() * 100 >= total * 95,
            "{python:?}: {keeps:?} of {total}"
        );
        assert!(
            is_near(total, held, 5),
            "{python:?}: {total} instead of {held}"
        );
        let drops = report.site(&place("keeps_large_strings", "drops"));
        assert!(
            drops.allocated.estimate >= 400_000_000,
            "{python:?}: {drops:?}"
        );
        // The last one lives until the function returns, and it has returned.
        assert_eq!(drops.retained(), 0, "{python:?}");
    }
}

/// Chance decides what windows show, so that no figure is certain; but if they stood for too much
/// or too little by the time that they leave out, it would be by a factor of ten or more.
#[test]
fn what_is_seen_in_windows_stands_for_what_they_leave_out() {
    // It takes a while, and does not depend on the interpreter.
    for python in pythons().into_iter().take(2) {
        let mut program = Program::start(&python, "keeps_few_of_many");
        let heaptide = Heaptide::attach_with(&program, &["--max-overhead", "10"]);
        let [dropped, kept]: [u64; 2] = program.ask("work 8");
        let report = heaptide.stop().report();
        let is_sampled = |note: &String| note.contains("only part of the time");
        assert!(report.recording.notes.iter().any(is_sampled), "{python:?}");
        let drops = report.site(&place("keeps_few_of_many", "drops"));
        let keeps = report.site(&place("keeps_few_of_many", "keeps"));
        for (found, truth) in [(drops.allocated, dropped), (keeps.retained, kept)] {
            let found = found.estimate;
            assert!(
                (truth / 4..truth * 3).contains(&found),
                "{python:?}: {found} instead of {truth}"
            );
        }
        assert!(drops.retained() * 20 < kept, "{python:?}: {drops:?}");
    }
}

/// Checks what is found of small objects against what the interpreter itself says.
#[track_caller]
fn check_small_objects(python: &Python, kind: &str) {
    let keeps = place("keeps_small_objects", &format!("keeps {kind}"));
    let mut program = Program::start_with(python, "keeps_small_objects", &["tracemalloc"]);
    program.step(kind);
    let expected: u64 = program.ask(&format!("traced {}", keeps.line));
    drop(program);

    let mut program = Program::start(python, "keeps_small_objects");
    let report = watch(&mut program, &[kind]);
    report.expect_no_losses();
    let first = &report.sites[0];
    assert!(first.is_at(&keeps), "{python:?}: {first:?}");
    let (found, total) = (first.retained(), report.totals.retained.estimate);
    assert!(found * 100 >= total * 80, "{python:?}: {found} of {total}");
    assert!(
        is_near(found, expected, 25),
        "{python:?}: {found} instead of {expected}"
    );
}

#[test]
fn dicts_that_are_kept_are_found_among_many_more_that_are_dropped() {
    for python in pythons() {
        check_small_objects(&python, "dicts");
    }
}

#[test]
fn instances_that_are_kept_are_found_among_many_more_that_are_dropped() {
    for python in pythons() {
        check_small_objects(&python, "instances");
    }
}

#[test]
fn what_grows_in_place_counts_once() {
    /// How far a block may be from what `sys.getsizeof` says: the object's head, and rounding.
    const SLACK: u64 = 4096;
    for python in pythons() {
        let mut program = Program::start(&python, "grows_in_place");
        let heaptide = Heaptide::attach(&program);
        let sizes = ["list", "bytearray"].map(|kind| (kind, program.ask::<u64>(kind)));
        let report = heaptide.stop().report();
        report.expect_no_losses();
        for (kind, size) in sizes {
            let grows = report.site(&place("grows_in_place", &format!("grows the {kind}")));
            let retained = grows.retained();
            assert!(
                retained.abs_diff(size) <= SLACK,
                "{python:?} {kind}: {retained} not {size}"
            );
        }
    }
}

#[test]
fn every_kind_of_code_is_found_by_name_and_line() {
    const EXPECTED: [(&str, &str); 7] = [
        ("generator", "generate"),
        ("coroutine", "fetch"),
        ("thread", "work"),
        ("method of a nested class", "Outer.Inner.method"),
        ("class method", "Outer.make"),
        ("enclosed function", "enclosing.<locals>.enclosed"),
        ("lambda", "<lambda>"),
    ];
    for python in pythons() {
        let mut program = Program::start(&python, "allocates_everywhere");
        let is_qualified: bool = program.ask("qualified");
        let report = watch(&mut program, &["everywhere"]);
        for (comment, function) in EXPECTED {
            let site = report.site(&place("allocates_everywhere", comment));
            // Code objects have no qualified names before 3.11.
            let plain = function.rsplit('.').next().unwrap();
            let function = if is_qualified { function } else { plain };
            assert_eq!(site.function, function, "{python:?}");
            assert!(
                is_near(site.retained(), 1_000_000, 1),
                "{python:?}: {site:?}"
            );
        }
    }
}

#[test]
fn a_stack_of_a_hundred_frames_is_complete() {
    for python in pythons() {
        let mut program = Program::start(&python, "recurses");
        let report = watch(&mut program, &["descend 100"]);
        assert_eq!(report.loss("stack-too-deep"), 0, "{python:?}");
        let (bottom, way) = (
            place("recurses", "the bottom"),
            place("recurses", "the way down"),
        );
        let stack = &report.site(&bottom).stack;
        let (last, rest) = stack.split_last().unwrap();
        assert!(last.is_at(&bottom), "{python:?}: {last:?}");
        assert_eq!(stack[0].function, "<module>", "{python:?}");
        let descents = rest.iter().filter(|frame| frame.is_at(&way)).count();
        assert_eq!(descents, 99, "{python:?}");
    }
}

#[test]
fn a_stack_that_is_too_deep_is_cut_and_counted() {
    for python in pythons() {
        let mut program = Program::start(&python, "recurses");
        let report = watch(&mut program, &["descend 300"]);
        assert!(report.loss("stack-too-deep") > 0, "{python:?}");
        let bottom = report.site(&place("recurses", "the bottom"));
        assert!(
            is_near(bottom.retained(), 1_000_000, 1),
            "{python:?}: {bottom:?}"
        );
        assert!(
            (100..300).contains(&bottom.stack.len()),
            "{python:?}: {}",
            bottom.stack.len()
        );
        // What is known of the stack is its inner part, and it does not pretend to be all.
        assert_eq!(
            bottom.stack[0].function, "[outer frames cut off]",
            "{python:?}"
        );
    }
}

#[test]
fn threads_are_followed_whether_they_started_before_or_after_the_attach() {
    for python in pythons() {
        let mut program = Program::start(&python, "works_in_threads");
        let report = watch(&mut program, &["start", "keep early", "keep late"]);
        for (comment, size) in [
            ("the early thread", 1_000_000),
            ("the late thread", 2_000_000),
        ] {
            let site = report.site(&place("works_in_threads", comment));
            assert!(is_near(site.retained(), size, 1), "{python:?}: {site:?}");
        }
    }
}
