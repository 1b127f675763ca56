//! Memory that is not what it claims to be, and readers let loose on it: lists that run in circles,
//! lengths beyond all bounds, addresses of nothing. Property tests and fuzz targets make it up;
//! what has to hold of whatever is read is checked here.

use std::{ffi::c_void, path::Path, sync::LazyLock};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::{
    code::CodeLayout,
    code_copies,
    fates::{Fate, FateReader},
    layouts::{Layout, Obmalloc, ObmallocState, RuntimeLayout},
    mimalloc::Mimalloc,
    pools::{Pools, SIZE_CLASSES},
    runtime::Interpreter,
    small_heap::SmallHeap,
    version::Version,
};
use crate::{
    process::{elf::ElfFile, image::Image, memory::Memory},
    profile::SizeClass,
    units::Pid,
};

/// A pool has so many bytes, and an arena as many as two to the power of the other number.
const POOL_BYTES: u64 = 4096;
const ARENA_BITS: u8 = 14;

/// How many pools there is memory for.
const POOLS: usize = 16;

/// A segment of mimalloc has so many bytes, and starts at a multiple of that.
const SEGMENT_BYTES: usize = 32 << 20;

/// Some memory of this process, in which pools can lie.
pub struct Hostile {
    pools: Vec<Pool>,
}

#[derive(Clone)]
#[repr(C, align(4096))]
struct Pool([u64; 512]);

impl Hostile {
    /// Memory full of these words, again and again. One whose highest byte is 1 becomes an address
    /// in the memory; if that is 2, it becomes that of a pool.
    pub fn new(words: &[u64]) -> Self {
        let mut pools = vec![Pool([0; 512]); POOLS];
        let start = pools.as_ptr().addr() as u64;
        let bytes = POOLS as u64 * POOL_BYTES;
        let places = pools.iter_mut().flat_map(|pool| &mut pool.0);
        for (place, word) in places.zip(words.iter().cycle()) {
            *place = match word >> 56 {
                1 => start + (word & 0xffff_ffff) % bytes,
                2 => start + (word & 0xffff_ffff) % (POOLS as u64 + 1) * POOL_BYTES,
                _ => *word,
            };
        }
        Self { pools }
    }

    fn start(&self) -> u64 {
        self.pools.as_ptr().addr() as u64
    }

    /// The words, as many as anybody has patience for.
    fn words(&self) -> impl Iterator<Item = u64> {
        let words = self.pools.iter().flat_map(|pool| pool.0);
        words.take(150)
    }

    /// The address of each pool.
    fn addresses(&self) -> impl Iterator<Item = u64> {
        (self.start()..).step_by(4096).take(POOLS)
    }

    /// Reads pymalloc's state, which the memory begins with.
    pub fn read_pools(&self) {
        let Some(pools) = self.find_pools() else {
            return;
        };
        if let Ok(census) = pools.census(&own()) {
            assert!(census.live_bytes <= census.arena_bytes);
            assert!(census.pools * POOL_BYTES <= census.arena_bytes);
        }
        let addresses: Vec<u64> = self.addresses().chain(self.words()).collect();
        let headers = pools.read_pool_headers(&own(), &addresses);
        assert_eq!(headers.len(), addresses.len());
        for header in headers.into_iter().flatten() {
            assert!(usize::from(header.size_class) < SIZE_CLASSES);
            assert!(u64::from(header.count) * header.block_size() < POOL_BYTES);
        }
    }

    /// Pymalloc, if the memory begins with its state.
    fn find_pools(&self) -> Option<Pools> {
        let interpreter = interpreter(RuntimeLayout {
            obmalloc: Obmalloc::Embedded {
                offset: 0,
                state: ObmallocState {
                    arenas: 0,
                    arena_count: 8,
                    raw_blocks: 16,
                },
            },
            arena_bits: ARENA_BITS,
            pool_bits: 12,
            ..row(0).runtime.clone()
        });
        let interpreter = Interpreter {
            main_interpreter: self.start(),
            ..interpreter
        };
        Pools::find(&interpreter, &PROGRAM, &own()).ok()
    }

