//! The kernel half, seen from user space: load, attach, read, detach. Only this module knows aya.
//!
//! It knows how to measure and nothing of what the measurements mean.

mod btf;
mod calibration;
mod error;
mod host;
mod kernel;
mod links;
mod load;
mod maps;
mod record;
mod seccomp;
mod skipped;
mod throttle;

pub use btf::{Btf, BtfError};
pub use calibration::calibrate;
pub use error::ProbeError;
pub use host::is_tracefs_mounted;
pub use kernel::read_layout;
pub use links::{Links, Site, SiteProgram};
pub use load::{LoadOptions, Probe};
pub use maps::{ProcessCounters, Runs};
pub use record::{HandedOut, Happening, RawStack, Record, decode};
pub use seccomp::{TRIAL_VERB, return_probes_are_safe, run_trial};
pub use throttle::{Busy, Order, Passed, Random, Throttle, Timing, UNLIMITED, Window};
