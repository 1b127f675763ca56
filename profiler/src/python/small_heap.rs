//! The heap that objects live in, whichever allocator it belongs to.

use std::io;

use super::{
    mimalloc::Mimalloc,
    pool_sample::{ClassSample, PoolSample},
    pools::Pools,
};
use crate::process::memory::Memory;

/// The heap that objects live in.
#[derive(Clone, Copy, Debug)]
pub enum SmallHeap {
    /// Pymalloc's pools.
    Pools(Pools),
    /// Mimalloc's pages, whose blocks are of all sizes.
    Pages(Mimalloc),
}

impl SmallHeap {
    /// A sample of the pools or pages that are in use, by size class from the smallest.
    pub fn sample(&self, memory: &Memory) -> io::Result<Vec<ClassSample>> {
        let sample = match self {
            Self::Pools(pools) => PoolSample::take(pools, memory)?,
            Self::Pages(mimalloc) => {
                PoolSample::of_pages(mimalloc, memory).map_err(io::Error::other)?
            }
        };
        Ok(sample.into_classes().collect())
    }

    /// How many blocks are in use, by size class from the smallest.
    pub fn blocks_by_class(&self, memory: &Memory) -> io::Result<Vec<u64>> {
        Ok(match self {
            Self::Pools(pools) => pools.census(memory)?.blocks_by_class.to_vec(),
            Self::Pages(mimalloc) => {
                let census = mimalloc.census(memory).map_err(io::Error::other)?;
                census.blocks_by_class.to_vec()
            }
        })
    }
}
