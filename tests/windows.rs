//! What a program does in so many blocks that only some are watched.

use std::{collections::HashMap, time::Duration};

use crate::support::{
    Heaptide, Program,
    host::{can_record, pythons},
    program::place,
};

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

/// Windows that are no longer come one after another anyway: heaptide waits for their end.
const BRIEF: Duration = Duration::from_millis(3);

/// A window that the log tells of.
struct Seen {
    pid: u32,
    from: Duration,
    until: Duration,
}

impl Seen {
    /// Reads `… process 7, Objects: Opened(Window { from: 1.5s, until: 1.51s, …`.
    fn parse(line: &str) -> Option<Self> {
        let (pid, rest) = line
            .split_once("process ")?
            .1
            .split_once(", Objects: Opened(")?;
        let time = |name: &str| {
            let (_, rest) = rest.split_once(&format!("{name}: "))?;
            duration(rest.split_once(',')?.0)
        };
        let seen = Self {
            pid: pid.parse().ok()?,
            from: time("from")?,
            until: time("until")?,
        };
        (seen.until > seen.from + BRIEF).then_some(seen)
    }
}

/// A duration as `{:?}` shows it.
fn duration(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[number.len()..] {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" => 1e-6,
        _ => return None,
    };
    // What stays open has no end that a program could wait for.
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

#[test]
fn workers_take_turns() {
    if !can_record() {
        return;
    }
    for python in pythons().into_iter().take(1) {
        let mut program = Program::start(&python, "allocates_at_rates");
        let heaptide = Heaptide::attach_with(&program, &["-vv", "--max-overhead", "10"]);
        let workers: Vec<u32> = program.ask("fork 4 8");
        let ended = heaptide.stop();
        let mut seen: Vec<Seen> = ended
            .output
            .stderr
            .lines()
            .filter_map(Seen::parse)
            .collect();
        seen.sort_by_key(|window| window.from);
        let mut counts = HashMap::<u32, u32>::new();
        for window in &seen {
            *counts.entry(window.pid).or_default() += 1;
        }
        for pid in workers {
            assert!(
                counts.get(&pid).is_some_and(|count| *count >= 3),
                "{counts:?}"
            );
        }
        for pair in seen.windows(2) {
            let is_after = pair[1].from >= pair[0].until;
            assert!(is_after, "{} and {} at once", pair[0].pid, pair[1].pid);
        }
    }
}
