//! Compares the rows in `profiler/src/python/layouts` with the headers of every `CPython` here.
//!
//! The rows come as the profiler's example `layout_rows` prints them. What they should be comes
//! from a C program, compiled against the headers of one `CPython` and run.

mod expressions;
mod rows;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use self::rows::Row;
use crate::{
    exec::{Tool, build_together, say, target},
    interpreters,
};

/// What to do with the rows.
#[derive(Args)]
#[group(required = true)]
pub(crate) struct Options {
    /// Fail if a row differs from the headers of an interpreter
    #[arg(long)]
    check: bool,
}

/// Does the one thing that the options can say.
pub(crate) fn run(_options: &Options, is_strict: bool) -> Result<()> {
    check(is_strict)
}

/// Fails with every number in the rows that some header contradicts; a strict check also fails
/// with a row that there are no headers for.
pub(crate) fn check(is_strict: bool) -> Result<()> {
    let example = build_together()?.join("examples/layout_rows");
    let rows = rows::parse(&Tool::new(example).capture()?)?;
    let mut wrong = Vec::new();
    for row in &rows {
        wrong.extend(check_row(row, is_strict)?);
    }
    ensure!(
        wrong.is_empty(),
        "the rows differ from the headers (`cargo xtask layouts --check` tells again):\n{}",
        wrong.join("\n")
    );
    Ok(())
}

/// What is wrong with a row, by the headers of each interpreter of its version.
fn check_row(row: &Row, is_strict: bool) -> Result<Vec<String>> {
    let folders = headers(row)?;
    // Builds with assertions are installed for a run with all interpreters only.
    if folders.is_empty() && !row.assertions {
        let version = row.version;
        ensure!(
            !is_strict,
            "there are no headers of Python {version} to check its row with"
        );
        say(format_args!(
            "no headers of Python {version} are here: its row is not checked"
        ));
    }
    let mut wrong = Vec::new();
    for folder in folders {
        let variant = if row.free_threaded {
            ", free-threaded"
        } else {
            ""
        };
        let shown = format!("{}{variant}", folder.display());
        let measured = measure(row, &folder)?;
        say(format_args!(
            "{} numbers compared with {shown}",
            measured.len()
        ));
        wrong.extend(
            compare(row, &measured)
                .into_iter()
                .map(|fault| format!("{shown}: {fault}")),
        );
    }
    Ok(wrong)
}

/// Folders with the headers that a row is about, the internal ones among them.
fn headers(row: &Row) -> Result<Vec<PathBuf>> {
    let versions = interpreters::pyenv_versions().context("no home folder")?;
    let mut prefixes = vec![PathBuf::from("/usr"), interpreters::sid_prefix()];
    if let Ok(versions) = fs::read_dir(versions) {
        prefixes.extend(versions.flatten().map(|entry| entry.path()));
    }
    let suffix = if row.assertions { "d" } else { "" };
    let name = format!("include/python{}{suffix}", row.version);
    let mut folders: Vec<_> = prefixes.iter().map(|prefix| prefix.join(&name)).collect();
    folders.retain(|folder| folder.join("internal/pycore_pystate.h").is_file());
    folders.sort();
    Ok(folders)
}

/// What the headers say about each number of the row that they can say something about.
fn measure(row: &Row, folder: &Path) -> Result<Vec<(String, i64)>> {
    let scratch = target().join("layouts");
    fs::create_dir_all(&scratch)?;
    let source = scratch.join(format!("probe-{}.c", row.version));
    let program = source.with_extension("out");
    fs::write(&source, expressions::program(row)?)?;
    // The configuration that is installed is that of the build with a GIL.
    let free_threaded = row.free_threaded.then_some("-DPy_GIL_DISABLED=1");
    Tool::new("cc")
        .args(["-std=gnu11", "-w", "-DPy_BUILD_CORE"])
        .args(free_threaded)
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .arg(format!("-I{}", folder.display()))
        .arg(format!("-I{}", folder.join("internal").display()))
        .arg(format!("-I{}", folder.join("internal/mimalloc").display()))
        // Debian keeps the configuration of each architecture apart.
        .arg("-idirafter")
        .arg(folder.join(".."))
        .capture()?;
    let printed = Tool::new(&program).capture()?;
    printed.lines().map(parse_measured).collect()
}

/// Reads `name number`.
fn parse_measured(line: &str) -> Result<(String, i64)> {
    let Some((name, number)) = line.split_once(' ') else {
        bail!("the probe program printed `{line}`");
    };
    Ok((
        name.to_owned(),
        number
            .parse()
            .with_context(|| format!("no number: `{line}`"))?,
    ))
}

fn compare(row: &Row, measured: &[(String, i64)]) -> Vec<String> {
    let differs = |name: &String, is: i64| {
        let said = row.numbers.iter().find(|(known, _)| known == name)?.1;
        (said != is).then(|| format!("`{name}` is {is}, the row says {said}"))
    };
    measured
        .iter()
        .filter_map(|(name, is)| differs(name, *is))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{rows::Version, *};

    #[test]
    fn a_number_that_differs_is_named_with_both_values() {
        let row = Row {
            version: Version {
                major: 3,
                minor: 12,
            },
            free_threaded: false,
            assertions: false,
            numbers: vec![("code.name".to_owned(), 128), ("code.flags".to_owned(), 48)],
        };
        let measured = [("code.name".to_owned(), 136), ("code.flags".to_owned(), 48)];
        assert_eq!(
            compare(&row, &measured),
            ["`code.name` is 136, the row says 128"]
        );
    }

    #[test]
    fn what_the_probe_program_prints_is_read_or_refused() {
        assert_eq!(
            parse_measured("code.name 128").unwrap(),
            ("code.name".to_owned(), 128)
        );
        assert!(parse_measured("code.name").is_err());
        assert!(parse_measured("code.name x").is_err());
    }
}
