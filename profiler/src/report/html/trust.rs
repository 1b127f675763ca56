//! How it was measured: cost, losses, notes, and what is known of host and target.

use maud::{Markup, html};
use profiler_common::loss::Loss;

use super::summary::{command, foreign};
use crate::{
    aggregate::CgroupFinding,
    report::{
        Subject,
        numbers::grouped,
        text::{traffic::full_in, trust::watched},
    },
    units::{Bytes, human_duration},
};

/// The section that says how far to trust the rest.
pub(super) fn section(subject: &Subject<'_>) -> Markup {
    html! {
        section #trust aria-labelledby="trust-title" {
            h2 #trust-title { "How it was measured" }
            (notes(subject))
            div.columns {
                div { h3 { "Cost" } (cost(subject)) }
                div { h3 { "Host and target" } (facts(subject)) }
            }
            h3 { "What was not measured" }
            (losses(subject))
        }
    }
}

/// What a person should know before believing it.
pub(super) fn notes(subject: &Subject<'_>) -> Markup {
    let facts = &subject.recorded.facts;
    html! {
        @if !facts.complete || !facts.notes.is_empty() {
            ul.notes {
                @if !facts.complete {
                    li { "The recording was not ended in order; its last seconds may be missing." }
                }
                @for note in &facts.notes { li { (foreign(note)) } }
            }
        }
    }
}

fn cost(subject: &Subject<'_>) -> Markup {
    let findings = subject.findings;
    let measured = findings.measured_overhead_percent;
    let budget = subject.recorded.facts.budget_percent;
    html! {
        dl.facts {
            dt { "measured" }
            dd {
                @match measured {
                    Some(percent) => { (format!("{percent:.1}% of its time")) }
                    None => { "not known" }
                }
                @if let (Some(percent), Some(budget)) = (measured, budget) {
                    @if percent > budget { " " strong.bad { "more than the budget" } }
                }
            }
            dt { "budget" }
            dd {
                @match budget {
                    Some(budget) => { (budget) "%" }
                    None => { "none, for exact figures" }
                }
            }
            dt { "watched" }
            dd { (watched(findings)) }
            dt { "traffic" }
            dd {
                (foreign(&subject.verdicts.traffic.text))
                "; signal " code { (subject.verdicts.activity.name()) }
            }
        }
    }
}

fn facts(subject: &Subject<'_>) -> Markup {
    let facts = &subject.recorded.facts;
    let mut pythons: Vec<&str> = (subject.findings.processes.iter())
        .filter_map(|process| process.python.as_deref())
        .collect();
    pythons.sort_unstable();
    pythons.dedup();
    let count = subject.findings.group.process_count;
    html! {
        dl.facts {
            dt { "target" } dd { (command(&facts.target)) }
            dt { "CPython" }
            dd { @if pythons.is_empty() { "none" } @else { (foreign(&pythons.join(", "))) } }
            dt { "processes" } dd { (count) }
            dt { "recorded" }
            dd { (human_duration(facts.duration)) ", from " (foreign(&facts.started_at)) }
            @if subject.findings.duration != facts.duration {
                dt { "selected" } dd { (human_duration(subject.findings.duration)) }
            }
            @if let Some(cgroup) = &subject.findings.cgroup {
                dt { "control group" } dd { (self::cgroup(cgroup)) }
            }
            dt { "kernel" } dd { (foreign(&facts.kernel)) }
            dt { "heaptide" } dd { (foreign(&facts.heaptide)) }
            dt { "pages" }
            dd { (Bytes(facts.page_size)) ", one fault in " (facts.page_fault_period) " sampled" }
        }
    }
}

/// What the control group uses, and what it may use.
fn cgroup(cgroup: &CgroupFinding) -> Markup {
    let last = &cgroup.last;
    html! {
        (foreign(&last.path)) ": " (Bytes(last.needed())) " used"
        @if last.reclaimable > 0 {
            " besides " (Bytes(last.reclaimable)) " that the kernel can take back"
        }
        @match last.limit {
            Some(limit) => { ", limit " (Bytes(limit)) }
            None => { ", no limit" }
        }
        @if let Some(high) = last.high { ", slowed down from " (Bytes(high)) " on" }
        @if let Some(full) = full_in(cgroup) { ", " (full) }
    }
}

/// Every reason: first those that occurred.
fn losses(subject: &Subject<'_>) -> Markup {
    let losses = &subject.findings.losses;
    let (met, others): (Vec<Loss>, Vec<Loss>) = Loss::ALL
        .into_iter()
        .partition(|loss| losses.count(*loss) > 0);
    html! {
        @if met.is_empty() {
            p.good { "Nothing was lost." }
        } @else {
            (table_of_losses(subject, &met))
        }
        details {
            summary { (others.len()) " reasons that did not occur" }
            (table_of_losses(subject, &others))
        }
    }
}

fn table_of_losses(subject: &Subject<'_>, reasons: &[Loss]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Losses" {
            table {
                thead { tr { th scope="col" { "reason" } th.number scope="col" { "count" }
                    th scope="col" { "means" } } }
                tbody {
                    @for loss in reasons {
                        tr {
                            td { code { (loss.name()) } }
                            td.number { (grouped(subject.findings.losses.count(*loss))) }
                            td { (loss.describe())
                                @if loss.loses_data() { " — " em { "data are missing" } } }
                        }
                    }
                }
            }
        }
    }
}
