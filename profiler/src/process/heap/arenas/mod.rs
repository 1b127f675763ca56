//! The arenas of glibc's `malloc`, and what is free in them, read from outside.
//!
//! The main arena is a variable of the C library without a name in most builds. But it points to
//! the chunk at the end of the heap, and its empty lists point to themselves: so it is found among
//! the library's data. From there a ring leads through the arenas of threads.

use std::{ops::Range, path::Path};

use rustix::param::page_size;

use super::{
    FLAGS, OVERHEAD, SMALLEST_CHUNK,
    chunks::{Budget, End, walk},
};
use crate::{
    process::{
        ProcessError,
        maps::{self, Mapping},
        memory::Memory,
        pagemap::Pagemap,
    },
    profile::{ArenaTotals, LibcHeap},
};

/// In `struct malloc_state`, from the pointer to the chunk at the end on: ten lists of small
/// chunks, …
const FAST_LISTS: usize = 10;
/// … the list of chunks that were not sorted yet, …
const UNSORTED: u64 = 16;
/// … the next arena, …
const NEXT: u64 = 16 + 254 * 8 + 16;
/// … and how many bytes it has from the system.
const SYSTEM_BYTES: u64 = NEXT + 24;
/// So many bytes from the pointer on have all that is needed.
const READ: usize = 2096;

/// How far the pointer is behind the start of the arena: since glibc 2.27, and before.
const SHIFTS: [u64; 2] = [96, 88];

/// The heaps of threads start at multiples of this, with `struct heap_info`, and are no longer.
const HEAP_LIMIT: u64 = 64 << 20;

/// Neither more arenas nor more heaps of one are followed.
const MOST: usize = 4096;

/// How much is read of the data of the C library, at most.
const DATA_LIMIT: u64 = 1 << 20;

/// How much of heaps is read at once: a tenth of a second.
const READ_LIMIT: u64 = 384 << 20;

/// How many chunks of fast lists are followed.
const FAST_LIMIT: usize = 20_000;

/// What a free chunk keeps at its start when `malloc_trim` gives its pages back.
const KEPT: u64 = 48;

/// Where the arenas of a process are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Arenas {
    /// The address of the main arena's pointer to the chunk at its end.
    main: u64,
    /// How far that is behind the arena's start.
    shift: u64,
}

/// What an arena says of itself.
struct State {
    top: u64,
    next: u64,
    system_bytes: u64,
    fast: [u64; FAST_LISTS],
}

impl State {
    /// Reads it; `top` is the address of its pointer to the chunk at the end.
    fn read(memory: &Memory, top: u64) -> Option<Self> {
        let lists = memory.read_words(top.checked_sub(8 * FAST_LISTS as u64)?)?;
        let bytes = memory.read_bytes(top, READ).ok()?;
        Some(Self {
            top: word(&bytes, 0)?,
            next: word(&bytes, NEXT)?,
            system_bytes: word(&bytes, SYSTEM_BYTES)?,
            fast: lists,
        })
    }
}

fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let bytes = bytes.get(usize::try_from(offset).ok()?..)?;
    bytes.first_chunk().map(|it| u64::from_le_bytes(*it))
}

impl Arenas {
    /// Finds them; `None` if the process does not use glibc's heap, or nothing was ever asked of
    /// it.
    pub fn find(memory: &Memory) -> Result<Option<Self>, ProcessError> {
        let mappings = maps::read(memory.pid())?;
        let heap = maps::heap(&mappings);
        let mut data = mappings.iter().filter(|it| {
            let path = it.path.as_deref().unwrap_or(Path::new(""));
            it.writable && !it.shared && is_c_library(path)
        });
        let found = heap.and_then(|heap| data.find_map(|data| in_data(memory, data, &heap)));
        Ok(found)
    }

