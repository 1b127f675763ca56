//! The maps, and why each has its capacity.

use aya_ebpf::{
    macros::map,
    maps::{HashMap, PerCpuArray, RingBuf},
};
use profiler_common::{
    config::{KernelLayout, MAX_PORTS, MAX_PROCESSES, MAX_THREADS, ProcessConfig, ThreadSlot},
    loss::Loss,
};

/// The processes that are followed. User space inserts those that it finds at the start; the
/// fork program inserts their children, so that no event of a child is missed.
#[map]
pub(crate) static PROCESSES: HashMap<u32, ProcessConfig> =
    HashMap::with_max_entries(MAX_PROCESSES, 0);

/// The threads of the processes that are followed. An entry is made when a thread starts and
/// written in place after that: a hot probe that inserts into a shared map can lock up a host.
#[map]
pub(crate) static THREADS: HashMap<u32, ThreadSlot> = HashMap::with_max_entries(MAX_THREADS, 0);

/// The ports through which what is received counts. User space inserts them.
#[map]
pub(crate) static PORTS: HashMap<u32, u32> = HashMap::with_max_entries(MAX_PORTS, 0);

/// The way to user space. The loader sets the real size.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 24, 0);

/// How often each reason for a loss occurred; the slots are those of [`Loss`].
#[map]
pub(crate) static LOSSES: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(Loss::ALL.len() as u32, 0);

/// Where things are in this kernel's structures; set before loading.
#[unsafe(no_mangle)]
static KERNEL: KernelLayout = KernelLayout {
    task_pid: 0,
    task_tgid: 0,
    task_signal: 0,
    task_thread_pointer: 0,
    signal_live: 0,
    ring_wake_bytes: 0,
    ring_crowded_bytes: 0,
    socket_local_port: 0,
    socket_remote_port: 0,
    socket_name: 0,
};

/// Where things are in this kernel's structures.
#[inline(always)]
pub(crate) fn kernel() -> KernelLayout {
    // SAFETY: the static is initialised and never written while programs run. The read is
    // volatile because the loader replaces the value that the compiler sees.
    unsafe { core::ptr::read_volatile(&raw const KERNEL) }
}

/// Counts a loss.
#[inline(always)]
pub(crate) fn count(loss: Loss) {
    if let Some(counter) = LOSSES.get_ptr_mut(loss as u32) {
        // SAFETY: the slot belongs to this processor. A program that interrupts this one here
        // may take one count away, which is better than an atomic on a hot path.
        unsafe { *counter += 1 };
    }
}
