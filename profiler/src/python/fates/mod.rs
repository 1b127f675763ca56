//! What became of small blocks: whether pymalloc still counts them as handed out, and what lives
//! in them. All of it is read from outside, while the interpreter runs on.
//!
//! A pool lists its free blocks, and says from where on no block was ever handed out. So what is
//! neither is alive; whether it is still the same object only its type tells. A pool that was
//! read while the interpreter changed it does not add up, and is read again.

mod kinds;
mod pool_state;
mod written;

use std::collections::BTreeMap;

pub use self::kinds::Identity;
use self::{
    kinds::Kinds,
    pool_state::{PoolState, Seen},
};
use super::runtime::Interpreter;
use crate::{
    process::{elf::ElfFile, memory::Memory},
    profile::SizeClass,
};

/// How often a pool is read that does not add up.
const ATTEMPTS: usize = 4;

/// How many pools are kept in memory at once.
const BATCH: usize = 256;

/// A small block: its address, and the size class that it was handed out for.
pub type SmallBlock = (u64, SizeClass);

/// What became of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It was given back.
    Dead,
    /// Something lives there; what, if it is an object of a type that is known.
    Alive(Option<Identity>),
    /// The interpreter was faster.
    Unknown,
}

/// Reads the fates of blocks of one process.
#[derive(Clone, Debug)]
pub struct FateReader {
    pool_size: u64,
    kinds: Kinds,
}

impl FateReader {
    /// A reader for an interpreter, whose pools have this size; `elf` is the binary that holds it.
    pub fn new(interpreter: &Interpreter, elf: &ElfFile, pool_size: u64) -> Self {
        Self {
            pool_size,
            kinds: Kinds::new(interpreter, elf),
        }
    }

    /// What became of each of these blocks.
    pub fn fates(&mut self, memory: &Memory, blocks: &[SmallBlock]) -> Vec<Fate> {
        let mut by_pool = BTreeMap::<u64, Vec<usize>>::new();
        for (index, (address, _)) in blocks.iter().enumerate() {
            by_pool
                .entry(address & !(self.pool_size - 1))
                .or_default()
                .push(index);
        }
        let mut seen = vec![Seen::Unknown; blocks.len()];
        let pools: Vec<_> = by_pool.into_iter().collect();
        for batch in pools.chunks(BATCH) {
            self.read(memory, batch, |pool, indices| {
                for index in indices {
                    seen[*index] = pool.see(blocks[*index]);
                }
            });
        }
        self.judge(memory, &seen)
    }

    /// The blocks that are handed out of some pools, and what lives in them.
    pub fn living(&mut self, memory: &Memory, pools: &[u64]) -> Vec<(SmallBlock, Fate)> {
        let mut living = Vec::new();
        let pools: Vec<_> = pools.iter().map(|pool| (*pool, ())).collect();
        for batch in pools.chunks(BATCH) {
            self.read(memory, batch, |pool, ()| living.extend(pool.living()));
        }
        let fates = self.fates(memory, &living);
        living.into_iter().zip(fates).collect()
    }

    /// Reads some pools, again those that do not add up.
    fn read<T>(&self, memory: &Memory, batch: &[(u64, T)], mut take: impl FnMut(&PoolState, &T)) {
        let size = usize::try_from(self.pool_size).unwrap_or(usize::MAX);
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
            if torn.is_empty() {
                return;
            }
            left = torn;
        }
    }

    /// Finds out what lives in the blocks.
    fn judge(&mut self, memory: &Memory, seen: &[Seen]) -> Vec<Fate> {
        let words = seen.iter().filter_map(|seen| match seen {
            Seen::Alive(words) => Some(words),
            Seen::Dead | Seen::Unknown => None,
        });
        self.kinds.learn(memory, &words.collect::<Vec<_>>());
        let fates = seen.iter().map(|seen| match seen {
            Seen::Dead => Fate::Dead,
            Seen::Unknown => Fate::Unknown,
            Seen::Alive(words) => Fate::Alive(self.kinds.identity(words)),
        });
        fates.collect()
    }
}
