//! `heaptide completions`.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::output;

/// Prints what makes a shell complete heaptide's verbs and flags.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  heaptide completions bash > /etc/bash_completion.d/heaptide")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: CompletionsArgs, mut heaptide: Command) -> anyhow::Result<ExitCode> {
    let CompletionsArgs { shell } = args;
    let name = heaptide.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut heaptide, name, &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
