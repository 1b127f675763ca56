//! `heaptide export`.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum, builder::PossibleValuesParser};

use super::{
    args::{Common, RedactArgs},
    exit::Misuse,
    output,
    report::SelectionArgs,
};
use crate::{
    aggregate::{Metric, Selection, findings},
    classify::judge,
    profile::Recorded,
    recording,
    report::{Subject, folded, pprof, speedscope, table},
};

/// Gives a recording to other tools.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  heaptide export growth.heaptide --format pprof -o growth.pb.gz\n  \
                  go tool pprof -top growth.pb.gz"
)]
pub(super) struct ExportArgs {
    /// The recording
    recording: PathBuf,
    /// What other tools read
    #[arg(long, value_enum)]
    format: Format,
    /// The file [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What stacks are weighed by; csv has all metrics, and pprof shows this one first
    #[arg(
        long,
        default_value = Metric::Retained.name(),
        value_parser = PossibleValuesParser::new(Metric::ALL.map(Metric::name)),
    )]
    metric: String,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    redact: RedactArgs,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// A compressed profile for pprof, with pids, patterns and threads as labels
    Pprof,
    /// A line for each stack, for flame graph tools
    Folded,
    /// A profile for each process, for speedscope
    Speedscope,
    /// A row for each line of Python, for spreadsheets and pandas
    Csv,
}

/// Writes the recording in another format.
pub(super) fn run(args: ExportArgs, common: &Common) -> anyhow::Result<ExitCode> {
    match &args.output {
        Some(file) => output::check_writable(file)?,
        None if args.format == Format::Pprof && io::stdout().is_terminal() => {
            let message = "a compressed profile is nothing for a terminal";
            return Err(Misuse::new(message, "name a file with -o growth.pb.gz").into());
        }
        None => {}
    }
    // No other format tells of threads.
    let read = match args.format {
        Format::Pprof => recording::read_with_threads,
        _ => recording::read,
    };
    let recorded = read(&args.recording)?;
    output::warn_of_missing_end(&args.recording, &recorded, common);
    let recorded = args.redact.of(recorded);
    let selection = args.selection.of(&recorded)?;
    let metric = Metric::from_name(&args.metric).context("the parser knows the metrics")?;
    let written = write(&recorded, &selection, args.format, metric)?;
    match &args.output {
        Some(file) => {
            fs::write(file, written).with_context(|| format!("cannot write {}", file.display()))?;
        }
        None => print(&written)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(
    recorded: &Recorded,
    selection: &Selection,
    format: Format,
    metric: Metric,
) -> anyhow::Result<Vec<u8>> {
    let found = findings(recorded, selection);
    let verdicts = judge(&found);
    let subject = Subject {
        recorded,
        findings: &found,
        verdicts: &verdicts,
    };
    Ok(match format {
        Format::Pprof => pprof(&subject, selection, metric)?,
        Format::Folded => folded(recorded, selection, metric).into_bytes(),
        Format::Speedscope => speedscope(&subject, selection, metric).into_bytes(),
        Format::Csv => table(&found)?,
    })
}

/// Prints bytes. Whoever has read enough and closed the pipe is content.
fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot print the results")
        }
        _ => Ok(()),
    }
}
