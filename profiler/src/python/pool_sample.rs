//! A sample of the pools that are in use: some of each size class, spread evenly over all of them.

use std::io;

use super::pools::{PoolHeader, Pools, SIZE_CLASSES};
use crate::process::memory::Memory;

/// So many pools of a class are sampled at least, if there are as many; at most twice as many.
const LEAST: usize = 24;

/// Pools that were sampled, by size class.
#[derive(Debug, Default)]
pub struct PoolSample {
    classes: [Thinned; SIZE_CLASSES],
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
    fn show(&mut self, pool: u64, header: PoolHeader) {
        self.blocks += u64::from(header.count);
        if self.seen & self.mask == 0 {
            self.kept.push(pool);
        }
        self.seen += 1;
        if self.kept.len() > 2 * LEAST {
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
    /// Takes a sample.
    pub fn take(pools: &Pools, memory: &Memory) -> io::Result<Self> {
        let mut sample = Self::default();
        pools.visit(memory, |pool, header| sample.show(pool, header))?;
        Ok(sample)
    }

    fn show(&mut self, pool: u64, header: PoolHeader) {
        if let Some(class) = self.classes.get_mut(usize::from(header.size_class)) {
            class.show(pool, header);
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
        let mut sample = PoolSample::default();
        for pool in 0..count {
            let header = PoolHeader {
                count: 10,
                size_class: 3,
            };
            sample.show(pool << 12, header);
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
