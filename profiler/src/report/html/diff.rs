//! A comparison of two recordings as a page.

use maud::{Markup, html};
use serde::Serialize;

use super::{
    flames::{self, Flame},
    page,
    sites::{Texts, table},
    summary::{badge, command, figure, foreign, theme},
    trust::notes,
};
use crate::{
    compare::{Change, Changes, Comparison, Fate, LineChange, Outcome, Rate},
    profile::Frame,
    report::{
        DiffSubject, Owner, Places, Subject,
        diff::text::{amount, name, percent, places, said, signed},
        plain::printable,
    },
    units::human_duration,
};

/// Writes the comparison as a page, with the differential flamegraphs as wide as the recording
/// after and as that before.
pub fn diff_html(subject: &DiffSubject<'_>, after: Vec<u8>, before: Vec<u8>) -> String {
    let flames = [
        Flame::new(
            "after",
            "as wide as after",
            "What is retained per second after. Red is more than before, blue is less; what is \
             gone has no width here.",
            after,
        ),
        Flame::new(
            "before",
            "as wide as before",
            "What was retained per second before. Red is more after, blue is less; what is new has \
             no width here.",
            before,
        ),
    ];
    let facts = &subject.after.recorded.facts;
    let title = format!("{}: before and after — heaptide", printable(&facts.target));
    let body = html! {
        header.page {
            div {
                p.brand { "heaptide" }
                h1 { "What changed in " (command(&facts.target)) }
                p.note {
                    "from " (foreign(&subject.before.recorded.facts.started_at))
                    " to " (foreign(&facts.started_at)) "; all numbers are per second"
                }
            }
            (theme())
        }
        main {
            (verdict(subject))
            (sums(subject))
            section #lines aria-labelledby="lines-title" {
                h2 #lines-title { "Lines" }
                noscript { p.note { "The table of lines needs JavaScript; "
                    code { "heaptide diff" } " prints those that changed most." } }
                (table("changes-table", "Lines that changed"))
            }
            (flames::section(&flames))
            (renamed(subject))
            (sides(subject))
        }
    };
    page::page(&title, &body, &flames, &[("changes", &data(subject))])
}

fn verdict(subject: &DiffSubject<'_>) -> Markup {
    let comparison = subject.comparison;
    let main = comparison.total.main();
    html! {
        section.verdict #verdict aria-labelledby="verdict-title" {
            h2 #verdict-title.visually-hidden { "Verdict" }
            p { (outcome(main.outcome)) }
            p.summary { (sentence(comparison)) }
            @if !comparison.warnings.is_empty() {
                ul.notes { @for warning in &comparison.warnings { li { (foreign(warning)) } } }
            }
            @if let Some(pace) = comparison.pace.filter(|pace| (pace - 1.0).abs() > 0.1) {
                p { (format!("Most lines allocated {pace:.2} times as much per second after: runs \
                    with the same work tell more.")) }
            }
            dl.figures {
                @for (name, change) in metrics(&comparison.total) {
                    (figure(name, &signed(change.difference), &format!(
                        "{} → {} per second", rate(change.before), rate(change.after)
                    )))
                }
            }
            div.columns {
                (pattern("Before", subject.before))
                (pattern("After", subject.after))
            }
        }
    }
}

/// What became of memory.
fn sentence(comparison: &Comparison) -> String {
    let main = comparison.total.main();
    match (main.outcome, main.doubt) {
        (Outcome::Improved | Outcome::Regressed, _) => {
            said(comparison).trim_start_matches(": ").to_owned()
        }
        (Outcome::Unchanged, _) => "as much is retained per second as before".to_owned(),
        (Outcome::CannotTell, Some(doubt)) => doubt.describe().to_owned(),
        (Outcome::CannotTell, None) => name(main.outcome).to_owned(),
    }
}

fn pattern(title: &str, side: Subject<'_>) -> Markup {
    let verdict = &side.verdicts.group;
    html! {
        div { h3 { (title) } p { (badge(verdict)) } p { (foreign(&verdict.summary)) } }
    }
}

fn outcome(outcome: Outcome) -> Markup {
    html! { span.outcome data-outcome=(outcome.name()) { (name(outcome)) } }
}

fn rate(rate: Rate) -> String {
    amount(rate.estimate)
}

/// The metrics that tell something.
fn metrics(changes: &Changes) -> Vec<(&'static str, &Change)> {
    let mut metrics = vec![
        ("retained", &changes.retained),
        ("allocated", &changes.allocated),
    ];
    let mapped = &changes.mapped;
    if mapped.before.estimate > 0.0 || mapped.after.estimate > 0.0 {
        metrics.push(("mapped", mapped));
    }
    metrics.extend(changes.resident.as_ref().map(|it| ("resident", it)));
    metrics
}

