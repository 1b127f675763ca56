//! Software perf events: page faults, one in so many, and the clock of a processor.

use aya_ebpf::programs::PerfEventContext;
use profiler_common::{
    config::Cause,
    event::{CLOCK_PERIOD_NS, EventKind},
};

use crate::{
    process::for_followed,
    send::{Message, send_with_stack},
};

/// The process touched a page that it did not have, or a moment has come at which it is asked
/// where it is. One program for both, because the verifier takes a fifth of a second for each.
#[inline(always)]
pub(crate) fn taken(context: &PerfEventContext) {
    for_followed(Cause::Kernel, |config| {
        // SAFETY: the kernel passes a valid context, and both fields may be loaded from it.
        let (address, period) = unsafe { ((*context.ctx).addr, (*context.ctx).sample_period) };
        let message = if period >= CLOCK_PERIOD_NS {
            Message::new(EventKind::TimeSampled, 0, 0)
        } else {
            Message::new(EventKind::PageTouched, address, period)
        };
        send_with_stack(&message, config);
    });
}
