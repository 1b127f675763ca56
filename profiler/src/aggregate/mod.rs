//! What is made of measurements: live sets, ledgers and pool books while recording, and findings
//! afterwards. All of it is functions of the input: no clock, no I/O, no randomness.

mod ages;
mod anchor;
mod blocks;
mod books;
mod breakdown;
mod causes;
mod cgroup;
mod collector;
mod course;
#[cfg(test)]
mod coverage;
mod doubt;
mod elders;
mod estimate;
mod findings;
mod ghosts;
mod groups;
mod mappings;
mod metric;
mod objects;
mod observation;
mod phases;
mod pools;
mod processes;
mod selection;
mod series;
mod sites;
mod slope;
mod spread;
mod survivors;
mod tally;
#[cfg(test)]
mod test_data;
mod windows;

pub use ages::{Aged, old_share};
pub use books::Books;
pub use breakdown::{Breakdown, ProcessSites};
pub use causes::{AllocatorFinding, CopySite, SharingFinding};
pub use cgroup::CgroupFinding;
pub use course::{Course, Moment};
pub use elders::Elders;
pub use estimate::Estimate;
pub use findings::{Findings, GroupFinding, ProcessFinding, Site, Totals, conditions, findings};
pub use metric::Metric;
pub use processes::Round;
#[cfg(test)]
pub(crate) use processes::bare_process;
pub use selection::Selection;
pub use spread::{Flow, Flows, Growth, LineSpread, Spread};
pub use tally::{Tallies, weigh};
pub use windows::{Comparison, Correction, Window};