/// The sums of all processes, and of each role if there are several.
fn sums(subject: &DiffSubject<'_>) -> Markup {
    let comparison = subject.comparison;
    html! {
        section #sums aria-labelledby="sums-title" {
            h2 #sums-title { "Sums" }
            div.scroll tabindex="0" role="region" aria-label="Sums" {
                table #sums-table {
                    thead { tr {
                        th scope="col" { "per second" } th.number scope="col" { "before" }
                        th.number scope="col" { "after" } th.number scope="col" { "change" }
                        th.number scope="col" { "at least … at most" } th scope="col" { "verdict" }
                    } }
                    tbody {
                        @for (name, change) in metrics(&comparison.total) {
                            (row(&html! { (name) }, change))
                        }
                    }
                    @if comparison.roles.len() > 1 {
                        @for (role, changes) in &comparison.roles {
                            tbody {
                                tr { th colspan="6" scope="rowgroup" {
                                    (foreign(&role.name)) " "
                                    span.note { (command(&role.command)) " ("
                                        (role.before) " before, " (role.after) " after)" }
                                } }
                                @for (name, change) in metrics(changes) {
                                    (row(&html! { (name) }, change))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn row(label: &Markup, change: &Change) -> Markup {
    html! {
        tr {
            td { (label) }
            td.number { (rate(change.before)) }
            td.number { (rate(change.after)) }
            td.number { (signed(change.difference)) " " span.note { (percent(change)) } }
            td.number { (signed(change.low)) " … " (signed(change.high)) }
            td { (outcome(change.outcome))
                @if let Some(doubt) = change.doubt { " " span.note { (doubt.describe()) } } }
        }
    }
}

fn renamed(subject: &DiffSubject<'_>) -> Markup {
    let renamed = &subject.comparison.renamed;
    html! {
        @if !renamed.is_empty() {
            section #renamed aria-labelledby="renamed-title" {
                h2 #renamed-title { "Renamed files" }
                ul { @for (from, to) in renamed { li { (foreign(from)) " → " (foreign(to)) } } }
            }
        }
    }
}

/// The two recordings.
fn sides(subject: &DiffSubject<'_>) -> Markup {
    let side = |title: &str, side: Subject<'_>| {
        let facts = &side.recorded.facts;
        html! {
            div {
                h3 { (title) }
                (notes(&side))
                dl.facts {
                    dt { "target" } dd { (command(&facts.target)) }
                    dt { "recorded" }
                    dd {
                        (human_duration(side.findings.duration)) ", from "
                        (foreign(&facts.started_at))
                    }
                    dt { "lost events" } dd { (side.findings.losses.missing()) }
                    dt { "kernel" } dd { (foreign(&facts.kernel)) }
                    dt { "heaptide" } dd { (foreign(&facts.heaptide)) }
                }
            }
        }
    };
    html! {
        section #recordings aria-labelledby="recordings-title" {
            h2 #recordings-title { "The recordings" }
            div.columns { (side("Before", subject.before)) (side("After", subject.after)) }
        }
    }
}

#[derive(Serialize)]
struct Data {
    text: Vec<String>,
    fates: Vec<&'static str>,
    outcomes: Vec<&'static str>,
    owners: [&'static str; 3],
    roles: Vec<usize>,
    lines: Lines,
    values: Values,
}

/// What lines are, those that changed most first.
#[derive(Debug, Default, Serialize)]
struct Lines {
    function: Vec<usize>,
    place: Vec<usize>,
    file: Vec<usize>,
    line: Vec<u32>,
    owner: Vec<usize>,
    role: Vec<usize>,
    fate: Vec<usize>,
    /// Where a line was, if that is elsewhere.
    was: Vec<Option<usize>>,
}

/// The metrics by their names.
#[derive(Debug, Default, Serialize)]
struct Values {
    retained: Numbers,
    allocated: Numbers,
    mapped: Numbers,
}

#[derive(Debug, Default, Serialize)]
struct Numbers {
    before: Vec<f64>,
    after: Vec<f64>,
    change: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
    percent: Vec<Option<f64>>,
    outcome: Vec<usize>,
    doubt: Vec<Option<usize>>,
}

impl Numbers {
    fn push(&mut self, change: &Change, texts: &mut Texts) {
        self.before.push(change.before.estimate.round());
        self.after.push(change.after.estimate.round());
        self.change.push(change.difference.round());
        self.low.push(change.low.round());
        self.high.push(change.high.round());
        self.percent.push(change.percent.map(f64::round));
        self.outcome.push(position(&Outcome::ALL, change.outcome));
        let doubt = change.doubt.map(|doubt| texts.number(doubt.describe()));
        self.doubt.push(doubt);
    }
}

fn position<T: Copy + PartialEq>(all: &[T], one: T) -> usize {
    all.iter().position(|it| *it == one).unwrap_or(0)
}

/// All lines, for the script.
fn data(subject: &DiffSubject<'_>) -> String {
    let comparison = subject.comparison;
    let mut texts = Texts::default();
    let places = places(subject);
    let mut lines = Lines::default();
    let mut values = Values::default();
    for line in &comparison.lines {
        let unknown = Frame::pseudo("<unknown>");
        let now = line.after.as_ref().or(line.before.as_ref());
        let now = now.unwrap_or(&unknown);
        lines.function.push(texts.number(&now.function));
        lines.place.push(texts.number(&places.file(now)));
        lines.file.push(texts.number(&now.file));
        lines.line.push(now.line);
        lines.owner.push(position(&Owner::ALL, Owner::of(now)));
        lines.role.push(line.role);
        lines.fate.push(position(&Fate::ALL, line.fate));
        lines
            .was
            .push(was(line, &places).map(|was| texts.number(&was)));
        values.retained.push(&line.changes.retained, &mut texts);
        values.allocated.push(&line.changes.allocated, &mut texts);
        values.mapped.push(&line.changes.mapped, &mut texts);
    }
    let roles = comparison.roles.iter();
    let data = Data {
        fates: Fate::ALL.map(Fate::name).into(),
        outcomes: Outcome::ALL.map(name).into(),
        owners: Owner::ALL.map(Owner::describe),
        roles: roles.map(|(role, _)| texts.number(&role.name)).collect(),
        lines,
        values,
        text: texts.all,
    };
    serde_json::to_string(&data).expect("writing to memory does not fail, and all keys are text")
}

/// Where a line was before, if it is elsewhere now.
fn was(line: &LineChange, places: &Places) -> Option<String> {
    let before = line.before.as_ref()?;
    match line.fate {
        Fate::Moved => Some(format!("line {}", before.line)),
        Fate::Renamed => Some(format!("{}:{}", places.file(before), before.line)),
        Fate::Same | Fate::New | Fate::Vanished => None,
    }
}
