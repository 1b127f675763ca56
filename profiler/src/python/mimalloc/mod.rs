//! Mimalloc's segments, read from outside while the interpreter runs on: what takes pymalloc's
//! place in builds without a GIL, and with `PYTHONMALLOC=mimalloc`.
//!
//! A segment starts at a multiple of its size and is cut into slices; one or more slices make a
//! page, which holds blocks of one size and says in the segment's head how many of them are in
//! use. So the heads alone tell what lives, whichever thread it belongs to, and if that has ended,
//! too. What is read is never of one moment: what does not fit together is left out.

mod page;

pub use self::page::Page;
use super::runtime::Interpreter;
use crate::{
    process::{
        ProcessError,
        maps::{self, Mapping},
        memory::Memory,
    },
    profile::SizeClass,
};

/// A segment is this large, but for one that holds a single larger block, and starts at a
/// multiple of it.
const SEGMENT_BYTES: u64 = 32 << 20;

/// How many bytes a slice has, and how many slices a segment.
const SLICE_BYTES: u64 = 64 << 10;
const SLICES: u64 = SEGMENT_BYTES / SLICE_BYTES;

/// A segment's own head takes up no more slices.
const HEAD_SLICES_LIMIT: u64 = 16;

/// How many places are looked at: 2 TiB.
const PLACES_LIMIT: usize = 1 << 16;

/// Where the words about slices end in a segment's head, from their first one.
const COUNTS_BYTES: usize = 32;

/// Where a segment's head keeps what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MimallocLayout {
    /// Segment: how many slices it has; then how many of them the head takes up, what kind it is,
    /// and how many of the slices have an entry.
    pub segment_slices: u16,
    /// Segment: the first slice's entry, which is that of a page if one begins there.
    pub slices: u16,
    /// How many bytes an entry has.
    pub page_bytes: u16,
    /// Page: how many blocks were ever in its lists, in 16 bits.
    pub page_capacity: u16,
    /// Page: the first of the free blocks.
    pub page_free: u16,
    /// Page: the first of those that its own thread gave back since.
    pub page_local_free: u16,
    /// Page: the first of those that other threads gave back, in use all the same, in whose lowest
    /// two bits something else is kept.
    pub page_thread_free: u16,
    /// Page: how many blocks there is room for, in 16 bits.
    pub page_reserved: u16,
    /// Page: how many blocks are in use.
    pub page_used: u16,
    /// Page: how many bytes a block has, in 32 bits.
    pub page_block_size: u16,
    /// Page: where its first block begins; zero in versions where it does not say.
    pub page_start: u16,
}

/// How to find what mimalloc holds in a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mimalloc {
    layout: MimallocLayout,
}

/// How much mimalloc holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MimallocCensus {
    /// Blocks in use. A block that another thread gave back counts until its own one notices.
    pub blocks: u64,
    /// Bytes of these blocks.
    pub live_bytes: u64,
    /// Pages that hold a block in use.
    pub pages: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of the segments.
    pub segment_bytes: u64,
    /// Blocks in use, by size class.
    pub blocks_by_class: [u64; SizeClass::COUNT],
}

impl Default for MimallocCensus {
    fn default() -> Self {
        Self {
            blocks: 0,
            live_bytes: 0,
            pages: 0,
            segments: 0,
            segment_bytes: 0,
            blocks_by_class: [0; SizeClass::COUNT],
        }
    }
}

impl MimallocCensus {
    /// Counts a page that holds blocks in use.
    fn count(&mut self, page: &Page) {
        self.pages += 1;
        self.blocks += page.used;
        self.live_bytes += page.live_bytes();
        self.blocks_by_class[SizeClass::of(page.block_size).index()] += page.used;
    }
}

impl Mimalloc {
    /// Mimalloc as this interpreter has it; `None` if it has none.
    pub fn of(interpreter: &Interpreter) -> Option<Self> {
        let layout = interpreter.places.mimalloc?;
        Some(Self { layout })
    }

    /// Where things are in its structures.
    pub const fn layout(&self) -> &MimallocLayout {
        &self.layout
    }

    /// Counts what mimalloc holds.
    pub fn census(&self, memory: &Memory) -> Result<MimallocCensus, ProcessError> {
        let mut census = MimallocCensus::default();
        let segments = self.visit(memory, |_, page| census.count(page))?;
        census.segments = segments.len() as u64;
        census.segment_bytes = segments.into_iter().sum();
        Ok(census)
    }

