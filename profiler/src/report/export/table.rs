//! CSV: a row for each line of Python, heaviest first, with all metrics.

use crate::aggregate::{Findings, Site};

/// The names of the columns. Sizes are bytes; `low` and `high` are the ends of 95 % intervals.
const COLUMNS: [&str; 19] = [
    "rank",
    "function",
    "file",
    "line",
    "pids",
    "samples",
    "retained",
    "retained_low",
    "retained_high",
    "allocated",
    "allocated_low",
    "allocated_high",
    "allocations",
    "allocations_low",
    "allocations_high",
    "resident",
    "mapped",
    "growth_bytes_per_second",
    "share_of_growth_percent",
];

/// Writes the table.
///
/// # Errors
/// Only if there is no memory left.
pub fn table(findings: &Findings) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for (rank, site) in (1..).zip(&findings.sites) {
        writer.write_record(row(rank, site))?;
    }
    writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))
}

fn row(rank: u32, site: &Site) -> [String; COLUMNS.len()] {
    let pids: Vec<String> = site.pids.iter().map(ToString::to_string).collect();
    let [retained, allocated, allocations] = [site.retained, site.allocated, site.allocations]
        .map(|it| [it.estimate, it.low, it.high].map(|number| number.to_string()));
    let [retained, retained_low, retained_high] = retained;
    let [allocated, allocated_low, allocated_high] = allocated;
    let [allocations, allocations_low, allocations_high] = allocations;
    [
        rank.to_string(),
        site.function.clone(),
        site.file.clone(),
        site.line.to_string(),
        pids.join(" "),
        site.samples.to_string(),
        retained,
        retained_low,
        retained_high,
        allocated,
        allocated_low,
        allocated_high,
        allocations,
        allocations_low,
        allocations_high,
        site.resident.to_string(),
        site.mapped.to_string(),
        format!("{:.3}", site.growth_per_second),
        format!("{:.3}", site.share_of_growth_percent),
    ]
}
