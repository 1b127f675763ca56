//! A simulated heap: pools of blocks by size class, whose last block given back is the first to be
//! handed out again.

use crate::{
    profile::SizeClass,
    python::{
        fates::{Fate, Identity, SmallBlock},
        pool_sample::ClassSample,
    },
};

/// Bytes of a pool, and of its header.
const POOL: u64 = 4096;
const HEADER: u64 = 48;

/// So many pools of a class are sampled at most, as they are by the real sample.
const SAMPLED: usize = 48;

/// The address space of a class begins at its number times this.
const SPACE_BITS: u32 = 32;

/// All small blocks of a process.
pub(super) struct Heap(Vec<ClassHeap>);

/// The blocks of a size class.
struct ClassHeap {
    size_class: SizeClass,
    /// What lives in each block, in the order of addresses.
    blocks: Vec<Option<Identity>>,
    /// Those that were given back, the last one last.
    free: Vec<usize>,
}

impl ClassHeap {
    fn pool_blocks(&self) -> usize {
        usize::try_from((POOL - HEADER) / self.size_class.bytes()).unwrap()
    }

    fn address(&self, number: usize) -> u64 {
        let (pool, place) = (number / self.pool_blocks(), number % self.pool_blocks());
        let space = (self.size_class.index() as u64 + 1) << SPACE_BITS;
        space + pool as u64 * POOL + HEADER + place as u64 * self.size_class.bytes()
    }

    fn number(&self, address: u64) -> usize {
        let offset = address & ((1 << SPACE_BITS) - 1);
        let place = (offset % POOL - HEADER) / self.size_class.bytes();
        usize::try_from(offset / POOL).unwrap() * self.pool_blocks()
            + usize::try_from(place).unwrap()
    }

    fn fate(&self, number: usize) -> Fate {
        match self.blocks[number] {
            None => Fate::Dead,
            found => Fate::Alive(found),
        }
    }

    fn live(&self) -> u64 {
        (self.blocks.len() - self.free.len()) as u64
    }

    /// Some of its pools, spread evenly over all.
    fn sample(&self) -> ClassSample {
        let pools = self.blocks.len().div_ceil(self.pool_blocks());
        let mut step = 1;
        while pools.div_ceil(step) > SAMPLED {
            step *= 2;
        }
        let pool_of = |pool: usize| self.address(pool * self.pool_blocks()) - HEADER;
        ClassSample {
            pools: pools as u64,
            blocks: self.live(),
            sampled: (0..pools).step_by(step).map(pool_of).collect(),
        }
    }
}

impl Heap {
    pub(super) fn new() -> Self {
        let class = |size_class| ClassHeap {
            size_class,
            blocks: Vec::new(),
            free: Vec::new(),
        };
        Self(SizeClass::small().map(class).collect())
    }

    /// Hands out a block.
    pub(super) fn take(&mut self, size_class: SizeClass, what: Identity) -> u64 {
        let class = &mut self.0[size_class.index()];
        let number = class.free.pop().unwrap_or_else(|| {
            class.blocks.push(None);
            class.blocks.len() - 1
        });
        class.blocks[number] = Some(what);
        class.address(number)
    }

    /// Takes a block back.
    pub(super) fn give_back(&mut self, address: u64) {
        let class = self.class_mut(address);
        let number = class.number(address);
        assert!(class.blocks[number].take().is_some(), "it was handed out");
        class.free.push(number);
    }

    /// What became of blocks.
    pub(super) fn fates(&self, blocks: &[SmallBlock]) -> Vec<Fate> {
        let fate = |(address, size_class): &SmallBlock| {
            let class = &self.0[size_class.index()];
            class.fate(class.number(*address))
        };
        blocks.iter().map(fate).collect()
    }

    /// How many blocks are handed out, by size class.
    pub(super) fn live(&self) -> Vec<u64> {
        self.0.iter().map(ClassHeap::live).collect()
    }

    /// Samples of the pools of all classes.
    pub(super) fn samples(&self) -> Vec<ClassSample> {
        self.0.iter().map(ClassHeap::sample).collect()
    }

    /// What lives in a pool.
    pub(super) fn living(&self, pool: u64) -> Vec<(SmallBlock, Fate)> {
        let class = &self.0[class_index(pool)];
        let first = class.number(pool + HEADER);
        let end = (first + class.pool_blocks()).min(class.blocks.len());
        let block = |number| {
            (
                (class.address(number), class.size_class),
                class.fate(number),
            )
        };
        let is_alive = |(_, fate): &(SmallBlock, Fate)| *fate != Fate::Dead;
        (first..end).map(block).filter(is_alive).collect()
    }

    fn class_mut(&mut self, address: u64) -> &mut ClassHeap {
        &mut self.0[class_index(address)]
    }
}

fn class_index(address: u64) -> usize {
    usize::try_from(address >> SPACE_BITS).unwrap() - 1
}
