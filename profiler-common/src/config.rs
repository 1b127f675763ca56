//! What user space tells the kernel half about each process and thread, and the counters that
//! come back with it.

use crate::{layout::InterpreterLayout, sampling::CLASS_BYTES};

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
    /// Bytes of unread data in the ring from which on user space is woken.
    pub ring_wake_bytes: u32,
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
}

impl Cause {
    /// How many there are.
    pub const COUNT: usize = 4;
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

/// Which function of an allocator a probe stands in: the cookie of the probes at allocators'
/// entries, and what a thread has pending.
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
    /// Reads a request that came as a cookie or from a slot.
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

/// The cookie of a probe at the branch where pymalloc has just taken a pool: where the pool and
/// its size class are. Registers are numbered in the order of x86's encoding (0 is `rax`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PoolCookie {
    /// The register that holds the pool.
    pub pool: u8,
    /// Where the size class is.
    pub size_class: SizeClassPlace,
}

/// Where the size class of a pool is while a probe runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SizeClassPlace {
    /// In this register.
    Register(u8),
    /// The code takes pools of this class only.
    Known(u8),
    /// Nowhere: user space reads it from the pool's header afterwards.
    Header,
}

/// The size class of a record whose probe could not tell it.
pub const UNKNOWN_SIZE_CLASS: u32 = u32::MAX;

impl PoolCookie {
    /// The cookie as the kernel carries it.
    pub const fn to_wire(self) -> u64 {
        let (place, value) = match self.size_class {
            SizeClassPlace::Register(number) => (0, number),
            SizeClassPlace::Known(class) => (1, class),
            SizeClassPlace::Header => (2, 0),
        };
        (self.pool as u64) | (place << 8) | ((value as u64) << 16)
    }

    /// The cookie as it was.
    pub const fn from_wire(raw: u64) -> Self {
        let [pool, place, value, ..] = raw.to_le_bytes();
        let size_class = match place {
            0 => SizeClassPlace::Register(value),
            1 => SizeClassPlace::Known(value),
            _ => SizeClassPlace::Header,
        };
        Self { pool, size_class }
    }
}

/// The cookie of a probe where pymalloc or mimalloc hands out a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObjectCookie {
    /// At the branch that finds out whether a pool has a free block. This register holds the pool,
    /// or the head of the list of pools if there is none; then a pool is taken first, and the
    /// block handed out there.
    Pop {
        /// The register.
        pool: u8,
    },
    /// At the branch where pymalloc has just taken a pool, of which it hands out the first block.
    NewPool(PoolCookie),
    /// At the branch where mimalloc finds out whether a page has a free block.
    Page(PageCookie),
    /// At the branch where CPython takes an object off one of its own lists of dead ones.
    Reuse(ReuseCookie),
}

/// Where things are while CPython takes an object off one of its own lists of dead ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReuseCookie {
    /// The register that holds the object, or zero if there is none.
    pub object: u8,
    /// The object's reference count, unless its link to the next one lies there.
    pub references: Option<u8>,
    /// The size of pools is two to the power of this.
    pub pool_shift: u8,
}

impl ReuseCookie {
    /// The block that the object is in, if its pool has this header and hands it out. The garbage
    /// collector and others may have put something in front of the object.
    #[inline]
    pub fn block_of(&self, object: u64, header: &PoolHeader) -> Option<u64> {
        let pool = self.pool_of(object);
        let bytes = u64::from(header.size_class.checked_add(1)?) * u64::from(CLASS_BYTES);
        let first = pool + size_of::<PoolHeader>() as u64;
        let is_pool = header.size_class < SIZE_CLASSES
            && header.count > 0
            && (header.free_block == 0 || self.pool_of(header.free_block) == pool);
        if !is_pool || object < first || object >= pool + u64::from(header.next_offset) {
            return None;
        }
        Some(object - (object - first) % bytes)
    }

    /// The pool that an object is in, if it is in one.
    #[inline]
    pub const fn pool_of(&self, object: u64) -> u64 {
        // Behind 63, shifts are a panic.
        let shift = self.pool_shift & 31;
        object >> shift << shift
    }
}

/// Where things are while mimalloc looks for a free block in a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageCookie {
    /// The register that holds the block, or zero if there is none.
    pub block: u8,
    /// The register that holds the page's address.
    pub page: u8,
    /// Page: how many bytes a block has, in 32 bits.
    pub block_size: u8,
}

impl ObjectCookie {
    /// What tells them apart.
    const NEW_POOL: u64 = 1 << 32;
    const PAGE: u64 = 1 << 33;
    const REUSE: u64 = 1 << 34;

    /// Instead of a reference count: there is none.
    const NO_COUNT: u8 = u8::MAX;

