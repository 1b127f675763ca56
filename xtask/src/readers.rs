//! What reads heaptide's exports in tests, beside Debian's packages: pandas, and the schema of
//! speedscope's files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::exec::{Tool, say, target};

/// The variable that tells the tests where they are.
pub(crate) const VARIABLE: &str = "HEAPTIDE_READERS";

const PANDAS: &str = "pandas==2.3.3";
const SPEEDSCOPE: &str = "speedscope@1.25.0";

/// The file that says that all is there.
const STAMP: &str = "heaptide-recipe";

/// Where they are, if they were got.
pub(crate) fn place() -> Option<PathBuf> {
    let folder = folder();
    let stamp = fs::read_to_string(folder.join(STAMP));
    stamp.is_ok_and(|it| it == recipe()).then_some(folder)
}

fn folder() -> PathBuf {
    target().join("readers")
}

fn recipe() -> String {
    format!("{PANDAS} {SPEEDSCOPE}")
}

/// Gets them, unless that has been done. Who need not be strict goes on without.
pub(crate) fn prepare(is_strict: bool) -> Result<()> {
    if place().is_some() {
        return Ok(());
    }
    let folder = folder();
    say(format_args!(
        "getting {} into {}",
        recipe(),
        folder.display()
    ));
    match make(&folder) {
        Err(error) if !is_strict => {
            say(format_args!("tests of exports are left out: {error:#}"));
            Ok(())
        }
        made => made,
    }
}

/// An environment of Python's in `python`, and what npm makes beside it.
fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let python = folder.join("python");
    let environment = ["-m", "venv", "--clear"];
    Tool::new("python3")
        .args(environment)
        .arg(&python)
        .capture()?;
    let install = ["install", "--quiet", "--only-binary=:all:", PANDAS];
    Tool::new(python.join("bin/pip")).args(install).capture()?;
    // Nothing of the package is run: the schema is a file in it.
    let install = ["install", "--no-audit", "--no-fund", "--ignore-scripts"];
    Tool::new("npm")
        .args(install)
        .arg("--prefix")
        .arg(folder)
        .arg(SPEEDSCOPE)
        .capture()?;
    Ok(fs::write(folder.join(STAMP), recipe())?)
}
