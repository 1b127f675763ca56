//! Pymalloc's pools, read from outside while the interpreter runs on.
//!
//! An arena is a mapping that is cut into pools; a pool holds blocks of one size class and says
//! in its header how many of them are in use. So the headers alone tell how many small blocks
//! are alive. What is read is never of one moment: what does not fit together is left out.
//!
//! This is the main interpreter's pymalloc. A sub-interpreter that has its own is not seen.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::{
    layouts::{Obmalloc, ObmallocState},
    runtime::Interpreter,
    statics::{self, Statics},
};
use crate::process::{elf::ElfFile, memory::Memory};

/// How many size classes there are; a class is 16 bytes larger than the one before it.
pub const SIZE_CLASSES: usize = 32;

/// The bytes that the blocks of the smallest class have, and by which classes differ.
const ALIGNMENT: u64 = 16;

/// `struct pool_header`.
const POOL_HEADER_BYTES: usize = 48;

/// `struct arena_object`.
const ARENA_BYTES: usize = 48;

/// No interpreter has more arenas: they would hold 1 TiB.
const ARENA_LIMIT: u32 = 1 << 20;

/// How many pool headers are kept in memory at once.
const BATCH: usize = 4096;

/// How often the array of arenas is read before a census gives up: it moves when it grows.
const ATTEMPTS: usize = 5;

/// Why pymalloc's state could not be found.
#[derive(Debug, Error)]
pub enum PoolsError {
    /// The build does not use pymalloc.
    #[error("this build of Python has mimalloc in the place of pymalloc")]
    Absent,
    /// The code does not show where the variables are.
    #[error("pymalloc's arenas were not found in {}", path.display())]
    NotFound {
        /// The interpreter's binary.
        path: PathBuf,
    },
    /// A read failed.
    #[error("cannot read pymalloc's state")]
    Unreadable(#[source] io::Error),
}

/// Where pymalloc's state is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pools {
    arenas: u64,
    arena_count: u64,
    counter: BlockCounter,
    arena_size: u64,
    pool_size: u64,
}

/// The address of a number of blocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BlockCounter {
    /// Of those that came from the raw allocator.
    Raw(u64),
    /// Of all.
    Total(u64),
}

/// What the header of a pool says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PoolHeader {
    /// How many of its blocks are in use.
    pub count: u32,
    /// The size class of its blocks, less than [`SIZE_CLASSES`].
    pub size_class: u8,
}

impl PoolHeader {
    /// How many bytes each block has.
    pub fn block_size(&self) -> u64 {
        (u64::from(self.size_class) + 1) * ALIGNMENT
    }
}

/// How much pymalloc holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PoolCensus {
    /// Bytes of the blocks in use.
    pub live_bytes: u64,
    /// Pools that hold a block in use.
    pub pools: u64,
    /// Arenas.
    pub arenas: u64,
    /// Bytes of the arenas.
    pub arena_bytes: u64,
    /// Blocks that were too large for pymalloc and came from the raw allocator.
    pub raw_allocated_blocks: u64,
    /// Blocks in use, by size class.
    pub blocks_by_class: [u64; SIZE_CLASSES],
    /// Pools that hold a block in use, by size class.
    pub pools_by_class: [u64; SIZE_CLASSES],
}

impl PoolCensus {
    /// Counts a pool that holds blocks in use.
    fn count(&mut self, pool: PoolHeader) {
        let class = usize::from(pool.size_class);
        if let (Some(blocks), Some(pools)) = (
            self.blocks_by_class.get_mut(class),
            self.pools_by_class.get_mut(class),
        ) {
            *blocks += u64::from(pool.count);
            *pools += 1;
            self.pools += 1;
            self.live_bytes += u64::from(pool.count) * pool.block_size();
        }
    }
}

