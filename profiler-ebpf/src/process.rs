//! Which process a program runs for, and the processor time that it takes from it.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use profiler_common::config::{Cause, ProcessConfig};

use crate::maps::PROCESSES;

/// No program takes longer; if it seems so, the thread was put aside meanwhile.
const LONGEST_RUN_NS: u64 = 20_000;

/// Runs `handle` if the current process is followed and its Python is known, and books the time
/// that it took.
#[inline(always)]
pub(crate) fn for_followed(cause: Cause, handle: impl FnOnce(&ProcessConfig)) {
    for_followed_entry(cause, |config, _entry| handle(config));
}

/// The same, for what counts in the entry of the process itself.
#[inline(always)]
pub(crate) fn for_followed_entry(
    cause: Cause,
    handle: impl FnOnce(&ProcessConfig, *mut ProcessConfig),
) {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let Some(config) = PROCESSES.get_ptr_mut(&pid) else {
        return;
    };
    // SAFETY: the entry outlives the program: the kernel frees it after a grace period. User
    // space writes it before the probes of the process are in place; the counters, which change
    // all the time, are only touched through atomics.
    let shared = unsafe { &*config };
    if shared.threads_head == 0 {
        return;
    }
    // SAFETY: the helper has no preconditions.
    let start = unsafe { bpf_ktime_get_ns() };
    handle(shared, config);
    // SAFETY: as above.
    let end = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the fields are aligned words inside the entry, which outlives the program.
    unsafe {
        let spent = &raw mut (*config).spent[cause as usize];
        atomic_add(&raw mut (*spent).runs, 1);
        let elapsed = end.wrapping_sub(start).min(LONGEST_RUN_NS);
        atomic_add(&raw mut (*spent).handler_ns, elapsed);
    }
}

/// Adds to a word that programs on other processors add to at the same time. The standard
/// library offers no atomic addition for this target, because it has no compare-and-swap.
///
/// # Safety
///
/// `word` must point to an aligned word of a live map entry.
#[inline(always)]
pub(crate) unsafe fn atomic_add(word: *mut u64, amount: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the caller answers for `word`; the instruction touches nothing else.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) word, in(reg) amount);
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: as above. Only for type checks on the host, where no program ever runs.
    unsafe {
        *word += amount;
    }
}
