//! What a pool looks like at a moment: which of its blocks are handed out.

use profiler_common::cookie::PoolHeader as Layout;

use super::{
    SmallBlock,
    kinds::{Words, words_of},
};
use crate::profile::SizeClass;

/// Bytes of the header of a pool.
const HEADER: u64 = size_of::<Layout>() as u64;

/// What is seen of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    Dead,
    Unknown,
    /// Its words.
    Alive(Words),
}

/// What a pool looks like at a moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PoolState {
    /// It is no pool any more, or an empty one.
    Gone,
    /// Read while it changed.
    Torn,
    /// It holds blocks of this class.
    Used {
        address: u64,
        size_class: SizeClass,
        /// From here on, nothing was ever handed out.
        end: u64,
        /// The free blocks before that, ascending.
        free: Vec<u64>,
        bytes: Vec<u8>,
    },
}

impl PoolState {
    pub(super) fn read(address: u64, bytes: Vec<u8>) -> Self {
        let Some(header) = Header::read(&bytes) else {
            return Self::Gone;
        };
        let Some(free) = free_blocks(address, &header, &bytes) else {
            return Self::Torn;
        };
        let living = header.count * header.size_class.bytes();
        let freed = free.len() as u64 * header.size_class.bytes();
        if header.next_offset != HEADER + living + freed {
            return Self::Torn;
        }
        Self::Used {
            address,
            size_class: header.size_class,
            end: address.saturating_add(header.next_offset),
            free,
            bytes,
        }
    }

    pub(super) fn see(&self, (block, class): SmallBlock) -> Seen {
        let Self::Used {
            address,
            size_class,
            end,
            free,
            ..
        } = self
        else {
            return Seen::Dead;
        };
        let is_inside = (*address..*end).contains(&block);
        if *size_class != class || !is_inside || free.binary_search(&block).is_ok() {
            return Seen::Dead;
        }
        Seen::Alive(self.words(block))
    }

    /// The blocks that are handed out.
    pub(super) fn living(&self) -> Vec<SmallBlock> {
        let Self::Used {
            address,
            size_class,
            end,
            free,
            ..
        } = self
        else {
            return Vec::new();
        };
        let size = usize::try_from(size_class.bytes()).unwrap_or(usize::MAX);
        (address + HEADER..*end)
            .step_by(size)
            .filter(|block| free.binary_search(block).is_err())
            .map(|block| (block, *size_class))
            .collect()
    }

    /// The words of a block.
    fn words(&self, block: u64) -> Words {
        let Self::Used {
            address,
            size_class,
            bytes,
            ..
        } = self
        else {
            return Words::default();
        };
        let size = usize::try_from(size_class.bytes()).unwrap_or(0);
        let start = usize::try_from(block - address).unwrap_or(usize::MAX);
        let end = start.saturating_add(size).min(bytes.len());
        words_of(bytes.get(start..end).unwrap_or_default())
    }
}

/// The header of a pool that holds blocks.
struct Header {
    count: u64,
    first_free: u64,
    size_class: SizeClass,
    next_offset: u64,
}

impl Header {
    /// `None` if no block of the pool is handed out, or it makes no sense.
    fn read(bytes: &[u8]) -> Option<Self> {
        let header = Self {
            count: half(bytes, 0).into(),
            first_free: word(bytes, 8),
            size_class: SizeClass::new(half(bytes, 36))?,
            next_offset: half(bytes, 40).into(),
        };
        let is_pool = header.next_offset <= bytes.len() as u64;
        (is_pool && header.count > 0).then_some(header)
    }
}

/// Follows the list of free blocks; `None` if it is no list of blocks of this pool.
fn free_blocks(pool: u64, header: &Header, bytes: &[u8]) -> Option<Vec<u64>> {
    let most = bytes.len() as u64 / header.size_class.bytes();
    let (mut free, mut next) = (Vec::new(), header.first_free);
    while next != 0 {
        let offset = next.checked_sub(pool)?;
        let is_block = offset >= HEADER
            && (offset - HEADER).is_multiple_of(header.size_class.bytes())
            && offset < header.next_offset;
        if !is_block || free.len() as u64 >= most {
            return None;
        }
        free.push(next);
        next = word(bytes, usize::try_from(offset).ok()?);
    }
    free.sort_unstable();
    Some(free)
}

