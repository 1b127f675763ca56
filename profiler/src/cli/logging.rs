//! What `-v` shows, on stderr.

use std::io;

use tracing_subscriber::{EnvFilter, fmt};

use super::args::Common;

/// Sets up the log; `RUST_LOG` overrules the flags.
pub(super) fn start(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new(level));
    // Set up twice only by tests that share a process.
    let _already: Result<(), _> = fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .without_time()
        .with_target(false)
        .try_init();
}