    /// The cookie as the kernel carries it.
    pub const fn to_wire(self) -> u64 {
        match self {
            Self::Pop { pool } => pool as u64,
            Self::NewPool(cookie) => cookie.to_wire() | Self::NEW_POOL,
            Self::Page(cookie) => {
                let PageCookie {
                    block,
                    page,
                    block_size,
                } = cookie;
                (block as u64) | (page as u64) << 8 | (block_size as u64) << 16 | Self::PAGE
            }
            Self::Reuse(cookie) => {
                let ReuseCookie {
                    object,
                    references,
                    pool_shift,
                } = cookie;
                let references = match references {
                    Some(count) => count,
                    None => Self::NO_COUNT,
                };
                (object as u64) | (references as u64) << 8 | (pool_shift as u64) << 16 | Self::REUSE
            }
        }
    }

    /// The cookie as it was.
    pub const fn from_wire(raw: u64) -> Self {
        if raw & Self::PAGE != 0 {
            let [block, page, block_size, ..] = raw.to_le_bytes();
            return Self::Page(PageCookie {
                block,
                page,
                block_size,
            });
        }
        if raw & Self::REUSE != 0 {
            let [object, references, pool_shift, ..] = raw.to_le_bytes();
            let is_count = references != Self::NO_COUNT;
            return Self::Reuse(ReuseCookie {
                object,
                references: if is_count { Some(references) } else { None },
                pool_shift,
            });
        }
        let cookie = PoolCookie::from_wire(raw);
        if raw & Self::NEW_POOL == 0 {
            Self::Pop { pool: cookie.pool }
        } else {
            Self::NewPool(cookie)
        }
    }
}

/// Pymalloc's header at the start of a pool, as far as it is looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct PoolHeader {
    /// How many of its blocks are in use.
    pub count: u32,
    /// Not of interest.
    pub padding: u32,
    /// The block that is handed out next; zero if there is none.
    pub free_block: u64,
    /// The next pool of the class.
    pub next_pool: u64,
    /// The pool before it.
    pub previous_pool: u64,
    /// The arena that the pool is cut from.
    pub arena: u32,
    /// The size class.
    pub size_class: u32,
    /// Where the part begins from which no block was ever handed out.
    pub next_offset: u32,
    /// The last place where a block can begin.
    pub last_offset: u32,
}

/// How many size classes pymalloc has.
pub const SIZE_CLASSES: u32 = 32;

const _: () = assert!(size_of::<PoolHeader>() == 48);
const _: () = assert!(size_of::<ProcessConfig>() == 176);
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
    fn a_pool_cookie_survives_the_journey() {
        for size_class in [
            SizeClassPlace::Register(13),
            SizeClassPlace::Known(31),
            SizeClassPlace::Header,
        ] {
            let cookie = PoolCookie {
                pool: 7,
                size_class,
            };
            assert_eq!(PoolCookie::from_wire(cookie.to_wire()), cookie);
            let cookie = ObjectCookie::NewPool(cookie);
            assert_eq!(ObjectCookie::from_wire(cookie.to_wire()), cookie);
        }
        for references in [None, Some(0), Some(1)] {
            let cookie = ObjectCookie::Reuse(ReuseCookie {
                object: 12,
                references,
                pool_shift: 14,
            });
            assert_eq!(ObjectCookie::from_wire(cookie.to_wire()), cookie);
        }
    }

    #[test]
    fn the_block_of_an_object_begins_in_front_of_it_or_there() {
        let cookie = ReuseCookie {
            object: 0,
            references: None,
            pool_shift: 12,
        };
        let pool = 0x7f00_0000_3000;
        let header = PoolHeader {
            count: 2,
            free_block: pool + 48 + 64,
            size_class: 3,
            next_offset: 48 + 3 * 64,
            ..PoolHeader::default()
        };
        let block_of = |offset: u64, header: &PoolHeader| cookie.block_of(pool + offset, header);
        let second = Some(pool + 48 + 64);
        assert_eq!(block_of(48 + 64, &header), second);
        assert_eq!(block_of(48 + 64 + 16, &header), second);
        assert_eq!(block_of(0, &header), None, "a pool is no object");
        assert_eq!(block_of(48 + 3 * 64, &header), None, "never handed out");
        let no_pools = [
            PoolHeader {
                size_class: 32,
                ..header
            },
            PoolHeader {
                size_class: u32::MAX,
                ..header
            },
            PoolHeader { count: 0, ..header },
            PoolHeader {
                free_block: 0x1234,
                ..header
            },
        ];
        for no_pool in no_pools {
            assert_eq!(block_of(48, &no_pool), None, "{no_pool:?}");
        }
    }

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

    #[test]
    fn pops_pages_and_new_pools_are_told_apart() {
        let cookie = ObjectCookie::Pop { pool: 15 };
        assert_eq!(ObjectCookie::from_wire(cookie.to_wire()), cookie);
        let cookie = ObjectCookie::Page(PageCookie {
            block: 15,
            page: 3,
            block_size: 40,
        });
        assert_eq!(ObjectCookie::from_wire(cookie.to_wire()), cookie);
    }
}
