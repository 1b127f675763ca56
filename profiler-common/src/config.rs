//! What user space tells the kernel half about each process and thread, and the counters that
//! come back with it.

use crate::layout::InterpreterLayout;

/// How many processes can be followed at once.
pub const MAX_PROCESSES: u32 = 4096;

/// How many threads can be followed at once.
pub const MAX_THREADS: u32 = 65_536;

/// Offsets within the running kernel's own structures, in bytes, as its BTF tells them. User space
/// sets them before it loads the programs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct KernelLayout {
    /// `task_struct.pid`: the thread id.
    pub task_pid: u32,
    /// `task_struct.tgid`: the process id.
    pub task_tgid: u32,
    /// `task_struct.signal`.
    pub task_signal: u32,
    /// `task_struct.thread.fsbase` on x86-64: the thread pointer.
    pub task_thread_pointer: u32,
    /// `signal_struct.live`: how many threads live.
    pub signal_live: u32,
    /// User space is woken when unread data in the ring fill another so many bytes: a power of two.
    pub ring_wake_bytes: u32,
    /// With more unread data than this in the ring, each record wakes user space.
    pub ring_crowded_bytes: u32,
    /// `sock_common.skc_num`: the local port of a socket. Zero, as in the next two, if the kernel
    /// does not tell: then what is received is not counted.
    pub socket_local_port: u32,
    /// `sock_common.skc_dport`: the remote port, in the order of the network.
    pub socket_remote_port: u32,
    /// `unix_sock.addr`: the name of a local socket, which those that were accepted share with the
    /// one that listens.
    pub socket_name: u32,
}

/// How many ports can be looked out for at once.
pub const MAX_PORTS: u32 = 1024;

/// What is received through a port counts: the value of the map `PORTS`, whose key is
/// [`PortRole::key`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum PortRole {
    /// Followed processes listen on it.
    Served = 0,
    /// Brokers of messages listen on it, by custom.
    Broker = 1,
}

impl PortRole {
    /// The key of a port in this role.
    pub const fn key(self, port: u16) -> u32 {
        ((self as u32) << 16) | port as u32
    }
}

/// A receive from a broker with fewer bytes than this is no message: heartbeats, acknowledgements
/// and answers that say that there is nothing are shorter, jobs with all their names longer.
pub const LEAST_MESSAGE: u64 = 64;

/// What came to a process through its sockets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Traffic {
    /// Connections accepted.
    pub accepts: u64,
    /// How often something was received on connections that were accepted …
    pub receives: u64,
    /// … and how many bytes that were.
    pub received_bytes: u64,
    /// How often something long enough was received from a broker.
    pub messages: u64,
}

/// A followed process: the value of the map `PROCESSES`, whose key is the pid.
///
/// A forked child gets a copy with the counters set to zero; after `exec` all of it is zero, but
/// for a program that is measured before it becomes a Python.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct ProcessConfig {
    /// Address of the word that points to the thread state of the thread that holds the GIL.
    pub holder: u64,
    /// Address of the word that points to the first thread state; zero if the process runs no
    /// Python that is known, and then only its lifecycle is reported.
    pub threads_head: u64,
    /// Where the walk finds things.
    pub layout: InterpreterLayout,
    /// Whether the stack of every object is wanted; otherwise [`crate::sampling`] decides.
    pub wants_all_stacks: u64,
    /// Whether requests of all sizes are blocks, since no pools serve the small ones.
    pub counts_small_requests: u64,
    /// What was spent on the process, by [`Cause`]; the kernel half counts.
    pub spent: [Spent; Cause::COUNT],
    /// How many objects were handed out where they are only counted; the kernel half counts.
    pub counted: u64,
    /// What came to it; the kernel half counts.
    pub traffic: Traffic,
}

impl ProcessConfig {
    /// The `threads_head` of a program that may become a Python: measured, with no stack to be
    /// found. The address is never mapped.
    const NOT_YET_PYTHON: u64 = 8;

    /// A program that is measured although it has no Python yet.
    pub fn not_yet_python() -> Self {
        Self {
            threads_head: Self::NOT_YET_PYTHON,
            ..Self::default()
        }
    }