impl Pools {
    /// Finds pymalloc's state; `elf` is the binary that holds the interpreter.
    pub fn find(
        interpreter: &Interpreter,
        elf: &ElfFile,
        memory: &Memory,
    ) -> Result<Self, PoolsError> {
        let in_interpreter =
            |offset: u32| interpreter.main_interpreter.wrapping_add(u64::from(offset));
        let loaded = |found: Option<Statics>| {
            let found = found.ok_or_else(|| PoolsError::NotFound {
                path: interpreter.image.path.clone(),
            })?;
            let Statics {
                arenas,
                arena_count,
                blocks,
            } = found;
            Ok([arenas, arena_count, blocks].map(|vaddr| interpreter.image.address(vaddr)))
        };
        let mut counter: fn(u64) -> BlockCounter = BlockCounter::Raw;
        let [arenas, arena_count, blocks] = match interpreter.places.obmalloc {
            Obmalloc::Absent => return Err(PoolsError::Absent),
            Obmalloc::Statics => loaded(statics::with_raw_blocks(elf))?,
            Obmalloc::StaticsWithTotal => {
                counter = BlockCounter::Total;
                loaded(statics::with_total(interpreter, elf, memory))?
            }
            Obmalloc::Embedded { offset, state } => state.at(in_interpreter(offset)),
            Obmalloc::Pointer { offset, state } => {
                let bytes = memory.read_bytes(in_interpreter(offset), 8);
                state.at(word(&bytes.map_err(PoolsError::Unreadable)?, 0))
            }
        };
        Ok(Self {
            arenas,
            arena_count,
            counter: counter(blocks),
            arena_size: 1 << interpreter.places.arena_bits,
            pool_size: 1 << interpreter.places.pool_bits,
        })
    }

    /// Counts what pymalloc holds.
    pub fn census(&self, memory: &Memory) -> io::Result<PoolCensus> {
        let mut census = PoolCensus::default();
        let (BlockCounter::Raw(counter) | BlockCounter::Total(counter)) = self.counter;
        let blocks = word(&memory.read_bytes(counter, 8)?, 0);
        census.arenas = self.visit(memory, |_, header| census.count(header))?;
        census.arena_bytes = census.arenas * self.arena_size;
        let in_pools = match self.counter {
            BlockCounter::Raw(_) => 0,
            BlockCounter::Total(_) => census.blocks_by_class.iter().sum(),
        };
        census.raw_allocated_blocks = blocks.saturating_sub(in_pools);
        Ok(census)
    }

    /// Reads the headers of single pools; `None` for what cannot be read or is none.
    pub fn read_pool_headers(&self, memory: &Memory, pools: &[u64]) -> Vec<Option<PoolHeader>> {
        let ranges: Vec<_> = pools
            .iter()
            .map(|&pool| (pool, POOL_HEADER_BYTES))
            .collect();
        let headers = memory.read_many(&ranges);
        headers
            .into_iter()
            .map(|bytes| parse_header(&bytes?, self.pool_size))
            .collect()
    }

    /// How many bytes an arena has.
    pub(super) const fn arena_size(&self) -> u64 {
        self.arena_size
    }

    /// How many bytes a pool has; its address is a multiple of it.
    pub const fn pool_size(&self) -> u64 {
        self.pool_size
    }