    /// Reads what lives in the pools, and what became of blocks anywhere.
    pub fn read_fates(&self) {
        let interpreter = interpreter(row(0).runtime.clone());
        let Some(heap) = self.find_pools().map(SmallHeap::Pools) else {
            return;
        };
        let mut reader = FateReader::new(&interpreter, &PROGRAM, heap);
        let pools: Vec<u64> = self.addresses().collect();
        let living = reader.living(&own(), &pools);
        assert!(living.len() <= POOLS * 253, "{}", living.len());
        for ((block, class), fate) in living {
            let pool = block & !(POOL_BYTES - 1);
            assert!(pools.contains(&pool), "{block:#x}");
            assert!(block + class.bytes() <= pool + POOL_BYTES, "{block:#x}");
            assert!(matches!(fate, Fate::Alive(_)), "{fate:?}");
        }
        let nowhere: Vec<u64> = self.words().collect();
        reader.living(&own(), &nowhere);
        let classes: Vec<_> = SizeClass::all().collect();
        let classes = classes.iter().copied().cycle();
        let blocks: Vec<_> = self.words().zip(classes).collect();
        assert_eq!(reader.fates(&own(), &blocks).len(), blocks.len());
    }

    /// Looks for instructions in copies, of which the tables are anywhere.
    pub fn read_code_copies(&self) {
        let places = (self.start()..).step_by(8).take(16).chain(self.words());
        for (table, instruction) in places.zip(self.words()) {
            let [low, high] = halves(instruction);
            let size = (high >> 8).cast_signed();
            let found = code_copies::offset_in_copy(&own(), table, low, size);
            assert!(found.is_none_or(|offset| (0..size).contains(&offset)));
        }
    }

    /// Counts what mimalloc has in a segment with such pages. The first word decides how much of
    /// the segment's own head makes sense.
    pub fn read_mimalloc(&self) {
        let mut words = self.words();
        let choice = words.next().unwrap_or(0);
        let places = row(choice).runtime.clone();
        let Some(layout) = places.mimalloc else {
            return;
        };
        let segment = Segment::new();
        let slices = match choice >> 8 & 7 {
            0..=3 => 512,
            4 => 20,
            5 => 512 + (choice >> 16),
            6 => u64::from(u32::MAX),
            _ => choice,
        };
        let head = [slices, 1, u64::from(slices != 512), slices.min(512)];
        let at = usize::from(layout.segment_slices) / 8;
        for (offset, word) in head.into_iter().enumerate() {
            segment.write(at + offset, word);
        }
        let entries = usize::from(layout.slices) / 8;
        // The first entry is that of the head itself.
        segment.write(entries, 1);
        let pages = entries + usize::from(layout.page_bytes) / 8;
        for (offset, word) in words.enumerate() {
            segment.write(pages + offset, word);
        }
        let found = Mimalloc::of(&interpreter(places));
        let census = found.map(|found| found.census(&own()));
        if let Some(Ok(census)) = census {
            assert!(census.pages <= census.segments * 512, "{census:?}");
            assert!(census.blocks <= census.pages * 0xffff, "{census:?}");
        }
    }
}

/// Memory for a segment.
struct Segment {
    mapped: *mut c_void,
}

impl Segment {
    fn new() -> Self {
        let start = std::ptr::null_mut();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: the kernel chooses where, and nothing else uses it.
        let mapped = unsafe { mmap_anonymous(start, 2 * SEGMENT_BYTES, access, flags) };
        Self {
            mapped: mapped.expect("there is address space for a segment"),
        }
    }

    /// Writes one of its first 8192 words.
    fn write(&self, index: usize, word: u64) {
        assert!(index < 8192);
        let skipped = self.mapped.addr().next_multiple_of(SEGMENT_BYTES) - self.mapped.addr();
        // SAFETY: this is within what was mapped, which is twice as large as a segment, and it
        // is aligned.
        unsafe {
            self.mapped
                .byte_add(skipped)
                .cast::<u64>()
                .add(index)
                .write(word);
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: it was mapped so, and there are no references to it.
        let unmapped = unsafe { munmap(self.mapped, 2 * SEGMENT_BYTES) };
        debug_assert!(unmapped.is_ok());
    }
}

/// A program that is no interpreter.
static PROGRAM: LazyLock<ElfFile> =
    LazyLock::new(|| ElfFile::open(Path::new("/bin/true")).expect("each system has this program"));

fn own() -> Memory {
    Memory::of(Pid(std::process::id()))
}

fn row(choice: u64) -> &'static Layout {
    let rows = Layout::all();
    &rows[(choice & 0xff) as usize % rows.len()]
}

