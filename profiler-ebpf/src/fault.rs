//! Page faults, one in so many.

use aya_ebpf::programs::PerfEventContext;
use profiler_common::{config::Cause, event::EventKind};

use crate::{
    process::for_followed,
    send::{Message, send_with_stack},
};

/// The process touched a page that it did not have.
#[inline(always)]
pub(crate) fn touched(context: &PerfEventContext) {
    for_followed(Cause::Kernel, |config| {
        // SAFETY: the kernel passes a valid context, and both fields may be loaded from it.
        let (address, period) = unsafe { ((*context.ctx).addr, (*context.ctx).sample_period) };
        send_with_stack(
            &Message::new(EventKind::PageTouched, address, period),
            config,
        );
    });
}
