//! Which part of a recording a question is about.

use std::time::Duration;

use crate::units::Pid;

/// A part of a recording; by default all of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Selection {
    /// Only this process.
    pub pid: Option<Pid>,
    /// Only what happened after this, from the start of the recording.
    pub from: Option<Duration>,
    /// Only what happened before this, from the start of the recording.
    pub to: Option<Duration>,
}
