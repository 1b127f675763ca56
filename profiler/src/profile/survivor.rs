//! What was still held at the end of a recording.

use std::time::Duration;

use super::{Metered, ProcessKey, StackId};

/// What a process still held at the end of a recording, or when it ended, of what it had got at a
/// stack at about one time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Survivor {
    /// The process.
    pub process: ProcessKey,
    /// The stack that had got it.
    pub stack: StackId,
    /// What counts it.
    pub meter: Metered,
    /// When it was got, from the start of the recording.
    pub born: Duration,
    /// Its bytes.
    pub bytes: u64,
    /// How many blocks or objects that are.
    pub count: u64,
}
