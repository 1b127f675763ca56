//! What the head of a page says of its blocks.

use super::{MimallocLayout, SEGMENT_BYTES, SLICE_BYTES, half, word};

/// A page's entry in the head of its segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Page {
    /// How many slices it has.
    pub slices: u64,
    /// Where its first block begins.
    pub start: u64,
    /// How many bytes a block has.
    pub block_size: u64,
    /// How many blocks were ever in its lists.
    pub capacity: u64,
    /// How many of them are in use, those among them that other threads gave back since.
    pub used: u64,
    /// The first of the free blocks, of those that the page's own thread gave back since, and of
    /// those that other threads did.
    pub lists: [u64; 3],
}

/// In the lowest bits of the last list something else is kept.
const LIST_FLAGS: u64 = 3;

impl Page {
    /// Reads the entry at an address; `None` if no page begins there, or it holds no blocks.
    pub(super) fn read(layout: &MimallocLayout, entry_at: u64, entry: &[u8]) -> Option<Self> {
        let number = |offset: u16| half(entry, offset.into()).map(u64::from);
        let short = |offset: u16| Some(number(offset)? & 0xffff);
        let pointer = |offset: u16| word(entry, offset.into());
        let slices = half(entry, 0).filter(|slices| *slices > 0)?.into();
        let block_size = number(layout.page_block_size).filter(|size| *size > 0)?;
        let (capacity, reserved) = (short(layout.page_capacity)?, short(layout.page_reserved)?);
        // Sixteen bits in some versions, and never more in those with room for them.
        let used = short(layout.page_used)?;
        let start = match layout.page_start {
            0 => first_block(layout, entry_at, block_size)?,
            offset => pointer(offset)?,
        };
        let lists = [
            pointer(layout.page_free)?,
            pointer(layout.page_local_free)?,
            pointer(layout.page_thread_free)? & !LIST_FLAGS,
        ];
        let is_page = (1..=reserved).contains(&used) && used <= capacity && capacity <= reserved;
        is_page.then_some(Self {
            slices,
            start,
            block_size,
            capacity,
            used,
            lists,
        })
    }

    /// Bytes of its blocks in use. A block of its own segment may be larger than the number says.
    pub fn live_bytes(&self) -> u64 {
        (self.used * self.block_size).min(self.slices * SLICE_BYTES)
    }

    /// The number of the block at an address, if one begins there that was ever in use.
    pub fn number_of(&self, block: u64) -> Option<u64> {
        let offset = block.checked_sub(self.start)?;
        let number = offset / self.block_size;
        let is_block = offset.is_multiple_of(self.block_size) && number < self.capacity;
        is_block.then_some(number)
    }

    /// The address of a block.
    pub fn block(&self, number: u64) -> u64 {
        self.start
            .saturating_add(number.saturating_mul(self.block_size))
    }
}

/// Where the first block is in versions whose pages do not say it: small blocks do not begin where
/// the page does, so that not all pages meet in the same lines of the caches.
fn first_block(layout: &MimallocLayout, entry_at: u64, block_size: u64) -> Option<u64> {
    let segment = entry_at & !(SEGMENT_BYTES - 1);
    let slices_at = segment.checked_add(layout.slices.into())?;
    let slice = entry_at.checked_sub(slices_at)? / u64::from(layout.page_bytes);
    let shift = match block_size {
        0..8 => 0,
        8..=64 => 3 * block_size,
        65..=512 => block_size,
        _ => 0,
    };
    segment.checked_add(slice * SLICE_BYTES + shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::LAYOUT, *};

    const ENTRY: u64 = SEGMENT_BYTES * 7 + 32 + 5 * 56;

    fn entry(numbers: [u16; 4], block_size: u32) -> Vec<u8> {
        let [slices, capacity, reserved, used] = numbers;
        let mut entry = vec![0; LAYOUT.page_bytes.into()];
        entry[..2].copy_from_slice(&slices.to_le_bytes());
        for (at, number) in [(10, capacity), (12, reserved), (16, used)] {
            entry[at..at + 2].copy_from_slice(&number.to_le_bytes());
        }
        entry[20..24].copy_from_slice(&block_size.to_le_bytes());
        entry
    }

    fn read(entry: &[u8]) -> Option<Page> {
        Page::read(&LAYOUT, ENTRY, entry)
    }

    #[test]
    fn blocks_begin_where_the_allocator_lets_them() {
        for (block_size, shift) in [(8, 24), (64, 192), (80, 80), (512, 512), (640, 0)] {
            let page = read(&entry([1, 90, 100, 50], block_size)).unwrap();
            let start = SEGMENT_BYTES * 7 + 5 * SLICE_BYTES + shift;
            assert_eq!(page.start, start);
            assert_eq!(page.number_of(start), Some(0));
            let last = start + 89 * u64::from(block_size);
            assert_eq!(page.number_of(last), Some(89));
            assert_eq!(page.block(89), last);
            for none in [start - 1, start + 1, last + u64::from(block_size)] {
                assert_eq!(page.number_of(none), None);
            }
        }
    }

    #[test]
    fn what_does_not_fit_together_is_no_page() {
        assert!(read(&entry([1, 90, 100, 50], 64)).is_some());
        for (numbers, block_size) in [
            ([0, 90, 100, 50], 64),
            ([1, 90, 100, 0], 64),
            ([1, 90, 100, 91], 64),
            ([1, 101, 100, 50], 64),
            ([1, 90, 100, 50], 0),
        ] {
            assert_eq!(read(&entry(numbers, block_size)), None);
        }
        assert_eq!(read(&entry([1, 90, 100, 50], 64)[..40]), None);
    }

    #[test]
    fn the_flags_of_a_list_are_no_part_of_its_address() {
        let mut entry = entry([1, 90, 100, 50], 64);
        entry[40..48].copy_from_slice(&0x7003_u64.to_le_bytes());
        assert_eq!(read(&entry).unwrap().lists, [0, 0, 0x7000]);
    }

    proptest! {
        #[test]
        fn any_entry_is_a_page_or_none(
            entry_at: u64,
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            block: u64,
        ) {
            if let Some(page) = Page::read(&LAYOUT, entry_at, &bytes) {
                prop_assert!(page.live_bytes() <= page.slices * SLICE_BYTES);
                if let Some(number) = page.number_of(block) {
                    prop_assert_eq!(page.block(number), block);
                }
            }
        }
    }
}
