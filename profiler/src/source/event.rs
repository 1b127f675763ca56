//! What happened to a process's memory, in terms of the program.

use std::time::Duration;

use profiler_common::event::Origin;

use crate::profile::{CopyCause, ProcessKey, SizeClass, StackId};

/// Something that happened to the memory of a process. Sizes and addresses are in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event {
    /// The process.
    pub process: ProcessKey,
    /// When, from the start of the recording.
    pub time: Duration,
    /// What happened.
    pub what: What,
}

/// What can happen to memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// A block over 512 bytes was handed out.
    BlockAllocated {
        /// The block.
        address: u64,
        /// Bytes that were asked for.
        size: u64,
        /// The block that a `realloc` gave up for it, or zero.
        previous: u64,
        /// Where.
        stack: StackId,
    },
    /// A block was given back.
    BlockFreed {
        /// The block.
        address: u64,
    },
    /// Pymalloc took a pool.
    PoolOpened {
        /// The pool.
        address: u64,
        /// The size class; `None` if the probe could not tell.
        size_class: Option<SizeClass>,
        /// Where.
        stack: StackId,
    },
    /// Pymalloc or mimalloc handed out a block.
    ObjectTaken {
        /// The block; zero if it is not known.
        address: u64,
        /// Its size; zero if the probe could not tell.
        size: u64,
        /// Where, if the stack was looked at.
        stack: Option<StackId>,
        /// Its place in the code is seen in one window out of so many.
        times: u32,
    },
    /// Address space was mapped.
    Mapped {
        /// Its start.
        address: u64,
        /// Its size, as it was asked for.
        size: u64,
        /// Who asked.
        origin: Origin,
        /// Where.
        stack: StackId,
    },
    /// Address space was given back.
    Unmapped {
        /// Its start.
        address: u64,
        /// Its size, as it was named.
        size: u64,
    },
    /// Address space was moved, grown or shrunk.
    Remapped {
        /// The new start.
        address: u64,
        /// The new size.
        size: u64,
        /// The old start.
        previous: u64,
        /// The old size.
        previous_size: u64,
        /// Where.
        stack: StackId,
    },
    /// The end of the heap is now here.
    BreakMoved {
        /// The break.
        address: u64,
        /// Where.
        stack: StackId,
    },
    /// A fresh page was touched; stands for so many.
    PagesTouched {
        /// Where in memory.
        address: u64,
        /// How many.
        pages: u64,
        /// If it was shared until then by those between which a fork had put it: why not any more.
        copied: Option<CopyCause>,
        /// Where.
        stack: StackId,
    },
    /// A thread was on a processor at one of many moments that come all the same.
    TimeSampled {
        /// Where.
        stack: StackId,
    },
}

impl What {
    /// Where memory was got; `None` if none was, or nobody looked.
    pub const fn stack(&self) -> Option<StackId> {
        match self {
            Self::BlockAllocated { stack, .. }
            | Self::PoolOpened { stack, .. }
            | Self::Mapped { stack, .. }
            | Self::Remapped { stack, .. }
            | Self::BreakMoved { stack, .. }
            | Self::PagesTouched { stack, .. } => Some(*stack),
            Self::ObjectTaken { stack, .. } => *stack,
            Self::BlockFreed { .. } | Self::Unmapped { .. } | Self::TimeSampled { .. } => None,
        }
    }
}
