//! A sample of the pools that are in use, or of mimalloc's pages: some of each size class, spread
//! evenly over all of them.

use std::io;

use super::{mimalloc::Mimalloc, pools::Pools};
use crate::{
    process::{ProcessError, memory::Memory},
    profile::SizeClass,
};

/// So many pools of a class are sampled at least, if there are as many; at most twice as many.
const LEAST: usize = 24;

/// The same for pages, which are four times as large at least.
const LEAST_PAGES: usize = 8;

/// Pools that were sampled, by size class.
#[derive(Debug)]
pub struct PoolSample {
    classes: Vec<Thinned>,
    least: usize,
}

/// Every so many-th of the pools of a class.
#[derive(Clone, Debug, Default)]
struct Thinned {
    seen: u64,
    /// The pools that are left out between two that are kept, as a mask of the number.
    mask: u64,
    kept: Vec<u64>,
    blocks: u64,
}

impl Thinned {
    fn show(&mut self, pool: u64, blocks: u64, least: usize) {
        self.blocks += blocks;
        if self.seen & self.mask == 0 {
            self.kept.push(pool);
        }
        self.seen += 1;
        if self.kept.len() > 2 * least {
            self.mask = (self.mask << 1) | 1;
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
    }
}

/// What is known about the pools of one size class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSample {
    /// How many there are.
    pub pools: u64,
    /// How many blocks they hold in use.
    pub blocks: u64,
    /// The addresses of those that were sampled.
    pub sampled: Vec<u64>,
}

impl PoolSample {
    fn new(least: usize) -> Self {
        Self {
            classes: vec![Thinned::default(); SizeClass::COUNT],
            least,
        }
    }

    /// Takes a sample of pools.
    pub fn take(pools: &Pools, memory: &Memory) -> io::Result<Self> {
        let mut sample = Self::new(LEAST);
        pools.visit(memory, |pool, header| {
            sample.show(pool, header.size_class.into(), header.count.into());
        })?;
        Ok(sample)
    }

    /// Takes a sample of mimalloc's pages, by the addresses of their entries.
    pub fn of_pages(mimalloc: &Mimalloc, memory: &Memory) -> Result<Self, ProcessError> {
        let mut sample = Self::new(LEAST_PAGES);
        mimalloc.visit(memory, |entry, page| {
            let class = SizeClass::of(page.block_size).index();
            sample.show(entry, class, page.used);
        })?;
        Ok(sample)
    }

    fn show(&mut self, pool: u64, class: usize, blocks: u64) {
        if let Some(class) = self.classes.get_mut(class) {
            class.show(pool, blocks, self.least);
        }
    }

    /// What it says of each class, from the smallest.
    pub fn into_classes(self) -> impl Iterator<Item = ClassSample> {
        self.classes.into_iter().map(|class| ClassSample {
            pools: class.seen,
            blocks: class.blocks,
            sampled: class.kept,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: u64) -> ClassSample {
        let mut sample = PoolSample::new(LEAST);
        for pool in 0..count {
            sample.show(pool << 12, 3, 10);
        }
        sample.into_classes().nth(3).unwrap()
    }

    #[test]
    fn a_few_pools_are_all_sampled() {
        let few = sample(40);
        assert_eq!((few.pools, few.blocks, few.sampled.len()), (40, 400, 40));
        assert!(sample(0).sampled.is_empty());
    }

    #[test]
    fn of_many_pools_every_so_many_th_is() {
        let many = sample(10_000);
        assert_eq!((many.pools, many.blocks), (10_000, 100_000));
        assert!((LEAST..=2 * LEAST).contains(&many.sampled.len()));
        let steps = many.sampled.windows(2).map(|pair| pair[1] - pair[0]);
        let step = many.sampled[1];
        assert!(steps.clone().all(|other| other == step) && step > 1 << 12);
    }
}
