//! The live blocks of one process that are followed one by one.

use foldhash::HashMap;

use crate::profile::StackId;

/// A block that the process holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Block {
    /// Its bytes.
    pub(super) size: u64,
    /// The stack that got it.
    pub(super) stack: StackId,
    /// For how many blocks it stands: one, unless blocks are sampled.
    pub(super) copies: u32,
    /// Whether that is an estimate.
    pub(super) is_sampled: bool,
    /// When it was got, in milliseconds since the recording began.
    pub(super) born: u32,
}

/// The live blocks of one process by address, at most a given number of them.
#[derive(Clone, Debug)]
pub(super) struct LiveBlocks {
    blocks: HashMap<u64, Block>,
    capacity: usize,
}

// Tables of millions of blocks are kept, so the size of an entry matters.
const _: () = assert!(size_of::<(u64, Block)>() <= 32);

impl LiveBlocks {
    /// An empty table for at most `capacity` blocks.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            blocks: HashMap::default(),
            capacity,
        }
    }

    /// The process got a block, where no other is followed. Whether this one is followed from now
    /// on: it is not if the table is full.
    #[must_use]
    pub(super) fn allocate(&mut self, address: u64, block: Block) -> bool {
        let has_room = self.blocks.len() < self.capacity;
        if has_room {
            self.blocks.insert(address, block);
        }
        has_room
    }

    /// The process gave a block back; `None` if it is not one of those that are followed.
    pub(super) fn free(&mut self, address: u64) -> Option<Block> {
        self.blocks.remove(&address)
    }

    /// The blocks that are followed, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Block)> {
        self.blocks.iter().map(|(address, block)| (*address, block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(size: u64) -> Block {
        Block {
            size,
            stack: StackId(1),
            copies: 1,
            is_sampled: false,
            born: 0,
        }
    }

    #[test]
    fn a_freed_block_is_the_one_that_was_allocated() {
        let mut blocks = LiveBlocks::new(10);
        assert!(blocks.allocate(0x1000, block(600)));
        assert_eq!(blocks.free(0x1000), Some(block(600)));
        assert_eq!(blocks.free(0x1000), None);
        assert_eq!(blocks.free(0x2000), None);
    }

    #[test]
    fn a_full_table_keeps_what_it_has() {
        let mut blocks = LiveBlocks::new(1);
        assert!(blocks.allocate(0x1000, block(600)));
        assert!(!blocks.allocate(0x2000, block(700)));
        assert_eq!(blocks.free(0x2000), None);
        assert_eq!(blocks.free(0x1000), Some(block(600)));
        assert!(blocks.allocate(0x2000, block(700)));
        assert_eq!(blocks.iter().count(), 1);
    }
}
