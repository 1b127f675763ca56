//! What a program does in so many blocks that only some are watched.

use crate::support::{Heaptide, Program, host::pythons, program::place};

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
