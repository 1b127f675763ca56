//! The allocators' probes: blocks, which are over 512 bytes where pools serve the others, arenas
//! and new pools.

use aya_ebpf::{
    EbpfContext as _,
    helpers::bpf_get_attach_cookie,
    programs::{ProbeContext, RetProbeContext},
};
use profiler_common::{
    config::{Cause, ProcessConfig, Request},
    cookie::{PoolCookie, RequestCookie, SizeClassPlace, UNKNOWN_SIZE_CLASS},
    event::EventKind,
};

use crate::{
    process::for_followed,
    registers::{
        RETURN_ADDRESS_BYTES, by_number, first_argument, return_value, second_argument,
        stack_pointer,
    },
    send::{Message, Wake, current_slot, send_plain, send_with_stack},
};

/// A request has entered an allocator; the cookie says which function.
#[inline(always)]
pub(crate) fn entered(context: &ProbeContext) {
    // SAFETY: the context is this program's own, and every probe is attached with a cookie.
    let cookie = unsafe { bpf_get_attach_cookie(context.as_ptr()) };
    for_followed(Cause::Blocks, |config| {
        let Some(RequestCookie { request, arguments }) = RequestCookie::from_wire(cookie) else {
            return;
        };
        // SAFETY: the kernel passes the registers of the thread that hit the probe.
        let registers = unsafe { &*context.regs };
        let [first, second] = match arguments {
            None => [first_argument(registers), second_argument(registers)],
            Some(numbers) => numbers.map(|number| by_number(registers, number)),
        };
        let stack = stack_pointer(registers);
        match request {
            Request::Malloc => expect_return(config, Request::Malloc, (0, first), stack),
            Request::Calloc => {
                // A product that overflows is refused by the allocator.
                expect_return(
                    config,
                    Request::Calloc,
                    (0, first.wrapping_mul(second)),
                    stack,
                );
            }
            Request::Realloc => {
                expect_return(config, Request::Realloc, (first, second), stack);
            }
            Request::Arena => expect_return(config, Request::Arena, (0, second), stack),
            Request::Free => freed(first),
        }
    });
}

#[inline(always)]
fn freed(block: u64) {
    if block != 0 {
        send_plain(
            &Message::new(EventKind::BlockFreed, block, 0),
            Wake::WhenFull,
        );
    }
}

/// Notes a request until it returns. Small ones are pymalloc's, or not worth a record; but a
/// small `realloc` may give up a large block.
#[inline(always)]
fn expect_return(
    config: &ProcessConfig,
    request: Request,
    (previous, size): (u64, u64),
    stack: u64,
) {
    if config.is_too_small(size) && previous == 0 {
        return;
    }
    let Some(slot) = current_slot() else {
        // The thread table was full when the thread started, which was counted then.
        return;
    };
    // The C library's `realloc` may call `malloc`: the outer request is the one that counts.
    // An entry with a lower stack pointer than ours is stale: its call never returned.
    if slot.pending != 0 && stack < slot.pending_stack {
        return;
    }
    slot.pending = request as u32;
    slot.pending_size = size;
    slot.pending_previous = previous;
    slot.pending_stack = stack;
}

/// A request has returned.
#[inline(always)]
pub(crate) fn returned(context: &RetProbeContext) {
    for_followed(Cause::Blocks, |config| {
        // SAFETY: the kernel passes the registers of the thread that returned.
        let registers = unsafe { &*context.regs };
        let Some(slot) = current_slot() else {
            return;
        };
        if slot.pending == 0
            || slot.pending == Request::Arena as u32
            || stack_pointer(registers) != slot.pending_stack + RETURN_ADDRESS_BYTES
        {
            return;
        }
        slot.pending = 0;
        let address = return_value(registers);
        if address == 0 {
            // The allocation failed: nothing was handed out and nothing was given up, unless
            // the request was `realloc(block, 0)`, which gives the block back.
            if slot.pending_size == 0 {
                freed(slot.pending_previous);
            }
            return;
        }
        let mut message = Message::new(EventKind::BlockAllocated, address, slot.pending_size);
        message.previous = slot.pending_previous;
        if config.is_too_small(slot.pending_size) {
            // A large block may have become a small one, which is nobody's business any more.
            freed(slot.pending_previous);
            return;
        }
        send_with_stack(&message, config);
    });
}

/// Pymalloc has just taken a pool; the cookie says which registers hold the pool and its class.
#[inline(always)]
pub(crate) fn pool_opened(context: &ProbeContext) {
    // SAFETY: the context is this program's own, and every probe is attached with a cookie.
    let cookie = PoolCookie::from_wire(unsafe { bpf_get_attach_cookie(context.as_ptr()) });
    for_followed(Cause::Pools, |config| {
        // SAFETY: the kernel passes the registers of the thread that hit the probe.
        let registers = unsafe { &*context.regs };
        let pool = by_number(registers, cookie.pool);
        let mut message = Message::new(EventKind::PoolOpened, pool, 0);
        message.detail = match cookie.size_class {
            SizeClassPlace::Register(number) => by_number(registers, number) as u32,
            SizeClassPlace::Known(class) => u32::from(class),
            SizeClassPlace::Header => UNKNOWN_SIZE_CLASS,
        };
        send_with_stack(&message, config);
    });
}
