//! The catalogue of reasons why something was not measured.

/// A reason why an observation was lost.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u32)]
pub enum Loss {
    /// The ring buffer had no room.
    RingFull = 0,
    /// The thread has no Python thread state.
    NoThreadState = 1,
    /// A read of the target's memory failed in the middle of a walk.
    StackUnreadable = 2,
    /// The stack had more frames than a record holds.
    StackTooDeep = 3,
    /// No slot for another process in the kernel half's table.
    ProcessTableFull = 4,
    /// No slot for another thread in the kernel half's table.
    ThreadTableFull = 5,
    /// The user half follows as many blocks as it may.
    LiveTableFull = 6,
    /// The user half knows as many stacks as it may.
    StackTableFull = 7,
    /// The process ended, or the code object died, before its names were read.
    CodeUnreadable = 8,
    /// A probe could not be attached.
    ProbeNotAttached = 9,
    /// A process ran for a moment before its allocator probes were in place.
    ProbesLate = 10,
    /// The kernel skipped a program because another one was running on that processor.
    ProgramSkipped = 11,
    /// A record from the kernel half could not be decoded.
    BadRecord = 12,
    /// The recording could not be written, on a full disk for example.
    NotWritten = 13,
    /// A small object was handed out, but not where, or of which size.
    ObjectUnknown = 14,
}

impl Loss {
    /// Every reason, in the order of its slot in the counter map.
    pub const ALL: [Self; 15] = [
        Self::RingFull,
        Self::NoThreadState,
        Self::StackUnreadable,
        Self::StackTooDeep,
        Self::ProcessTableFull,
        Self::ThreadTableFull,
        Self::LiveTableFull,
        Self::StackTableFull,
        Self::CodeUnreadable,
        Self::ProbeNotAttached,
        Self::ProbesLate,
        Self::ProgramSkipped,
        Self::BadRecord,
        Self::NotWritten,
        Self::ObjectUnknown,
    ];

    /// The stable name, as it stands in recordings and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring-full",
            Self::NoThreadState => "no-thread-state",
            Self::StackUnreadable => "stack-unreadable",
            Self::StackTooDeep => "stack-too-deep",
            Self::ProcessTableFull => "process-table-full",
            Self::ThreadTableFull => "thread-table-full",
            Self::LiveTableFull => "live-table-full",
            Self::StackTableFull => "stack-table-full",
            Self::CodeUnreadable => "code-unreadable",
            Self::ProbeNotAttached => "probe-not-attached",
            Self::ProbesLate => "probes-late",
            Self::ProgramSkipped => "program-skipped",
            Self::BadRecord => "bad-record",
            Self::NotWritten => "not-written",
            Self::ObjectUnknown => "object-unknown",
        }
    }

    /// What a person reads in a report.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::RingFull => "events dropped because heaptide fell behind",
            Self::NoThreadState => "events of threads that run no Python",
            Self::StackUnreadable => "stacks cut short because memory was not readable",
            Self::StackTooDeep => "stacks cut short because they were too deep",
            Self::ProcessTableFull => "processes not followed because the process table was full",
            Self::ThreadTableFull => "threads not followed because the thread table was full",
            Self::LiveTableFull => "blocks not followed because the table of live blocks was full",
            Self::StackTableFull => "events without a stack because the stack table was full",
            Self::CodeUnreadable => "stacks with a nameless frame, because its code was gone",
            Self::ProbeNotAttached => "probes that could not be attached",
            Self::ProbesLate => "processes that ran before their probes were in place",
            Self::ProgramSkipped => "events that the kernel did not deliver",
            Self::BadRecord => "records that could not be decoded",
            Self::NotWritten => "intervals that could not be written to the recording",
            Self::ObjectUnknown => "small objects of which address or size was not known",
        }
    }

    /// Finds a reason by its stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|loss| loss.name() == name)
    }

    /// Whether data are missing because of it; the others only say what the data are like.
    pub const fn loses_data(self) -> bool {
        !matches!(self, Self::NoThreadState | Self::StackTooDeep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_the_slot_of_its_position_and_a_name_of_its_own() {
        for (slot, loss) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, slot);
            assert_eq!(Loss::from_name(loss.name()), Some(loss));
        }
        assert_eq!(Loss::from_name("no such reason"), None);
    }
}
