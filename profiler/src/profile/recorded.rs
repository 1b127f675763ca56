//! Everything that a recording holds.

use std::time::Duration;

use super::{Interval, Reckoned, StackTable, Survivor, Threads, TrafficChoice};
use crate::units::Pid;

/// Everything that a recording holds, and all that a report is made from.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// What holds for the whole recording.
    pub facts: Facts,
    /// The processes, in the order in which they were met; a [`ProcessKey`] is an index.
    pub processes: Vec<ProcessRecord>,
    /// All stacks.
    pub stacks: StackTable,
    /// What happened, in the order of time and without gaps.
    pub intervals: Vec<Interval>,
    /// What was still held at its end, by when it was got; empty if it was not ended in order.
    pub survivors: Vec<Survivor>,
    /// How windows showed small objects whose process does one kind of work after the other, in the
    /// order of process and stack; empty if it was not ended in order.
    pub reckoned: Vec<Reckoned>,
    /// Which threads were seen at which stacks; empty if nobody asked, or it did not end in order.
    pub threads: Threads,
}

impl Recorded {
    /// The process with this key.
    ///
    /// # Panics
    ///
    /// If the key is of another recording.
    pub fn process(&self, key: ProcessKey) -> &ProcessRecord {
        &self.processes[key.0 as usize]
    }
}

/// What is known only when a recording ends.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// As in [`Recorded`].
    pub survivors: Vec<Survivor>,
    /// As in [`Recorded`].
    pub reckoned: Vec<Reckoned>,
    /// As in [`Recorded`].
    pub threads: Threads,
}

/// What holds for the whole recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Version of heaptide that recorded.
    pub heaptide: String,
    /// When the recording started, in RFC 3339, UTC.
    pub started_at: String,
    /// How long it lasted.
    pub duration: Duration,
    /// Whether it was ended in order; a killed heaptide leaves one that was not.
    pub complete: bool,
    /// The kernel's release.
    pub kernel: String,
    /// What was measured, as a person would name it: `python app.py (pid 4711)`.
    pub target: String,
    /// The budget that the user set, in percent of the target's time; `None` if everything was to
    /// be followed, whatever it costs.
    pub budget_percent: Option<f64>,
    /// Page faults per sample.
    pub page_fault_period: u64,
    /// Bytes of a page.
    pub page_size: u64,
    /// What a person should know about how it was measured, a sentence each.
    pub notes: Vec<String>,
    /// What was asked to stand for traffic.
    pub traffic: TrafficChoice,
}

/// A process of a recording: the position in [`Recorded::processes`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ProcessKey(pub u32);

/// What is known about a process.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessRecord {
    /// Its id, as the initial pid namespace numbers it.
    pub pid: Pid,
    /// Its id in its own pid namespace, if that is another one.
    pub inner_pid: Option<Pid>,
    /// Its parent.
    pub parent: Pid,
    /// Its command line, cut to a sensible length.
    pub command: String,
    /// The version of its CPython, `3.12.1`; `None` if it runs no Python that is known.
    pub python: Option<String>,
    /// When heaptide first saw it, from the start of the recording.
    pub started: Duration,
    /// When it ended, if it did.
    pub ended: Option<Duration>,
}
