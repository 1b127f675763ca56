//! Virtual environments with a package that tests need.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{folder, is_made, pyenv, stamp};
use crate::exec::{Tool, say};

/// All environments.
pub(crate) const ENVIRONMENTS: [Environment; 2] = [
    // A profiler that stands in front of allocators.
    Environment {
        variable: "HEAPTIDE_MEMRAY",
        name: "memray",
        release: "memray==1.20.0",
    },
    // Arrays, whose memory is none of Python's.
    Environment {
        variable: "HEAPTIDE_NUMPY",
        name: "numpy",
        release: "numpy==2.3.5",
    },
];

/// The version of pyenv that the environments are made with.
const VERSION: &str = "3.12";

/// A virtual environment with a package.
pub(crate) struct Environment {
    /// The variable that tells the tests which Python has it.
    pub(crate) variable: &'static str,
    pub(super) name: &'static str,
    release: &'static str,
}

impl Environment {
    /// The Python of the environment, if that was made.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        let program = self.folder().join("bin/python");
        is_made(&self.folder(), self.release).then_some(program)
    }

    fn folder(&self) -> PathBuf {
        folder().join(self.name)
    }

    /// Makes the environment, if that has not been done.
    pub(super) fn make(&self) -> Result<()> {
        let (environment, release) = (self.folder(), self.release);
        if is_made(&environment, release) {
            return Ok(());
        }
        let python = pyenv(VERSION).with_context(|| format!("pyenv has no CPython {VERSION}"))?;
        say(format_args!(
            "getting {release} into {}",
            environment.display()
        ));
        fs::create_dir_all(folder())?;
        let arguments = ["-m", "venv", "--clear"];
        Tool::new(python)
            .args(arguments)
            .arg(&environment)
            .capture()?;
        let install = ["install", "--quiet", "--only-binary=:all:", release];
        Tool::new(environment.join("bin/pip"))
            .args(install)
            .capture()?;
        stamp(&environment, release)
    }
}
