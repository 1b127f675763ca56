//! Whether heaptide compiles for an architecture on which it has never run.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::exec::{Tool, find, say};

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Type-checks both halves for 64-bit ARM, with what only that compiles.
///
/// A strict check fails without the standard library for it; another one is left out.
pub(super) fn check(is_strict: bool) -> Result<()> {
    if !has_standard_library()? {
        let reason = format!("the compiler has no standard library for {TARGET}");
        ensure!(!is_strict, "{reason}: `rustup target add {TARGET}` gets it");
        say(format_args!("{reason}: what is for it was not compiled"));
        return Ok(());
    }
    lint(&["profiler-common", "profiler"], &[])?;
    lint(
        &["profiler-ebpf"],
        &["--config", "profile.dev.panic='abort'"],
    )
}

/// Whether the compiler has the standard library for the target; where rustup has the compiler,
/// it gets what is missing.
fn has_standard_library() -> Result<bool> {
    let folder = Tool::new("rustc").args(["--print", "target-libdir", "--target", TARGET]);
    let is_there = Path::new(folder.capture()?.trim()).is_dir();
    if is_there || find("rustup").is_none() {
        return Ok(is_there);
    }
    let added = Tool::new("rustup").args(["target", "add", TARGET]).run();
    if let Err(error) = &added {
        say(error);
    }
    Ok(added.is_ok())
}

fn lint(packages: &[&str], options: &[&str]) -> Result<()> {
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    Tool::cargo("clippy")?
        .args(["--quiet", "--target", TARGET])
        .args(packages)
        .args(options)
        .args(["--", "-Dwarnings"])
        // What is written in C need not run there, as nothing is linked.
        .env("CC_aarch64_unknown_linux_gnu", "cc")
        .env("AR_aarch64_unknown_linux_gnu", "ar")
        .run()
}
