//! The command line: flags become meaning, errors become messages and exit codes. One file for each
//! verb.

mod args;
mod attach;
mod completions;
mod diff;
mod doctor;
mod exit;
mod export;
mod flamegraph;
mod logging;
mod man;
mod output;
mod progress;
mod record;
mod report;
mod run;

use std::{env, ffi::OsString, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

use self::args::Common;
use crate::{
    probe::{TRIAL_VERB, run_trial},
    session::{HANDSHAKE_VERB, become_command},
};

/// Sees where the memory of a running Python program comes from, without touching it.
#[derive(Debug, Parser)]
#[command(
    name = "heaptide",
    version,
    max_term_width = 100,
    after_help = "Example:\n  sudo heaptide attach 4711 --duration 30s --flamegraph growth.svg"
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Record processes that run, and their descendants
    Attach(attach::AttachArgs),
    /// Start a command and record it from its first instruction
    Run(run::RunArgs),
    /// Say what a recording found
    Report(report::ReportArgs),
    /// Draw a recording as a flamegraph
    Flamegraph(flamegraph::FlamegraphArgs),
    /// Give a recording to other tools
    Export(export::ExportArgs),
    /// Say what changed from one recording to another
    Diff(diff::DiffArgs),
    /// Check whether this host, and a process, can be profiled
    Doctor(doctor::DoctorArgs),
    /// Print what makes a shell complete verbs and flags
    Completions(completions::CompletionsArgs),
    /// Print the manual page
    Man(man::ManArgs),
}

/// Runs the verb that the command line names.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    if let Some(code) = become_if_asked(&arguments) {
        return code;
    }
    let Cli { common, verb } = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    logging::start(&common);
    let done = match verb {
        Verb::Attach(args) => attach::run(args, &common),
        Verb::Run(args) => run::run(args, &common),
        Verb::Report(args) => report::run(args, &common),
        Verb::Flamegraph(args) => flamegraph::run(args, &common),
        Verb::Export(args) => export::run(args, &common),
        Verb::Diff(args) => diff::run(args, &common),
        Verb::Doctor(args) => doctor::run(args, &common),
        Verb::Completions(args) => completions::run(args, Cli::command()),
        Verb::Man(args) => man::run(args, Cli::command()),
    };
    done.unwrap_or_else(|error| exit::failure(&error, &common))
}

/// Does what heaptide started itself for: a trial of return probes, or the command that the waiting
/// child of `heaptide run` becomes.
fn become_if_asked(arguments: &[OsString]) -> Option<ExitCode> {
    if let [_program, verb] = arguments
        && verb == TRIAL_VERB
    {
        return Some(run_trial().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS));
    }
    let [_program, verb, descriptor, command @ ..] = arguments else {
        return None;
    };
    if verb != HANDSHAKE_VERB {
        return None;
    }
    let descriptor: i32 = descriptor.to_str()?.parse().ok()?;
    if let Some(error) = become_command(descriptor, command) {
        let name = command.first().map(|name| name.to_string_lossy());
        output::complain(&format!(
            "error: cannot run {}: {error}",
            name.unwrap_or_default()
        ));
    }
    // What a shell answers for a command that it cannot run.
    Some(ExitCode::from(127))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        for verb in Cli::command().get_subcommands() {
            let help = verb
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("Example"), "{}", verb.get_name());
        }
    }
}
