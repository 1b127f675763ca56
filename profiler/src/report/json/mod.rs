//! The report for programs. Its keys are stable: `docs/schema/report-1.json` describes them, and
//! a test holds the output against it.

mod causes;
mod series;
#[cfg(test)]
mod tests;

use std::time::Duration;

use profiler_common::loss::Loss;
use serde::Serialize;

use self::causes::{Allocator, Copy, Sharing};
use self::series::{Cgroup, Series, Tree};
use super::{Owner, Subject};
use crate::{
    aggregate::{self, Findings},
    classify::{self, Verdicts},
    profile::{Facts, Recorded},
    units::Pid,
};

/// The name of this form of report.
const SCHEMA: &str = "heaptide.report/1";

/// Writes the report as JSON, for people to read as well: indented, and ending in a line feed.
pub fn json(subject: &Subject<'_>) -> String {
    let report = Report::of(subject);
    let text = serde_json::to_string_pretty(&report)
        .expect("writing to memory does not fail, and all keys are text");
    text + "\n"
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    recording: Recording<'a>,
    overhead: Overhead,
    losses: Vec<LossCount>,
    group: Group<'a>,
    processes: Vec<Process<'a>>,
    totals: Totals,
    sites: Vec<Site<'a>>,
    copies: Vec<Copy<'a>>,
    /// What stood for traffic when growth was compared with it.
    activity: &'static str,
    traffic: Traffic<'a>,
    /// All processes together from moment to moment.
    tree: Tree,
    cgroup: Option<Cgroup<'a>>,
}

impl<'a> Report<'a> {
    fn of(subject: &Subject<'a>) -> Self {
        let Subject {
            recorded,
            findings,
            verdicts,
        } = *subject;
        Self {
            schema: SCHEMA,
            recording: Recording::of(&recorded.facts, findings),
            overhead: Overhead {
                budget_percent: recorded.facts.budget_percent.map(rounded),
                measured_percent: findings.measured_overhead_percent.map(rounded),
                observed_fraction: rounded(findings.observed_fraction()),
                blocks_observed_fraction: rounded(findings.blocks_observed_fraction),
                objects_observed_fraction: findings.objects_observed_fraction.map(rounded),
                object_windows: findings.object_windows,
            },
            losses: losses(findings),
            group: Group::of(&findings.group, verdicts),
            processes: findings
                .processes
                .iter()
                .zip(&verdicts.processes)
                .map(|(process, verdict)| Process::of(process, verdict))
                .collect(),
            totals: Totals::of(findings.totals),
            sites: (1..)
                .zip(&findings.sites)
                .map(|(rank, site)| Site::of(rank, site, recorded))
                .collect(),
            copies: findings.copies.iter().map(Copy::from).collect(),
            activity: verdicts.activity.name(),
            traffic: Traffic::of(findings, verdicts),
            tree: Tree::of(&findings.rounds),
            cgroup: findings.cgroup.as_ref().map(Cgroup::of),
        }
    }
}

#[derive(Serialize)]
struct Recording<'a> {
    started_at: &'a str,
    duration: f64,
    heaptide: &'a str,
    kernel: &'a str,
    complete: bool,
    target: &'a str,
    notes: &'a [String],
    /// How long the part is that the findings are about.
    selected_duration: f64,
}

impl<'a> Recording<'a> {
    fn of(facts: &'a Facts, findings: &Findings) -> Self {
        Self {
            started_at: &facts.started_at,
            duration: seconds(facts.duration),
            heaptide: &facts.heaptide,
            kernel: &facts.kernel,
            complete: facts.complete,
            target: &facts.target,
            notes: &facts.notes,
            selected_duration: seconds(findings.duration),
        }
    }
}

#[derive(Serialize)]
struct Overhead {
    budget_percent: Option<f64>,
    measured_percent: Option<f64>,
    observed_fraction: f64,
    blocks_observed_fraction: f64,
    objects_observed_fraction: Option<f64>,
    object_windows: u64,
}

