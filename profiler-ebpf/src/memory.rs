//! The target's memory, and the few words of kernel memory that are needed.

use aya_ebpf::{
    cty::c_void,
    helpers::{bpf_get_current_task, bpf_probe_read_kernel, generated::bpf_probe_read_user},
};
use profiler_common::memory::{Block, ReadMemory};

/// The memory of the process that runs right now.
pub(crate) struct CurrentProcess;

impl ReadMemory for CurrentProcess {
    #[inline(always)]
    fn read_into<const LENGTH: usize, const N: usize>(
        &self,
        address: u64,
        block: &mut Block<N>,
    ) -> bool {
        const { assert!(LENGTH <= N) };
        // SAFETY: the helper checks the address, never faults, and writes `LENGTH` bytes: zeros
        // if it cannot read.
        let error = unsafe {
            bpf_probe_read_user(
                (&raw mut *block).cast(),
                LENGTH as u32,
                address as *const c_void,
            )
        };
        error == 0
    }

    #[inline(always)]
    fn read_some_into<const N: usize>(
        &self,
        address: u64,
        length: u16,
        block: &mut Block<N>,
    ) -> bool {
        // SAFETY: as above; the number of bytes is cut to what the block has.
        let error = unsafe {
            bpf_probe_read_user(
                (&raw mut *block).cast(),
                Block::<N>::cut(length) as u32,
                address as *const c_void,
            )
        };
        error == 0
    }
}

/// Reads memory of the process that runs right now.
#[inline(always)]
pub(crate) fn read_user<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and never faults. Only types of integers are read.
    unsafe { aya_ebpf::helpers::bpf_probe_read_user(address as *const T) }.ok()
}

/// Reads kernel memory at `address`.
#[inline(always)]
pub(crate) fn read_kernel<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and never faults.
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}

/// Address of the `task_struct` of the thread that runs right now.
#[inline(always)]
pub(crate) fn current_task() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task() }
}
