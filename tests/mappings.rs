//! Address space is known to the byte, whichever way it was got and given back.

use crate::support::{Heaptide, Program, Report, host::python, program::place};

const PAGE: u64 = 4096;

/// What was found after some orders, and what the program says that each of them left.
struct Watched {
    report: Report,
    process: u64,
    held: Vec<u64>,
    grown: u64,
}

impl Watched {
    fn new(program: &mut Program, orders: &[&str]) -> Self {
        let heaptide = Heaptide::attach(program);
        let before = program.address_space();
        let held = orders.iter().map(|order| program.ask(order)).collect();
        let grown = program.address_space() - before;
        let report = heaptide.stop().report();
        report.expect_no_losses();
        let process = report.process(program.pid()).mapped;
        Self {
            report,
            process,
            held,
            grown,
        }
    }

    fn at(&self, comment: &str) -> u64 {
        self.report
            .find(&place("maps_memory", comment))
            .map_or(0, |site| site.mapped)
    }
}

#[test]
fn what_is_unmapped_in_parts_is_known_to_the_page() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "maps_memory");
    let watched = Watched::new(&mut program, &["unmap"]);
    assert_eq!(watched.at("maps"), 3 * PAGE);
    assert_eq!(watched.process, watched.grown);
}

#[test]
fn what_is_remapped_is_counted_once() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "maps_memory");
    let watched = Watched::new(&mut program, &["remap"]);
    assert_eq!(watched.at("maps") + watched.at("moves"), watched.held[0]);
    assert_eq!(watched.process, watched.grown);
}

#[test]
fn a_mapping_that_replaces_another_adds_nothing() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "maps_memory");
    let watched = Watched::new(&mut program, &["replace"]);
    assert_eq!(watched.at("maps"), 4 * PAGE);
    assert_eq!(watched.at("replaces"), 2 * PAGE);
    assert_eq!(watched.process, watched.grown);
}

#[test]
fn calls_that_fail_leave_no_trace() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "maps_memory");
    let watched = Watched::new(&mut program, &["fail"]);
    assert_eq!(watched.at("fails"), 0);
    assert_eq!(watched.at("maps"), 4 * PAGE);
    assert_eq!(watched.process, watched.grown);
}
