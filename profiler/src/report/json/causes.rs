//! What allocators keep and what forked processes share, as JSON.

use serde::Serialize;

use super::seconds;
use crate::{
    aggregate::{AllocatorFinding, CopySite, SharingFinding},
    profile::{ArenaTotals, LibcHeap, PythonHeap},
    units::Pid,
};

/// What the allocators of a process hold at the end.
#[derive(Serialize)]
pub(super) struct Allocator {
    time: f64,
    kept_start: u64,
    kept: u64,
    python: Option<Python>,
    libc: Option<Libc>,
}

#[derive(Serialize)]
struct Python {
    arenas: u64,
    held: u64,
    resident: u64,
    live: u64,
    kept: u64,
    sparse_arenas: u64,
    sparse_held: u64,
    sparse_live: u64,
}

#[derive(Serialize)]
struct Libc {
    main: Arena,
    threads: Arena,
    unseen: u64,
}

#[derive(Serialize)]
struct Arena {
    arenas: u64,
    held: u64,
    free: u64,
    top: u64,
    absent: u64,
    returnable: u64,
    kept: u64,
}

impl From<&AllocatorFinding> for Allocator {
    fn from(found: &AllocatorFinding) -> Self {
        Self {
            time: seconds(found.end.time),
            kept_start: found.start.kept(),
            kept: found.end.kept(),
            python: found.end.python.as_ref().map(Python::from),
            libc: found.end.libc.as_ref().map(Libc::from),
        }
    }
}

impl From<&PythonHeap> for Python {
    fn from(heap: &PythonHeap) -> Self {
        Self {
            arenas: heap.arenas,
            held: heap.held,
            resident: heap.resident,
            live: heap.live,
            kept: heap.kept(),
            sparse_arenas: heap.sparse_arenas,
            sparse_held: heap.sparse_held,
            sparse_live: heap.sparse_live,
        }
    }
}

impl From<&LibcHeap> for Libc {
    fn from(heap: &LibcHeap) -> Self {
        Self {
            main: Arena::from(&heap.main),
            threads: Arena::from(&heap.threads),
            unseen: heap.unseen,
        }
    }
}

impl From<&ArenaTotals> for Arena {
    fn from(arena: &ArenaTotals) -> Self {
        Self {
            arenas: arena.arenas,
            held: arena.held,
            free: arena.free,
            top: arena.top,
            absent: arena.absent,
            returnable: arena.returnable,
            kept: arena.kept(),
        }
    }
}

/// What a forked process shares at the end.
#[derive(Serialize)]
pub(super) struct Sharing {
    parent: u32,
    inherited: u64,
    shared: u64,
    copied: u64,
    copied_before: u64,
    own: u64,
    causes: Vec<Cause>,
}

#[derive(Serialize)]
struct Cause {
    cause: &'static str,
    bytes: u64,
}

impl From<&SharingFinding> for Sharing {
    fn from(found: &SharingFinding) -> Self {
        Self {
            parent: found.parent.0,
            inherited: found.inherited(),
            shared: found.shared,
            copied: found.copied,
            copied_before: found.copied_start,
            own: found.own,
            causes: (found.causes.iter())
                .map(|(cause, bytes)| Cause {
                    cause: cause.name(),
                    bytes: *bytes,
                })
                .collect(),
        }
    }
}

/// A line that made processes copy what they shared.
#[derive(Serialize)]
pub(super) struct Copy<'a> {
    function: &'a str,
    file: &'a str,
    line: u32,
    cause: &'static str,
    bytes: u64,
    samples: u64,
    pids: Vec<u32>,
}

impl<'a> From<&'a CopySite> for Copy<'a> {
    fn from(site: &'a CopySite) -> Self {
        Self {
            function: &site.frame.function,
            file: &site.frame.file,
            line: site.frame.line,
            cause: site.cause.name(),
            bytes: site.bytes,
            samples: site.samples,
            pids: site.pids.iter().map(|Pid(pid)| *pid).collect(),
        }
    }
}