/// The word at an offset; zero where there is none.
pub(super) fn word(bytes: &[u8], offset: usize) -> u64 {
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

    use super::*;

    const POOL: u64 = 0x7f00_0000_4000;

    fn class(number: u32) -> SizeClass {
        SizeClass::new(number).unwrap()
    }

    /// A pool of 4 KiB with blocks of 64 bytes, of which `carved` were handed out once and those
    /// with the numbers in `free` are free now, in this order.
    fn pool(carved: u32, free: &[u64]) -> Vec<u8> {
        let block = |number: u64| HEADER + number * 64;
        let mut bytes = vec![0; 4096];
        let count = carved - u32::try_from(free.len()).unwrap();
        bytes[..4].copy_from_slice(&count.to_le_bytes());
        let first = free.first().map_or(0, |number| POOL + block(*number));
        bytes[8..16].copy_from_slice(&first.to_le_bytes());
        bytes[36..40].copy_from_slice(&3_u32.to_le_bytes());
        bytes[40..44].copy_from_slice(&(48 + carved * 64).to_le_bytes());
        for (index, number) in free.iter().enumerate() {
            let next = free.get(index + 1).map_or(0, |next| POOL + block(*next));
            let at = usize::try_from(block(*number)).unwrap();
            bytes[at..at + 8].copy_from_slice(&next.to_le_bytes());
        }
        bytes
    }

    fn see(pool: &PoolState, number: u64) -> Seen {
        pool.see((POOL + HEADER + number * 64, class(3)))
    }

    #[test]
    fn what_is_free_or_was_never_handed_out_is_dead() {
        let pool = PoolState::read(POOL, pool(10, &[4, 2, 9]));
        let is_alive = |number| matches!(see(&pool, number), Seen::Alive(_));
        let alive: Vec<u64> = (0..12).filter(|number| is_alive(*number)).collect();
        assert_eq!(alive, [0, 1, 3, 5, 6, 7, 8]);
    }

    #[test]
    fn a_pool_of_another_class_has_none_of_the_blocks() {
        let pool = PoolState::read(POOL, pool(10, &[]));
        assert_eq!(pool.see((POOL + HEADER, class(2))), Seen::Dead);
        assert_eq!(PoolState::Gone.see((POOL + HEADER, class(3))), Seen::Dead);
    }

    #[test]
    fn a_pool_that_does_not_add_up_is_torn() {
        let mut bytes = pool(10, &[4, 2, 9]);
        bytes[0] += 1;
        assert_eq!(PoolState::read(POOL, bytes), PoolState::Torn);
        let mut endless = pool(10, &[4, 2]);
        let at = usize::try_from(HEADER + 2 * 64).unwrap();
        endless[at..at + 8].copy_from_slice(&(POOL + HEADER + 4 * 64).to_le_bytes());
        assert_eq!(PoolState::read(POOL, endless), PoolState::Torn);
    }

    #[test]
    fn the_first_words_of_a_block_are_read() {
        let mut bytes = pool(2, &[]);
        let at = usize::try_from(HEADER + 64).unwrap();
        bytes[at + 24..at + 32].copy_from_slice(&0x5555_0000_1000_u64.to_le_bytes());
        let pool = PoolState::read(POOL, bytes);
        let mut words = Words::default();
        words[3] = 0x5555_0000_1000;
        assert_eq!(see(&pool, 1), Seen::Alive(words));
    }

    #[test]
    fn the_living_are_those_that_are_not_free() {
        let pool = PoolState::read(POOL, pool(6, &[4, 2]));
        let numbers = pool.living().into_iter().map(|(block, found)| {
            assert_eq!(found, class(3));
            (block - POOL - HEADER) / 64
        });
        assert_eq!(numbers.collect::<Vec<_>>(), [0, 1, 3, 5]);
        assert!(PoolState::Gone.living().is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_pool_or_none(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            block in any::<u64>(),
            number in 0..32_u32,
        ) {
            let state = PoolState::read(POOL, bytes);
            let _seen = state.see((block, class(number)));
            for living in state.living() {
                prop_assert!(matches!(state.see(living), Seen::Alive(_)));
            }
        }
    }
}
