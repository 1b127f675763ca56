//! Flamegraphs in a page: each in a frame of its own, so that they do not get in each other's way.

use maud::{Markup, html};

use crate::{
    aggregate::{Breakdown, Metric},
    report::{FlamegraphOptions, ReportError, Subject, flamegraph},
};

/// From so many stacks on, what is narrower than a pixel is left out.
const MANY_STACKS: usize = 5_000;
/// The width of a pixel on a wide screen, in percent.
const PIXEL: f64 = 0.07;

/// A drawing of a page.
#[derive(Clone, Debug)]
pub(super) struct Flame {
    /// The stable name.
    pub(super) name: String,
    /// What its tab says.
    pub(super) label: String,
    /// What it shows, in a sentence.
    pub(super) meaning: String,
    /// The drawing.
    pub(super) svg: String,
}

impl Flame {
    pub(super) fn new(name: &str, label: &str, meaning: &str, svg: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            meaning: meaning.to_owned(),
            svg: document(svg),
        }
    }
}

/// The drawing from its root element on, as HTML wants it.
fn document(svg: Vec<u8>) -> String {
    let text = String::from_utf8(svg).unwrap_or_default();
    let root = text.find("<svg").unwrap_or(0);
    text[root..].to_owned()
}

/// A flamegraph for each metric.
pub(super) fn of_report(
    subject: &Subject<'_>,
    breakdown: &Breakdown,
) -> Result<Vec<Flame>, ReportError> {
    let drawn = breakdown.weights.iter().map(|(metric, weights)| {
        let is_large = weights.len() >= MANY_STACKS;
        let options = FlamegraphOptions {
            metric: *metric,
            narrowest_percent: is_large.then_some(PIXEL),
            ..FlamegraphOptions::default()
        };
        let svg = flamegraph(subject.recorded, subject.findings, weights, &options)?;
        let meaning = if is_large {
            format!(
                "{} Frames of less than {PIXEL}% are left out here; `heaptide flamegraph` draws \
                 them.",
                meaning(*metric)
            )
        } else {
            meaning(*metric).to_owned()
        };
        Ok(Flame::new(metric.name(), metric.name(), &meaning, svg))
    });
    drawn.collect()
}

const fn meaning(metric: Metric) -> &'static str {
    match metric {
        Metric::Retained => "Bytes allocated while recording and not freed at its end.",
        Metric::Allocated => "Bytes allocated while recording, freed or not.",
        Metric::Allocations => "How many allocations there were.",
        Metric::Resident => "Bytes of fresh pages that were touched for the first time.",
        Metric::Mapped => "Bytes of address space got while recording and still held.",
    }
}

/// The drawings, of which one is shown.
pub(super) fn section(flames: &[Flame]) -> Markup {
    html! {
        section #flames aria-labelledby="flames-title" {
            h2 #flames-title { "Flamegraphs" }
            p.note {
                "The wider a frame, the more of it is due to that line and what it calls. "
                "Click to zoom; or use the arrow keys, Enter and Escape."
            }
            noscript { p.note { "Flamegraphs need JavaScript." } }
            div.tabs role="tablist" aria-label="What widths mean" {
                @for (index, flame) in flames.iter().enumerate() {
                    button role="tab" type="button" id={"tab-" (flame.name)}
                        data-flame=(flame.name) data-meaning=(flame.meaning)
                        aria-controls="flame" aria-selected=(index == 0)
                        tabindex=(if index == 0 { "0" } else { "-1" }) { (flame.label) }
                }
            }
            div #flame role="tabpanel" {
                p.note #flame-meaning {}
                div.controls {
                    label { "Search " input #flame-search type="search" size="30"
                        placeholder="function or file, or a regular expression" autocomplete="off"
                        spellcheck="false"; }
                    button type="button" #flame-reset { "Reset zoom" }
                    span #flame-found role="status" {}
                }
                div #flame-frame {}
            }
        }
    }
}
