//! Findings for people and for programs: text, JSON, HTML and flamegraphs, as functions of their
//! input.

mod diagnosis;
mod diff;
mod export;
mod flamegraph;
mod html;
mod json;
mod numbers;
mod place;
mod plain;
mod redact;
#[cfg(test)]
mod sample;
mod screen;
mod text;

pub use diagnosis::{Check, Diagnosis, Status, Topic};
pub use diff::{DiffSubject, diff_json, diff_text};
pub use export::{folded, pprof, speedscope, table};
pub use flamegraph::{
    Colors, Differential, FlamegraphOptions, ReportError, Widths, differential, flamegraph,
    per_second,
};
pub use html::{diff_html, html};
pub use json::json;
pub use place::{Owner, Places};
pub use redact::{Redaction, Redactor};
pub use text::{TextOptions, text};

use crate::{aggregate::Findings, classify::Verdicts, profile::Recorded};

/// What a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What was recorded.
    pub recorded: &'a Recorded,
    /// What it says in numbers.
    pub findings: &'a Findings,
    /// What is thought of that.
    pub verdicts: &'a Verdicts,
}
