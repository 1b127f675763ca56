//! Benchmarks that need no root: they are made here and judged against their bounds.

use std::fs;

use anyhow::Result;

use crate::exec::{Tool, say, target};

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    /// How long reports of ten minutes with 100,000 stacks take, and how much memory
    Report,
}

/// Runs a benchmark.
pub(crate) fn run(options: &Options) -> Result<()> {
    match options.bench {
        Bench::Report => report(),
    }
}

fn report() -> Result<()> {
    Tool::cargo("build")?
        .args(["--quiet", "--release", "--package", "profiler"])
        .args(["--bins", "--examples"])
        .run()?;
    let release = target().join("release");
    let folder = target().join("bench");
    fs::create_dir_all(&folder)?;
    let recordings = ["before", "after"].map(|name| folder.join(name).with_extension("heaptide"));
    for (recording, seed) in recordings.iter().zip(["1", "2"]) {
        say("making a recording of ten minutes");
        Tool::new(release.join("examples/made_recording"))
            .arg(recording)
            .arg(seed)
            .run()?;
    }
    Tool::new("python3")
        .arg("docs/benchmarks/reports.py")
        .arg(release.join("heaptide"))
        .args(&recordings)
        .run()
}
