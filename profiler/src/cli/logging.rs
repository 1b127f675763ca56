//! What `-v` shows, on stderr.

use std::io;

use tracing_subscriber::{EnvFilter, fmt};

use super::{args::Common, output};

/// Sets up the log; `RUST_LOG` overrules the flags.
pub(super) fn start(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        // What aya finds out about a kernel by trying is no news to a user.
        (false, 0) => "warn,aya=error",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new(level));
    // Set up twice only by tests that share a process.
    let _already: Result<(), _> = fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(output::has_color(common.color, &io::stderr()))
        .without_time()
        .with_target(false)
        .try_init();
}
