//! A virtual environment with memray, a profiler that stands in front of allocators.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{folder, is_made, pyenv, stamp};
use crate::exec::{Tool, say};

/// The variable that tells the tests which Python has memray.
pub(crate) const VARIABLE: &str = "HEAPTIDE_MEMRAY";

const RELEASE: &str = "memray==1.20.0";

/// The version of pyenv that has it.
const VERSION: &str = "3.12";

/// The Python of the environment, if that was made.
pub(crate) fn program() -> Option<PathBuf> {
    let program = environment().join("bin/python");
    is_made(&environment(), RELEASE).then_some(program)
}

fn environment() -> PathBuf {
    folder().join("memray")
}

/// Makes the environment, if that has not been done.
pub(super) fn make() -> Result<()> {
    let environment = environment();
    if is_made(&environment, RELEASE) {
        return Ok(());
    }
    let python = pyenv(VERSION).with_context(|| format!("pyenv has no CPython {VERSION}"))?;
    say(format_args!(
        "getting {RELEASE} into {}",
        environment.display()
    ));
    fs::create_dir_all(folder())?;
    let arguments = ["-m", "venv", "--clear"];
    Tool::new(python)
        .args(arguments)
        .arg(&environment)
        .capture()?;
    let install = ["install", "--quiet", "--only-binary=:all:", RELEASE];
    Tool::new(environment.join("bin/pip"))
        .args(install)
        .capture()?;
    stamp(&environment, RELEASE)
}