    /// Shows the pools that hold a block in use, and returns how many arenas there are.
    pub(super) fn visit(
        &self,
        memory: &Memory,
        mut show: impl FnMut(u64, PoolHeader),
    ) -> io::Result<u64> {
        let arenas = self.arenas(memory)?;
        let mut pools =
            (arenas.iter()).flat_map(|arena| (arena.first_pool..arena.end).step_by(self.step()));
        loop {
            let batch: Vec<u64> = pools.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(arenas.len() as u64);
            }
            let headers = self.read_pool_headers(memory, &batch);
            for (pool, header) in batch.iter().zip(headers) {
                if let Some(header) = header.filter(|header| header.count > 0) {
                    show(*pool, header);
                }
            }
        }
    }

    fn step(&self) -> usize {
        usize::try_from(self.pool_size).unwrap_or(usize::MAX)
    }

    pub(super) fn arenas(&self, memory: &Memory) -> io::Result<Vec<Arena>> {
        let mut outcome = Ok(Vec::new());
        for _ in 0..ATTEMPTS {
            let array = word(&memory.read_bytes(self.arenas, 8)?, 0);
            outcome = self.arenas_in(memory, array);
            let after = word(&memory.read_bytes(self.arenas, 8)?, 0);
            if outcome.is_ok() && after == array {
                break;
            }
        }
        outcome
    }

    fn arenas_in(&self, memory: &Memory, array: u64) -> io::Result<Vec<Arena>> {
        let count = half(&memory.read_bytes(self.arena_count, 4)?, 0);
        if array == 0 {
            return Ok(Vec::new());
        }
        if count > ARENA_LIMIT {
            let message = format!("pymalloc claims to have {count} arenas");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let count = usize::try_from(count).map_err(io::Error::other)?;
        let bytes = memory.read_bytes(array, count * ARENA_BYTES)?;
        let (arenas, _) = bytes.as_chunks::<ARENA_BYTES>();
        Ok(arenas
            .iter()
            .filter_map(|arena| self.parse_arena(arena))
            .collect())
    }

    /// The pools of an arena that were ever in use; `None` if there is no arena.
    fn parse_arena(&self, bytes: &[u8; ARENA_BYTES]) -> Option<Arena> {
        let (address, end) = (word(bytes, 0), word(bytes, 8));
        let first_pool = address.checked_next_multiple_of(self.pool_size)?;
        let limit = address.checked_add(self.arena_size)?;
        let is_arena = address != 0
            && (first_pool..=limit).contains(&end)
            && end.is_multiple_of(self.pool_size);
        is_arena.then_some(Arena {
            address,
            first_pool,
            end,
        })
    }
}

/// The pools of an arena that were ever in use.
pub(super) struct Arena {
    /// Where it starts.
    pub(super) address: u64,
    first_pool: u64,
    end: u64,
}

impl ObmallocState {
    fn at(&self, state: u64) -> [u64; 3] {
        [self.arenas, self.arena_count, self.raw_blocks]
            .map(|offset| state.wrapping_add(u64::from(offset)))
    }
}

/// Reads a pool's header; `None` if it makes no sense, as in a pool that was never used.
fn parse_header(bytes: &[u8], pool_size: u64) -> Option<PoolHeader> {
    let count = half(bytes, 0);
    let size_class = half(bytes, 36);
    let header = PoolHeader {
        count,
        size_class: u8::try_from(size_class).ok()?,
    };
    let capacity = (pool_size - POOL_HEADER_BYTES as u64) / header.block_size();
    let is_class = usize::from(header.size_class) < SIZE_CLASSES;
    (is_class && u64::from(count) <= capacity).then_some(header)
}

/// The word at an offset; zero where there is none.
fn word(bytes: &[u8], offset: usize) -> u64 {
    let word = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    word.map_or(0, |word| u64::from_le_bytes(*word))
}

/// The 32-bit number at an offset; zero where there is none.
fn half(bytes: &[u8], offset: usize) -> u32 {
    let half = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    half.map_or(0, |half| u32::from_le_bytes(*half))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PoolCensus, PoolHeader, Pools, parse_header};
    use crate::python::testing::{Program, with_pymalloc};

    fn header(count: u32, size_class: u32) -> Vec<u8> {
        let mut header = vec![0; 48];
        header[..4].copy_from_slice(&count.to_le_bytes());
        header[36..40].copy_from_slice(&size_class.to_le_bytes());
        header
    }

    #[test]
    fn a_header_that_claims_too_much_is_none() {
        let cases = [
            (0, 0, true),
            (1021, 0, true),
            (1022, 0, false),
            (31, 31, true),
            (32, 31, false),
            (1, 32, false),
            (0, 0xffff, false),
        ];
        for (count, size_class, valid) in cases {
            let found = parse_header(&header(count, size_class), 16384);
            let expected = PoolHeader {
                count,
                size_class: u8::try_from(size_class).unwrap_or(u8::MAX),
            };
            assert_eq!(found, valid.then_some(expected), "{count} of {size_class}");
        }
    }

    fn blocks(census: &PoolCensus) -> u64 {
        census.blocks_by_class.iter().sum::<u64>() + census.raw_allocated_blocks
    }

    #[test]
    fn the_blocks_are_as_many_as_python_counts() {
        let script = "
import sys, json, argparse
def show():
    print(sys.getallocatedblocks(), flush=True), input()
show()
kept = [(str(i), float(i), [i], bytes(i % 2000)) for i in range(200000)]
show()
del kept[::2]
show()
";
        for python in with_pymalloc() {
            let mut program = Program::start(&python, &[], script);
            let mut found = None;
            let mut history = Vec::new();
            for _ in 0..3 {
                let expected: u64 = program.line().parse().unwrap();
                let memory = program.memory();
                let pools = found.get_or_insert_with(|| {
                    let (interpreter, elf) = program.interpreter_and_elf();
                    Pools::find(&interpreter, &elf, &memory).unwrap()
                });
                let census = pools.census(&memory).unwrap();
                let error = blocks(&census).abs_diff(expected);
                println!("{}: {expected} blocks, off by {error}", python.name);
                assert!(error <= (expected / 200).max(100), "{}", python.name);
                assert!(census.live_bytes <= census.arena_bytes);
                assert!(census.pools * pools.pool_size() <= census.arena_bytes);
                history.push(census.live_bytes);
                program.go();
            }
            let [before, full, half] = history[..] else {
                panic!("{history:?}");
            };
            assert!(before < half && half < full, "{history:?}");
        }
    }

    /// Prints what the interpreter itself says of each size class: number, pools, blocks.
    const STATISTICS: &str = r"
