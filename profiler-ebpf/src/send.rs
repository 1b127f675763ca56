//! Fills records and puts them into the ring.

use core::ptr;

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, BPF_RINGBUF_HDR_SZ},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns},
    maps::ring_buf::RingBufEntry,
};
use profiler_common::{
    config::{ProcessConfig, ThreadSlot},
    cookie::Place,
    event::{EventHeader, EventKind, LongStackEvent, PlainEvent, StackEvent},
    loss::Loss,
    walk::{Looking, Walk, WalkEnd, find_thread_state},
};

use crate::{
    maps::{EVENTS, THREADS, count, kernel},
    memory::{CurrentProcess, current_task, read_kernel},
    scratch,
};

/// What a record says besides where it comes from.
pub(crate) struct Message {
    pub(crate) kind: EventKind,
    pub(crate) place: Place,
    pub(crate) detail: u32,
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) previous: u64,
    pub(crate) previous_size: u64,
}

impl Message {
    /// A message that has an address and a size.
    #[inline(always)]
    pub(crate) fn new(kind: EventKind, address: u64, size: u64) -> Self {
        Self {
            kind,
            place: Place(0),
            detail: 0,
            address,
            size,
            previous: 0,
            previous_size: 0,
        }
    }
}

/// Whether user space is woken for a record.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Wake {
    /// At once.
    Now,
    /// When the ring has filled up to a mark; a timer looks after the rest.
    WhenFull,
}

/// Sends a record without a stack.
#[inline(always)]
pub(crate) fn send_plain(message: &Message, wake: Wake) {
    let Some(mut entry) = EVENTS.reserve::<PlainEvent>(0) else {
        count(Loss::RingFull);
        return;
    };
    entry.write(PlainEvent {
        header: header(message),
        size: message.size,
    });
    entry.submit(flags(wake, size_of::<PlainEvent>()));
}

/// Sends a record with the Python stack of the current thread.
///
/// Most stacks are short: a long record for each would fill the ring in no time.
#[inline(always)]
pub(crate) fn send_with_stack(message: &Message, config: &ProcessConfig) {
    let Some(mut entry) = EVENTS.reserve::<StackEvent>(0) else {
        count(Loss::RingFull);
        return;
    };
    // SAFETY: the reservation is memory of this size; every field is an integer, for which the
    // bytes of an earlier record are as good as any. Writing the fields one by one leaves the
    // frames alone: filling them with zeros would cost more than the walk.
    let event = unsafe { &mut *entry.as_mut_ptr() };
    event.header = header(message);
    event.size = message.size;
    event.previous = message.previous;
    event.previous_size = message.previous_size;
    let Some(mut scratch) = scratch::borrow() else {
        finish(event, 0, WalkEnd::Unreadable);
        return entry.submit(flags(Wake::WhenFull, size_of::<StackEvent>()));
    };
    walk_and_submit(entry, config, scratch.sight(&event.header));
    scratch.give_back();
}

#[inline(always)]
fn walk_and_submit(
    mut entry: RingBufEntry<StackEvent>,
    config: &ProcessConfig,
    mut source: Looking<'_, CurrentProcess>,
) {
    // SAFETY: as above.
    let event = unsafe { &mut *entry.as_mut_ptr() };
    let (frame_count, walk_end) = match begin_walk(config) {
        Ok(mut walk) => match walk.fill(&mut source, &config.layout, &mut event.frames) {
            Some(end) => (walk.count(), end),
            None => return send_long(entry, walk, (source, config)),
        },
        Err(end) => (0, end),
    };
    finish(event, frame_count, walk_end);
    entry.submit(flags(Wake::WhenFull, size_of::<StackEvent>()));
}

#[inline(always)]
fn begin_walk(config: &ProcessConfig) -> Result<Walk, WalkEnd> {
    let state = current_thread_state(config).ok_or(WalkEnd::NoThreadState)?;
    Walk::begin(&CurrentProcess, &config.layout, state)
}