    /// Shows the pages that hold a block in use, by the addresses of their entries, and returns how
    /// many bytes each segment has.
    pub(super) fn visit(
        &self,
        memory: &Memory,
        mut show: impl FnMut(u64, &Page),
    ) -> Result<Vec<u64>, ProcessError> {
        let places = places(&maps::read(memory.pid())?);
        let head = usize::from(self.layout.segment_slices) + COUNTS_BYTES;
        let ranges: Vec<_> = places.iter().map(|&place| (place, head)).collect();
        let mut segments = Vec::new();
        for (place, bytes) in places.into_iter().zip(memory.read_many(&ranges)) {
            let Some(segment) = bytes.and_then(|head| self.parse_head(&head)) else {
                continue;
            };
            let entries = usize::from(self.layout.page_bytes) * segment.entries;
            let entries_at = place.wrapping_add(self.layout.slices.into());
            // It may have been given back just now.
            if let Ok(entries) = memory.read_bytes(entries_at, entries)
                && Self::is_whole(&segment, &entries)
            {
                segments.push(segment.slices * SLICE_BYTES);
                self.show_pages(&segment, (entries_at, &entries), &mut show);
            }
        }
        Ok(segments)
    }

    /// The addresses of the entries of the pages to which some addresses belong.
    pub(super) fn entries_of(&self, memory: &Memory, addresses: &[u64]) -> Vec<Option<u64>> {
        let entry = |address: &u64| {
            let segment = address & !(SEGMENT_BYTES - 1);
            let slice = (address - segment) / SLICE_BYTES;
            let offset = slice * u64::from(self.layout.page_bytes);
            segment
                .wrapping_add(self.layout.slices.into())
                .wrapping_add(offset)
        };
        let entries: Vec<u64> = addresses.iter().map(entry).collect();
        let ranges: Vec<_> = entries.iter().map(|&entry| (entry, 8)).collect();
        let heads = memory.read_many(&ranges).into_iter();
        let first = |(entry, head): (u64, Option<Vec<u8>>)| {
            // A slice within a page says how far the page's own entry is before its own.
            entry.checked_sub(half(&head?, 4)?.into())
        };
        entries.into_iter().zip(heads).map(first).collect()
    }

    /// The pages with these entries; `None` for those that are none, or hold no block in use.
    pub(super) fn pages(&self, memory: &Memory, entries: &[u64]) -> Vec<Option<Page>> {
        let size = self.layout.page_bytes.into();
        let ranges: Vec<_> = entries.iter().map(|&entry| (entry, size)).collect();
        let heads = memory.read_many(&ranges).into_iter();
        let pages = entries.iter().zip(heads);
        pages
            .map(|(entry, head)| self.page(*entry, &head?))
            .collect()
    }

    /// The page with an entry that was read.
    pub(super) fn page(&self, entry_at: u64, entry: &[u8]) -> Option<Page> {
        Page::read(&self.layout, entry_at, entry)
    }

    /// What a segment's head says; `None` if it makes no sense, as in memory of another kind.
    fn parse_head(&self, head: &[u8]) -> Option<Segment> {
        let counts = head.get(usize::from(self.layout.segment_slices)..)?;
        let [slices, head_slices, kind, entries] =
            [0, 8, 16, 24].map(|offset| word(counts, offset));
        // Four bytes, and as many that mean nothing.
        let is_huge = match kind? & u64::from(u32::MAX) {
            0 => false,
            1 => true,
            _ => return None,
        };
        let (slices, head_slices, entries) = (slices?, head_slices?, entries?);
        let is_segment = (1..=HEAD_SLICES_LIMIT).contains(&head_slices)
            && head_slices < slices
            && entries == slices.min(SLICES)
            && (is_huge || slices == SLICES)
            && u32::try_from(slices).is_ok();
        is_segment.then_some(Segment {
            slices,
            head_slices: usize::try_from(head_slices).ok()?,
            entries: usize::try_from(entries).ok()?,
        })
    }

    /// Whether the first of a segment's entries is about its head.
    fn is_whole(segment: &Segment, entries: &[u8]) -> bool {
        let about_head = half(entries, 0).and_then(|slices| usize::try_from(slices).ok());
        about_head == Some(segment.head_slices)
    }