    /// Looks at all arenas.
    pub fn census(&self, memory: &Memory) -> Result<LibcHeap, ProcessError> {
        let mappings = maps::read(memory.pid())?;
        let pages = Pagemap::open(memory.pid())?;
        let mut budget = Budget(READ_LIMIT);
        let mut census = LibcHeap::default();
        let main = self.main.wrapping_sub(self.shift);
        let mut arena = main;
        for _ in 0..MOST {
            let Some(state) = State::read(memory, arena.wrapping_add(self.shift)) else {
                break;
            };
            let is_main = arena == main;
            let heaps = if is_main {
                main_heap(&mappings, &state)
            } else {
                thread_heaps(memory, arena, self.shift, &state)
            };
            let look = Look {
                memory,
                pages: &pages,
                state: &state,
                is_main,
            };
            let (found, unseen) = look.at(&heaps, &mut budget);
            census.unseen = census.unseen.saturating_add(unseen);
            let sum = if is_main {
                &mut census.main
            } else {
                &mut census.threads
            };
            sum.add(&found);
            arena = state.next;
            if arena == main || arena == 0 {
                break;
            }
        }
        Ok(census)
    }
}

fn is_c_library(path: &Path) -> bool {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or("");
    name == "libc.so.6" || (name.starts_with("libc-2.") && name.contains(".so"))
}

/// Finds the main arena in the data of the C library.
fn in_data(memory: &Memory, data: &Mapping, heap: &Range<u64>) -> Option<Arenas> {
    let length = usize::try_from((data.end - data.start).min(DATA_LIMIT)).ok()?;
    let bytes = memory.read_bytes(data.start, length).ok()?;
    let (words, _rest) = bytes.as_chunks();
    (data.start..)
        .step_by(8)
        .zip(words)
        .filter(|(_, word)| heap.contains(&u64::from_le_bytes(**word)))
        .find_map(|(address, _)| {
            let state = State::read(memory, address)?;
            let unsorted: [u64; 2] = memory.read_words(address + UNSORTED)?;
            let is_linked = unsorted
                .iter()
                .all(|it| *it == address || it.is_multiple_of(16));
            let shift = SHIFTS.into_iter().find(|shift| {
                is_linked && leads_back(memory, address.wrapping_sub(*shift), *shift, state.next)
            })?;
            let has_size = state.system_bytes >= state.top.saturating_sub(heap.start);
            (state.top.is_multiple_of(16) && has_size).then_some(Arenas {
                main: address,
                shift,
            })
        })
}

/// Whether a ring of arenas leads back to the first.
fn leads_back(memory: &Memory, main: u64, shift: u64, next: u64) -> bool {
    let mut arena = next;
    for _ in 0..MOST {
        if arena == main {
            return true;
        }
        match memory.read_word(arena.wrapping_add(shift + NEXT)) {
            Some(next) if arena % HEAP_LIMIT < 4096 => arena = next,
            _ => return false,
        }
    }
    false
}

/// The stretches of chunks of the main arena.
fn main_heap(mappings: &[Mapping], state: &State) -> Vec<Range<u64>> {
    let heap = maps::heap(mappings).filter(|heap| heap.contains(&state.top));
    heap.into_iter().collect()
}

/// The stretches of chunks of the arena of a thread, the newest first.
fn thread_heaps(memory: &Memory, arena: u64, shift: u64, state: &State) -> Vec<Range<u64>> {
    let first = arena - arena % HEAP_LIMIT;
    let head = arena - first;
    let mut heaps = Vec::new();
    let mut heap = state.top - state.top % HEAP_LIMIT;
    while heaps.len() < MOST {
        let Some([owner, previous, size]) = memory.read_words(heap) else {
            break;
        };
        if owner != arena || size > HEAP_LIMIT {
            break;
        }
        let start = if heap == first {
            // The arena itself comes first.
            (arena + shift + SYSTEM_BYTES + 16).next_multiple_of(16)
        } else {
            heap + head
        };
        heaps.push(start..heap + size);
        if heap == first {
            break;
        }
        heap = previous;
    }
    heaps
}

/// A look at one arena.
struct Look<'a> {
    memory: &'a Memory,
    pages: &'a Pagemap,
    state: &'a State,
    is_main: bool,
}