/// Sends a record whose stack goes on where a short one ends. What was written and walked is kept.
///
/// The record's place in the ring is further back than that of the short one. Nothing that follows
/// from it can get in between: the thread goes on when this program has returned.
#[inline(always)]
fn send_long(
    short: RingBufEntry<StackEvent>,
    mut walk: Walk,
    (mut source, config): (Looking<'_, CurrentProcess>, &ProcessConfig),
) {
    let Some(mut entry) = EVENTS.reserve::<LongStackEvent>(0) else {
        short.discard(u64::from(BPF_RB_NO_WAKEUP));
        count(Loss::RingFull);
        return;
    };
    // SAFETY: as for the short record.
    let event = unsafe { &mut *entry.as_mut_ptr() };
    copy(short.as_ptr(), &mut event.start);
    short.discard(u64::from(BPF_RB_NO_WAKEUP));
    let end = walk
        .fill(&mut source, &config.layout, &mut event.more)
        .unwrap_or_else(|| walk.count_rest(&mut source, &config.layout));
    finish(&mut event.start, walk.count(), end);
    entry.submit(flags(Wake::WhenFull, size_of::<LongStackEvent>()));
}

/// Copies a record word by word. What the compiler calls for that copies byte by byte.
#[inline(always)]
fn copy(from: *const StackEvent, to: &mut StackEvent) {
    let (from, to) = (from.cast::<u64>(), ptr::from_mut(to).cast::<u64>());
    for word in 0..size_of::<StackEvent>() / size_of::<u64>() {
        // SAFETY: both are whole records in the ring, which are made of words. Bytes that were
        // never written are as good as any.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
    }
}

/// Notes how a walk went, in the record and where losses are counted.
#[inline(always)]
fn finish(event: &mut StackEvent, frame_count: u32, walk_end: WalkEnd) {
    event.frame_count = frame_count;
    event.walk_end = walk_end as u32;
    // It is a loss only where memory was got, and that runs no Python is nothing to be told.
    if event.header.kind == EventKind::TimeSampled as u16 {
        return;
    }
    match walk_end {
        WalkEnd::Complete | WalkEnd::NoInterpreter => {}
        WalkEnd::Unreadable => count(Loss::StackUnreadable),
        WalkEnd::TooDeep | WalkEnd::Uncounted => count(Loss::StackTooDeep),
        WalkEnd::NoThreadState => count(Loss::NoThreadState),
    }
}

/// Finds the Python thread state of the current thread and remembers it for the time when the
/// thread does not hold the GIL.
#[inline(always)]
fn current_thread_state(config: &ProcessConfig) -> Option<u64> {
    let thread_pointer = read_kernel(current_task() + u64::from(kernel().task_thread_pointer))?;
    let slot = current_slot();
    let (remembered, searched) = slot
        .as_ref()
        .map_or((0, 0), |slot| (slot.thread_state, slot.searched));
    let found = find_thread_state(
        &CurrentProcess,
        &config.layout,
        config.holder,
        remembered,
        config.threads_head,
        searched,
        thread_pointer,
    );
    if let Some(slot) = slot {
        match found {
            Ok(state) => slot.thread_state = state,
            Err(head) => slot.searched = head,
        }
    }
    found.ok()
}

/// The slot of the current thread.
#[inline(always)]
pub(crate) fn current_slot() -> Option<&'static mut ThreadSlot> {
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: only programs that run on behalf of this very thread use its slot, one at a time.
    // The entry outlives the program: the kernel frees it after a grace period.
    THREADS.get_ptr_mut(&tid).map(|slot| unsafe { &mut *slot })
}

#[inline(always)]
fn header(message: &Message) -> EventHeader {
    let pid_tgid = bpf_get_current_pid_tgid();
    EventHeader {
        kind: message.kind as u16,
        place: message.place.0,
        pid: (pid_tgid >> 32) as u32,
        tid: pid_tgid as u32,
        detail: message.detail,
        // SAFETY: the helper has no preconditions.
        time_ns: unsafe { bpf_ktime_get_boot_ns() },
        address: message.address,
    }
}

/// How a record of so many bytes is handed over.
///
/// To wake user space interrupts the processor, which takes several times as long as the record. So
/// it is done once whenever the ring has filled up to another multiple of its mark. But if half of
/// the ring is full, each record does: the target makes more than can be taken in, and it is better
/// slowed down than lost.
#[inline(always)]
fn flags(wake: Wake, size: usize) -> u64 {
    let woken = match wake {
        Wake::Now => true,
        Wake::WhenFull => {
            let filled = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
            let before = filled.wrapping_sub(size as u64 + u64::from(BPF_RINGBUF_HDR_SZ));
            let marks = kernel();
            let passes_mark = u64::from(marks.ring_wake_bytes).wrapping_neg();
            (filled ^ before) & passes_mark != 0 || filled > u64::from(marks.ring_crowded_bytes)
        }
    };
    u64::from(if woken {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    })
}