/// An interpreter with these places, which is nowhere.
fn interpreter(places: RuntimeLayout) -> Interpreter {
    let row = row(0);
    Interpreter {
        pid: own().pid(),
        version: Version::from_hex(0x030c_00f0).expect("there is a 3.12.0"),
        image: Image {
            path: "/bin/true".into(),
            device: (0, 0),
            inode: 0,
            deleted: false,
            bias: 0,
            open_path: "/bin/true".into(),
            ranges: Vec::new(),
        },
        runtime: 0,
        layout: row.interpreter,
        code: CodeLayout {
            offsets: row.code,
            code_type: 0,
        },
        places,
        holder: 0,
        threads_head: 0,
        main_interpreter: 0,
    }
}

const fn halves(word: u64) -> [u32; 2] {
    [(word & 0xffff_ffff) as u32, (word >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Hostile;

    /// A word that may pass for a part of something: small numbers, addresses that lead somewhere
    /// or nowhere, and whatever else.
    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => (0..40_u64, 0..40_u64).prop_map(|(low, high)| high << 32 | low),
            2 => (0..5000_u64, 0..40_u64).prop_map(|(low, high)| high << 32 | low),
            2 => (0..100_000_u64).prop_map(|offset| 1 << 56 | offset),
            2 => (0..40_u64).prop_map(|pool| 2 << 56 | pool),
            1 => any::<u64>(),
            1 => any::<u8>().prop_map(|below| u64::MAX - u64::from(below)),
        ]
    }

    /// A pool with a list of free blocks, of which a few words are something else.
    fn pool() -> impl Strategy<Value = Vec<u64>> {
        let free = prop::collection::btree_set(0..253_u64, 0..20);
        let free = free
            .prop_map(|free| free.into_iter().collect::<Vec<_>>())
            .prop_shuffle();
        let wrong = prop::collection::vec((0..512_usize, word()), 0..4);
        (0..32_u64, free, 0..254_u64, wrong).prop_map(|(class, mut free, carved, wrong)| {
            let size = (class + 1) * 16;
            let carved = carved % ((4096 - 48) / size + 1);
            free.retain(|block| *block < carved);
            let block = |number: u64| 48 + number * size;
            let link = |number: Option<&u64>| number.map_or(0, |number| 1 << 56 | block(*number));
            let count = carved - free.len() as u64;
            let head = [count, link(free.first()), 0, 0, class << 32, block(carved)];
            let mut words = vec![0; 512];
            words[..6].copy_from_slice(&head);
            for (index, number) in free.iter().enumerate() {
                words[usize::try_from(block(*number) / 8).unwrap()] = link(free.get(index + 1));
            }
            for (place, word) in wrong {
                words[place] = word;
            }
            words
        })
    }

    proptest! {
        #[test]
        fn any_memory_is_read_as_pymallocs(words in prop::collection::vec(word(), 1..600)) {
            let memory = Hostile::new(&words);
            memory.read_pools();
            memory.read_fates();
        }

        #[test]
        fn pools_with_any_lists_are_read(words in pool()) {
            Hostile::new(&words).read_fates();
        }

        #[test]
        fn any_arenas_are_read(
            array in 0..600_u64,
            count in prop_oneof![0..200_u64, any::<u64>()],
            rest in prop::collection::vec(word(), 1..600),
        ) {
            let state = [(1 << 56) | (array * 8), count];
            Hostile::new(&[&state[..], &rest].concat()).read_pools();
        }

        #[test]
        fn any_tables_of_copies_are_read(words in prop::collection::vec(word(), 1..600)) {
            Hostile::new(&words).read_code_copies();
        }

        #[test]
        fn any_pages_of_mimalloc_are_read(words in prop::collection::vec(word(), 1..600)) {
            Hostile::new(&words).read_mimalloc();
        }
    }
}
