//! What became of blocks: whether pymalloc, or mimalloc, still counts them as handed out, and what
//! lives in them. All of it is read from outside, while the interpreter runs on.
//!
//! A pool lists its free blocks, and says from where on no block was ever handed out. So what is
//! neither is alive; whether it is still the same object only its type tells. A pool that was
//! read while the interpreter changed it does not add up, and is read again. Mimalloc's pages are
//! no different, but for their having three lists.

mod kinds;
mod page_state;
mod pool_state;
mod written;

use std::collections::BTreeMap;

pub use self::kinds::Identity;
use self::{
    kinds::Kinds,
    pool_state::{PoolState, Seen},
};
use super::{mimalloc::Mimalloc, pools::Pools, runtime::Interpreter, small_heap::SmallHeap};
use crate::{
    process::{elf::ElfFile, memory::Memory},
    profile::SizeClass,
};

/// How often a pool is read that does not add up.
const ATTEMPTS: usize = 4;

/// How many pools are kept in memory at once.
const BATCH: usize = 256;

/// A block: its address, and the size class that it was handed out for.
pub type SmallBlock = (u64, SizeClass);

/// What became of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It was given back.
    Dead,
    /// Something lives there; what, if it is an object of a type that is known.
    Alive(Option<Identity>),
    /// The block was not given back, but Python keeps a dead object there, to use it again.
    Kept,
    /// The interpreter was faster.
    Unknown,
}

/// Reads the fates of blocks of one process.
#[derive(Clone, Debug)]
pub struct FateReader {
    heap: SmallHeap,
    kinds: Kinds,
}

impl FateReader {
    /// A reader for an interpreter with this heap; `elf` is the binary that holds it.
    pub fn new(interpreter: &Interpreter, elf: &ElfFile, heap: SmallHeap) -> Self {
        Self {
            heap,
            kinds: Kinds::new(interpreter, elf),
        }
    }

    /// What became of each of these blocks.
    pub fn fates(&mut self, memory: &Memory, blocks: &[SmallBlock]) -> Vec<Fate> {
        let seen = match &self.heap {
            SmallHeap::Pools(pools) => see_in_pools(pools, memory, blocks),
            SmallHeap::Pages(mimalloc) => see_in_pages(mimalloc, memory, blocks),
        };
        self.judge(memory, &seen)
    }

    /// The blocks that are handed out of some pools or pages, and what lives in them.
    pub fn living(&mut self, memory: &Memory, pools: &[u64]) -> Vec<(SmallBlock, Fate)> {
        let mut living = Vec::new();
        let places: Vec<_> = pools.iter().map(|pool| (*pool, ())).collect();
        match &self.heap {
            SmallHeap::Pools(pools) => read_pools(pools, memory, &places, |pool, ()| {
                living.extend(pool.living());
            }),
            SmallHeap::Pages(mimalloc) => {
                page_state::read(mimalloc, memory, &places, |page, ()| {
                    living.extend(page.living());
                });
            }
        }
        let fates = self.fates(memory, &living);
        living.into_iter().zip(fates).collect()
    }

    /// Finds out what lives in the blocks.
    fn judge(&mut self, memory: &Memory, seen: &[Seen]) -> Vec<Fate> {
        let words = seen.iter().filter_map(|seen| match seen {
            Seen::Alive(words) => Some(words),
            Seen::Dead | Seen::Unknown => None,
        });
        self.kinds.learn(memory, &words.collect::<Vec<_>>());
        // Without a GIL, references are counted elsewhere.
        let keeps = matches!(self.heap, SmallHeap::Pools(_));
        let fates = seen.iter().map(|seen| match seen {
            Seen::Dead => Fate::Dead,
            Seen::Unknown => Fate::Unknown,
            Seen::Alive(words) if keeps && self.kinds.is_kept_dead(memory, words) => Fate::Kept,
            Seen::Alive(words) => Fate::Alive(self.kinds.identity(words)),
        });
        fates.collect()
    }
}

/// The numbers of blocks by what they belong to.
fn grouped(of: impl Iterator<Item = u64>) -> Vec<(u64, Vec<usize>)> {
    let mut groups = BTreeMap::<u64, Vec<usize>>::new();
    // Mostly, blocks of one group come one after the other.
    let mut run = (0, Vec::new());
    for (index, group) in of.enumerate() {
        if group != run.0 {
            groups.entry(run.0).or_default().append(&mut run.1);
            run.0 = group;
        }
        run.1.push(index);
    }
    groups.entry(run.0).or_default().append(&mut run.1);
    groups.retain(|_, blocks| !blocks.is_empty());
    groups.into_iter().collect()
}

fn see_in_pools(pools: &Pools, memory: &Memory, blocks: &[SmallBlock]) -> Vec<Seen> {
    let mask = !(pools.pool_size() - 1);
    let by_pool = grouped(blocks.iter().map(|(address, _)| address & mask));
    let mut seen = vec![Seen::Unknown; blocks.len()];
    read_pools(pools, memory, &by_pool, |pool, indices| {
        for index in indices {
            seen[*index] = pool.see(blocks[*index]);
        }
    });
    seen
}

fn see_in_pages(mimalloc: &Mimalloc, memory: &Memory, blocks: &[SmallBlock]) -> Vec<Seen> {
    let addresses: Vec<u64> = blocks.iter().map(|(address, _)| *address).collect();
    let entries = mimalloc.entries_of(memory, &addresses);
    // What belongs to no segment any more is in no page: nothing begins at zero.
    let by_page = grouped(entries.into_iter().map(Option::unwrap_or_default));
    let mut seen = vec![Seen::Unknown; blocks.len()];
    page_state::read(mimalloc, memory, &by_page, |page, indices| {
        for index in indices {
            seen[*index] = page.see(blocks[*index]);
        }
    });
    seen
}

/// Reads some pools, again those that do not add up.
fn read_pools<T>(
    pools: &Pools,
    memory: &Memory,
    places: &[(u64, T)],
    mut take: impl FnMut(&PoolState, &T),
) {
    let size = usize::try_from(pools.pool_size()).unwrap_or(usize::MAX);
    for batch in places.chunks(BATCH) {
        let mut left: Vec<_> = batch.iter().collect();
        for _ in 0..ATTEMPTS {
            let ranges: Vec<_> = left.iter().map(|(pool, _)| (*pool, size)).collect();
            let contents = memory.read_many(&ranges);
            let mut torn = Vec::new();
            for (entry, bytes) in left.into_iter().zip(contents) {
                let (address, what) = entry;
                let pool = match bytes {
                    None => PoolState::Gone,
                    Some(bytes) => PoolState::read(*address, bytes),
                };
                if matches!(pool, PoolState::Torn) {
                    torn.push(entry);
                } else {
                    take(&pool, what);
                }
            }
            left = torn;
            if left.is_empty() {
                break;
            }
        }
    }
}
