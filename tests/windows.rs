//! What a program does in so many blocks that only some are watched.

use std::{collections::HashMap, time::Duration};

use crate::support::{
    Heaptide, Program, Python,
    host::{can_record, pythons, two_builds},
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

/// Probes leave a program that makes objects without pause few hundredths of a window. How many is
/// measured: by what hits cost, it was said to allocate a third of what it does.
#[test]
fn a_program_in_crowded_windows_allocates_what_it_counts() {
    for python in two_builds() {
        let mut program = Program::start(&python, "parses_without_pause");
        let heaptide = Heaptide::attach_with(&program, &["--max-overhead", "10"]);
        let made: u64 = program.ask("work 10");
        let found = heaptide.stop().report().totals.allocations.estimate;
        assert!(
            (made / 2..made * 2).contains(&found),
            "{python:?}: {found} instead of {made}"
        );
    }
}

/// Where larger blocks come that often, windows show them, too. These were too short and ended
/// late, and the program was said to allocate a quarter of what it does.
#[test]
fn larger_blocks_that_windows_show_are_as_many_as_are_counted() {
    for python in two_builds() {
        let mut program = Program::start(&python, "makes_large_blocks");
        let heaptide = Heaptide::attach_with(&program, &["--max-overhead", "5"]);
        let made: u64 = program.ask("work 10");
        let report = heaptide.stop().report();
        let line = report.site(&place("makes_large_blocks", "drops"));
        let found = line.allocated.estimate;
        assert!(
            (made / 2..made * 2).contains(&found),
            "{python:?}: {found} instead of {made}"
        );
    }
}

/// Each kind of work is slowed down by probes in its own way, and few windows meet the shortest: it
/// was said to allocate a tenth of what it does.
#[test]
fn each_kind_of_work_counts_for_as_much_as_it_lasts() {
    for python in two_builds() {
        let mut program = Program::start(&python, "works_in_phases");
        let heaptide = Heaptide::attach_with(&program, &["--max-overhead", "20"]);
        let made: [u64; 3] = program.ask("work 16");
        let report = heaptide.stop().report();
        for (line, truth) in ["texts", "pauses", "blobs"].into_iter().zip(made) {
            let found = report.site(&place("works_in_phases", line)).allocated;
            let found = found.estimate;
            assert!(
                (truth / 4..truth * 4).contains(&found),
                "{python:?}: {line}: {found} instead of {truth}"
            );
        }
    }
}

const MISSED: &str = "small objects are seen through their pools only: probes missed";

/// The notes of a recording of a program that keeps small objects for so many seconds.
fn notes_of(python: &Python, seconds: u32, flags: &[&str]) -> String {
    let mut program = Program::start(python, "keeps_every_kind");
    let heaptide = Heaptide::attach_with(&program, flags);
    let _kept: u64 = program.ask(&format!("work {seconds}"));
    heaptide.stop().report().recording.notes.join("\n")
}

/// An interpreter in which the scan finds only half of the places must not be believed: shares of
/// lines would be wrong, and nobody would know. The distribution's has nearly two hundred of them.
#[test]
fn probes_that_miss_objects_are_noticed() {
    let builds = two_builds();
    for python in builds.iter().filter(|python| python.version == "3.11") {
        for flags in [&["--exact"][..], &["--max-overhead", "5"]] {
            let flags = [flags, &["--leave-out-sites"]].concat();
            let notes = notes_of(python, 4, &flags);
            assert!(notes.contains(MISSED), "{flags:?}: {notes}");
        }
    }
}

#[test]
fn probes_that_see_all_objects_are_trusted() {
    for python in pythons() {
        for flags in [&["--exact"][..], &["--max-overhead", "20"]] {
            let notes = notes_of(&python, 2, flags);
            assert!(!notes.contains(MISSED), "{}: {notes}", python.name);
        }
    }
}

/// A window that the log tells of.
struct Seen {
    pid: u32,
    from: Duration,
    until: Duration,
}

impl Seen {
    /// Reads `… process 7, Objects: Opened(Window { from: 1.5s, until: 1.51s, …`.
    fn opened(line: &str) -> Option<Self> {
        let (pid, rest) = about(line, "Opened(")?;
        Some(Self {
            pid,
            from: time(rest, "from")?,
            until: time(rest, "until")?,
        })
    }

    /// The windows that a log tells of, in the order in which they opened. What costs too much is
    /// closed early.
    fn all(log: &str) -> Vec<Self> {
        let mut seen: Vec<Self> = Vec::new();
        for line in log.lines() {
            seen.extend(Self::opened(line));
            let closed =
                about(line, "Closed ").and_then(|(pid, rest)| Some((pid, time(rest, "at")?)));
            if let Some((pid, at)) = closed
                && let Some(window) = seen.iter_mut().rfind(|window| window.pid == pid)
            {
                window.until = window.until.min(at);
            }
        }
        seen.sort_by_key(|window| window.from);
        seen
    }
}

/// The process that a line is about, and what follows, if it tells that of its small objects.
fn about<'a>(line: &'a str, what: &str) -> Option<(u32, &'a str)> {
    let (pid, rest) = line.split_once("process ")?.1.split_once(", Objects: ")?;
    Some((pid.parse().ok()?, rest.strip_prefix(what)?))
}

/// The time of this name in a line.
fn time(line: &str, name: &str) -> Option<Duration> {
    let (_, rest) = line.split_once(&format!("{name}: "))?;
    duration(rest.split_once(',')?.0)
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
        let seen = Seen::all(&ended.output.stderr);
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
