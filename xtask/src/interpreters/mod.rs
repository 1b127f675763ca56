//! The interpreters that the tests use: the one list of them, and how each gets onto the machine.

pub(crate) mod environment;
mod free_threaded;
pub(crate) mod services;
mod sid;

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::exec::{say, target};

/// The variable that tells the tests which interpreters to use: a line for each, with its name,
/// its feature version, its path, and the root that it runs in, separated by tabs. The path is
/// empty if it is missing, the root if it is that of the machine.
pub(crate) const VARIABLE: &str = "HEAPTIDE_PYTHONS";

/// Which interpreters to test with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Which {
    /// What is here, and what takes less than a minute to get; of much the same versions only one
    Quick,
    /// What has to be compiled or is large, too, which takes minutes the first time
    All,
}

/// What to get.
#[derive(Args)]
pub(crate) struct Options {
    /// How many of them
    #[arg(value_enum, default_value_t = Which::Quick)]
    which: Which,
}

/// Gets what the options say, and lists it.
pub(crate) fn run(options: &Options, is_strict: bool) -> Result<()> {
    prepare(options.which, is_strict)?;
    for interpreter in INTERPRETERS {
        match place(&interpreter) {
            Some([path, root]) => say(format_args!(
                "{interpreter}: {}{}",
                root.display(),
                path.display()
            )),
            None => say(format_args!("{interpreter}: missing")),
        }
    }
    Ok(())
}

/// An interpreter of the list.
#[derive(Clone, Copy)]
struct Interpreter {
    version: &'static str,
    source: Source,
    /// Whether the everyday run has live processes of it; they take seconds for each test.
    is_everyday: bool,
}

/// Where an interpreter comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    /// pyenv, which has it or has not: shared, not optimised by profile, with symbols.
    Pyenv,
    /// The distribution's package: static, stripped, built with PGO and LTO.
    Distribution(&'static str),
    /// The distribution's build with assertions, which is not optimised.
    Debug(&'static str),
    /// Debian's unstable branch, in a root of its own: the same, by a newer compiler.
    Sid,
    /// Its builds with assertions.
    SidDebug,
    /// Debian's sources, compiled to run without a GIL.
    FreeThreaded,
}

/// All of them. The tests choose among them by version.
///
/// The everyday run leaves out what differs from those next to it in nothing that only a kernel
/// shows.
const INTERPRETERS: [Interpreter; 18] = [
    new("2.7", Source::Pyenv),
    new("3.6", Source::Pyenv),
    new("3.7", Source::Pyenv),
    new("3.8", Source::Pyenv),
    new("3.9", Source::Pyenv).seldom(),
    new("3.10", Source::Pyenv),
    new("3.11", Source::Pyenv).seldom(),
    new("3.11", Source::Distribution("/usr/bin/python3.11")),
    new("3.11d", Source::Debug("/usr/bin/python3.11d")).seldom(),
    new("3.12", Source::Pyenv),
    new("3.13", Source::Pyenv).seldom(),
    new("3.13", Source::Sid),
    new("3.14", Source::Sid),
    new("3.15", Source::Sid),
    new("3.13d", Source::SidDebug).seldom(),
    new("3.14d", Source::SidDebug).seldom(),
    new("3.15d", Source::SidDebug).seldom(),
    new("3.13t", Source::FreeThreaded),
];

const fn new(version: &'static str, source: Source) -> Interpreter {
    Interpreter {
        version,
        source,
        is_everyday: true,
    }
}

impl Interpreter {
    /// The same, left out of the everyday run.
    const fn seldom(self) -> Self {
        Self {
            is_everyday: false,
            ..self
        }
    }

    /// Whether getting it takes minutes.
    fn takes_minutes(&self) -> bool {
        matches!(self.source, Source::FreeThreaded | Source::SidDebug)
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version, source, ..
        } = self;
        match source {
            Source::Pyenv => write!(f, "{version} of pyenv"),
            Source::Distribution(_) | Source::Debug(_) => {
                write!(f, "{version} of the distribution")
            }
            Source::Sid | Source::SidDebug => write!(f, "{version} of Debian sid"),
            Source::FreeThreaded => write!(f, "{version} from source"),
        }
    }
}

