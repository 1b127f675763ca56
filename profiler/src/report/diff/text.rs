//! The comparison for people: the verdict first, then the sums, the lines, and what to know before
//! believing them.

use super::DiffSubject;
use crate::{
    compare::{Change, Changes, Comparison, Fate, LineChange, Outcome, Per, Role},
    report::{
        Places,
        plain::{printable, shorten, width},
        screen::{COLUMNS, Line, Look, Screen, Worth},
    },
    units::{Bytes, human_duration},
};

/// How many lines are listed.
const LINES: usize = 6;
/// How many renamed files are.
const FILES: usize = 3;

/// Writes the comparison: at most 80 columns, and about a screen of lines.
pub fn text(subject: &DiffSubject<'_>, color: bool) -> String {
    let mut screen = Screen::default();
    heading(&mut screen, subject);
    verdict(&mut screen, subject);
    sums(&mut screen, subject);
    lines(&mut screen, subject);
    cautions(&mut screen, subject);
    screen.print(color)
}

fn heading(screen: &mut Screen, subject: &DiffSubject<'_>) {
    for (label, side) in [("before", subject.before), ("after", subject.after)] {
        let facts = &side.recorded.facts;
        let duration = human_duration(side.findings.duration);
        let when = format!("  {duration}, from {}", printable(&facts.started_at));
        let room = (COLUMNS - 14).saturating_sub(width(&when));
        let target = shorten(&printable(&facts.target), room);
        let line = Line::new(Look::Bold, target).and(Look::Plain, when);
        screen.labelled(Worth::Result, label, line);
    }
    screen.space();
}

fn verdict(screen: &mut Screen, subject: &DiffSubject<'_>) {
    let main = subject.comparison.total.main();
    let line = Line::new(look(main.outcome), name(main.outcome));
    let line = line.and(Look::Plain, said(subject.comparison));
    screen.labelled(Worth::Result, "verdict", line);
    if let Some(doubt) = main.doubt {
        screen.sentence(Worth::Result, "", doubt.describe());
    }
    let [before, after] =
        [subject.before, subject.after].map(|side| side.verdicts.group.pattern.name());
    let line = Line::new(Look::Plain, format!("{before} → {after}"));
    screen.labelled(Worth::Result, "pattern", line);
}

/// What stands behind the verdict: by how much, if that can be told.
pub(in crate::report) fn said(comparison: &Comparison) -> String {
    let main = comparison.total.main();
    let is_mapped = !std::ptr::eq(main, &raw const comparison.total.retained);
    let what = if is_mapped { "mapped" } else { "retained" };
    let by = Bytes(whole(main.difference.abs()));
    let unit = comparison.unit.name;
    match main.outcome {
        Outcome::Improved => format!(": {by} per {unit} less {what}"),
        Outcome::Regressed => format!(": {by} per {unit} more {what}"),
        _ => String::new(),
    }
}

/// The sums of all, and of each role if there are several.
fn sums(screen: &mut Screen, subject: &DiffSubject<'_>) {
    let comparison = subject.comparison;
    // What a request is, the verdict says.
    let per = match comparison.unit.per {
        Per::Second => "per second",
        Per::Request if comparison.unit.name.starts_with("MB") => "per MB",
        Per::Request => "per request",
    };
    let title = format!(
        "  {:<11} {:>10} {:>9} {:>6}  {:<23} verdict",
        per, "before", "after", "", "change, at least, most"
    );
    screen.space();
    screen.line(Worth::Result, Line::new(Look::Dim, title));
    let Changes {
        retained,
        allocated,
        mapped,
        resident,
    } = &comparison.total;
    row(screen, "retained", retained);
    row(screen, "allocated", allocated);
    if [mapped.before, mapped.after]
        .iter()
        .any(|rate| rate.estimate > 0.0)
    {
        row(screen, "mapped", mapped);
    }
    if let Some(resident) = resident {
        row(screen, "resident", resident);
    }
    if comparison.roles.len() > 1 {
        for (role, changes) in &comparison.roles {
            row(screen, &role_name(role), &changes.retained);
        }
    }
}

fn role_name(role: &Role) -> String {
    let Role {
        name,
        before,
        after,
        ..
    } = role;
    let count = match (before, after) {
        (1, 1) => String::new(),
        (before, after) if before == after => format!(" ×{before}"),
        (before, after) => format!(" {before}→{after}"),
    };
    shorten(&printable(name), 11_usize.saturating_sub(width(&count))) + &count
}

/// A change in columns.
fn row(screen: &mut Screen, label: &str, change: &Change) {
    let padding = " ".repeat(11_usize.saturating_sub(width(label)));
    let line = Line::new(Look::Dim, format!("  {label}{padding} ")).and(Look::Plain, cells(change));
    let line = line.and(look(change.outcome), name(change.outcome));
    screen.line(Worth::Result, line);
}

fn cells(change: &Change) -> String {
    let range = format!("{} … {}", signed(change.low), signed(change.high));
    format!(
        "{:>10} {:>9} {:>6}  {range:<23} ",
        amount(change.before.estimate),
        amount(change.after.estimate),
        percent(change),
    )
}

