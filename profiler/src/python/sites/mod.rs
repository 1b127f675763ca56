//! Where in an interpreter's machine code pymalloc does what heaptide watches.
//!
//! Production builds inline pymalloc into hundreds of functions and carry no symbols for it, so
//! the places are found by what the code does with a pool's header, whose fields are the same
//! in all releases: a sweep over the text stops at one telling instruction, and the code around
//! it is followed value by value. Compilers may order stores, copy registers, duplicate paths
//! and move parts away as they like.

pub mod new_pool;
pub mod page;
pub mod pop;
pub mod reuse;

mod code;
mod trace;

#[cfg(test)]
mod builds;

/// Offsets into a pool's header.
mod header {
    /// How many blocks are in use, as 32 bits.
    pub(super) const COUNT: u64 = 0;
    /// The first free block.
    pub(super) const FREE_BLOCK: u64 = 8;
    /// The next pool of the same size class.
    pub(super) const NEXT_POOL: u64 = 16;
    /// The previous pool of the same size class.
    pub(super) const PREVIOUS_POOL: u64 = 24;
    /// The size class, as 32 bits.
    pub(super) const SIZE_CLASS: u64 = 36;
    /// The length of the header.
    pub(super) const LENGTH: u64 = 48;
}
