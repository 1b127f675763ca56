//! What must hold for the tree and no compiler checks.

mod links;
mod manifests;
mod order;
mod sizes;
mod versions;
mod words;

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::exec::{Tool, root, say};

/// A rule that was broken, and where.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Fault {
    path: String,
    line: usize,
    text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// A text of the tree; its path is relative to the root.
struct File {
    path: String,
    text: String,
}

impl File {
    fn is(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|its| its == extension)
    }

    /// The lines with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    fn fault(&self, line: usize, text: impl Into<String>) -> Fault {
        Fault {
            path: self.path.clone(),
            line,
            text: text.into(),
        }
    }
}

/// All files that are in the repository, or would be with `git add --all`.
struct Tree {
    /// Every file, whatever it holds.
    paths: Vec<String>,
    /// Those that are text.
    files: Vec<File>,
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let listed = Tool::new("git")
            .args([
                "ls-files",
                "--cached",
                "--others",
                "--exclude-standard",
                "-z",
            ])
            .capture()?;
        let paths: Vec<_> = listed
            .split_terminator('\0')
            .map(String::from)
            .filter(|path| root.join(path).is_file())
            .collect();
        let mut files = Vec::new();
        for path in &paths {
            let bytes = fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File {
                    path: path.clone(),
                    text,
                });
            }
        }
        Ok(Self { paths, files })
    }

    /// A tree of a few texts.
    #[cfg(test)]
    fn planted(files: &[(&str, &str)]) -> Self {
        Self {
            paths: files.iter().map(|(path, _)| (*path).to_owned()).collect(),
            files: files
                .iter()
                .map(|(path, text)| File {
                    path: (*path).to_owned(),
                    text: (*text).to_owned(),
                })
                .collect(),
        }
    }

    fn faults(&self) -> Vec<Fault> {
        let rules = [
            links::check,
            manifests::check,
            order::check,
            sizes::check,
            versions::check,
            words::check,
        ];
        let mut faults: Vec<_> = rules.into_iter().flat_map(|rule| rule(self)).collect();
        faults.sort();
        faults
    }
}

/// Lists everything that is not as it should be.
pub(crate) fn run() -> Result<()> {
    let faults = Tree::read(&root())?.faults();
    for fault in &faults {
        say(fault);
    }
    match faults.len() {
        0 => Ok(()),
        count => bail!("tidy found {count} faults (`cargo xtask tidy` lists them)"),
    }
}

/// What the faults say, for tests.
#[cfg(test)]
fn shown(faults: Vec<Fault>) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_listed_at_once_in_the_order_of_the_files() {
        let tree = Tree::planted(&[
            ("b.md", "[text](missing.md)"),
            ("a/Cargo.toml", "[package]"),
            ("profiler/src/units.rs", "use crate::cli::Flags;"),
        ]);
        let faults = shown(tree.faults());
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].starts_with("a/Cargo.toml:1: "));
        assert!(faults[1].starts_with("b.md:1: "));
        assert!(faults[2].starts_with("profiler/src/units.rs:1: "));
    }
}