/// What stood for traffic, and how much of it there was.
#[derive(Serialize)]
struct Traffic<'a> {
    asked: &'static str,
    signal: &'static str,
    unit: &'static str,
    count: Option<f64>,
    per_second: Option<f64>,
    text: &'a str,
}

impl<'a> Traffic<'a> {
    fn of(findings: &Findings, verdicts: &'a Verdicts) -> Self {
        let traffic = &verdicts.traffic;
        Self {
            asked: findings.traffic.name(),
            signal: verdicts.activity.name(),
            unit: verdicts.activity.unit(),
            count: traffic.count.map(rounded),
            per_second: traffic.per_second.map(rounded),
            text: &traffic.text,
        }
    }
}

#[derive(Serialize)]
struct LossCount {
    reason: &'static str,
    count: u64,
    text: &'static str,
    loses_data: bool,
}

/// Every reason, so that a reader sees what was looked for and did not occur.
fn losses(findings: &Findings) -> Vec<LossCount> {
    let count = |loss: Loss| LossCount {
        reason: loss.name(),
        count: findings.losses.count(loss),
        text: loss.describe(),
        loses_data: loss.loses_data(),
    };
    Loss::ALL.into_iter().map(count).collect()
}

#[derive(Serialize)]
struct Verdict<'a> {
    pattern: &'static str,
    confidence: f64,
    summary: &'a str,
    evidence: &'a [String],
    next_steps: &'a [String],
    parts: Vec<Part>,
    record_longer: Option<f64>,
}

/// A part of a mixture.
#[derive(Serialize)]
struct Part {
    pattern: &'static str,
    share: f64,
}

impl<'a> From<&'a classify::Verdict> for Verdict<'a> {
    fn from(verdict: &'a classify::Verdict) -> Self {
        Self {
            pattern: verdict.pattern.name(),
            confidence: rounded(verdict.confidence),
            summary: &verdict.summary,
            evidence: &verdict.evidence,
            next_steps: &verdict.next_steps,
            parts: (verdict.parts.iter())
                .map(|(pattern, share)| Part {
                    pattern: pattern.name(),
                    share: rounded(*share),
                })
                .collect(),
            record_longer: verdict.record_longer.map(seconds),
        }
    }
}

#[derive(Serialize)]
struct Group<'a> {
    #[serde(flatten)]
    verdict: Verdict<'a>,
    process_count: usize,
    rss_start: Option<u64>,
    rss_end: Option<u64>,
    rss_peak: Option<u64>,
    pss_end: Option<u64>,
    growth_per_second: f64,
    explained_growth_percent: Option<f64>,
}

impl<'a> Group<'a> {
    fn of(group: &aggregate::GroupFinding, verdicts: &'a Verdicts) -> Self {
        Self {
            verdict: Verdict::from(&verdicts.group),
            process_count: group.process_count,
            rss_start: group.rss_start,
            rss_end: group.rss_end,
            rss_peak: group.rss_peak,
            pss_end: group.pss_end,
            growth_per_second: rounded(group.growth_per_second),
            explained_growth_percent: group.explained_growth_percent.map(rounded),
        }
    }
}

#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    inner_pid: Option<u32>,
    command: &'a str,
    python: Option<&'a str>,
    parent: u32,
    started: f64,
    ended: Option<f64>,
    #[serde(flatten)]
    verdict: Verdict<'a>,
    rss_start: Option<u64>,
    rss_end: Option<u64>,
    rss_peak: Option<u64>,
    uss_end: Option<u64>,
    pss_end: Option<u64>,
    growth_per_second: f64,
    explained_growth_percent: Option<f64>,
    retained: Estimate,
    mapped: u64,
    allocator: Option<Allocator>,
    sharing: Option<Sharing>,
    series: Series,
}