/// The lines that changed, or may have; what stayed the same is counted.
fn lines(screen: &mut Screen, subject: &DiffSubject<'_>) {
    let comparison = subject.comparison;
    let is_told = |line: &&LineChange| line.changes.main().outcome != Outcome::Unchanged;
    let told: Vec<&LineChange> = comparison.lines.iter().filter(is_told).collect();
    let same = comparison.lines.len() - told.len();
    let places = places(subject);
    screen.space();
    for line in told.iter().take(LINES) {
        let change = line.changes.main();
        let cells = format!("  {:<11} {}", place_word(line.fate), cells(change));
        let text = Line::new(Look::Plain, cells).and(look(change.outcome), name(change.outcome));
        screen.line(Worth::Result, text);
        let role = match comparison.roles.as_slice() {
            [_, _, ..] => format!("  [{}]", printable(&comparison.roles[line.role].0.name)),
            _ => String::new(),
        };
        let room = (COLUMNS - 14).saturating_sub(width(&role));
        let text = format!("{:14}{}{role}", "", moved(line, &places, room));
        screen.line(Worth::Result, Line::new(Look::Bold, text));
    }
    let rest = told.len().saturating_sub(LINES);
    let text = match (rest, same) {
        (0, same) => format!("  {same} other lines are unchanged"),
        (rest, same) => format!("  {rest} more lines changed or may have, {same} are unchanged"),
    };
    screen.line(Worth::Advice, Line::new(Look::Dim, text));
}

const fn place_word(fate: Fate) -> &'static str {
    match fate {
        Fate::Same => "",
        other => other.name(),
    }
}

/// The place of a line, and where it was before if that is elsewhere.
fn moved(line: &LineChange, places: &Places, room: usize) -> String {
    let unknown = || "<unknown>".to_owned();
    let Some(now) = line.after.as_ref().or(line.before.as_ref()) else {
        return unknown();
    };
    let was = match (&line.before, line.fate) {
        (Some(before), Fate::Moved) => format!(", was line {}", before.line),
        (Some(before), Fate::Renamed) => {
            let file = shorten(&places.file(before), 24);
            format!(", was {file}:{}", before.line)
        }
        _ => String::new(),
    };
    places.label_within(now, room.saturating_sub(width(&was))) + &was
}

pub(in crate::report) fn places(subject: &DiffSubject<'_>) -> Places {
    let lines = &subject.comparison.lines;
    Places::of(
        lines
            .iter()
            .flat_map(|line| line.before.iter().chain(&line.after)),
    )
}

/// What a person should know before believing it.
fn cautions(screen: &mut Screen, subject: &DiffSubject<'_>) {
    let comparison = subject.comparison;
    for warning in &comparison.warnings {
        screen.sentence(Worth::Result, "warning", &printable(warning));
    }
    if let Some(pace) = comparison.pace.filter(|pace| (pace - 1.0).abs() > 0.1) {
        let text = format!(
            "most lines allocated {} as much per second after: runs with the same work tell more",
            format_args!("{pace:.2} times"),
        );
        screen.sentence(Worth::Result, "pace", &text);
    }
    for (before, after) in comparison.renamed.iter().take(FILES) {
        let text = format!("{} → {}", printable(before), printable(after));
        screen.sentence(Worth::Advice, "renamed", &text);
    }
    if let Some(more) = comparison
        .renamed
        .len()
        .checked_sub(FILES)
        .filter(|it| *it > 0)
    {
        screen.sentence(Worth::Detail, "", &format!("and {more} more files"));
    }
}

pub(in crate::report) const fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::CannotTell => "cannot tell",
        other => other.name(),
    }
}

const fn look(outcome: Outcome) -> Look {
    match outcome {
        Outcome::Improved => Look::Good,
        Outcome::Regressed => Look::Bad,
        Outcome::Unchanged => Look::Plain,
        Outcome::CannotTell => Look::Warning,
    }
}

/// A rate, which may be negative.
pub(in crate::report) fn amount(rate: f64) -> String {
    let bytes = Bytes(whole(rate.abs()));
    if rate <= -1.0 {
        format!("-{bytes}")
    } else {
        bytes.to_string()
    }
}

/// A difference.
pub(in crate::report) fn signed(difference: f64) -> String {
    match whole(difference.abs()) {
        0 => "±0".to_owned(),
        bytes if difference > 0.0 => format!("+{}", Bytes(bytes)),
        bytes => format!("-{}", Bytes(bytes)),
    }
}

pub(in crate::report) fn percent(change: &Change) -> String {
    match change.percent {
        None => String::new(),
        Some(percent) if percent.abs() < 0.5 => "±0%".to_owned(),
        Some(percent) if percent > 9999.0 => ">100×".to_owned(),
        Some(percent) => format!("{percent:+.0}%"),
    }
}

/// The nearest whole number of bytes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and what is too large for an integer saturates"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
