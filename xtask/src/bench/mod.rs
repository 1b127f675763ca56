//! Benchmarks, which print Markdown for docs/benchmarks.md.

mod growth;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    exec::{Tool, say, target},
    packages::{BROWSER, require},
};

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    /// How long reports of ten minutes with 100,000 stacks take, how much memory, and how long a
    /// page of 100,000 lines takes to open
    Report,
    /// What is said of pairs of recordings whose difference is known; as root, takes ten minutes
    Compare {
        /// The interpreter
        python: PathBuf,
    },
    /// What attaching costs real libraries at the default budget; as root, on a quiet machine
    Overhead {
        /// Interpreters
        #[arg(required = true)]
        pythons: Vec<PathBuf>,
    },
    /// What steady loops are said to allocate for each operation, against `--exact`; as root
    Operations {
        /// Interpreters
        #[arg(required = true)]
        pythons: Vec<PathBuf>,
    },
    /// What a probe of small objects costs each time, with a stack of 20 frames; as root
    Handler {
        /// Interpreters
        #[arg(required = true)]
        pythons: Vec<PathBuf>,
    },
    /// What is said of small objects, against what programs count themselves; as root
    Accuracy {
        /// Interpreters
        #[arg(required = true)]
        pythons: Vec<PathBuf>,
    },
    /// How often the pattern of growth is told rightly, of real servers; as root
    Growth(growth::Options),
}

/// What the workloads import.
const PACKAGES: [&str; 4] = [
    "flask==3.1.2",
    "django==5.2.8",
    "numpy==2.3.5",
    "pandas==2.3.3",
];

/// Runs a benchmark.
pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.bench {
        Bench::Report => report(),
        Bench::Compare { python } => drive("compare.py", &[], std::slice::from_ref(python)),
        Bench::Overhead { pythons } => drive_workloads("overhead.py", pythons),
        Bench::Operations { pythons } => drive_workloads("operations.py", pythons),
        Bench::Handler { pythons } => drive("handler.py", &[], pythons),
        Bench::Growth(options) => growth::run(options),
        Bench::Accuracy { pythons } => drive("accuracy.py", &[], pythons),
    }
}

/// Builds what is measured, and returns the folder. The same for all benchmarks: with other targets
/// libraries have other features, and everything is compiled again.
fn build() -> Result<PathBuf> {
    Tool::cargo("build")?
        .args(["--quiet", "--release", "--package", "profiler"])
        .args(["--bins", "--examples"])
        .run()?;
    Ok(target().join("release"))
}

/// Runs a program of docs/benchmarks whose workloads import packages.
fn drive_workloads(program: &str, pythons: &[PathBuf]) -> Result<()> {
    let packages = target().join("bench");
    for python in pythons {
        let version = "import sys; print('%d.%d' % sys.version_info[:2])";
        let version = Tool::new(python).args(["-c", version]).capture()?;
        let folder = packages.join(version.trim());
        if !folder.is_dir() {
            Tool::new(python)
                .args(["-m", "pip", "install", "--quiet", "--only-binary=:all:"])
                .arg("--target")
                .arg(&folder)
                .args(PACKAGES)
                .run()?;
        }
    }
    drive(program, &[&packages], pythons)
}

/// Runs a program of docs/benchmarks with heaptide and interpreters; the first one runs it, too.
fn drive(program: &str, arguments: &[&Path], pythons: &[PathBuf]) -> Result<()> {
    Tool::new(&pythons[0])
        .arg(Path::new("docs/benchmarks").join(program))
        .arg(build()?.join("heaptide"))
        .args(arguments)
        .args(pythons)
        .run()
}

fn report() -> Result<()> {
    let release = build()?;
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
        .run()?;
    require(&BROWSER, "opening a page", true)?;
    let lines = folder.join("lines.heaptide");
    Tool::new(release.join("examples/made_recording"))
        .arg(&lines)
        .args(["1", "lines"])
        .run()?;
    Tool::new("python3")
        .arg("docs/benchmarks/opening.py")
        .arg(release.join("heaptide"))
        .arg(&lines)
        .run()
}