impl<'a> Process<'a> {
    fn of(process: &'a aggregate::ProcessFinding, verdict: &'a classify::Verdict) -> Self {
        Self {
            pid: process.pid.0,
            inner_pid: process.inner_pid.map(|Pid(pid)| pid),
            command: &process.command,
            python: process.python.as_deref(),
            parent: process.parent.0,
            started: seconds(process.started),
            ended: process.ended.map(seconds),
            verdict: Verdict::from(verdict),
            rss_start: process.rss_start,
            rss_end: process.rss_end,
            rss_peak: process.rss_peak,
            uss_end: process.uss_end,
            pss_end: process.pss_end,
            growth_per_second: rounded(process.growth_per_second),
            explained_growth_percent: process.explained_growth_percent.map(rounded),
            retained: Estimate::from(process.retained),
            mapped: process.live_mappings,
            allocator: process.allocator.as_ref().map(Allocator::from),
            sharing: process.sharing.as_ref().map(Sharing::from),
            series: Series::of(&process.course.moments),
        }
    }
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the JSON keys")]
struct Estimate {
    estimate: u64,
    low: u64,
    high: u64,
}

impl From<aggregate::Estimate> for Estimate {
    fn from(value: aggregate::Estimate) -> Self {
        let aggregate::Estimate {
            estimate,
            low,
            high,
        } = value;
        Self {
            estimate,
            low,
            high,
        }
    }
}

#[derive(Serialize)]
struct Totals {
    retained: Estimate,
    allocated: Estimate,
    allocations: Estimate,
    resident: u64,
    mapped: u64,
}

impl Totals {
    fn of(totals: aggregate::Totals) -> Self {
        Self {
            retained: Estimate::from(totals.retained),
            allocated: Estimate::from(totals.allocated),
            allocations: Estimate::from(totals.allocations),
            resident: totals.resident,
            mapped: totals.mapped,
        }
    }
}

#[derive(Serialize)]
struct Frame<'a> {
    function: &'a str,
    file: &'a str,
    line: u32,
    owner: &'static str,
}

#[derive(Serialize)]
struct Aged {
    born_after: f64,
    born_before: f64,
    bytes: u64,
}

impl Aged {
    fn of(aged: &aggregate::Aged) -> Self {
        Self {
            born_after: seconds(aged.from),
            born_before: seconds(aged.to),
            bytes: aged.bytes,
        }
    }
}

#[derive(Serialize)]
struct Site<'a> {
    rank: u32,
    function: &'a str,
    file: &'a str,
    line: u32,
    stack: Vec<Frame<'a>>,
    pids: Vec<u32>,
    samples: u64,
    retained: Estimate,
    allocated: Estimate,
    allocations: Estimate,
    resident: u64,
    mapped: u64,
    retained_by_age: Vec<Aged>,
    growth_per_second: f64,
    share_of_growth_percent: f64,
}

impl<'a> Site<'a> {
    fn of(rank: u32, site: &'a aggregate::Site, recorded: &'a Recorded) -> Self {
        let stacks = &recorded.stacks;
        let mut stack: Vec<Frame<'_>> = stacks
            .frames_of(site.stack)
            .map(|id| {
                let frame = stacks.frame(id);
                Frame {
                    function: &frame.function,
                    file: &frame.file,
                    line: frame.line,
                    owner: Owner::of(frame).name(),
                }
            })
            .collect();
        stack.reverse();
        Self {
            rank,
            function: &site.function,
            file: &site.file,
            line: site.line,
            stack,
            pids: site.pids.iter().map(|Pid(pid)| *pid).collect(),
            samples: site.samples,
            retained: Estimate::from(site.retained),
            allocated: Estimate::from(site.allocated),
            allocations: Estimate::from(site.allocations),
            resident: site.resident,
            mapped: site.mapped,
            retained_by_age: site.retained_by_age.iter().map(Aged::of).collect(),
            growth_per_second: rounded(site.growth_per_second),
            share_of_growth_percent: rounded(site.share_of_growth_percent),
        }
    }
}

/// Seconds, to the microsecond.
fn seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64())
}

/// Six digits behind the point, and zero for what is no number: JSON has none for it.
fn rounded(value: f64) -> f64 {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded.is_finite() { rounded } else { 0.0 }
}
