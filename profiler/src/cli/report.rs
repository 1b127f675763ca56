//! `heaptide report`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;

use super::{
    args::{Common, Format, parse_seconds},
    output,
};
use crate::{
    aggregate::{Selection, findings},
    classify::judge,
    recording,
    report::{Subject, TextOptions, json, text},
    units::Pid,
};

/// Says what a recording found.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  heaptide report growth.heaptide --format json")]
pub(super) struct ReportArgs {
    /// The recording
    recording: PathBuf,
    /// What the report is written as
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    selection: SelectionArgs,
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

impl From<SelectionArgs> for Selection {
    fn from(args: SelectionArgs) -> Self {
        let SelectionArgs { pid, from, to } = args;
        Self {
            pid: pid.map(Pid),
            from,
            to,
        }
    }
}

/// Prints the report.
pub(super) fn run(args: ReportArgs, common: &Common) -> anyhow::Result<ExitCode> {
    let ReportArgs {
        recording: path,
        format,
        selection,
    } = args;
    let recorded = recording::read(&path)?;
    let found = findings(&recorded, &selection.into());
    let verdicts = judge(&found);
    let subject = Subject {
        recorded: &recorded,
        findings: &found,
        verdicts: &verdicts,
    };
    let written = match format {
        Format::Json => json(&subject),
        Format::Text => {
            let name = path.display().to_string();
            let files = [("recording", name.as_str())];
            text(
                &subject,
                &TextOptions {
                    color: output::has_color(common.color, &std::io::stdout()),
                    files: &files,
                },
            )
        }
    };
    output::print(&written)?;
    Ok(ExitCode::SUCCESS)
}
