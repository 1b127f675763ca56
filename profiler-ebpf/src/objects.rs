//! The probes of objects: where pymalloc hands out a block of a pool, or mimalloc one of a page,
//! and where CPython uses one again that it has kept.

use aya_ebpf::{
    EbpfContext as _,
    bindings::pt_regs,
    helpers::{bpf_get_attach_cookie, bpf_get_prandom_u32},
    programs::ProbeContext,
};
use profiler_common::{
    config::{Cause, ProcessConfig},
    cookie::{
        ObjectCookie, PageCookie, Place, PoolCookie, PoolHeader, ReuseCookie, SIZE_CLASSES,
        SizeClassPlace, UNKNOWN_SIZE_CLASS,
    },
    event::{EventKind, UNCOUNTED},
    sampling::{is_drawn, is_size_drawn},
};

use crate::{
    memory::read_user,
    process::{atomic_add, for_followed, for_followed_entry},
    registers::by_number,
    send::{Message, Wake, send_plain, send_with_stack},
};

/// A block that is about to be handed out.
struct Object {
    /// Zero if it is not known.
    address: u64,
    size_class: u32,
    /// Of a block in a pool: how many of the pool are in use, or [`UNCOUNTED`]. Where size classes
    /// have no numbers: bytes. Else zero.
    told: u64,
}

/// Pymalloc or mimalloc is about to hand out a block.
#[inline(always)]
pub(crate) fn taken(context: &ProbeContext) {
    let cookie = cookie(context);
    for_followed(Cause::Objects, |config| {
        if let Some(object) = object(context, cookie) {
            send(&object, Place::of(cookie), config);
        }
    });
}

/// The same, where it is only counted.
#[inline(always)]
pub(crate) fn counted(context: &ProbeContext) {
    for_followed_entry(Cause::Counted, |_config, entry| {
        if object(context, cookie(context)).is_some() {
            // SAFETY: the field is an aligned word inside the entry, which outlives the program.
            unsafe { atomic_add(&raw mut (*entry).counted, 1) };
        }
    });
}

#[inline(always)]
fn cookie(context: &ProbeContext) -> u64 {
    // SAFETY: the context is this program's own, and every probe is attached with a cookie.
    unsafe { bpf_get_attach_cookie(context.as_ptr()) }
}

/// The block that is about to be handed out, if one is.
#[inline(always)]
fn object(context: &ProbeContext, cookie: u64) -> Option<Object> {
    // SAFETY: the kernel passes the registers of the thread that hit the probe.
    let registers = unsafe { &*context.regs };
    match ObjectCookie::from_wire(cookie) {
        ObjectCookie::Pop { pool } => popped(by_number(registers, pool)),
        ObjectCookie::NewPool(cookie) => Some(first_of_pool(registers, cookie)),
        ObjectCookie::Page(cookie) => first_of_page(registers, cookie),
        ObjectCookie::Reuse(cookie) => used_again(registers, cookie),
    }
}

/// The next block of a pool, unless this is the head of a list without pools: then one is taken,
/// and the other probe sees its first block.
#[inline(always)]
fn popped(pool: u64) -> Option<Object> {
    let Some(header) = read_user::<PoolHeader>(pool) else {
        return Some(Object {
            address: 0,
            size_class: UNKNOWN_SIZE_CLASS,
            told: 0,
        });
    };
    let is_head = header.next_pool == pool;
    (!is_head).then_some(Object {
        address: header.free_block,
        size_class: header.size_class,
        told: header.count.into(),
    })
}

/// The first block of a pool that has just been taken. One that had the class before keeps its
/// list of free blocks; any other is made afresh.
#[inline(always)]
fn first_of_pool(registers: &pt_regs, cookie: PoolCookie) -> Object {
    let pool = by_number(registers, cookie.pool);
    let size_class = match cookie.size_class {
        SizeClassPlace::Register(number) => by_number(registers, number) as u32,
        SizeClassPlace::Known(class) => u32::from(class),
        SizeClassPlace::Header => UNKNOWN_SIZE_CLASS,
    };
    let kept = read_user::<PoolHeader>(pool).filter(|header| header.size_class == size_class);
    let address = match kept {
        Some(header) => header.free_block,
        None => pool + size_of::<PoolHeader>() as u64,
    };
    Object {
        address,
        size_class,
        told: 0,
    }
}

/// The first free block of a page, unless it has none: then another place is come to, with a page
/// that has.
#[inline(always)]
fn first_of_page(registers: &pt_regs, cookie: PageCookie) -> Option<Object> {
    let address = by_number(registers, cookie.block);
    let size_at = by_number(registers, cookie.page) + u64::from(cookie.block_size);
    (address != 0).then(|| Object {
        address,
        size_class: UNKNOWN_SIZE_CLASS,
        told: read_user::<u32>(size_at).unwrap_or(0).into(),
    })
}

/// The block of an object that died and is used again. The lists at some of these places have
/// something else on them, which is in no pool, or counts references.
#[inline(always)]
fn used_again(registers: &pt_regs, cookie: ReuseCookie) -> Option<Object> {
    let object = by_number(registers, cookie.object);
    if object == 0 {
        return None;
    }
    if let Some(references) = cookie.references
        && read_user::<u64>(object)? != u64::from(references)
    {
        return None;
    }
    let header = read_user::<PoolHeader>(cookie.pool_of(object))?;
    Some(Object {
        address: cookie.block_of(object, &header)?,
        size_class: header.size_class,
        told: UNCOUNTED,
    })
}

#[inline(always)]
fn send(object: &Object, place: Place, config: &ProcessConfig) {
    let is_sampled = config.wants_all_stacks != 0 || is_drawn_now(object);
    let kind = if is_sampled {
        EventKind::ObjectSampled
    } else {
        EventKind::ObjectTaken
    };
    let mut message = Message::new(kind, object.address, object.told);
    message.place = place;
    message.detail = object.size_class;
    if is_sampled {
        send_with_stack(&message, config);
    } else {
        send_plain(&message, Wake::WhenFull);
    }
}

#[inline(always)]
fn is_drawn_now(object: &Object) -> bool {
    // SAFETY: the helper has no preconditions.
    let random = unsafe { bpf_get_prandom_u32() };
    if object.size_class < SIZE_CLASSES {
        return is_drawn(object.size_class, random);
    }
    object.told == 0 || is_size_drawn(object.told as u32, random)
}
