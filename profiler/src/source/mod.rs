//! Where events come from: records of the kernel half, with names instead of addresses.
//!
//! [`plan`](Planner::plan) says how a process can be measured; [`Translator`] turns records into
//! [`Event`]s, which know processes by their keys and stacks by their ids.

mod blocks;
mod event;
mod files;
mod hidden;
mod plan;
mod small;
mod symbolizer;
mod translator;

pub use event::{Event, What};
pub use plan::{Plan, PlanError, PlannedSites, Planner, SiteClass};
pub use symbolizer::Symbolizer;
pub use translator::{Traced, Translator};
