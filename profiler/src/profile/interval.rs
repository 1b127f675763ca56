//! What changed during one interval of a recording.

use std::time::Duration;

use super::{
    AllocatorCensus, CgroupCensus, ClassCensus, Losses, Metered, ProcessKey, SharingCensus,
    SocketCensus, StackId,
};

/// What changed during one interval. Times are counted from the start of the recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interval {
    /// When it started.
    pub start: Duration,
    /// When it ended.
    pub end: Duration,
    /// What was measured at each stack; at most one entry for each process, stack and meter.
    pub changes: Vec<Change>,
    /// How large the processes were at its end.
    pub censuses: Vec<Census>,
    /// What their allocators held, now and then.
    pub allocators: Vec<AllocatorCensus>,
    /// What they shared with those that had forked them, now and then.
    pub sharings: Vec<SharingCensus>,
    /// What their control groups used then.
    pub cgroups: Vec<CgroupCensus>,
    /// What became of processes.
    pub lifecycles: Vec<Lifecycle>,
    /// What was not measured.
    pub losses: Losses,
}

/// What a process did at one stack during an interval, as seen by one meter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change {
    /// The process.
    pub process: ProcessKey,
    /// The stack at which memory was got. What is given back counts where it was got.
    pub stack: StackId,
    /// What was counted.
    pub meter: Metered,
    /// The counts.
    pub counters: Counters,
}

/// Sums over an interval.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Bytes got.
    pub bytes_in: u64,
    /// How many pieces that was: blocks, mappings, pages.
    pub count_in: u64,
    /// Bytes given back that this stack had got earlier.
    pub bytes_out: u64,
    /// How many pieces that was.
    pub count_out: u64,
    /// How many observations all this rests on: events with a stack. Never scaled.
    pub samples: u64,
}

impl Counters {
    /// Adds the sums of another interval.
    pub const fn add(&mut self, other: Self) {
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.count_in = self.count_in.saturating_add(other.count_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.count_out = self.count_out.saturating_add(other.count_out);
        self.samples = self.samples.saturating_add(other.samples);
    }
}

/// How large a process was at one moment, and what measuring it has cost so far.
/// What the kernel did not tell is `None`, never zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Census {
    /// The process.
    pub process: ProcessKey,
    /// When, from the start of the recording.
    pub time: Duration,
    /// Resident bytes.
    pub rss: u64,
    /// Resident bytes, shared ones divided by the number of their users.
    pub pss: Option<u64>,
    /// Resident bytes that no other process shares.
    pub uss: Option<u64>,
    /// Anonymous resident bytes.
    pub anonymous: Option<u64>,
    /// Bytes swapped out.
    pub swap: Option<u64>,
    /// How many threads it has.
    pub threads: u32,
    /// Processor time used since it started.
    pub cpu: Duration,
    /// What it has open, and what came to it.
    pub sockets: SocketCensus,
    /// Bytes in blocks that pymalloc has handed out, or mimalloc where it takes its place.
    pub pymalloc_live: Option<u64>,
    /// The small blocks by size class; empty if they were not counted.
    pub size_classes: Vec<ClassCensus>,
    /// Bytes of the arenas that pymalloc holds, or of mimalloc's segments.
    pub pymalloc_arenas: Option<u64>,
    /// Probe hits and other program runs since the start of the recording.
    pub probe_runs: u64,
    /// Processor time that probes have taken from it since the start of the recording.
    pub probe_cost: Duration,
    /// For how long since the start of the recording the probes of blocks over 512 bytes were open.
    pub blocks_observed: Duration,
    /// For how long since then the probes of pools were open.
    pub pools_observed: Duration,
    /// For how long since then the probes of small objects were open.
    pub objects_observed: Duration,
    /// How often since then they were opened.
    pub object_windows: u64,
}

/// The time that counts as a process's own when costs are compared with it: what it spent on
/// processors, because that is what probes make longer; but at least a fifth of what the clock
/// says, because a process that mostly waits has time to spare.
pub fn own_time(processor: Duration, clock: Duration) -> Duration {
    processor.max(clock / 5)
}

/// Something that became of a process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lifecycle {
    /// The process.
    pub process: ProcessKey,
    /// When, from the start of the recording.
    pub time: Duration,
    /// What happened.
    pub kind: LifecycleKind,
}

/// What can become of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LifecycleKind {
    /// heaptide began to follow it: named by the user, or found below a named one.
    Attached,
    /// Its parent forked it while recording.
    Forked,
    /// It runs another program from now on.
    Execed,
    /// It ended.
    Exited,
}

impl LifecycleKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Attached, Self::Forked, Self::Execed, Self::Exited];

    /// The stable name, as it stands in recordings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Forked => "forked",
            Self::Execed => "execed",
            Self::Exited => "exited",
        }
    }

    /// Finds a kind by its stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_stop_at_the_largest_number() {
        let most = Counters {
            bytes_in: u64::MAX,
            count_in: u64::MAX,
            bytes_out: u64::MAX,
            count_out: u64::MAX,
            samples: u64::MAX,
        };
        let mut sum = most;
        sum.add(most);
        assert_eq!(sum, most);
    }

    #[test]
    fn a_process_that_waits_has_a_fifth_of_the_time_to_spare() {
        let [busy, idle] = [9, 1].map(Duration::from_secs);
        let clock = Duration::from_secs(10);
        assert_eq!(own_time(busy, clock), busy);
        assert_eq!(own_time(idle, clock), Duration::from_secs(2));
    }
}
