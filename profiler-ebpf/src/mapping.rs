//! Address space got and given back: the system calls, seen at their exit so that failed ones
//! leave no trace.

use aya_ebpf::programs::TracePointContext;
use profiler_common::{
    config::{ProcessConfig, Request},
    event::{EventKind, Origin},
};

use crate::{
    process::{Cause, for_followed},
    registers::{SyscallRegisters, syscall_registers},
    send::{Message, Wake, current_slot, send_plain, send_with_stack},
};

/// Where a `sys_exit_*` tracepoint keeps the result: after the common fields and the number.
const RESULT_OFFSET: usize = 16;

/// The largest error number, as the kernel encodes errors in results.
const MAX_ERROR: u64 = 4095;

/// Runs `send` with the registers at entry and the result, if the call was successful.
#[inline(always)]
fn on_success(
    context: &TracePointContext,
    send: impl FnOnce(&SyscallRegisters, u64, &ProcessConfig),
) {
    for_followed(Cause::Kernel, |config| {
        // SAFETY: every `sys_exit_*` tracepoint has its result there.
        let Ok(result) = (unsafe { context.read_at::<u64>(RESULT_OFFSET) }) else {
            return;
        };
        if result > u64::MAX - MAX_ERROR {
            return;
        }
        if let Some(registers) = syscall_registers() {
            send(&registers, result, config);
        }
    });
}

/// `mmap(address, length, …)`.
#[inline(always)]
pub(crate) fn mapped(context: &TracePointContext) {
    on_success(context, |registers, result, config| {
        let mut message = Message::new(EventKind::Mapped, result, registers.arguments[1]);
        message.detail = origin(registers.stack) as u32;
        send_with_stack(&message, config);
    });
}

/// `munmap(address, length)`.
#[inline(always)]
pub(crate) fn unmapped(context: &TracePointContext) {
    on_success(context, |registers, _result, _config| {
        let [address, length, ..] = registers.arguments;
        send_plain(
            &Message::new(EventKind::Unmapped, address, length),
            Wake::WhenFull,
        );
    });
}

/// `mremap(address, length, new_length, …)`.
#[inline(always)]
pub(crate) fn remapped(context: &TracePointContext) {
    on_success(context, |registers, result, config| {
        let [previous, previous_size, size, ..] = registers.arguments;
        let message = Message {
            kind: EventKind::Remapped,
            detail: origin(registers.stack) as u32,
            address: result,
            size,
            previous,
            previous_size,
        };
        send_with_stack(&message, config);
    });
}

/// `brk(address)`, which returns the break that holds now, whether it was moved or not.
#[inline(always)]
pub(crate) fn break_moved(context: &TracePointContext) {
    on_success(context, |registers, result, config| {
        let mut message = Message::new(EventKind::BreakMoved, result, 0);
        message.detail = origin(registers.stack) as u32;
        send_with_stack(&message, config);
    });
}

/// Who asked for address space: an allocator, if a request of this thread has entered one and
/// not yet returned. The stack grows down: what the allocator calls has a lower pointer.
#[inline(always)]
fn origin(stack: u64) -> Origin {
    let Some(slot) = current_slot() else {
        return Origin::Program;
    };
    if stack > slot.pending_stack {
        return Origin::Program;
    }
    match Request::from_wire(u64::from(slot.pending)) {
        None => Origin::Program,
        Some(Request::Arena) => {
            // An arena is one mapping, and its function has no probe at its return.
            slot.pending = 0;
            Origin::ArenaAllocator
        }
        Some(_) => Origin::BlockAllocator,
    }
}