    /// Whether so many bytes are none of the allocator's business that serves blocks.
    pub const fn is_too_small(&self, bytes: u64) -> bool {
        bytes <= SMALL_REQUEST && self.counts_small_requests == 0
    }

    /// What holds for a child that was forked.
    #[must_use]
    pub fn forked(&self) -> Self {
        Self {
            holder: self.holder,
            threads_head: self.threads_head,
            layout: self.layout,
            wants_all_stacks: self.wants_all_stacks,
            counts_small_requests: self.counts_small_requests,
            ..Self::default()
        }
    }

    /// What holds for the process after `exec`.
    #[must_use]
    pub fn after_exec(&self) -> Self {
        if self.threads_head == Self::NOT_YET_PYTHON {
            Self::not_yet_python()
        } else {
            Self::default()
        }
    }
}

/// What brings a program to run for a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Cause {
    /// A tracepoint or a page fault.
    Kernel = 0,
    /// A probe where blocks over 512 bytes are handed out or given back.
    Blocks = 1,
    /// A probe where pymalloc takes pools or arenas.
    Pools = 2,
    /// A probe where pymalloc or mimalloc hands out blocks.
    Objects = 3,
    /// A probe where objects are only counted.
    Counted = 4,
}

impl Cause {
    /// How many there are.
    pub const COUNT: usize = 5;
}

/// What programs have taken from a process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Spent {
    /// How often a program ran.
    pub runs: u64,
    /// Nanoseconds spent in them, without what led there.
    pub handler_ns: u64,
}

/// What is known about a thread of a followed process: the value of the map `THREADS`, whose key
/// is the thread id.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct ThreadSlot {
    /// The thread's Python thread state as it was last found; zero if it never was.
    pub thread_state: u64,
    /// Bytes of the request that has entered the allocator and not yet returned.
    pub pending_size: u64,
    /// The block that the request wants to replace.
    pub pending_previous: u64,
    /// The stack pointer at the request's entry, which tells a nested call from a stale entry.
    pub pending_stack: u64,
    /// The first thread state of the list that was last searched for the thread's in vain.
    pub searched: u64,
    /// A [`Request`], or zero if none is pending.
    pub pending: u32,
    /// Keeps the size a multiple of eight.
    pub reserved: u32,
}

/// Which function of an allocator a probe stands in, and what a thread has pending.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Request {
    /// `malloc(size)`.
    Malloc = 1,
    /// `calloc(count, size)`.
    Calloc = 2,
    /// `realloc(block, size)`.
    Realloc = 3,
    /// `free(block)`.
    Free = 4,
    /// Pymalloc asks for an arena: `alloc(ctx, size)`.
    Arena = 5,
}

impl Request {
    /// Reads a request that came in a cookie or from a slot.
    pub const fn from_wire(raw: u64) -> Option<Self> {
        Some(match raw {
            1 => Self::Malloc,
            2 => Self::Calloc,
            3 => Self::Realloc,
            4 => Self::Free,
            5 => Self::Arena,
            _ => return None,
        })
    }
}

/// Requests up to this size belong to pymalloc and are not blocks of their own, unless it is not in
/// use.
pub const SMALL_REQUEST: u64 = 512;

const _: () = assert!(size_of::<ProcessConfig>() == 200);
const _: () = assert!(size_of::<ThreadSlot>() == 48);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: integers only, no padding (the sizes are asserted above), any bytes are valid.
    unsafe impl aya::Pod for super::ProcessConfig {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::ThreadSlot {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::KernelLayout {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_measured_as_its_parent_and_counted_on_its_own() {
        let mut parent = ProcessConfig {
            holder: 1,
            threads_head: 2,
            wants_all_stacks: 3,
            counts_small_requests: 4,
            ..ProcessConfig::default()
        };
        parent.spent[0].runs = 7;
        let child = parent.forked();
        assert_eq!([child.holder, child.threads_head], [1, 2]);
        assert_eq!(
            [child.wants_all_stacks, child.counts_small_requests],
            [3, 4]
        );
        assert_eq!(child.spent[0].runs, 0);
    }

    #[test]
    fn ports_differ_by_their_roles() {
        assert_eq!(PortRole::Served.key(6379), 6379);
        assert_eq!(PortRole::Broker.key(6379), 0x1_0000 + 6379);
    }
}
