//! What a processor keeps at hand for walks, since programs have a small stack.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use profiler_common::{
    event::EventHeader,
    walk::{Looking, Sight},
};

use crate::{memory::CurrentProcess, process::atomic_add};

/// How many programs can walk at a time on one processor: one may be put aside for another thread.
const SCRATCHES: u32 = 2;

/// Only one program at a time works with one of them; the value of the map `SCRATCH`.
#[repr(C)]
struct Scratch {
    /// How many programs use it, or try to.
    users: u64,
    sight: Sight,
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
    /// What a walk of an event's thread reads by.
    #[inline(always)]
    pub(crate) fn sight(&mut self, event: &EventHeader) -> Looking<'_, CurrentProcess> {
        // SAFETY: nobody else uses it now, and it lives as long as the program.
        let scratch = unsafe { &mut *self.0 };
        (scratch.sight).look(&CurrentProcess, event.pid, event.time_ns)
    }

    /// Others may use it now.
    #[inline(always)]
    pub(crate) fn give_back(self) {
        // SAFETY: the entry lives as long as the program.
        unsafe { atomic_add(&raw mut (*self.0).users, 1_u64.wrapping_neg()) };
    }
}