    /// Shows the pages of a segment.
    fn show_pages(
        &self,
        segment: &Segment,
        (entries_at, entries): (u64, &[u8]),
        mut show: impl FnMut(u64, &Page),
    ) {
        let size = self.layout.page_bytes;
        let entries = entries.chunks_exact(size.into());
        let addresses =
            (0..).map(|number: u64| entries_at.saturating_add(number.saturating_mul(size.into())));
        let mut entries = addresses.zip(entries);
        let mut next = segment.head_slices;
        while let Some((entry_at, entry)) = entries.nth(next) {
            let Some(slices @ 1..) = half(entry, 0) else {
                return;
            };
            if let Some(page) = self.page(entry_at, entry) {
                show(entry_at, &page);
            }
            next = usize::try_from(slices - 1).unwrap_or(usize::MAX);
        }
    }
}

/// What the head of a segment says.
struct Segment {
    slices: u64,
    head_slices: usize,
    entries: usize,
}

/// Where segments may start.
fn places(mappings: &[Mapping]) -> Vec<u64> {
    let is_heap = |it: &&Mapping| it.readable && it.writable && !it.shared && it.inode == 0;
    let starts = |it: &Mapping| {
        let first = it.start.checked_next_multiple_of(SEGMENT_BYTES);
        let end = it.end;
        first.into_iter().flat_map(move |first| {
            (first..end).step_by(usize::try_from(SEGMENT_BYTES).unwrap_or(usize::MAX))
        })
    };
    let starts = mappings.iter().filter(is_heap).flat_map(starts);
    starts.take(PLACES_LIMIT).collect()
}

fn word(bytes: &[u8], offset: usize) -> Option<u64> {
    let word = bytes.get(offset..)?.first_chunk()?;
    Some(u64::from_le_bytes(*word))
}

