//! The heap of glibc's `malloc` from outside: which blocks are still handed out.
//!
//! In front of each block stands the header of its chunk, as `malloc/malloc.c` of glibc says:
//! the size of the chunk before it, if that one is free, and its own size with three flags.
//! Whether a chunk is free says the flag in the header behind it.

mod arenas;
mod chunks;

use rustix::{io::Errno, param::page_size};

pub use self::arenas::Arenas;

use super::{c_library::CLibrary, elf::ElfFile, memory::Memory};

/// The header that a chunk has in front of its block: two words.
const HEADER: u64 = 16;
/// What a chunk needs beside its block: the word behind the block belongs to it as well.
const OVERHEAD: u64 = 8;
const ALIGNMENT: u64 = 16;
const SMALLEST_CHUNK: u64 = 32;
/// No heap is as large as this.
const LARGEST_CHUNK: u64 = 1 << 40;

/// Flags in the size of a chunk.
const PREVIOUS_IN_USE: u64 = 1;
const IS_MAPPED: u64 = 2;
const FLAGS: u64 = 7;

/// The size to which glibc rounds mappings if it was told to use huge pages.
const HUGE_PAGE: u64 = 2 << 20;

/// A block as it was handed out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeapBlock {
    /// Where it starts.
    pub address: u64,
    /// How many bytes were asked for.
    pub size: u64,
}

/// Whether a block is still handed out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Liveness {
    /// A block of this size is in use at this address.
    Live,
    /// It is not: it was freed, or reallocated to another size.
    Dead,
    /// It cannot be told: the memory cannot be read, or `malloc` never handed out this address.
    Unknown,
}

/// Whether this is the C library of the GNU project; other allocators have other headers.
pub fn is_glibc(file: &ElfFile) -> bool {
    CLibrary::of(file) == Some(CLibrary::Gnu)
}

/// Tells which blocks of `malloc`, `calloc` and `realloc` are still handed out.
///
/// The process runs on meanwhile, so only what looks dead twice counts as dead.
///
/// What is told dead is dead. What is told live need not be the block that was meant:
///
/// - It can be another one, handed out later at the same address with about the same size.
/// - Its header can be a leftover inside of a larger block that nobody has written to there. Where
///   many are left over, one in 2000 blocks is told live by mistake and one in 100 not told. Of
///   blocks that overlap nothing is told.
/// - Blocks of up to 1032 bytes can be in the cache of a thread, seven of a size. They are
///   recognized there since glibc 2.32; before, they are told live.
/// - So are, with any glibc, freed blocks of up to 120 bytes, of which an arena keeps lists.
pub fn liveness(memory: &Memory, blocks: &[HeapBlock]) -> Vec<Liveness> {
    let mut found = look(memory, blocks);
    let is_dead = |index: &usize| found[*index] == Liveness::Dead;
    let dead: Vec<usize> = (0..blocks.len()).filter(is_dead).collect();
    let again: Vec<HeapBlock> = dead.iter().map(|index| blocks[*index]).collect();
    for (index, again) in dead.into_iter().zip(look(memory, &again)) {
        if again != Liveness::Dead {
            found[index] = Liveness::Unknown;
        }
    }
    doubt_overlaps(blocks, &mut found);
    found
}

/// Takes back what was said of blocks that overlap: only one of them can be live.
fn doubt_overlaps(blocks: &[HeapBlock], found: &mut [Liveness]) {
    let is_live = |index: &usize| found[*index] == Liveness::Live;
    let mut live: Vec<usize> = (0..blocks.len()).filter(is_live).collect();
    live.sort_unstable_by_key(|index| blocks[*index].address);
    let mut longest: Option<usize> = None;
    for index in live {
        let block = blocks[index];
        match longest {
            Some(before) if block.address < blocks[before].end() && block != blocks[before] => {
                found[before] = Liveness::Unknown;
                found[index] = Liveness::Unknown;
            }
            _ => {}
        }
        if longest.is_none_or(|before| blocks[before].end() < block.end()) {
            longest = Some(index);
        }
    }
}

