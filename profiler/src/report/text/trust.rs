//! What measuring cost, what was not measured, and where to find more.

use profiler_common::loss::Loss;

use crate::aggregate::Findings;
use crate::report::{
    Subject,
    numbers::grouped,
    plain::{cut, printable},
    screen::{Line, Look, Screen, Worth},
};

/// What measuring cost, against what it was allowed to.
pub(super) fn cost(screen: &mut Screen, subject: &Subject<'_>) {
    let findings = subject.findings;
    let budget = subject.recorded.facts.budget_percent;
    let (measured, look) = match findings.measured_overhead_percent {
        Some(percent) if budget.is_some_and(|budget| percent > budget) => {
            (format!("{percent:.1}%"), Look::Warning)
        }
        Some(percent) => (format!("{percent:.1}%"), Look::Plain),
        None => ("an unknown part".to_owned(), Look::Plain),
    };
    let allowed = match budget {
        Some(budget) => format!("budget {budget}%"),
        None => "without a budget, for exact figures".to_owned(),
    };
    let line = Line::new(look, measured).and(Look::Plain, format!(" of its time, {allowed}"));
    screen.space();
    screen.labelled(Worth::Result, "cost", line);
    screen.labelled(
        Worth::Result,
        "watched",
        Line::new(Look::Plain, watched(findings)),
    );
}

/// For which part of the time what was watched.
pub(in crate::report) fn watched(findings: &Findings) -> String {
    let blocks = format!(
        "larger blocks {}",
        part_of_time(findings.blocks_observed_fraction)
    );
    match findings.objects_observed_fraction {
        Some(fraction) if fraction < ALWAYS => format!(
            "small objects {} ({} windows); {blocks}",
            part_of_time(fraction),
            grouped(findings.object_windows)
        ),
        Some(_) => format!("small objects all of the time; {blocks}"),
        None => format!("no small objects; {blocks}"),
    }
}

/// So large a part of the time is all of it.
const ALWAYS: f64 = 0.9995;

fn part_of_time(fraction: f64) -> String {
    match 100.0 * fraction {
        percent if percent >= 100.0 * ALWAYS => "all of the time".to_owned(),
        percent if percent >= 1.0 => format!("{percent:.1}%"),
        percent => format!("{percent:.2}%"),
    }
}

/// What was not measured, most frequent first.
pub(super) fn losses(screen: &mut Screen, subject: &Subject<'_>) {
    let losses = &subject.findings.losses;
    let missing = losses.missing();
    let look = if missing == 0 { Look::Good } else { Look::Bad };
    let count = Line::new(look, grouped(missing));
    let mut reasons: Vec<(Loss, u64)> = losses.iter().collect();
    reasons.sort_by_key(|(loss, count)| (!loss.loses_data(), std::cmp::Reverse(*count)));
    let mut texts = reasons
        .into_iter()
        .map(|(loss, count)| format!("{} {}", grouped(count), loss.describe()))
        .peekable();
    let line = match texts.next_if(|_| missing > 0) {
        Some(first) => count.and(Look::Plain, format!(": {first}")),
        None => count,
    };
    screen.labelled(Worth::Result, "lost events", line);
    for text in texts {
        screen.labelled(Worth::Detail, "", Line::new(Look::Dim, text));
    }
}

/// What a person should know about how it was measured.
pub(super) fn notes(screen: &mut Screen, subject: &Subject<'_>) {
    let facts = &subject.recorded.facts;
    let cut_off =
        "the recording was not ended in order, or is still being written: its end is missing";
    let incomplete = (!facts.complete).then(|| cut_off.to_owned());
    let notes: Vec<String> = incomplete
        .into_iter()
        .chain(facts.notes.iter().cloned())
        .collect();
    for (index, note) in notes.iter().enumerate() {
        let label = match notes.len() {
            1 => "note".to_owned(),
            all => format!("note {} of {all}", index + 1),
        };
        let worth = if index == 0 {
            Worth::Result
        } else {
            Worth::Detail
        };
        screen.sentence(worth, &label, &printable(note));
    }
}

/// Where the files are. A path is not cut: it is there to be copied.
pub(super) fn files(screen: &mut Screen, files: &[(&str, &str)]) {
    for (what, path) in files {
        let line = Line::new(Look::Plain, printable(path)).uncut();
        screen.labelled(Worth::Result, &cut(what, 11), line);
    }
}
