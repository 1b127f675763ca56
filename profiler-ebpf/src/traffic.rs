//! What comes to a process through its sockets: connections accepted, and what is received on them.

use aya_ebpf::programs::TracePointContext;
use profiler_common::config::{Cause, LEAST_MESSAGE, PortRole};

use crate::{
    maps::{PORTS, kernel},
    memory::read_kernel,
    process::{atomic_add, for_followed_entry},
};

/// Where a `sys_exit_*` tracepoint keeps the result.
const RESULT_OFFSET: usize = 16;

/// Where `sock_recv_length` keeps the socket, its family, the result, and the flags of the call.
const SOCKET_OFFSET: usize = 8;
const FAMILY_OFFSET: usize = 16;
const LENGTH_OFFSET: usize = 20;
const FLAGS_OFFSET: usize = 24;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Whoever only peeks will receive the same once more.
const MSG_PEEK: i32 = 2;

/// What a receive counts for.
enum Source {
    /// A connection that was accepted.
    Client,
    /// A connection to a broker.
    Broker,
}

/// A call that accepts connections has returned.
#[inline(always)]
pub(crate) fn accepted(context: &TracePointContext) {
    for_followed_entry(Cause::Kernel, |_config, entry| {
        // SAFETY: every `sys_exit_*` tracepoint has its result there.
        let result = unsafe { context.read_at::<i64>(RESULT_OFFSET) };
        if result.is_ok_and(|result| result >= 0) {
            // SAFETY: the field is an aligned word of an entry that outlives the program.
            unsafe { atomic_add(&raw mut (*entry).traffic.accepts, 1) };
        }
    });
}

/// A call that receives from a socket is about to return.
#[inline(always)]
pub(crate) fn received(context: &TracePointContext) {
    for_followed_entry(Cause::Kernel, |_config, entry| {
        // SAFETY: the tracepoint has its fields there.
        let (length, flags) = unsafe {
            (
                context.read_at::<i32>(LENGTH_OFFSET),
                context.read_at::<i32>(FLAGS_OFFSET),
            )
        };
        let (Ok(length), Ok(flags)) = (length, flags) else {
            return;
        };
        if length <= 0 || flags & MSG_PEEK != 0 {
            return;
        }
        let length = u64::from(length.cast_unsigned());
        match source(context) {
            // SAFETY: the fields are aligned words of an entry that outlives the program.
            Some(Source::Client) => unsafe {
                atomic_add(&raw mut (*entry).traffic.receives, 1);
                atomic_add(&raw mut (*entry).traffic.received_bytes, length);
            },
            // SAFETY: as above.
            Some(Source::Broker) if length >= LEAST_MESSAGE => unsafe {
                atomic_add(&raw mut (*entry).traffic.messages, 1);
            },
            _ => {}
        }
    });
}

/// From whom it is; nothing if it is answers to what the process asked others.
#[inline(always)]
fn source(context: &TracePointContext) -> Option<Source> {
    let layout = kernel();
    // SAFETY: the tracepoint has its fields there.
    let (socket, family) = unsafe {
        (
            context.read_at::<u64>(SOCKET_OFFSET).ok()?,
            context.read_at::<u16>(FAMILY_OFFSET).ok()?,
        )
    };
    let is_inet = family == AF_INET || family == AF_INET6;
    if is_inet && layout.socket_local_port != 0 {
        let local: u16 = read_kernel(socket + u64::from(layout.socket_local_port))?;
        if is_known(PortRole::Served, local) {
            return Some(Source::Client);
        }
        let remote: u16 = read_kernel(socket + u64::from(layout.socket_remote_port))?;
        return is_known(PortRole::Broker, u16::from_be(remote)).then_some(Source::Broker);
    }
    if family == AF_UNIX && layout.socket_name != 0 {
        let name: u64 = read_kernel(socket + u64::from(layout.socket_name))?;
        return (name != 0).then_some(Source::Client);
    }
    None
}

#[inline(always)]
fn is_known(role: PortRole, port: u16) -> bool {
    // SAFETY: the value is not looked at.
    unsafe { PORTS.get(&role.key(port)) }.is_some()
}
