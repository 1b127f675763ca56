//! What a page begins with: what was measured, what is thought of it, and what to do.

use maud::{Markup, html};

use crate::{
    aggregate::{Estimate, Findings},
    classify::Verdict,
    report::{
        Subject,
        numbers::{change, grouped, percent, slope, uncertainty},
        plain::{printable, shorten},
        text::traffic::{full_in, is_near},
    },
    units::{Bytes, human_duration},
};

/// Columns of a command line that are shown.
const COMMAND: usize = 160;

/// Text of the target: what acts is spelled out, and its direction of writing stays its own.
pub(super) fn foreign(text: &str) -> Markup {
    html! { bdi { (printable(text)) } }
}

/// A command line of the target, cut in its middle if it is long.
pub(super) fn command(text: &str) -> Markup {
    html! { bdi.command { (shorten(&printable(text), COMMAND)) } }
}

/// The name of the page, and how it looks.
pub(super) fn header(what: &str, subject: &Subject<'_>) -> Markup {
    let facts = &subject.recorded.facts;
    html! {
        header.page {
            div {
                p.brand { "heaptide" }
                h1 { (what) " " (command(&facts.target)) }
                p.note {
                    (human_duration(subject.findings.duration))
                    ", from " (foreign(&facts.started_at))
                }
            }
            (theme())
        }
    }
}

/// The switch between light and dark.
pub(super) fn theme() -> Markup {
    html! {
        label.theme { "Theme "
            select #theme {
                option value="" { "of the system" }
                option value="light" { "light" }
                option value="dark" { "dark" }
            }
        }
    }
}

/// The pattern, the sentence to act on, the numbers, and the next steps.
pub(super) fn verdict(subject: &Subject<'_>) -> Markup {
    let verdict = &subject.verdicts.group;
    html! {
        section.verdict #verdict aria-labelledby="verdict-title" {
            h2 #verdict-title.visually-hidden { "Verdict" }
            p { (badge(verdict)) }
            p.summary { (foreign(&verdict.summary)) }
            (mixture(verdict))
            (figures(subject))
            (reasons(verdict))
        }
    }
}

/// The pattern, and how sure that is.
pub(super) fn badge(verdict: &Verdict) -> Markup {
    let name = verdict.pattern.name();
    html! {
        span.pattern data-pattern=(name) { (name) }
        @if verdict.confidence > 0.0 {
            " " span.note { (percent(verdict.confidence * 100.0)) " sure" }
        }
    }
}

/// The parts of a mixture, or how much longer to record.
fn mixture(verdict: &Verdict) -> Markup {
    html! {
        @if !verdict.parts.is_empty() {
            p {
                "Its parts: "
                @for (index, (pattern, share)) in verdict.parts.iter().enumerate() {
                    @if index > 0 { ", " }
                    (pattern.name()) " " (percent(share * 100.0))
                }
            }
        }
        @if let Some(longer) = verdict.record_longer {
            p { "Record " (human_duration(longer)) " longer to know more." }
        }
    }
}

/// What to do, and what speaks for the verdict.
pub(super) fn reasons(verdict: &Verdict) -> Markup {
    html! {
        div.columns {
            (list("Next steps", &verdict.next_steps, true))
            (list("Evidence", &verdict.evidence, false))
        }
    }
}

fn list(title: &str, sentences: &[String], is_ordered: bool) -> Markup {
    html! {
        @if !sentences.is_empty() {
            div {
                h3 { (title) }
                @if is_ordered {
                    ol { @for sentence in sentences { li { (foreign(sentence)) } } }
                } @else {
                    ul { @for sentence in sentences { li { (foreign(sentence)) } } }
                }
            }
        }
    }
}

/// The numbers that matter most.
fn figures(subject: &Subject<'_>) -> Markup {
    let findings = subject.findings;
    let group = &findings.group;
    let missing = findings.losses.missing();
    let mapped = findings.totals.mapped;
    html! {
        dl.figures {
            @if let (Some(start), Some(end)) = (group.rss_start, group.rss_end) {
                (figure("resident", &change(start, end), &resident(findings, start, end)))
            } @else {
                (figure("resident", "?", "nothing told how large it was"))
            }
            (figure("retained", &amount(findings.totals.retained), &retained(findings)))
            @if mapped > 0 {
                (figure("mapped", &Bytes(mapped).to_string(), "of new mappings, still held"))
            }
            (limit(findings))
            (figure("cost", &cost(findings), &budget(subject)))
            (figure("lost events", &grouped(missing), if missing == 0 {
                "everything was seen"
            } else {
                "the numbers may be too low"
            }))
        }
    }
}

pub(super) fn figure(name: &str, value: &str, more: &str) -> Markup {
    html! {
        div { dt { (name) } dd.value { (value) } dd.note { (more) } }
    }
}

/// The limit of the control group, if there is one. The section on the host has its name.
fn limit(findings: &Findings) -> Markup {
    let cgroup = findings.cgroup.as_ref();
    let limited = cgroup.and_then(|cgroup| Some((cgroup, cgroup.last.limit?)));
    let Some((cgroup, limit)) = limited else {
        return html! {};
    };
    let used = Bytes(cgroup.last.needed());
    let full = full_in(cgroup).map_or_else(String::new, |full| format!(", {full}"));
    html! {
        div {
            dt { "control group" }
            dd.value.bad[is_near(cgroup, limit)] { (used) }
            dd.note { "used of the limit of " (Bytes(limit)) (full) }
        }
    }
}

fn resident(findings: &Findings, start: u64, end: u64) -> String {
    let group = &findings.group;
    let mut text = format!("{} → {}", Bytes(start), Bytes(end));
    if let Some(slope) = slope(group.growth_per_second) {
        text = format!("{text}, {slope}");
    }
    if let Some(peak) = group.rss_peak.filter(|peak| *peak > end) {
        text = format!("{text}, peak {}", Bytes(peak));
    }
    if let Some(pss) = group.pss_end.filter(|_| group.process_count > 1) {
        text = format!("{text}, PSS {}", Bytes(pss));
    }
    text
}

/// An estimate of bytes, with how far it may be off.
pub(super) fn amount(estimate: Estimate) -> String {
    let bytes = Bytes(estimate.estimate);
    match uncertainty(estimate) {
        Some(uncertainty) => format!("{bytes} {uncertainty}"),
        None => bytes.to_string(),
    }
}

fn retained(findings: &Findings) -> String {
    match findings.group.explained_growth_percent {
        Some(percent) => format!("allocated, not freed; explains {percent:.0}% of the growth"),
        None => "allocated, not freed".to_owned(),
    }
}

fn cost(findings: &Findings) -> String {
    let percent = findings.measured_overhead_percent;
    percent.map_or("not known".to_owned(), |percent| format!("{percent:.1}%"))
}

fn budget(subject: &Subject<'_>) -> String {
    match subject.recorded.facts.budget_percent {
        Some(budget) => format!("of its time; the budget was {budget}%"),
        None => "of its time; without a budget, for exact figures".to_owned(),
    }
}
