//! What probes take from a program, by heaptide's own books, over any ten seconds.

use std::time::Duration;

use profiler::{
    profile::{Census, ProcessKey, own_time},
    recording,
};

use crate::support::{
    Heaptide, Program, Python,
    host::{can_record, pythons},
};

/// The default budget, in percent.
const BUDGET: f64 = 2.0;

const TEN_SECONDS: Duration = Duration::from_secs(10);

/// The highest share over ten seconds or a little more, in percent, and how many there are.
fn worst(censuses: &[Census]) -> (f64, usize) {
    let shares = censuses.iter().enumerate().filter_map(|(number, before)| {
        let after = &censuses[number..];
        let after = after
            .iter()
            .find(|it| it.time >= before.time + TEN_SECONDS)?;
        let own = own_time(
            after.cpu.saturating_sub(before.cpu),
            after.time.saturating_sub(before.time),
        );
        let cost = after.probe_cost.saturating_sub(before.probe_cost);
        Some(100.0 * cost.as_secs_f64() / own.as_secs_f64())
    });
    shares.fold((0.0, 0), |(most, count), it| (it.max(most), count + 1))
}

#[track_caller]
fn check(python: &Python, order: &str) {
    let mut program = Program::start(python, "allocates_at_rates");
    let heaptide = Heaptide::attach_with(&program, &["--max-overhead", &BUDGET.to_string()]);
    program.step(order);
    let ended = heaptide.stop();
    let recorded = recording::read(&ended.recording).expect("it was just made");
    let censuses: Vec<Census> = (recorded.intervals.into_iter())
        .flat_map(|interval| interval.censuses)
        .filter(|census| census.process == ProcessKey(0))
        .collect();
    let (most, spans) = worst(&censuses);
    let seen = censuses.last().map_or(0, |census| census.object_windows);
    let name = &python.name;
    assert!(
        spans >= 10 && seen > 10,
        "{name}: {spans} spans, {seen} windows"
    );
    assert!(most <= 1.1 * BUDGET, "{name}: {most} % over ten seconds");
}

#[test]
fn a_rate_that_jumps_a_hundredfold_keeps_to_the_budget() {
    if can_record() {
        for python in pythons().into_iter().take(1) {
            check(&python, "work 1 12 15");
        }
    }
}

#[test]
fn many_threads_keep_to_the_budget() {
    if can_record() {
        for python in pythons().into_iter().take(1) {
            check(&python, "work 32 0 22");
        }
    }
}