impl HeapBlock {
    const fn end(self) -> u64 {
        self.address.saturating_add(self.size)
    }
}

/// The words around a block from which it shows whether it lives.
struct Chunk {
    start: u64,
    previous_size: u64,
    size: u64,
    flags: u64,
    first_words: [u64; 2],
}

fn look(memory: &Memory, blocks: &[HeapBlock]) -> Vec<Liveness> {
    let heads: Vec<_> = blocks.iter().map(Chunk::range).collect();
    let mut liveness = Vec::with_capacity(blocks.len());
    let mut open = Vec::new();
    for (block, head) in blocks.iter().zip(memory.read_many(&heads)) {
        let chunk = head.and_then(|head| Chunk::parse(block, &head));
        let known = match &chunk {
            _ if !block.address.is_multiple_of(ALIGNMENT) => Some(Liveness::Unknown),
            Some(chunk) => chunk.judge_alone(block),
            None => Some(unreadable(memory, block.address)),
        };
        open.extend(
            chunk
                .filter(|_| known.is_none())
                .map(|chunk| (liveness.len(), chunk)),
        );
        liveness.push(known.unwrap_or(Liveness::Unknown));
    }
    let ranges: Vec<_> = open
        .iter()
        .flat_map(|(_, chunk)| chunk.neighbours())
        .collect();
    let neighbours = memory.read_many(&ranges);
    let (neighbours, _none) = neighbours.as_chunks();
    for ((index, chunk), neighbours) in open.iter().zip(neighbours) {
        liveness[*index] = chunk
            .judge(neighbours)
            .unwrap_or_else(|| unreadable(memory, chunk.next().wrapping_add(OVERHEAD)));
    }
    liveness
}

/// What it means for a block that memory at this address could not be read.
fn unreadable(memory: &Memory, address: u64) -> Liveness {
    let read = memory.read_bytes(address, 8);
    match read.as_ref().map_err(Errno::from_io_error) {
        Err(Some(Errno::FAULT)) => Liveness::Dead,
        _ => Liveness::Unknown,
    }
}

impl Chunk {
    /// Where what [`Self::parse`] needs is.
    const fn range(block: &HeapBlock) -> (u64, usize) {
        (block.address.wrapping_sub(HEADER), 32)
    }

    fn parse(block: &HeapBlock, bytes: &[u8]) -> Option<Self> {
        let (words, _rest) = bytes.as_chunks();
        let [previous_size, size, first, second] = *words else {
            return None;
        };
        let size = u64::from_le_bytes(size);
        Some(Self {
            start: block.address.checked_sub(HEADER)?,
            previous_size: u64::from_le_bytes(previous_size),
            size: size & !FLAGS,
            flags: size & FLAGS,
            first_words: [first, second].map(u64::from_le_bytes),
        })
    }

    /// Judges by the chunk alone, or not, if its neighbours have to be asked.
    fn judge_alone(&self, block: &HeapBlock) -> Option<Liveness> {
        if self.flags & IS_MAPPED != 0 {
            // Nobody is behind it: it is all of a mapping, which ends when it is freed.
            let is_whole = is_mapping_for(self.start, self.size, block.size);
            return Some(if is_whole {
                Liveness::Live
            } else {
                Liveness::Dead
            });
        }
        // Freeing merges a chunk with free neighbours, and what is handed out of it next is
        // split off at another size.
        (!is_chunk_for(self.size, block.size)).then_some(Liveness::Dead)
    }

    const fn next(&self) -> u64 {
        self.start.wrapping_add(self.size)
    }

