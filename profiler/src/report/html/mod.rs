//! Reports as one HTML page that asks for nothing from outside.
//!
//! Text is written by a templating library that escapes it, and data travel compressed in base64,
//! so nothing of the target can become markup. A policy in the page names the scripts that may
//! run, by their digests, and forbids all requests.

mod chart;
mod course;
mod diff;
mod embed;
mod flames;
mod page;
mod processes;
mod series;
mod sites;
mod summary;
#[cfg(test)]
mod tests;
mod traffic;
mod trust;

pub use diff::diff_html;

use maud::html as markup;

use super::{ReportError, Subject, plain::printable};
use crate::aggregate::Breakdown;

/// Writes the report as a page.
pub fn html(subject: &Subject<'_>, breakdown: &Breakdown) -> Result<String, ReportError> {
    let flames = flames::of_report(subject, breakdown)?;
    let data = sites::data(subject, breakdown);
    let data = [("sites", &*data.sites), ("calls", &*data.calls)];
    let title = format!("{} — heaptide", printable(&subject.recorded.facts.target));
    let body = markup! {
        (summary::header("Memory of", subject))
        main {
            (summary::verdict(subject))
            (course::section(subject))
            (processes::section(subject))
            (flames::section(&flames))
            (sites::section(subject))
            (trust::section(subject))
        }
    };
    Ok(page::page(&title, &body, &flames, &data))
}
