//! What allocators hold of the system, and how much of it is in use.

use std::time::Duration;

use super::ProcessKey;

/// What the allocators of a process held at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AllocatorCensus {
    /// The process.
    pub process: ProcessKey,
    /// When, from the start of the recording.
    pub time: Duration,
    /// Pymalloc; `None` if it is not used, or could not be read.
    pub python: Option<PythonHeap>,
    /// `malloc` of glibc; `None` if another one is used, or it could not be read.
    pub libc: Option<LibcHeap>,
}

impl AllocatorCensus {
    /// Bytes in memory that are free, as far as they are known.
    pub fn kept(&self) -> u64 {
        let python = self.python.as_ref().map_or(0, PythonHeap::kept);
        let libc = self.libc.as_ref().map_or(0, |libc| {
            libc.main.kept().saturating_add(libc.threads.kept())
        });
        python.saturating_add(libc)
    }
}

/// What pymalloc holds. An arena goes back to the system when no block in it is in use.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PythonHeap {
    /// How many arenas.
    pub arenas: u64,
    /// Their bytes.
    pub held: u64,
    /// Their bytes that are in memory.
    pub resident: u64,
    /// Bytes of the blocks in use.
    pub live: u64,
    /// How many arenas have less than a quarter of their bytes in use.
    pub sparse_arenas: u64,
    /// The bytes of these.
    pub sparse_held: u64,
    /// Bytes of the blocks in use there, which keep them from the system.
    pub sparse_live: u64,
}

impl PythonHeap {
    /// Bytes in memory that are free.
    pub const fn kept(&self) -> u64 {
        self.resident.saturating_sub(self.live)
    }
}

/// What `malloc` of glibc holds. What threads keep in their caches counts as in use, at most 231
/// KiB for each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LibcHeap {
    /// The arena of the main thread, which grows by `brk`.
    pub main: ArenaTotals,
    /// Those of other threads.
    pub threads: ArenaTotals,
    /// Bytes of heaps that were not looked at: too many, swapped out, or changed meanwhile. What is
    /// free in them is in no other figure.
    pub unseen: u64,
}

/// What an arena of glibc, or several, have from the system.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ArenaTotals {
    /// How many arenas.
    pub arenas: u64,
    /// Bytes from the system.
    pub held: u64,
    /// Bytes of free chunks between others.
    pub free: u64,
    /// Bytes that are free up to the end.
    pub top: u64,
    /// Of both, bytes of whole pages that are not in memory.
    pub absent: u64,
    /// Bytes of whole pages in free chunks, and for the main arena up to the end, which are in
    /// memory: `malloc_trim(0)` would give them back.
    pub returnable: u64,
}

impl ArenaTotals {
    /// Adds those of another arena.
    pub const fn add(&mut self, other: &Self) {
        self.arenas += other.arenas;
        self.held = self.held.saturating_add(other.held);
        self.free = self.free.saturating_add(other.free);
        self.top = self.top.saturating_add(other.top);
        self.absent = self.absent.saturating_add(other.absent);
        self.returnable = self.returnable.saturating_add(other.returnable);
    }

    /// Bytes in memory that are free.
    pub const fn kept(&self) -> u64 {
        self.free
            .saturating_add(self.top)
            .saturating_sub(self.absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_free_and_in_memory() {
        let arena = ArenaTotals {
            held: 100,
            free: 30,
            top: 40,
            absent: 15,
            ..ArenaTotals::default()
        };
        let census = AllocatorCensus {
            python: Some(PythonHeap {
                held: 99,
                resident: 70,
                live: 50,
                ..PythonHeap::default()
            }),
            libc: Some(LibcHeap {
                main: arena,
                threads: arena,
                unseen: 7,
            }),
            ..AllocatorCensus::default()
        };
        assert_eq!(census.kept(), 20 + 55 + 55);
        assert_eq!(AllocatorCensus::default().kept(), 0);
    }
}
