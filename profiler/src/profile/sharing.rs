//! What a forked process still shares with its parent, and what made it copy the rest.

use std::time::Duration;

use super::ProcessKey;
use crate::units::Pid;

/// What a process shared with the one that forked it, at one moment. Bytes of memory that belongs
/// to no file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SharingCensus {
    /// The process.
    pub process: ProcessKey,
    /// When, from the start of the recording.
    pub time: Duration,
    /// The one that forked it.
    pub parent: Pid,
    /// Bytes that it got by the fork and still shares.
    pub shared: u64,
    /// Bytes that it got by the fork and of which it has a copy of its own by now.
    pub copied: u64,
    /// Bytes that it got since.
    pub own: u64,
}

/// What made a process copy a page that it shared: what was written there first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CopyCause {
    /// The reference count of an object.
    References,
    /// The words that the garbage collector keeps in front of an object.
    Collector,
    /// Anything else: values, free memory that was handed out.
    Data,
    /// It is not known.
    Unknown,
}

impl CopyCause {
    /// All causes.
    pub const ALL: [Self; 4] = [Self::References, Self::Collector, Self::Data, Self::Unknown];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::References => "references",
            Self::Collector => "collector",
            Self::Data => "data",
            Self::Unknown => "unknown",
        }
    }

    /// As a person would say it.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::References => "reference counts",
            Self::Collector => "the garbage collector",
            Self::Data => "writes of data",
            Self::Unknown => "not known",
        }
    }
}
