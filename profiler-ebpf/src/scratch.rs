//! What a processor keeps at hand for walks: the page of the target that its frames are on, and the
//! fingerprints of the code objects that were met last.
//!
//! Most of what a walk costs are its reads: each takes about as long for a hundred bytes as for a
//! page, and nearly all frames of a stack are on the same one.

use core::cell::Cell;

use aya_ebpf::{
    cty::c_void,
    helpers::generated::bpf_probe_read_user,
    macros::map,
    maps::PerCpuArray,
};
use profiler_common::{
    event::EventHeader,
    memory::{Block, ReadMemory},
    walk::FrameBlock,
};

use crate::{memory::CurrentProcess, process::atomic_add};

/// How many programs can walk at a time on one processor: one may be put aside for another thread.
const SCRATCHES: u32 = 2;

/// No page of the target is smaller.
const PAGE: usize = 4096;

/// What is copied of a frame at least.
const FRAME: usize = 128;

/// How many code objects are remembered.
const KNOWN: usize = 256;

/// Where the time a fingerprint is believed ends: after 17 ms.
const MOMENT_BITS: u32 = 24;

/// Only one program at a time works with one of them; the value of the map `SCRATCH`.
#[repr(C)]
struct Scratch {
    /// How many programs use it, or try to.
    users: u64,
    room: FrameBlock,
    sight: Sight,
}

/// What was seen of the target.
#[repr(C)]
struct Sight {
    /// Where in the target the page begins; zero if nothing was read.
    start: u64,
    /// The frame that was read last.
    last: u64,
    /// Where the first page began that was read for the walk before.
    first: u64,
    known: [Known; KNOWN],
    /// With room behind it for a frame that begins at its end.
    page: [u64; (PAGE + FRAME) / 8],
}

/// A code object and its fingerprint.
#[derive(Clone, Copy)]
#[repr(C)]
struct Known {
    code: u64,
    moment: u32,
    fingerprint: u32,
}

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(SCRATCHES, 0);

/// A scratch that is in use.
pub(crate) struct Lent(*mut Scratch);

/// A scratch, unless all are in use.
#[inline(always)]
pub(crate) fn borrow() -> Option<Lent> {
    Some(Lent(take(0).or_else(|| take(1))?))
}

/// This scratch, unless a program uses it that was put aside for this one. Whoever adds to the
/// count is seen by all that come later, so that two can only both do without.
#[inline(always)]
fn take(index: u32) -> Option<*mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(index)?;
    // SAFETY: the entry lives as long as the program, and is touched on this processor only.
    unsafe {
        let users = &raw mut (*scratch).users;
        atomic_add(users, 1);
        if users.read_volatile() == 1 {
            return Some(scratch);
        }
        atomic_add(users, 1_u64.wrapping_neg());
    }
    None
}

impl Lent {
    /// The memory of the process of an event, by way of it, and room for a frame.
    #[inline(always)]
    pub(crate) fn parts(&mut self, event: &EventHeader) -> (Memory<'_>, &mut FrameBlock) {
        // SAFETY: nobody else uses it now, and it lives as long as the program.
        let scratch = unsafe { &mut *self.0 };
        scratch.sight.start = 0;
        scratch.sight.last = 0;
        let memory = Memory {
            sight: Cell::from_mut(&mut scratch.sight),
            moment: ((event.time_ns >> MOMENT_BITS) as u32).wrapping_add(event.pid << 16),
        };
        (memory, &mut scratch.room)
    }

    /// Others may use it now.
    #[inline(always)]
    pub(crate) fn give_back(self) {
        // SAFETY: the entry lives as long as the program.
        unsafe { atomic_add(&raw mut (*self.0).users, 1_u64.wrapping_neg()) };
    }
}

/// The memory of the current process.
pub(crate) struct Memory<'a> {
    sight: &'a Cell<Sight>,
    /// The process and the time, in one number.
    moment: u32,
}

impl ReadMemory for Memory<'_> {
    #[inline(always)]
    fn read_into<const LENGTH: usize, const N: usize>(
        &self,
        address: u64,
        block: &mut Block<N>,
    ) -> bool {
        CurrentProcess.read_into::<LENGTH, N>(address, block)
    }

    #[inline(always)]
    fn read_some_into<const N: usize>(
        &self,
        address: u64,
        length: u16,
        block: &mut Block<N>,
    ) -> bool {
        CurrentProcess.read_some_into(address, length, block)
    }

    /// Generators keep their frames elsewhere, and so do old versions: a page is only read when
    /// a frame lies right in front of the last one, or the walk before has begun there.
    #[inline(always)]
    fn frame<'a, const N: usize>(
        &'a self,
        address: u64,
        length: u16,
        room: &'a mut Block<N>,
    ) -> Option<&'a Block<N>> {
        const { assert!(N == FRAME) };
        let sight = self.sight();
        let is_near = sight.last.wrapping_sub(address) < PAGE as u64;
        let is_as_before = address.wrapping_sub(sight.first) < PAGE as u64;
        sight.last = address;
        if !sight.holds(address) && (is_near || is_as_before) {
            sight.read_page(address);
        }
        if sight.holds(address) {
            return Some(sight.block(address));
        }
        self.read_some_into(address, length, room).then_some(room)
    }

    #[inline(always)]
    fn known_fingerprint(&self, code: u64) -> Option<u32> {
        let known = self.sight().place(code);
        (known.code == code && known.moment == self.moment).then_some(known.fingerprint)
    }

    #[inline(always)]
    fn keep_fingerprint(&self, code: u64, fingerprint: u32) {
        let moment = self.moment;
        *self.sight().place(code) = Known {
            code,
            moment,
            fingerprint,
        };
    }
}

impl Memory<'_> {
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "each method of this module uses it up")]
    fn sight(&self) -> &mut Sight {
        // SAFETY: the cell is borrowed by this value alone, and no reference leaves this module.
        unsafe { &mut *self.sight.as_ptr() }
    }
}

impl Sight {
    #[inline(always)]
    fn holds(&self, frame: u64) -> bool {
        self.start != 0 && frame.wrapping_sub(self.start) < PAGE as u64
    }

    /// Reads the page of this frame up to its end: those of callers are in front of it. What is in
    /// front of the page may not be there.
    #[inline(always)]
    fn read_page(&mut self, frame: u64) {
        let start = frame & !(PAGE as u64 - 1);
        let offset = core::hint::black_box(frame) as usize & (PAGE - 1);
        // SAFETY: the helper checks the address, never faults, and writes as much as there is room.
        let error = unsafe {
            bpf_probe_read_user(
                (&raw mut self.page).cast(),
                (offset + FRAME) as u32,
                start as *const c_void,
            )
        };
        if self.start == 0 {
            self.first = start;
        }
        self.start = if error == 0 { start } else { 0 };
    }

    /// Where a code object is remembered.
    #[inline(always)]
    fn place(&mut self, code: u64) -> &mut Known {
        let index = (code >> 5) as usize & (KNOWN - 1);
        &mut self.known[index]
    }

    /// A frame that it holds.
    #[inline(always)]
    fn block<const N: usize>(&self, frame: u64) -> &Block<N> {
        let offset = core::hint::black_box(frame) as usize & (PAGE - 8);
        // SAFETY: the mask keeps the start inside the page, behind which there is room for a frame.
        // Both are aligned.
        unsafe { &*(&raw const self.page).cast::<u8>().add(offset).cast() }
    }
}
