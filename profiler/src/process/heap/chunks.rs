//! A stretch of glibc's heap, walked from chunk to chunk: what is free in it, and where.

use std::ops::Range;

use super::{FLAGS, OVERHEAD, PREVIOUS_IN_USE, SMALLEST_CHUNK};
use crate::process::memory::Memory;

/// What is read at once: little behind a jump, more and more where chunks are small.
const SHORTEST_READ: u64 = 4 << 10;
const LONGEST_READ: u64 = 256 << 10;

/// How a walk ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// At the end of the stretch, or at the mark that glibc sets behind its last chunk.
    Whole,
    /// At something that is no chunk: the process changed it meanwhile, or it cannot be read.
    Torn,
    /// There was more than was to be read.
    Exhausted,
}

/// How many more bytes may be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget(pub(super) u64);

/// Reads words of a stretch that follow one another, some way apart.
struct Window<'a> {
    memory: &'a Memory,
    end: u64,
    start: u64,
    bytes: Vec<u8>,
    length: u64,
}

impl Window<'_> {
    fn word(&mut self, address: u64, budget: &mut Budget) -> Result<u64, End> {
        if let Some(word) = self.known(address) {
            return Ok(word);
        }
        let behind = self.start.saturating_add(self.bytes.len() as u64);
        let follows = address < behind.saturating_add(self.length);
        self.length = if follows {
            (2 * self.length).min(LONGEST_READ)
        } else {
            SHORTEST_READ
        };
        let length = self.length.min(self.end.saturating_sub(address));
        budget.0 = budget.0.checked_sub(length).ok_or(End::Exhausted)?;
        let length = usize::try_from(length).map_err(|_too_long| End::Torn)?;
        let bytes = self.memory.read_bytes(address, length);
        self.bytes = bytes.map_err(|_not_readable| End::Torn)?;
        self.start = address;
        self.known(address).ok_or(End::Torn)
    }

    fn known(&self, address: u64) -> Option<u64> {
        let offset = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let word = self.bytes.get(offset..)?.first_chunk()?;
        Some(u64::from_le_bytes(*word))
    }
}

/// Shows the free chunks of a stretch that starts with a chunk. The walk goes up to `top`, the
/// chunk that is free up to the end, if that is in it. Returns up to where it came, and why.
pub(super) fn walk(
    memory: &Memory,
    stretch: Range<u64>,
    top: u64,
    budget: &mut Budget,
    mut show: impl FnMut(Range<u64>),
) -> (u64, End) {
    let mut window = Window {
        memory,
        end: stretch.end,
        start: 0,
        bytes: Vec::new(),
        length: SHORTEST_READ,
    };
    let mut chunk = stretch.start;
    let mut header = match window.word(chunk.saturating_add(OVERHEAD), budget) {
        Ok(header) => header,
        Err(end) => return (chunk, end),
    };
    while chunk != top && chunk < stretch.end {
        let size = header & !FLAGS;
        if size < SMALLEST_CHUNK {
            // Behind the last chunk stands one of two words, or one without any.
            let is_mark = size.is_multiple_of(16) && header & PREVIOUS_IN_USE != 0;
            return (chunk, if is_mark { End::Whole } else { End::Torn });
        }
        let next = match chunk.checked_add(size) {
            Some(next) if size.is_multiple_of(16) && next < stretch.end => next,
            _ => return (chunk, End::Torn),
        };
        header = match window.word(next.saturating_add(OVERHEAD), budget) {
            Ok(header) => header,
            Err(end) => return (chunk, end),
        };
        if header & PREVIOUS_IN_USE == 0 {
            show(chunk..next);
        }
        chunk = next;
    }
    (chunk, End::Whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Pid;

    /// Memory of this process that looks like a heap.
    struct Heap(Vec<u128>);

    impl Heap {
        /// Chunks of these sizes, which say whether the one before them is in use.
        fn new(chunks: &[(u64, bool)]) -> Self {
            let length = chunks.iter().map(|it| it.0.max(16)).sum::<u64>() / 16;
            let mut words = vec![0; usize::try_from(length).unwrap()];
            let mut place = 0;
            for (size, before) in chunks {
                words[place] = u128::from(size | u64::from(*before)) << 64;
                place += usize::try_from((*size).max(16) / 16).unwrap();
            }
            Self(words)
        }

        fn start(&self) -> u64 {
            self.0.as_ptr().addr() as u64
        }

        fn walk(&self, top: u64, budget: u64) -> (Vec<(u64, u64)>, u64, End) {
            let memory = Memory::of(Pid(std::process::id()));
            let start = self.start();
            let end = start + 16 * self.0.len() as u64;
            let mut free = Vec::new();
            let show = |it: Range<u64>| free.push((it.start - start, it.end - start));
            let mut budget = Budget(budget);
            let (at, why) = walk(&memory, start..end, start + top, &mut budget, show);
            (free, at - start, why)
        }
    }

    #[test]
    fn the_header_behind_a_chunk_says_whether_it_is_free() {
        let heap = Heap::new(&[(64, true), (32, true), (96, false), (160, true)]);
        assert_eq!(heap.walk(192, 4096), (vec![(64, 96)], 192, End::Whole));
        let heap = Heap::new(&[(64, true), (9600, false), (16, true), (0, true)]);
        let (free, at, why) = heap.walk(u64::MAX >> 1, 9999);
        assert_eq!((free, at, why), (vec![(0, 64)], 9664, End::Whole));
    }

    #[test]
    fn what_is_no_chunk_ends_the_walk() {
        for size in [24, 40, 1 << 40, 8] {
            let mut heap = Heap::new(&[(64, true), (32, true), (64, true)]);
            heap.0[4] = u128::from(size | PREVIOUS_IN_USE) << 64;
            assert_eq!(heap.walk(96, 4096), (vec![], 64, End::Torn), "{size}");
        }
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        let heap = Heap::new(&vec![(32, true); 9000]);
        let (_, at, why) = heap.walk(u64::MAX >> 1, 100_000);
        assert_eq!(why, End::Exhausted);
        assert!(at > 10_000 && at < 100_000, "{at}");
    }

    proptest! {
        #[test]
        fn any_memory_is_walked(words in prop::collection::vec(any::<u128>(), 2..200)) {
            let heap = Heap(words);
            let (free, at, _) = heap.walk(u64::MAX >> 1, 1 << 20);
            prop_assert!(at < 16 * heap.0.len() as u64 && free.len() < 200);
        }
    }
}