fn half(bytes: &[u8], offset: usize) -> Option<u32> {
    let half = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*half))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Mimalloc, MimallocCensus, MimallocLayout, Segment};
    use crate::python::testing::{Program, Python, pythons};

    pub(super) const LAYOUT: MimallocLayout = MimallocLayout {
        segment_slices: 0,
        slices: 32,
        page_bytes: 56,
        page_capacity: 10,
        page_free: 24,
        page_local_free: 32,
        page_thread_free: 40,
        page_reserved: 12,
        page_used: 16,
        page_block_size: 20,
        page_start: 0,
    };

    const MIMALLOC: Mimalloc = Mimalloc { layout: LAYOUT };

    fn head(slices: u64, head_slices: u64, kind: u64, entries: u64) -> Vec<u8> {
        let words = [slices, head_slices, kind, entries];
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn entry(slices: u32, reserved: u32, used: u32, block_size: u32) -> Vec<u8> {
        let mut halves = [0; 14];
        // All that there is room for was in use once.
        halves[..6].copy_from_slice(&[slices, 0, reserved << 16, reserved, used, block_size]);
        halves.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    fn count(entries: &[Vec<u8>]) -> MimallocCensus {
        let segment = Segment {
            slices: 512,
            head_slices: 1,
            entries: entries.len(),
        };
        let mut census = MimallocCensus::default();
        let entries = entries.concat();
        if Mimalloc::is_whole(&segment, &entries) {
            let mut show = |_: u64, page: &super::Page| census.count(page);
            MIMALLOC.show_pages(&segment, (0x4000_0020, &entries), &mut show);
        }
        census
    }

    #[test]
    fn a_head_that_makes_no_sense_is_none() {
        for (head, valid) in [
            (head(512, 1, 0, 512), true),
            (head(512, 1, 7 << 32, 512), true),
            (head(700, 1, 1, 512), true),
            (head(20, 1, 1, 20), true),
            (head(20, 1, 0, 20), false),
            (head(512, 0, 0, 512), false),
            (head(512, 17, 0, 512), false),
            (head(512, 1, 2, 512), false),
            (head(512, 1, 0, 511), false),
            (head(1, 1, 1, 1), false),
            (vec![0; 32], false),
            (vec![0xff; 32], false),
            (head(512, 1, 0, 512)[..31].to_vec(), false),
        ] {
            assert_eq!(MIMALLOC.parse_head(&head).is_some(), valid, "{head:?}");
        }
    }

    #[test]
    fn pages_are_where_the_slices_of_the_one_before_end() {
        let inside = entry(0, 9, 9, 9);
        let census = count(&[
            entry(1, 0, 0, 65_536),
            entry(2, 100, 7, 64),
            inside,
            entry(1, 10, 0, 32),
            entry(1, 10, 11, 32),
            entry(1, 10, 10, 0),
            entry(1, 1, 1, u32::MAX),
            entry(0, 1, 1, 1),
            entry(1, 1, 1, 1),
        ]);
        assert_eq!((census.blocks, census.pages), (8, 2));
        assert_eq!(census.live_bytes, 7 * 64 + 65_536);
        assert_eq!(census.blocks_by_class[3], 7);
        assert_eq!(census.blocks_by_class.last(), Some(&1));
    }

    #[test]
    fn a_segment_whose_first_entry_is_not_its_head_is_none() {
        let census = count(&[entry(2, 0, 0, 65_536), entry(1, 100, 7, 64)]);
        assert_eq!(census, MimallocCensus::default());
    }

    proptest! {
        #[test]
        fn any_bytes_are_counted(
            head in prop::collection::vec(any::<u8>(), 0..60),
            entries in prop::collection::vec((0u32..9, any::<[u32; 3]>()), 0..40),
        ) {
            let _any = MIMALLOC.parse_head(&head);
            let entry = |(slices, [reserved, used, size]): (u32, [u32; 3])| {
                entry(slices, reserved, used, size)
            };
            let census = count(&entries.into_iter().map(entry).collect::<Vec<_>>());
            prop_assert!(census.pages <= 40 && census.blocks <= 40 * 0xffff);
            prop_assert!(census.live_bytes <= 40 * 8 * 65_536);
        }
    }

    /// Those that have mimalloc, and what makes them use it.
    fn with_mimalloc() -> Vec<Python> {
        let versions = ["3.13", "3.14", "3.15", "3.13t"];
        let wanted = |python: &Python| versions.contains(&python.version.as_str());
        pythons().into_iter().filter(wanted).collect()
    }

    fn start(python: &Python, script: &str) -> Program {
        let mut command = python.command();
        let command = command.env("PYTHONMALLOC", "mimalloc").args(["-c", script]);
        Program::spawn(command)
    }

    #[test]
    fn the_blocks_are_as_many_as_python_counts() {
        let script = "
import sys, json, argparse
def show():
    print(sys.getallocatedblocks(), flush=True), input()
show()
kept = [(str(i), float(i), [i], bytes(i % 2000)) for i in range(100000)]
kept.extend(bytes(100_000) for i in range(100))
show()
del kept[::2]
show()
";
        for python in with_mimalloc() {
            let mut program = start(&python, script);
            let mut history = Vec::new();
            for _ in 0..3 {
                let expected: u64 = program.line().parse().unwrap();
                let found = Mimalloc::of(&program.interpreter()).unwrap();
                let census = found.census(&program.memory()).unwrap();
                let error = census.blocks.abs_diff(expected);
                println!(
                    "{}: {expected} blocks, off by {error}, {census:?}",
                    python.name
                );
                assert!(error <= (expected / 200).max(100), "{}", python.name);
                assert!(census.live_bytes <= census.segment_bytes);
                let classes: u64 = census.blocks_by_class.iter().sum();
                assert_eq!(classes, census.blocks);
                history.push(census.live_bytes);
                program.go();
            }
            let [before, full, half] = history[..] else {
                panic!("{history:?}");
            };
            assert!(before < half && half < full, "{history:?}");
            // The large ones alone, and those that were dropped again.
            assert!(full - before >= 100 * 100_000, "{history:?}");
            assert!(full - half >= 50 * 100_000, "{history:?}");
        }
    }

    #[test]
    fn what_ended_threads_have_left_is_counted() {
        let script = "
import sys, threading
kept = []
def work():
    kept.append([bytes(1000) for i in range(10000)])
def show():
    print('ready', flush=True), input()
show()
for _ in range(8):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
show()
";
        for python in with_mimalloc() {
            let mut program = start(&python, script);
            let mut history = Vec::new();
            for _ in 0..2 {
                program.line();
                let found = Mimalloc::of(&program.interpreter()).unwrap();
                history.push(found.census(&program.memory()).unwrap());
                program.go();
            }
            let grown = history[1].live_bytes - history[0].live_bytes;
            // A block of 1033 bytes takes up 1280.
            let expected = 8 * 10_000 * 1280;
            assert!(grown.abs_diff(expected) < expected / 20, "{grown}");
            let blocks = history[1].blocks - history[0].blocks;
            assert!((80_000..81_000).contains(&blocks), "{blocks}");
        }
    }
}
