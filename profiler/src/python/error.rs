//! Why no interpreter was found, or none that can be followed.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{
    process::{ProcessError, elf::ElfError},
    units::Pid,
};

/// Why no interpreter was found, or none that can be followed.
#[derive(Debug, Error)]
pub enum PythonError {
    /// The process runs no Python.
    #[error("process {pid} runs {}, which is not Python", program.display())]
    NotPython {
        /// The process.
        pid: Pid,
        /// Its program.
        program: PathBuf,
    },
    /// It runs a Python whose insides are not known.
    #[error("process {pid} runs {name}, which is not supported")]
    Unsupported {
        /// The process.
        pid: Pid,
        /// What it runs.
        name: String,
    },
    /// Its interpreter is being set up, or has ended.
    #[error("the Python interpreter of process {pid} is not running yet, or not any more")]
    NotReady {
        /// The process.
        pid: Pid,
    },
    /// Its memory does not look as that of such an interpreter should.
    #[error("process {pid} looks like {name}, but {what}")]
    Inconsistent {
        /// The process.
        pid: Pid,
        /// What it looks like.
        name: String,
        /// What does not fit.
        what: String,
    },
    /// Its memory cannot be read.
    #[error("cannot read the {what} of process {pid}")]
    Unreadable {
        /// The process.
        pid: Pid,
        /// What was to be read.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Its interpreter's file cannot be read.
    #[error("cannot look into the interpreter of process {pid}")]
    File {
        /// The process.
        pid: Pid,
        /// What is wrong with the file.
        source: ElfError,
    },
    /// It cannot be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl PythonError {
    /// How much an error says about the process; of several the weightiest is reported.
    pub(super) const fn weight(&self) -> u8 {
        match self {
            Self::NotPython { .. } => 0,
            Self::File { .. } => 1,
            Self::Unsupported { .. } => 2,
            Self::Inconsistent { .. } => 3,
            Self::NotReady { .. } => 4,
            Self::Unreadable { .. } | Self::Process(_) => 5,
        }
    }
}
