//! What a recording tells while it is made, and what becomes of it.

use std::{path::PathBuf, time::Duration};

use crate::recording::RecordingError;

/// Why a recording ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// Its time was over.
    Duration,
    /// The user asked for it.
    Interrupted,
    /// The last target ended.
    TargetEnded,
}

/// What a recording is like while it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// For how long it has been going on.
    pub elapsed: Duration,
    /// How many processes are followed.
    pub processes: usize,
    /// Their resident bytes.
    pub rss: u64,
    /// How many observations are missing so far.
    pub missing: u64,
}

/// Whoever wants to know how it goes.
pub trait Observer {
    /// Everything is in place; the recording goes here.
    fn started(&mut self, path: &std::path::Path, duration: Option<Duration>);
    /// A second has passed.
    fn progressed(&mut self, progress: Progress);
    /// Something a person should know at once.
    fn warned(&mut self, message: &str);
    /// The recording is over, and its results come next.
    fn ended(&mut self);
}

/// A recording that was made.
#[derive(Debug)]
pub struct Finished {
    /// Where it is.
    pub path: PathBuf,
    /// Why it ended.
    pub ending: Ending,
    /// The exit status of a launched command.
    pub status: Option<std::process::ExitStatus>,
    /// Why the file is not complete, if it is not.
    pub incomplete: Option<RecordingError>,
}
