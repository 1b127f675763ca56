//! Address space got and given back: the system calls, seen at their exit so that failed ones
//! leave no trace.

use aya_ebpf::programs::TracePointContext;
use profiler_common::{
    config::{Cause, Request},
    event::{EventKind, Origin},
};

use crate::{
    process::for_followed,
    registers::{SyscallRegisters, call, syscall_registers},
    send::{Message, Wake, current_slot, send_plain, send_with_stack},
};

/// Where a `sys_exit_*` tracepoint keeps the number of the call, behind the common fields.
const NUMBER_OFFSET: usize = 8;

/// Where it keeps the result.
const RESULT_OFFSET: usize = 16;

/// The largest error number, as the kernel encodes errors in results.
const MAX_ERROR: u64 = 4095;

/// A system call that changes address space has returned. One program serves them all: the
/// verifier takes its time for each program that walks a stack.
#[inline(always)]
pub(crate) fn changed(context: &TracePointContext) {
    for_followed(Cause::Kernel, |config| {
        // SAFETY: every `sys_exit_*` tracepoint has its fields there.
        let (number, result) = unsafe {
            (
                context.read_at::<u32>(NUMBER_OFFSET),
                context.read_at::<u64>(RESULT_OFFSET),
            )
        };
        let (Ok(number), Ok(result)) = (number, result) else {
            return;
        };
        if result > u64::MAX - MAX_ERROR {
            return;
        }
        let Some(registers) = syscall_registers() else {
            return;
        };
        if number == call::MUNMAP {
            let [address, length, ..] = registers.arguments;
            send_plain(
                &Message::new(EventKind::Unmapped, address, length),
                Wake::WhenFull,
            );
        } else if let Some(message) = message(number, result, &registers) {
            send_with_stack(&message, config);
        }
    });
}

/// What a successful call says.
#[inline(always)]
fn message(number: u32, result: u64, registers: &SyscallRegisters) -> Option<Message> {
    let [first, second, third, ..] = registers.arguments;
    let mut message = match number {
        call::MMAP => Message::new(EventKind::Mapped, result, second),
        // It returns the break that holds now, whether it was moved or not.
        call::BRK => Message::new(EventKind::BreakMoved, result, 0),
        call::MREMAP => Message {
            previous: first,
            previous_size: second,
            ..Message::new(EventKind::Remapped, result, third)
        },
        _ => return None,
    };
    message.detail = origin(registers.stack) as u32;
    Some(message)
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
