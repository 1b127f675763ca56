//! Why a recording could not be made.

use std::io;

use thiserror::Error;

use crate::{
    probe::ProbeError, process::ProcessError, recording::RecordingError, source::PlanError,
    units::Pid,
};

/// Why a recording could not be made.
#[derive(Debug, Error)]
pub enum SessionError {
    /// This host or user may not.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A target cannot be measured.
    #[error(transparent)]
    Target(PlanError),
    /// Something about a process could not be found out.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The recording could not be made or read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The target ended before anything could be measured.
    #[error("process {pid} ended before it could be measured")]
    EndedFirst {
        /// The target.
        pid: Pid,
    },
    /// A command could not be started.
    #[error("cannot run `{command}`")]
    Launch {
        /// The command.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// The runtime that waits for events could not be set up.
    #[error("cannot wait for events")]
    Runtime {
        /// What the system said.
        source: io::Error,
    },
}