    /// The words that [`Self::judge`] needs, in the order in which they are read; those that do
    /// not matter are empty.
    fn neighbours(&self) -> [(u64, usize); 4] {
        let next = (self.next().wrapping_add(OVERHEAD), 8);
        let (previous, own) = if self.flags & PREVIOUS_IN_USE == 0 {
            let previous = self.start.wrapping_sub(self.previous_size);
            ((previous.wrapping_add(OVERHEAD), 8), (self.start, 16))
        } else {
            ((0, 0), (0, 0))
        };
        let cached = match self.next_cached() {
            Some(next) if next != 0 => (next.wrapping_add(8), 8),
            _ => (0, 0),
        };
        [next, previous, own, cached]
    }

    /// Judges by the words in memory, or not, if one that must be there cannot be read.
    fn judge(&self, [next, previous, own, cached]: &[Option<Vec<u8>>; 4]) -> Option<Liveness> {
        if word(next.as_deref())? & PREVIOUS_IN_USE == 0 {
            return Some(Liveness::Dead);
        }
        let is_cached = match self.next_cached() {
            Some(0) => true,
            Some(_) => word(cached.as_deref()) == Some(self.first_words[1]),
            None => false,
        };
        if is_cached {
            return Some(Liveness::Dead);
        }
        if self.flags & PREVIOUS_IN_USE != 0 {
            return Some(Liveness::Live);
        }
        let is_as_before = own.as_deref().is_some_and(|own| self.has_header(own));
        Some(match word(previous.as_deref()).and_then(chunk_size) {
            _ if !is_as_before => Liveness::Unknown,
            Some(size) if size == self.previous_size => Liveness::Live,
            // It has swallowed this one: the header read here is a leftover.
            Some(size) if size > self.previous_size => Liveness::Dead,
            // So it has, and was split since; or it is being split right now.
            _ => Liveness::Unknown,
        })
    }

    fn has_header(&self, bytes: &[u8]) -> bool {
        let (words, _rest) = bytes.as_chunks();
        words
            == [
                self.previous_size.to_le_bytes(),
                (self.size | self.flags).to_le_bytes(),
            ]
    }

    /// The block behind this one in a thread's cache, zero at its end, if it is in one.
    ///
    /// A cached block counts as in use, but starts with the address of the next one, mangled by
    /// its own (since glibc 2.32), and with the key of all cached blocks. The key is wiped when
    /// the block is handed out, so what is left of it says nothing about a live one.
    fn next_cached(&self) -> Option<u64> {
        let [link, key] = self.first_words;
        let next = link ^ (self.start.wrapping_add(HEADER) >> 12);
        (key != 0 && next.is_multiple_of(ALIGNMENT)).then_some(next)
    }
}

/// Whether glibc makes a chunk of this size for a request: what is left over of a free chunk is
/// kept if it could not be one by itself.
fn is_chunk_for(size: u64, request: u64) -> bool {
    size_for(request).is_some_and(|needed| size == needed || size == needed + ALIGNMENT)
}

/// Whether this is the mapping that glibc makes for a large request.
fn is_mapping_for(start: u64, size: u64, request: u64) -> bool {
    let page = page_size() as u64;
    let needed = size_for(request).and_then(|needed| needed.checked_add(OVERHEAD));
    let is_rounded =
        |to| needed.and_then(|needed| needed.checked_next_multiple_of(to)) == Some(size);
    start.is_multiple_of(page) && (is_rounded(page) || is_rounded(HUGE_PAGE))
}

fn size_for(request: u64) -> Option<u64> {
    let size = request
        .checked_add(OVERHEAD)?
        .checked_next_multiple_of(ALIGNMENT)?;
    Some(size.max(SMALLEST_CHUNK))
}

/// The size that a header gives its chunk, if it can be one in a heap.
fn chunk_size(header: u64) -> Option<u64> {
    let size = header & !FLAGS;
    let is_chunk =
        (SMALLEST_CHUNK..LARGEST_CHUNK).contains(&size) && size.is_multiple_of(ALIGNMENT);
    (is_chunk && header & IS_MAPPED == 0).then_some(size)
}

fn word(bytes: Option<&[u8]>) -> Option<u64> {
    bytes?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests;
