//! What is made of measurements: live sets, ledgers and pool books while recording, and findings
//! afterwards. All of it is functions of the input: no clock, no I/O, no randomness.

mod estimate;
mod findings;
mod metric;
mod selection;

pub use estimate::Estimate;
pub use findings::{Findings, GroupFinding, ProcessFinding, Site, Totals};
pub use metric::Metric;
pub use selection::Selection;
