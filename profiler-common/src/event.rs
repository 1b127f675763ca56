//! The records that the kernel half writes into the ring buffer.
//!
//! Three sizes: [`PlainEvent`], [`StackEvent`] for what comes with a Python stack, and
//! [`LongStackEvent`] if that has more frames. All start with the same [`EventHeader`], whose
//! `kind` tells whether there is a stack. Enums travel as integers and come back through
//! `from_wire`, because bytes from outside are not yet an enum.

use crate::walk::{MAX_FRAMES, RawFrame, SHORT_FRAMES};

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u16)]
pub enum EventKind {
    /// With stack. A block over 512 bytes was handed out: `address`, `size`; `previous` is the
    /// block that a `realloc` gave up for it, or zero.
    BlockAllocated = 1,
    /// Plain. A block was given back: `address`.
    BlockFreed = 2,
    /// With stack. Pymalloc took a pool: `address` of the pool, `detail` the size class.
    PoolOpened = 3,
    /// With stack. `mmap` returned `address` for `size` bytes; `detail` is an [`Origin`].
    Mapped = 4,
    /// Plain. `munmap` took away `size` bytes at `address`.
    Unmapped = 5,
    /// With stack. `mremap` made `size` bytes at `address` out of `previous_size` at `previous`;
    /// `detail` is an [`Origin`].
    Remapped = 6,
    /// With stack. `brk` set the end of the heap to `address`; `detail` is an [`Origin`].
    BreakMoved = 7,
    /// With stack. The page of `address` was touched; stands for `size` page faults.
    PageTouched = 8,
    /// Plain. The process forked: `address` is the child's pid.
    Forked = 9,
    /// Plain. The process runs another program now.
    Execed = 10,
    /// Plain. The last thread of the process ended.
    Exited = 11,
    /// Plain. The block at `address`, or zero if that is not known, is handed out: by pymalloc,
    /// where `detail` is the size class and `size` how many blocks of the pool are in use, or by
    /// mimalloc, where `size` is in bytes and not zero; or CPython uses it again, which kept it for
    /// that, and `size` is [`UNCOUNTED`].
    ObjectTaken = 12,
    /// The same with stack.
    ObjectSampled = 13,
    /// With stack. The thread was on a processor at one of many moments that come all the same.
    TimeSampled = 14,
}

impl EventKind {
    /// Reads a kind that came through the ring buffer.
    pub const fn from_wire(raw: u16) -> Option<Self> {
        Some(match raw {
            1 => Self::BlockAllocated,
            2 => Self::BlockFreed,
            3 => Self::PoolOpened,
            4 => Self::Mapped,
            5 => Self::Unmapped,
            6 => Self::Remapped,
            7 => Self::BreakMoved,
            8 => Self::PageTouched,
            9 => Self::Forked,
            10 => Self::Execed,
            11 => Self::Exited,
            12 => Self::ObjectTaken,
            13 => Self::ObjectSampled,
            14 => Self::TimeSampled,
            _ => return None,
        })
    }
}

/// Nanoseconds of a processor between two moments at which the thread on it is asked where it is.
/// The program knows by it which event it runs for: page faults are sampled far more often.
pub const CLOCK_PERIOD_NS: u64 = 10_309_278;

/// Not told: the block was not handed out just now, so the count of its pool stays as it is.
pub const UNCOUNTED: u64 = u64::MAX;

/// Who asked the kernel for address space.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Origin {
    /// The program itself, as far as the probes can see.
    Program = 0,
    /// The C library's allocator, inside a call that is measured as a block.
    BlockAllocator = 1,
    /// Pymalloc, for an arena.
    ArenaAllocator = 2,
}

impl Origin {
    /// Reads an origin that came through the ring buffer.
    pub const fn from_wire(raw: u32) -> Option<Self> {
        Some(match raw {
            0 => Self::Program,
            1 => Self::BlockAllocator,
            2 => Self::ArenaAllocator,
            _ => return None,
        })
    }
}

/// What all records start with.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EventHeader {
    /// An [`EventKind`].
    pub kind: u16,
    /// Where an object was handed out: a [`crate::cookie::Place`]. Otherwise zero.
    pub place: u16,
    /// Thread group id, in the initial pid namespace.
    pub pid: u32,
    /// Thread id, in the initial pid namespace.
    pub tid: u32,
    /// A number whose meaning depends on the kind.
    pub detail: u32,
    /// Nanoseconds since boot.
    pub time_ns: u64,
    /// An address whose meaning depends on the kind.
    pub address: u64,
}

/// A record without a stack.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PlainEvent {
    /// What all records start with.
    pub header: EventHeader,
    /// Bytes, where the kind has a size.
    pub size: u64,
}

/// A record with the Python stack of the thread, if that is a short one.
///
/// There is no implicit padding. Frames from `frame_count` on are whatever the ring held before.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StackEvent {
    /// What all records start with.
    pub header: EventHeader,
    /// Bytes, where the kind has a size.
    pub size: u64,
    /// An older address, where the kind has one.
    pub previous: u64,
    /// The older size, where the kind has one.
    pub previous_size: u64,
    /// Why the walk stopped: a [`WalkEnd`](crate::walk::WalkEnd).
    pub walk_end: u32,
    /// How many frames the stack has; if they do not fit, the record is the long one.
    pub frame_count: u32,
    /// Innermost frame first.
    pub frames: [RawFrame; SHORT_FRAMES],
}

/// A record with the Python stack of the thread, if that does not fit into a [`StackEvent`]. It
/// starts as one: whoever reads it finds the frames in a row.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LongStackEvent {
    /// All but the frames that it has no room for. If the stack has more than [`MAX_FRAMES`], all
    /// frames are set.
    pub start: StackEvent,
    /// The frames further out.
    pub more: [RawFrame; MAX_FRAMES - SHORT_FRAMES],
}

const _: () = assert!(size_of::<EventHeader>() == 32);
const _: () = assert!(size_of::<PlainEvent>() == 40);
const _: () = assert!(size_of::<StackEvent>() == 64 + 16 * SHORT_FRAMES);
const _: () = assert!(size_of::<LongStackEvent>() == 64 + 16 * MAX_FRAMES);
const _: () = assert!(align_of::<LongStackEvent>() == 8, "ring buffer alignment");
