//! The processes: how each went, what is thought of it, and what to do.

use maud::{Markup, html};

use super::{
    course,
    summary::{amount, badge, command, foreign, reasons},
};
use crate::{
    aggregate::ProcessFinding,
    classify::Verdict,
    report::{
        Subject,
        numbers::{change, slope},
    },
    units::{Bytes, human_duration},
};

/// Of so many processes the course is drawn.
pub(super) const DRAWN: usize = 24;

/// The section with all processes, those that grew most first.
pub(super) fn section(subject: &Subject<'_>) -> Markup {
    let ranked = ranked(subject);
    html! {
        section #processes aria-labelledby="processes-title" {
            h2 #processes-title {
                @match ranked.len() { 1 => "The process", _ => { (ranked.len()) " processes" } }
            }
            (table(&ranked))
            div.cards {
                @for (process, verdict) in ranked.iter().take(DRAWN) {
                    (card(subject, process, verdict))
                }
            }
            @if ranked.len() > DRAWN {
                p.note { "The course of the " (DRAWN) " that grew most is drawn; the table has all "
                    (ranked.len()) "." }
            }
        }
    }
}

type Judged<'a> = (&'a ProcessFinding, &'a Verdict);

/// The processes with what is thought of them, those that grew most first.
fn ranked<'a>(subject: &Subject<'a>) -> Vec<Judged<'a>> {
    let verdicts = &subject.verdicts.processes;
    let mut ranked: Vec<Judged<'_>> = subject.findings.processes.iter().zip(verdicts).collect();
    ranked.sort_by_key(|(process, _)| std::cmp::Reverse(growth(process)));
    ranked
}

/// How much a process grew; what is not known is no growth.
fn growth(process: &ProcessFinding) -> i128 {
    match (process.rss_start, process.rss_end) {
        (Some(start), Some(end)) => i128::from(end) - i128::from(start),
        _ => 0,
    }
}

fn bytes(value: Option<u64>) -> String {
    value.map_or("?".to_owned(), |bytes| Bytes(bytes).to_string())
}

fn table(ranked: &[Judged<'_>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Processes" {
            table #process-table {
                thead { tr {
                    th scope="col" { "pid" } th scope="col" { "command" }
                    th scope="col" { "pattern" }
                    th.number scope="col" { "start" } th.number scope="col" { "end" }
                    th.number scope="col" { "growth" } th.number scope="col" { "retained" }
                    th.number scope="col" { "private" } th.number scope="col" { "PSS" }
                    th scope="col" { "ran" }
                } }
                tbody { @for (process, verdict) in ranked { (row(process, verdict)) } }
            }
        }
    }
}

fn row(process: &ProcessFinding, verdict: &Verdict) -> Markup {
    let (start, end) = (process.rss_start, process.rss_end);
    let by = start
        .zip(end)
        .map_or("?".to_owned(), |(start, end)| change(start, end));
    html! {
        tr {
            td { (process.pid) @if let Some(inner) = process.inner_pid { " (" (inner) " inside)" } }
            td.wide { (command(&process.command)) }
            td { span.pattern data-pattern=(verdict.pattern.name()) { (verdict.pattern.name()) } }
            td.number { (bytes(start)) }
            td.number { (bytes(end)) }
            td.number { (by) }
            td.number { (amount(process.retained)) }
            td.number { (bytes(process.uss_end)) }
            td.number { (bytes(process.pss_end)) }
            td { (life(process)) }
        }
    }
}

/// When it ran.
fn life(process: &ProcessFinding) -> String {
    let from = human_duration(process.started);
    match process.ended {
        Some(ended) => format!("{from} to {}", human_duration(ended)),
        None if process.started.is_zero() => "all the time".to_owned(),
        None => format!("from {from} on"),
    }
}

fn card(subject: &Subject<'_>, process: &ProcessFinding, verdict: &Verdict) -> Markup {
    html! {
        article.card id={"process-" (process.key.0)} {
            h3 { (process.pid) " " (command(&process.command)) }
            p { (badge(verdict)) }
            p { (foreign(&verdict.summary)) }
            (course::of_process(subject, process))
            dl.facts {
                dt { "resident" }
                dd {
                    (bytes(process.rss_start)) " → " (bytes(process.rss_end))
                    ", peak " (bytes(process.rss_peak))
                    @if let Some(slope) = slope(process.growth_per_second) { ", " (slope) }
                }
                dt { "retained" }
                dd {
                    (amount(process.retained))
                    @if let Some(percent) = process.explained_growth_percent {
                        (format!("; explains {percent:.0}% of its growth"))
                    }
                }
                @if process.live_mappings > 0 {
                    dt { "mapped" } dd { (Bytes(process.live_mappings)) }
                }
                dt { "CPython" }
                dd { @match &process.python {
                    Some(python) => (foreign(python)), None => "none that is known" } }
                dt { "parent" } dd { (process.parent) }
            }
            @if !verdict.evidence.is_empty() || !verdict.next_steps.is_empty() {
                details { summary { "Evidence and next steps" } (reasons(verdict)) }
            }
        }
    }
}
