//! `heaptide report`.

use std::{collections::BTreeSet, fs, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::{
    args::{Common, RedactArgs, parse_seconds},
    exit::Misuse,
    output,
};
use crate::{
    aggregate::{Selection, Tallies},
    classify::judge,
    profile::Recorded,
    recording,
    report::{Subject, TextOptions, html, json, text},
    units::Pid,
};

/// How many pids fit into a message.
const MOST_PIDS: usize = 20;

/// Says what a recording found.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  heaptide report growth.heaptide --format html -o growth.html")]
pub(super) struct ReportArgs {
    /// The recording
    recording: PathBuf,
    /// What the report is written as
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write it there instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    redact: RedactArgs,
}

/// What a report is written as.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// One page for a browser, with charts, flamegraphs and all lines
    Html,
}

/// Which part of a recording is looked at.
#[derive(Clone, Debug, Args)]
pub(super) struct SelectionArgs {
    /// Only this process
    #[arg(long)]
    pid: Option<u32>,
    /// Only what happened from this time on, in seconds from the start
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    from: Option<Duration>,
    /// Only what happened up to this time, in seconds from the start
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    to: Option<Duration>,
}

impl SelectionArgs {
    /// The part of this recording that is meant.
    pub(super) fn of(self, recorded: &Recorded) -> Result<Selection, Misuse> {
        let Self { pid, from, to } = self;
        let pid = pid.map(Pid);
        if let Some(pid) = pid
            && recorded.processes.iter().all(|process| process.pid != pid)
        {
            return Err(Misuse::new(
                &format!("process {pid} is not in the recording"),
                &whom_to_name(recorded),
            ));
        }
        Ok(Selection { pid, from, to })
    }
}

/// Which pids there are, for somebody who named another one.
fn whom_to_name(recorded: &Recorded) -> String {
    let pids: BTreeSet<Pid> = recorded
        .processes
        .iter()
        .map(|process| process.pid)
        .collect();
    let named: Vec<String> = pids.iter().take(MOST_PIDS).map(Pid::to_string).collect();
    match (pids.len(), pids.len().saturating_sub(MOST_PIDS)) {
        (0, _) => "leave --pid out: nothing was recorded".to_owned(),
        (1, _) => format!("it holds process {}", named.join(", ")),
        (_, 0) => format!("it holds the processes {}", named.join(", ")),
        (_, more) => format!(
            "it holds the processes {} and {more} more",
            named.join(", ")
        ),
    }
}

/// Writes the report.
pub(super) fn run(args: ReportArgs, common: &Common) -> anyhow::Result<ExitCode> {
    if let Some(file) = &args.output {
        output::check_writable(file)?;
    }
    let recorded = args.redact.of(recording::read(&args.recording)?);
    let selection = args.selection.clone().of(&recorded)?;
    let tallies = Tallies::of(&recorded, &selection);
    let found = tallies.findings();
    let verdicts = judge(&found);
    let subject = Subject {
        recorded: &recorded,
        findings: &found,
        verdicts: &verdicts,
    };
    let written = match args.format {
        Format::Json => json(&subject),
        Format::Html => html(&subject, &tallies.breakdown())?,
        Format::Text => {
            let name = args.redact.name_of(&args.recording);
            let files: Vec<(&str, &str)> = name
                .iter()
                .map(|name| ("recording", name.as_str()))
                .collect();
            let is_printed = args.output.is_none();
            text(
                &subject,
                &TextOptions {
                    color: is_printed && output::has_color(common.color, &std::io::stdout()),
                    files: &files,
                },
            )
        }
    };
    match &args.output {
        Some(file) => {
            fs::write(file, written).with_context(|| format!("cannot write {}", file.display()))?;
        }
        None => output::print(&written)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ProcessRecord;

    /// What is said about process 7 in a recording of these processes.
    fn refused(pids: impl IntoIterator<Item = u32>) -> Option<String> {
        let processes = pids.into_iter().map(|pid| ProcessRecord {
            pid: Pid(pid),
            inner_pid: None,
            parent: Pid(1),
            command: String::new(),
            python: None,
            started: Duration::ZERO,
            ended: None,
        });
        let recorded = Recorded {
            processes: processes.collect(),
            ..Recorded::default()
        };
        let args = SelectionArgs {
            pid: Some(7),
            from: None,
            to: None,
        };
        let selected = args.of(&recorded);
        selected.err().map(|_misuse| whom_to_name(&recorded))
    }

    #[test]
    fn a_process_that_was_not_recorded_is_refused_with_those_that_were() {
        assert_eq!(refused([6, 7, 7]), None);
        assert_eq!(refused([8]).unwrap(), "it holds process 8");
        assert_eq!(refused([9, 8, 8]).unwrap(), "it holds the processes 8, 9");
        let many = refused(100..140).unwrap();
        assert!(many.ends_with("118, 119 and 20 more"), "{many}");
        assert_eq!(
            refused([]).unwrap(),
            "leave --pid out: nothing was recorded"
        );
    }
}