/// Gets what is missing and can be got, and returns the list for [`VARIABLE`].
///
/// What cannot be got is named; a strict run fails with it.
pub(crate) fn prepare(which: Which, is_strict: bool) -> Result<String> {
    let or_without = |name: &str, made: Result<()>| match made {
        Err(error) if is_strict => Err(error),
        Err(error) => {
            say(format_args!("{name} is left out: {error:#}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    };
    or_without("Debian sid", sid::make())?;
    for environment in &environment::ENVIRONMENTS {
        or_without(environment.name, environment.make())?;
    }
    or_without("the servers", services::make())?;
    if which == Which::All {
        or_without("the builds with assertions", sid::add_debug_builds())?;
        or_without("the free-threaded build", free_threaded::make())?;
    }
    Ok(list(which))
}

/// The list for [`VARIABLE`], with what is here now.
pub(crate) fn list(which: Which) -> String {
    let wanted = INTERPRETERS
        .iter()
        .filter(|it| which == Which::All || !it.takes_minutes() || place(it).is_some());
    wanted.map(line).collect::<Vec<_>>().join("\n")
}

/// What of a list is tested on live processes.
pub(crate) fn live(which: Which, list: &str) -> String {
    let is_seldom = |line: &&str| {
        let seldom = INTERPRETERS.iter().filter(|it| !it.is_everyday);
        let mut names = seldom.map(ToString::to_string);
        names.any(|name| line.split('\t').next() == Some(&name))
    };
    list.lines()
        .filter(|line| which == Which::All || !is_seldom(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn line(interpreter: &Interpreter) -> String {
    let name = interpreter.to_string();
    let version = interpreter.version;
    let [path, root] = place(interpreter)
        .unwrap_or_default()
        .map(|path| path.display().to_string());
    [&name, version, &path, &root].join("\t")
}

/// The path of an interpreter that is here, and the root that it runs in.
fn place(interpreter: &Interpreter) -> Option<[PathBuf; 2]> {
    let here = PathBuf::new();
    let (path, root) = match interpreter.source {
        Source::Pyenv => (pyenv(interpreter.version)?, here),
        Source::Distribution(path) | Source::Debug(path) => (path.into(), here),
        Source::Sid | Source::SidDebug => {
            let path = format!("/usr/bin/python{}", interpreter.version);
            (path.into(), sid::root())
        }
        Source::FreeThreaded => (free_threaded::program(), here),
    };
    let file = root.join(path.strip_prefix("/").unwrap_or(&path));
    let file = if root.as_os_str().is_empty() {
        &path
    } else {
        &file
    };
    file.exists().then_some([path, root])
}

/// The interpreter of a feature version that pyenv has built.
fn pyenv(version: &str) -> Option<PathBuf> {
    let found = fs::read_dir(pyenv_versions()?).ok()?.flatten();
    let mut paths: Vec<PathBuf> = found
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(&format!("{version}."))
        })
        .map(|entry| entry.path().join(format!("bin/python{version}")))
        .filter(|path| path.exists())
        .collect();
    paths.sort();
    paths.pop()
}

/// The folder in which pyenv keeps what it has built.
pub(crate) fn pyenv_versions() -> Option<PathBuf> {
    let root = match env::var_os("PYENV_ROOT") {
        Some(root) => PathBuf::from(root),
        None => env::home_dir()?.join(".pyenv"),
    };
    Some(root.join("versions"))
}

/// Where the interpreters in the root of Debian sid are installed.
pub(crate) fn sid_prefix() -> PathBuf {
    sid::root().join("usr")
}

/// The folder for what is made here.
fn folder() -> PathBuf {
    target().join("interpreters")
}

/// Whether a folder was completed with this recipe.
fn is_made(folder: &Path, recipe: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == recipe)
}

/// Says that a folder is complete.
fn stamp(folder: &Path, recipe: &str) -> Result<()> {
    Ok(fs::write(folder.join(STAMP), recipe)?)
}

/// The file in a folder made here that names its recipe.
const STAMP: &str = "heaptide-recipe";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_name_stands_for_one_interpreter() {
        let names: HashSet<_> = INTERPRETERS.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), INTERPRETERS.len());
    }

    #[test]
    fn each_line_has_four_fields_and_names_what_is_missing() {
        for line in list(Which::All).lines() {
            let fields: Vec<_> = line.split('\t').collect();
            assert_eq!(fields.len(), 4, "{line}");
            assert!(fields[0].starts_with(fields[1]), "{line}");
            assert!(
                fields[2].is_empty() || fields[2].contains("python"),
                "{line}"
            );
        }
    }

    #[test]
    fn an_everyday_run_has_each_feature_release_but_not_each_build() {
        let versions = |which| {
            let list = live(which, &list(which));
            let versions = list.lines().filter_map(|line| line.split('\t').nth(1));
            versions.map(str::to_owned).collect::<Vec<_>>()
        };
        let count = |which, version| versions(which).iter().filter(|it| *it == version).count();
        for version in ["3.8", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"] {
            assert_eq!(count(Which::Quick, version), 1, "{version}");
        }
        assert_eq!(
            [count(Which::Quick, "3.9"), count(Which::All, "3.9")],
            [0, 1]
        );
        assert_eq!(
            [count(Which::Quick, "3.11d"), count(Which::All, "3.11d")],
            [0, 1]
        );
        assert_eq!(count(Which::All, "3.13"), 2);
    }

    #[test]
    fn nobody_misses_what_takes_minutes_in_an_everyday_run() {
        for name in ["3.13t from source", "3.15d of Debian sid"] {
            let is_missing = |line: &str| line.starts_with(name) && line.ends_with("\t\t");
            assert!(!list(Which::Quick).lines().any(is_missing));
            assert!(list(Which::All).contains(name));
        }
        assert!(list(Which::Quick).contains("3.15 of Debian sid"));
    }
}
