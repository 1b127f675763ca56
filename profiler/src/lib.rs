//! heaptide, as a library: everything but the process that runs it.
//!
//! The modules stand in the order in which data pass through them; each may use those before
//! it and none behind it (`cargo xtask tidy` checks).

pub mod aggregate;
pub mod classify;
pub mod cli;
pub mod compare;
pub mod probe;
pub mod process;
pub mod profile;
pub mod python;
pub mod recording;
pub mod report;
pub mod session;
pub mod source;
pub mod units;
