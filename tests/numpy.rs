//! Arrays of `NumPy`: their memory is none of Python's, and belongs to the line that made them.

use std::{env, process::Command};

use crate::support::{
    Heaptide, Program,
    host::{can_record, skip},
    program::{place, script},
    report::Site,
};

/// What is done, and the line that does it.
const KEPT: [(&str, &str); 4] = [
    ("big", "big"),
    ("zero", "zeros"),
    ("small", "small"),
    ("view", "base"),
];

/// So much more may count for a line: the array objects themselves, and what the allocator adds.
fn is_near(found: u64, truth: u64) -> bool {
    found >= truth && (found - truth) * 20 <= truth
}

#[test]
fn array_memory_is_that_of_the_line_that_made_it() {
    if !can_record() {
        return;
    }
    let Some(python) = env::var_os("HEAPTIDE_NUMPY") else {
        skip("there is no Python with NumPy");
        return;
    };
    let mut program = Program::spawn(Command::new(python).arg(script("keeps_arrays")));
    let heaptide = Heaptide::attach(&program);
    let kept = KEPT.map(|(order, line)| (line, program.ask::<u64>(order)));
    let dropped: u64 = program.ask("drop");
    let report = heaptide.stop().report();
    report.expect_no_losses();
    let site = |line| report.find(&place("keeps_arrays", line));
    for (line, truth) in kept {
        let found = site(line).map_or(0, Site::retained);
        assert!(is_near(found, truth), "{line}: {found} instead of {truth}");
    }
    // The objects that views are, of about a hundred bytes each, and no data again.
    let views = site("views").map_or(0, Site::retained);
    assert!(views <= 100 * 400, "{views}");
    let drops = site("drops").expect("it was seen");
    assert!(is_near(drops.allocated.estimate, dropped), "{drops:?}");
    assert!(drops.retained() <= dropped / 20, "{drops:?}");
}
