//! Why this host or user may not measure.

use std::io;

use aya::{EbpfError, maps::MapError, programs::ProgramError};
use thiserror::Error;

use super::BtfError;
use crate::units::Pid;

/// Why the kernel half could not be put to work.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The kernel publishes no type information.
    #[error("cannot read the kernel's type information (BTF) at {path}")]
    NoTypeInformation {
        /// Where it should be.
        path: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The type information is of no use.
    #[error(transparent)]
    TypeInformation(#[from] BtfError),
    /// The replacement for the built-in kernel object could not be read.
    #[error("cannot read the kernel object {path}")]
    NoObject {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The object could not be loaded.
    #[error("the kernel does not accept heaptide's BPF object")]
    Object(#[source] Box<EbpfError>),
    /// A part of the object is missing, so that it is not the one that this binary expects.
    #[error("the BPF object has no `{name}`")]
    Missing {
        /// The program or map.
        name: &'static str,
    },
    /// A program could not be loaded.
    #[error("the kernel does not accept heaptide's BPF program `{program}`")]
    Program {
        /// The program.
        program: &'static str,
        /// What aya said.
        source: Box<ProgramError>,
    },
    /// A program could not be attached.
    #[error("cannot attach `{program}` to {to}")]
    Attach {
        /// The program.
        program: &'static str,
        /// Where it should have gone.
        to: String,
        /// What aya said.
        source: Box<ProgramError>,
    },
    /// A map could not be used.
    #[error("cannot use the BPF map `{name}`")]
    Map {
        /// The map.
        name: &'static str,
        /// What aya said.
        source: MapError,
    },
    /// No room for another process.
    #[error("process {pid} cannot be followed: the table of processes is full")]
    TooManyProcesses {
        /// The process.
        pid: Pid,
    },
    /// The tracing file system could not be reached.
    #[error("cannot mount the tracing file system (tracefs)")]
    NoTracefs {
        /// What the system said.
        source: io::Error,
    },
    /// The list of processors could not be read.
    #[error("cannot tell which processors are online")]
    NoProcessors {
        /// What the system said.
        source: io::Error,
    },
}

impl ProbeError {
    /// Whether the cause is that the user or the host may not, as opposed to a broken object.
    pub fn is_refusal(&self) -> bool {
        self.system_error().is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::NotFound
                    | io::ErrorKind::Unsupported
            )
        })
    }

    /// What the system said, if it was the system that refused.
    pub fn system_error(&self) -> Option<&io::Error> {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(current) = source {
            if let Some(found) = current.downcast_ref::<io::Error>() {
                return Some(found);
            }
            source = current.source();
        }
        None
    }
}
