//! `heaptide flamegraph`.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, builder::PossibleValuesParser};

use super::{
    args::{Common, RedactArgs},
    output,
    report::SelectionArgs,
};
use crate::{
    aggregate::{Metric, conditions, weigh},
    recording,
    report::{Colors, FlamegraphOptions, flamegraph},
};

/// Draws a recording as a flamegraph.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  heaptide flamegraph growth.heaptide --metric allocated -o churn.svg"
)]
pub(super) struct FlamegraphArgs {
    /// The recording
    recording: PathBuf,
    /// The drawing
    #[arg(short, long, value_name = "FILE.svg")]
    output: PathBuf,
    /// What the width of a frame means
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
    /// The title [default: the target, the metric and the duration]
    #[arg(long)]
    title: Option<String>,
    /// The colours
    #[arg(
        long,
        default_value = Colors::Heaptide.name(),
        value_parser = PossibleValuesParser::new(Colors::ALL.map(Colors::name)),
    )]
    colors: String,
    /// Let it hang from the top
    #[arg(long)]
    reverse: bool,
}

/// Writes the drawing.
pub(super) fn run(args: FlamegraphArgs, common: &Common) -> anyhow::Result<ExitCode> {
    let FlamegraphArgs {
        recording: path,
        output: svg,
        metric,
        selection,
        redact,
        title,
        colors,
        reverse,
    } = args;
    output::check_writable(&svg)?;
    let recorded = recording::read(&path)?;
    output::warn_of_missing_end(&path, &recorded, common);
    let recorded = redact.of(recorded);
    let selection = selection.of(&recorded)?;
    let metric = Metric::from_name(&metric).context("the parser knows the metrics")?;
    let colors = Colors::from_name(&colors).context("the parser knows the colours")?;
    let options = FlamegraphOptions {
        metric,
        title,
        colors,
        reverse,
        ..FlamegraphOptions::default()
    };
    let weights = weigh(&recorded, &selection, metric);
    let conditions = conditions(&recorded, &selection);
    let drawn = flamegraph(&recorded, &conditions, &weights, &options)?;
    fs::write(&svg, drawn).with_context(|| format!("cannot write {}", svg.display()))?;
    Ok(ExitCode::SUCCESS)
}
