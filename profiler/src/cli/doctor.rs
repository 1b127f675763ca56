//! `heaptide doctor`.

use std::process::ExitCode;

use clap::Args;

use super::args::Common;

/// Checks whether this host, and a process, can be profiled.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sudo heaptide doctor 4711")]
pub(super) struct DoctorArgs {
    /// A process that shall be profiled
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,
    /// Write the checks as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the checks.
pub(super) fn run(args: DoctorArgs, _common: &Common) -> anyhow::Result<ExitCode> {
    anyhow::bail!("doctor {args:?}")
}
