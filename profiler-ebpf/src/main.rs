//! heaptide's kernel half: the BPF programs, each a shim around one function of a module.
//!
//! Handlers only look maps up; what they find out goes into the ring, in the order in which it
//! happened. No Python version is known here: the walk follows a row of offsets.
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![expect(
    unreachable_pub,
    reason = "the attributes of programs want public functions"
)]
#![expect(
    missing_docs,
    reason = "the attributes of programs drop the comments above them"
)]
#![expect(
    clippy::inline_always,
    reason = "the verifier follows one function, not calls"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "the kernel hands out ids and small numbers in wide registers"
)]

use aya_ebpf::{
    macros::{perf_event, raw_tracepoint, tracepoint, uprobe, uretprobe},
    programs::{
        PerfEventContext, ProbeContext, RawTracePointContext, RetProbeContext, TracePointContext,
    },
};

mod allocator;
mod lifecycle;
mod mapping;
mod maps;
mod memory;
mod objects;
mod process;
mod registers;
mod sample;
mod scratch;
mod send;
mod traffic;

/// Raw tracepoint `sched_process_fork`.
#[raw_tracepoint]
pub fn process_forked(context: RawTracePointContext) -> i32 {
    lifecycle::forked(&context);
    0
}

/// Raw tracepoint `sched_process_exec`.
#[raw_tracepoint]
pub fn process_execed(context: RawTracePointContext) -> i32 {
    lifecycle::execed(&context);
    0
}

/// Raw tracepoint `sched_process_exit`.
#[raw_tracepoint]
pub fn process_exited(context: RawTracePointContext) -> i32 {
    lifecycle::exited(&context);
    0
}

/// Tracepoints `syscalls:sys_exit_mmap`, `…_munmap`, `…_mremap` and `…_brk`.
#[tracepoint]
pub fn address_space_changed(context: TracePointContext) -> u32 {
    mapping::changed(&context);
    0
}

/// Tracepoints `syscalls:sys_exit_accept` and `…_accept4`.
#[tracepoint]
pub fn connection_accepted(context: TracePointContext) -> u32 {
    traffic::accepted(&context);
    0
}

/// Tracepoint `sock:sock_recv_length`.
#[tracepoint]
pub fn data_received(context: TracePointContext) -> u32 {
    traffic::received(&context);
    0
}

/// Software perf events `page-faults` and `cpu-clock`.
#[perf_event]
pub fn sample_taken(context: PerfEventContext) -> u32 {
    sample::taken(&context);
    0
}

/// Declares a probe program twice: for links over many sites (kernel 6.6 and newer), and for links
/// with a single one. The kernel wants to know at load time which it will be.
macro_rules! site_programs {
    ($($(#[$doc:meta])* $kind:ident $multi:ident / $single:ident = $handle:path;)*) => {$(
        $(#[$doc])*
        #[$kind(multi)]
        pub fn $multi(context: site_programs!(@context $kind)) -> u32 {
            $handle(&context);
            0
        }

        $(#[$doc])*
        #[$kind]
        pub fn $single(context: site_programs!(@context $kind)) -> u32 {
            $handle(&context);
            0
        }
    )*};
    (@context uprobe) => { ProbeContext };
    (@context uretprobe) => { RetProbeContext };
}

site_programs! {
    /// At the start of `malloc` and its kin, and of pymalloc's arena function.
    uprobe request_entered / request_entered_single = allocator::entered;
    /// At the return of `malloc`, `calloc` and `realloc`.
    uretprobe request_returned / request_returned_single = allocator::returned;
    /// At the branch where pymalloc has just taken a pool.
    uprobe pool_opened / pool_opened_single = allocator::pool_opened;
    /// At the branches where pymalloc hands out a block.
    uprobe object_taken / object_taken_single = objects::taken;
    /// At some of these branches, to tell how often they are come to when nothing else is probed.
    uprobe object_counted / object_counted_single = objects::counted;
    /// In heaptide itself, to measure what a hit costs on this host. It does what a probe does for
    /// a process that is not followed.
    uprobe calibration / calibration_single = allocator::entered;
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that can get here, so nothing ever does.
    loop {}
}

/// Some helpers are lent to programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