import os, sys, tempfile
kept = [bytes(i % 500) for i in range(50000)]
with tempfile.TemporaryFile() as file:
    stderr = os.dup(2)
    os.dup2(file.fileno(), 2)
    sys._debugmallocstats()
    os.dup2(stderr, 2)
    file.seek(0)
    for line in file:
        fields = line.split()
        if len(fields) == 5 and all(field.isdigit() for field in fields):
            print(*map(int, fields[:1] + fields[2:4]))
print('.', flush=True), input()
";

    #[test]
    fn the_size_classes_are_those_of_the_interpreters_own_statistics() {
        for python in with_pymalloc() {
            let mut program = Program::start(&python, &[], STATISTICS);
            let mut stated = Vec::new();
            loop {
                let line = program.line();
                if line == "." {
                    break;
                }
                let numbers = line.split(' ').map(|number| number.parse().unwrap());
                stated.push(numbers.collect::<Vec<u64>>());
            }
            assert!(stated.len() > 30, "{}: {stated:?}", python.name);
            let (interpreter, elf) = program.interpreter_and_elf();
            let memory = program.memory();
            let pools = Pools::find(&interpreter, &elf, &memory).unwrap();
            let census = pools.census(&memory).unwrap();
            for numbers in stated {
                let [class, pools, blocks] = numbers[..] else {
                    panic!("{numbers:?}");
                };
                let class = usize::try_from(class).unwrap();
                let name = format!("class {class} of {}", python.name);
                // It goes on a little after the statistics.
                let found = census.blocks_by_class[class];
                assert!(found.abs_diff(blocks) <= 40, "{name}: {found} not {blocks}");
                let found = census.pools_by_class[class];
                assert!(
                    found.abs_diff(pools) <= 1,
                    "{name}: {found} pools, not {pools}"
                );
            }
        }
    }

    #[test]
    fn a_census_survives_a_busy_target() {
        let script = "
print('ready', flush=True)
kept = []
while True:
    kept = [object() for i in range(100000)]
    kept = [[i] * (i % 60) for i in range(20000)]
";
        for python in with_pymalloc() {
            let mut program = Program::start(&python, &[], script);
            program.line();
            let memory = program.memory();
            let (interpreter, elf) = program.interpreter_and_elf();
            let pools = Pools::find(&interpreter, &elf, &memory).unwrap();
            for _ in 0..50 {
                let census = pools.census(&memory).unwrap();
                assert!(census.live_bytes <= census.arena_bytes);
            }
        }
    }

    proptest! {
        #[test]
        fn any_header_is_judged(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for pool_size in [4096, 16384] {
                if let Some(header) = parse_header(&bytes, pool_size) {
                    prop_assert!(u64::from(header.count) * header.block_size() < pool_size);
                }
            }
        }
    }
}
