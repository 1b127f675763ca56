//! `heaptide attach`.

use std::process::ExitCode;

use clap::Args;

use super::{
    args::{Common, RecordArgs},
    record,
};
use crate::{session::Target, units::Pid};

/// Records processes that run already.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sudo heaptide attach 4711 --duration 30s --flamegraph growth.svg"
)]
pub(super) struct AttachArgs {
    /// The processes
    #[arg(required = true, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pids: Vec<u32>,
    #[command(flatten)]
    record: RecordArgs,
}

/// Makes the recording and prints the summary.
pub(super) fn run(args: AttachArgs, common: &Common) -> anyhow::Result<ExitCode> {
    let AttachArgs {
        pids,
        record: flags,
    } = args;
    let target = Target::Attach {
        pids: pids.into_iter().map(Pid).collect(),
    };
    let options = flags.options(target, common);
    record::record(&options, &flags, common).map(|_finished| ExitCode::SUCCESS)
}
