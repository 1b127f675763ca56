//! Builds the kernel half into the object that is committed, and tells when that is stale.

mod stamp;
mod toolchain;

use std::{
    fs,
    path::{self, Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use self::{stamp::Stamp, toolchain::Toolchain};
use crate::exec::{root, say, target};

const OBJECT: &str = "profiler/ebpf/heaptide.bpf.o";
const STAMP: &str = "profiler/ebpf/heaptide.bpf.stamp";
const TARGET: &str = "bpfel-unknown-none";

/// Registers have names that differ between architectures, so an object is for one of them.
const ARCHITECTURE: &str = "x86_64";

/// How the kernel half is to be built.
#[derive(Args)]
pub(crate) struct Options {
    /// Build nothing; fail if the committed object is not from the sources as they are
    #[arg(long)]
    check: bool,
    /// Install the packages that the toolchain needs and that are missing (Debian, as root)
    #[arg(long)]
    install: bool,
    /// Write the object there, and leave the committed one alone
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    output: Option<PathBuf>,
}

/// Does what the options say.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check {
        return check();
    }
    match &options.output {
        Some(output) => build(&path::absolute(output)?, options.install),
        None => commit(options.install),
    }
}

/// Fails if the committed object was built from other sources than these.
pub(crate) fn check() -> Result<()> {
    let root = root();
    let read =
        |file: &str| fs::read(root.join(file)).with_context(|| format!("cannot read {file}"));
    let committed = read(STAMP).and_then(|stamp| Ok((stamp, read(OBJECT)?)));
    let is_fresh = match committed {
        Ok((stamp, object)) => stamp == Stamp::of(&root, &object)?.to_string().as_bytes(),
        Err(_) => false,
    };
    ensure!(
        is_fresh,
        "{OBJECT} was not built from the sources as they are now: run `cargo xtask build-ebpf` \
         and commit {OBJECT} and {STAMP}"
    );
    Ok(())
}

/// Builds the kernel half into a file.
pub(crate) fn build(output: &Path, may_install: bool) -> Result<()> {
    let toolchain = Toolchain::choose(may_install)?;
    say(format_args!("building the kernel half with {toolchain}"));
    let target_dir = target().join("ebpf");
    toolchain
        .cargo(&flags(&target_dir)?)?
        .args([
            "--release",
            "--package",
            "profiler-ebpf",
            "--target",
            TARGET,
        ])
        .args(["-Z", "build-std=core", "--target-dir"])
        .arg(&target_dir)
        .run()?;
    let built = target_dir.join(TARGET).join("release/heaptide-ebpf");
    fs::copy(&built, output)
        .with_context(|| format!("cannot copy {} to {}", built.display(), output.display()))?;
    toolchain::strip(output)
}

/// Builds the committed object and its stamp.
fn commit(may_install: bool) -> Result<()> {
    let object_file = root().join(OBJECT);
    if let Some(folder) = object_file.parent() {
        fs::create_dir_all(folder)?;
    }
    build(&object_file, may_install)?;
    let object = fs::read(&object_file)?;
    fs::write(root().join(STAMP), Stamp::of(&root(), &object)?.to_string())?;
    say(format_args!(
        "wrote {OBJECT} ({} bytes) and {STAMP}: commit both",
        object.len()
    ));
    Ok(())
}

/// What the compiler needs to know whichever toolchain it is from. Paths of this machine are
/// kept out of the object, so that it is the same wherever it is built.
fn flags(target_dir: &Path) -> Result<Vec<String>> {
    let cargo_home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir()
            .context("no home folder")?
            .join(".cargo"),
    };
    let mut flags = vec![
        format!("--cfg=bpf_target_arch=\"{ARCHITECTURE}\""),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
    ];
    // The compiler takes the last that fits, so the innermost folder comes last.
    for (folder, name) in [
        (cargo_home.as_path(), "cargo"),
        (&root(), "heaptide"),
        (target_dir, "target"),
    ] {
        flags.push(format!("--remap-path-prefix={}={name}", folder.display()));
    }
    Ok(flags)
}
