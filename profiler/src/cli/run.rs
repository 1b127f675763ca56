//! `heaptide run`.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{ExitCode, ExitStatus},
};

use clap::Args;

use super::{
    args::{Common, RecordArgs},
    record,
};
use crate::session::Target;

/// Starts a command and records it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sudo heaptide run -- python3 app.py --port 8000")]
pub(super) struct RunArgs {
    #[command(flatten)]
    record: RecordArgs,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Makes the recording, prints the summary, and ends as the command did.
pub(super) fn run(args: RunArgs, common: &Common) -> anyhow::Result<ExitCode> {
    let RunArgs {
        record: flags,
        command,
    } = args;
    let options = flags.options(Target::Launch { command }, common);
    let finished = record::record(&options, &flags, common)?;
    Ok(finished.status.map_or(ExitCode::SUCCESS, exit_code))
}

/// The command's own status; for one that a signal ended, what a shell would say.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_as_a_shell_would_say() {
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), ExitCode::from(3));
        assert_eq!(exit_code(ExitStatus::from_raw(15)), ExitCode::from(143));
    }
}
