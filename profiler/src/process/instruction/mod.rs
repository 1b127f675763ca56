//! Machine code: where a uprobe is cheap, and what a register still holds there. A file for each
//! architecture.
//!
//! The kernel replaces the probed instruction by a breakpoint. Some instructions it then carries
//! out itself; any other it copies elsewhere and single-steps, which costs a second trap.

pub mod aarch64;
mod x86_64;

pub use self::x86_64::{EntrySite, entry_site, is_emulated, written_registers};
