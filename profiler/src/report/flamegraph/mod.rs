//! Flamegraphs: one metric of one recording, as an SVG that can be searched and zoomed.

mod colors;
mod differential;
mod folded;
mod svg;
#[cfg(test)]
mod tests;
mod tree;

pub use colors::Colors;
pub use differential::{Differential, Widths, differential, per_second};

use std::io;

use inferno::flamegraph::{Direction, Options, TextTruncateDirection};
use thiserror::Error;

use self::folded::Folded;
use super::{
    Owner,
    plain::{printable, shorten},
};
use crate::{
    aggregate::{Findings, Metric},
    profile::{Recorded, StackId, StackTable},
    units::{Bytes, human_duration},
};

/// Stacks as folded lines, sorted, and each only once.
pub(super) fn folded_lines(stacks: &StackTable, weights: &[(StackId, u64)]) -> Vec<String> {
    Folded::all(stacks, weights).lines
}

/// How a flamegraph is drawn.
#[derive(Clone, Debug)]
pub struct FlamegraphOptions {
    /// What the width of a frame means.
    pub metric: Metric,
    /// The title; by default the target, the metric and the duration.
    pub title: Option<String>,
    /// The colours.
    pub colors: Colors,
    /// Whether it hangs from the top (an icicle) rather than growing from the bottom.
    pub reverse: bool,
    /// Frames of less than so many percent of all are left out; by default hardly any are.
    pub narrowest_percent: Option<f64>,
}

impl Default for FlamegraphOptions {
    fn default() -> Self {
        Self {
            metric: Metric::Retained,
            title: None,
            colors: Colors::default(),
            reverse: false,
            narrowest_percent: None,
        }
    }
}

/// Why a report could not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The library that draws it failed.
    #[error("cannot draw the flamegraph of {target}")]
    Flamegraph {
        /// What the recording is of.
        target: String,
        /// What the library said.
        source: io::Error,
    },
}

/// Columns of a title, at the size in which it is drawn on a window of usual width.
const TITLE: usize = 90;

/// Draws stacks by their weights. The findings are those of the same selection, of which the
/// conditions do: the title tells the duration, and the line below it what was lost.
pub fn flamegraph(
    recorded: &Recorded,
    findings: &Findings,
    weights: &[(StackId, u64)],
    options: &FlamegraphOptions,
) -> Result<Vec<u8>, ReportError> {
    let folded = Folded::drawn(&recorded.stacks, weights);
    let title = title(recorded, findings, options);
    let subtitle = subtitle(recorded, findings, options, folded.total);
    if folded.is_empty() {
        return Ok(svg::empty(&title, &subtitle, nothing(options.metric)));
    }
    let mut palette = colors::palette(options.colors, &folded.owners);
    let mut drawing = Options::default();
    drawing.colors = options.colors.base();
    drawing.bgcolors = Some(colors::BACKGROUND);
    drawing.palette_map = palette.as_mut();
    drawing.deterministic = true;
    drawing.title = title;
    drawing.subtitle = Some(subtitle);
    drawing.count_name = String::from(unit(options.metric));
    drawing.name_type = String::new();
    drawing.factor = folded.factor;
    drawing.text_truncate_direction = TextTruncateDirection::Right;
    if let Some(percent) = options.narrowest_percent {
        drawing.min_width = percent;
    }
    if options.reverse {
        drawing.direction = Direction::Inverted;
    }
    let mut drawn = Vec::new();
    inferno::flamegraph::from_lines(
        &mut drawing,
        folded.lines.iter().map(String::as_str),
        &mut drawn,
    )
    .map_err(|source| ReportError::Flamegraph {
        target: recorded.facts.target.clone(),
        source,
    })?;
    Ok(svg::finished(drawn))
}

/// What the target is, what was measured, and for how long.
fn title(recorded: &Recorded, findings: &Findings, options: &FlamegraphOptions) -> String {
    if let Some(title) = &options.title {
        return shorten(&printable(title), TITLE);
    }
    let what = match options.metric {
        Metric::Retained => "retained bytes",
        Metric::Allocated => "allocated bytes",
        Metric::Allocations => "allocations",
        Metric::Resident => "bytes of fresh pages",
        Metric::Mapped => "mapped bytes",
    };
    let duration = human_duration(findings.duration);
    let target = shorten(&printable(&recorded.facts.target), TITLE / 3 * 2);
    format!("{target} — {what}, {duration}")
}

/// The legend, the sum, what was lost, and what measuring cost.
fn subtitle(
    recorded: &Recorded,
    findings: &Findings,
    options: &FlamegraphOptions,
    total: u64,
) -> String {
    let mut parts = Vec::new();
    if options.colors == Colors::Heaptide {
        parts.extend(Owner::ALL.map(|owner| format!("{} {}", svg::SWATCH, owner.describe())));
    }
    parts.push(if options.metric.is_bytes() {
        format!("total {}", Bytes(total))
    } else {
        format!("total {total}")
    });
    parts.push(format!("lost events: {}", findings.losses.missing()));
    let budget = match recorded.facts.budget_percent {
        Some(budget) => format!("budget {budget}%"),
        None => "exact".to_owned(),
    };
    parts.push(match findings.measured_overhead_percent {
        Some(percent) => format!("cost {percent:.1}% ({budget})"),
        None => format!("cost not known ({budget})"),
    });
    parts.join(" · ")
}

/// What the numbers of a metric count.
const fn unit(metric: Metric) -> &'static str {
    if metric.is_bytes() {
        "bytes"
    } else {
        "allocations"
    }
}

/// What a flamegraph without frames says.
const fn nothing(metric: Metric) -> &'static str {
    match metric {
        Metric::Retained => "Nothing was retained: all that was allocated was freed.",
        Metric::Allocated | Metric::Allocations => "Nothing was allocated.",
        Metric::Resident => "No fresh page was seen to be touched.",
        Metric::Mapped => "Nothing was mapped and kept.",
    }
}