impl Look<'_> {
    /// What is free in these stretches, and how many bytes were not seen.
    fn at(&self, heaps: &[Range<u64>], budget: &mut Budget) -> (ArenaTotals, u64) {
        let top = self.state.top;
        let mut census = ArenaTotals {
            arenas: 1,
            held: self.state.system_bytes,
            ..ArenaTotals::default()
        };
        let mut unseen = 0_u64;
        let known: u64 = heaps.iter().map(|it| it.end.saturating_sub(it.start)).sum();
        // Where `brk` could not go on, the main arena has mappings that nothing leads to.
        unseen += self
            .state
            .system_bytes
            .saturating_sub(known + HEAP_LIMIT / 1024);
        for heap in heaps {
            let present = Present::read(self.pages, heap.clone());
            if present.is_swapped {
                // Reading it would bring it back into memory.
                unseen += heap.end - heap.start;
                continue;
            }
            let (end, why) = walk(self.memory, heap.clone(), top, budget, |chunk| {
                census.free += chunk.end - chunk.start;
                let (there, absent) = present.pages(chunk.start + KEPT..chunk.end);
                census.returnable += there;
                census.absent += absent;
            });
            if heap.contains(&top) {
                census.top = self.top_size().min(heap.end - top);
                let (there, absent) = present.pages(top + SMALLEST_CHUNK..top + census.top);
                census.absent += absent;
                // Only of the main arena does trimming shorten the end.
                census.returnable += if self.is_main { there } else { 0 };
            }
            if why != End::Whole {
                unseen += if heap.contains(&top) { top } else { heap.end }.saturating_sub(end);
            }
        }
        census.free += self.in_fast_lists(heaps);
        (census, unseen)
    }

    fn top_size(&self) -> u64 {
        let header = self.memory.read_word(self.state.top + OVERHEAD);
        header.map_or(0, |it| it & !FLAGS)
    }

    /// Bytes of the chunks in fast lists, which count as in use for their neighbours.
    fn in_fast_lists(&self, heaps: &[Range<u64>]) -> u64 {
        let is_chunk =
            |chunk: u64| chunk.is_multiple_of(16) && heaps.iter().any(|heap| heap.contains(&chunk));
        let (mut bytes, mut followed) = (0, 0);
        for first in self.state.fast {
            let mut chunk = first;
            while is_chunk(chunk) && followed < FAST_LIMIT {
                followed += 1;
                let Some([header, link]) = self.memory.read_words(chunk + OVERHEAD) else {
                    break;
                };
                bytes += header & !FLAGS;
                // Since glibc 2.32 it is mangled by its own address.
                let plain = link ^ ((chunk + 16) >> 12);
                chunk = if is_chunk(link) { link } else { plain };
            }
        }
        bytes
    }
}

/// Which pages of a stretch are in memory.
struct Present {
    start: u64,
    /// How many of the first pages are, for each number of pages.
    counts: Vec<u32>,
    is_swapped: bool,
}

impl Present {
    fn read(pages: &Pagemap, stretch: Range<u64>) -> Self {
        let page = page_size() as u64;
        let start = stretch.start - stretch.start % page;
        let mut present = Self {
            start,
            counts: vec![0],
            is_swapped: false,
        };
        let mut count = 0;
        let read = pages.read(start..stretch.end, |_, page| {
            count += u32::from(page.is_present());
            present.counts.push(count);
            present.is_swapped |= page.is_swapped();
        });
        if read.is_err() {
            present.counts.truncate(1);
        }
        present
    }

    /// Bytes of the whole pages of a range: those that are in memory, and those that are not.
    fn pages(&self, range: Range<u64>) -> (u64, u64) {
        let page = page_size() as u64;
        let first = range.start.saturating_sub(self.start).div_ceil(page);
        let end = range.end.saturating_sub(self.start) / page;
        let count = |pages: u64| {
            let known = self.counts.len() - 1;
            let pages = usize::try_from(pages).map_or(known, |it| it.min(known));
            self.counts[pages]
        };
        if end <= first {
            return (0, 0);
        }
        let there = u64::from(count(end) - count(first));
        (there * page, (end - first - there) * page)
    }
}

#[cfg(test)]
mod tests;
