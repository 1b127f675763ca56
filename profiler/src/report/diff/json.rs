//! The comparison for programs. Its keys are stable: `docs/schema/diff-1.json` describes them, and
//! a test holds the output against it.

use serde::Serialize;

use super::DiffSubject;
use crate::{
    compare::{self, Changes, LineChange},
    profile,
    report::Subject,
};

/// The name of this form of report.
const SCHEMA: &str = "heaptide.diff/1";

/// Writes the comparison as JSON: indented, and ending in a line feed.
pub fn json(subject: &DiffSubject<'_>) -> String {
    let comparison = subject.comparison;
    let main = comparison.total.main();
    let diff = Diff {
        schema: SCHEMA,
        per: subject.comparison.unit.per.name(),
        unit: subject.comparison.unit.name,
        units: subject.comparison.unit.counts.map(rounded),
        before: Recording::of(subject.before),
        after: Recording::of(subject.after),
        verdict: main.outcome.name(),
        reason: main.doubt.map(compare::Doubt::name),
        warnings: &comparison.warnings,
        pace: comparison.pace.map(rounded),
        total: Metrics::of(&comparison.total),
        roles: comparison.roles.iter().map(Role::of).collect(),
        renamed_files: comparison.renamed.iter().map(Renamed::of).collect(),
        lines: comparison
            .lines
            .iter()
            .map(|line| Site::of(line, comparison))
            .collect(),
    };
    let text = serde_json::to_string_pretty(&diff)
        .expect("writing to memory does not fail, and all keys are text");
    text + "\n"
}

#[derive(Serialize)]
struct Diff<'a> {
    schema: &'static str,
    per: &'static str,
    unit: &'static str,
    /// How many units before and after.
    units: [f64; 2],
    before: Recording<'a>,
    after: Recording<'a>,
    verdict: &'static str,
    reason: Option<&'static str>,
    warnings: &'a [String],
    pace: Option<f64>,
    total: Metrics,
    roles: Vec<Role<'a>>,
    renamed_files: Vec<Renamed<'a>>,
    lines: Vec<Site<'a>>,
}

#[derive(Serialize)]
struct Recording<'a> {
    target: &'a str,
    started_at: &'a str,
    duration: f64,
    complete: bool,
    heaptide: &'a str,
    pattern: &'static str,
}

impl<'a> Recording<'a> {
    fn of(side: Subject<'a>) -> Self {
        let facts = &side.recorded.facts;
        Self {
            target: &facts.target,
            started_at: &facts.started_at,
            duration: rounded(side.findings.duration.as_secs_f64()),
            complete: facts.complete,
            heaptide: &facts.heaptide,
            pattern: side.verdicts.group.pattern.name(),
        }
    }
}

#[derive(Serialize)]
struct Metrics {
    retained: Change,
    allocated: Change,
    mapped: Change,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident: Option<Change>,
}

impl Metrics {
    fn of(changes: &Changes) -> Self {
        Self {
            retained: Change::of(&changes.retained),
            allocated: Change::of(&changes.allocated),
            mapped: Change::of(&changes.mapped),
            resident: changes.resident.as_ref().map(Change::of),
        }
    }
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the JSON keys")]
struct Change {
    before: Number,
    after: Number,
    change: Number,
    percent: Option<f64>,
    verdict: &'static str,
    reason: Option<&'static str>,
}

impl Change {
    fn of(change: &compare::Change) -> Self {
        let rate = |rate: compare::Rate| Number::of(rate.estimate, rate.low, rate.high);
        Self {
            before: rate(change.before),
            after: rate(change.after),
            change: Number::of(change.difference, change.low, change.high),
            percent: change.percent.map(rounded),
            verdict: change.outcome.name(),
            reason: change.doubt.map(compare::Doubt::name),
        }
    }
}

#[derive(Serialize)]
struct Number {
    estimate: f64,
    low: f64,
    high: f64,
}

impl Number {
    fn of(estimate: f64, low: f64, high: f64) -> Self {
        Self {
            estimate: rounded(estimate),
            low: rounded(low),
            high: rounded(high),
        }
    }
}

#[derive(Serialize)]
struct Role<'a> {
    name: &'a str,
    command: &'a str,
    before_count: usize,
    after_count: usize,
    #[serde(flatten)]
    metrics: Metrics,
}

impl<'a> Role<'a> {
    fn of((role, changes): &'a (compare::Role, Changes)) -> Self {
        Self {
            name: &role.name,
            command: &role.command,
            before_count: role.before,
            after_count: role.after,
            metrics: Metrics::of(changes),
        }
    }
}

#[derive(Serialize)]
struct Renamed<'a> {
    from: &'a str,
    to: &'a str,
}

impl<'a> Renamed<'a> {
    fn of((from, to): &'a (String, String)) -> Self {
        Self { from, to }
    }
}

#[derive(Serialize)]
struct Place<'a> {
    function: &'a str,
    file: &'a str,
    line: u32,
}

impl<'a> Place<'a> {
    fn of(frame: &'a profile::Frame) -> Self {
        Self {
            function: &frame.function,
            file: &frame.file,
            line: frame.line,
        }
    }
}

#[derive(Serialize)]
struct Site<'a> {
    role: &'a str,
    code: &'static str,
    was: Option<Place<'a>>,
    is: Option<Place<'a>>,
    #[serde(flatten)]
    metrics: Metrics,
}

impl<'a> Site<'a> {
    fn of(line: &'a LineChange, comparison: &'a compare::Comparison) -> Self {
        let role = comparison.roles.get(line.role);
        Self {
            role: role.map_or("", |(role, _)| role.name.as_str()),
            code: line.fate.name(),
            was: line.before.as_ref().map(Place::of),
            is: line.after.as_ref().map(Place::of),
            metrics: Metrics::of(&line.changes),
        }
    }
}

/// Six digits behind the point, and zero for what is no number: JSON has none for it.
fn rounded(value: f64) -> f64 {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded.is_finite() { rounded } else { 0.0 }
}
