//! The table of processes.

use super::{chart::bars, growth::look_of_growth};
use crate::{
    aggregate::ProcessFinding,
    report::{
        Subject,
        numbers::change,
        plain::printable,
        screen::{Line, Look, Screen, Worth},
    },
    units::{Bytes, human_duration},
};

/// How many rows the table of processes has below its title.
const PROCESSES: usize = 5;

/// How many bars the chart of a process has in its row.
const BARS: usize = 12;

/// One row for each process if there are several, those that grew most first.
pub(super) fn processes(screen: &mut Screen, subject: &Subject<'_>) {
    let mut rows: Vec<&ProcessFinding> = subject.findings.processes.iter().collect();
    if rows.len() < 2 {
        return;
    }
    rows.sort_by_key(|process| std::cmp::Reverse(growth(process)));
    let shown = if rows.len() > PROCESSES {
        PROCESSES - 1
    } else {
        rows.len()
    };
    let title = format!(
        "  {:>8} {:>8}   {:<8} {:>9} {:>9}  command ({} processes)",
        "pid",
        "start",
        "end",
        "growth",
        "retained",
        rows.len(),
    );
    screen.space();
    screen.line(Worth::Result, Line::new(Look::Dim, title));
    for process in &rows[..shown] {
        screen.line(Worth::Result, row(process));
    }
    let rest = &rows[shown..];
    if !rest.is_empty() {
        let growth: i128 = rest.iter().map(|process| growth(process)).sum();
        let by = Bytes(u64::try_from(growth.unsigned_abs()).unwrap_or(u64::MAX));
        let sign = if growth < 0 { '-' } else { '+' };
        let text = format!("  {:>8} other processes: {sign}{by} together", rest.len());
        screen.line(Worth::Result, Line::new(Look::Dim, text));
    }
}

/// How much a process grew; what is not known is no growth.
fn growth(process: &ProcessFinding) -> i128 {
    match (process.rss_start, process.rss_end) {
        (Some(start), Some(end)) => i128::from(end) - i128::from(start),
        _ => 0,
    }
}

fn row(process: &ProcessFinding) -> Line {
    let size = |size: Option<u64>| size.map_or("?".to_owned(), |size| Bytes(size).to_string());
    let (start, end) = (process.rss_start, process.rss_end);
    let (by, look) = match (start, end) {
        (Some(start), Some(end)) => (change(start, end), look_of_growth(start, end)),
        _ => ("?".to_owned(), Look::Plain),
    };
    let ended = process.ended.map_or(String::new(), |at| {
        format!("(ended at {}) ", human_duration(at))
    });
    let inside = process
        .inner_pid
        .map_or(String::new(), |pid| format!("(pid {pid} inside) "));
    let course = bars(&process.course.moments, BARS);
    let course = if course.is_empty() {
        course
    } else {
        course + " "
    };
    let command = course + &inside + &ended + &printable(&process.command);
    let sizes = format!(
        "  {:>8} {:>8} → {:<8} ",
        process.pid,
        size(start),
        size(end)
    );
    Line::new(Look::Plain, sizes)
        .and(look, format!("{by:>9}"))
        .and(
            Look::Plain,
            format!(" {:>9}  {command}", Bytes(process.retained.estimate)),
        )
}
