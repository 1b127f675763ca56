//! Why a recording could not be written or read, said to a person.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why a recording could not be written or read.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// There is a file of this name, and nobody said that it may be replaced.
    #[error(
        "{} exists already; name another file with --output, or replace it with --force",
        path.display()
    )]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// What has this name is a folder or a device, and is never replaced.
    #[error(
        "{} is not a file, so it cannot become a recording; name a file with --output",
        path.display()
    )]
    NotAFile {
        /// What has the name.
        path: PathBuf,
    },
    /// The folder for the recording does not exist.
    #[error(
        "cannot create {}: there is no such folder; create it, or choose another with --output",
        path.display()
    )]
    NoFolder {
        /// The recording.
        path: PathBuf,
    },
    /// The folder for the recording cannot be written to.
    #[error(
        "cannot create {}: its folder is not writable; choose another with --output",
        path.display()
    )]
    FolderNotWritable {
        /// The recording.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file could not be created for another reason.
    #[error("cannot create {}", path.display())]
    NotCreated {
        /// The recording.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something could not be added; what was written before is kept.
    #[error("cannot write to {}", path.display())]
    NotWritten {
        /// The recording.
        path: PathBuf,
        /// What `SQLite` said; a full disk, for example.
        source: rusqlite::Error,
    },
    /// All is written, but another program reads the file, so that it still consists of two.
    #[error(
        "{0} is complete, but another program reads it: keep {0}-wal next to it",
        path.display()
    )]
    StillRead {
        /// The recording.
        path: PathBuf,
    },
    /// There is no file of this name.
    #[error("there is no recording {}", path.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// The file cannot be opened or read.
    #[error("cannot read {}", path.display())]
    NotReadable {
        /// What was asked for.
        path: PathBuf,
        /// What the kernel or `SQLite` said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file is something else.
    #[error(
        "{} is not a recording: {what}; name a file that heaptide has written",
        path.display()
    )]
    NotARecording {
        /// What was asked for.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The file was written by a heaptide that is newer than this one.
    #[error(
        "{} has format {found}, and this heaptide knows up to {known}; read it with a newer one",
        path.display()
    )]
    FromNewer {
        /// The recording.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this heaptide knows.
        known: i64,
    },
    /// The file was a recording once, and is broken.
    #[error("{} is damaged: {what}; take another copy of it, or record again", path.display())]
    Damaged {
        /// The recording.
        path: PathBuf,
        /// What is wrong in it.
        what: String,
    },
}
