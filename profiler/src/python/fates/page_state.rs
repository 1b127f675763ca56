//! What one of mimalloc's pages looks like at a moment: which of its blocks are handed out.

use super::{
    SmallBlock,
    kinds::{Words, words_of},
    pool_state::{Seen, word},
};
use crate::{
    process::memory::Memory,
    profile::SizeClass,
    python::mimalloc::{Mimalloc, Page},
};

/// How often a page is read that does not add up.
const ATTEMPTS: usize = 4;

/// How many pages are kept in memory at once.
const BATCH: usize = 64;

/// Bytes of what is looked at of a block …
const HEAD_BYTES: u64 = size_of::<Words>() as u64;

/// … and of blocks that are larger than that no more is read.
const WHOLE_LIMIT: u64 = 2048;

/// What a page looks like at a moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PageState {
    /// It is no page any more, or an empty one.
    Gone,
    /// Read while it changed.
    Torn,
    /// It holds blocks in use.
    Used {
        page: Page,
        /// The numbers of those that are free, ascending.
        free: Vec<u64>,
        heads: Heads,
    },
}

/// The first words of each block of a page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Heads {
    /// How far they are apart.
    stride: u64,
    bytes: Vec<u8>,
}

impl Heads {
    /// What has to be read for a page, and how many bytes each of the ranges begins behind the
    /// one before it.
    fn ranges(page: &Page) -> Vec<(u64, usize)> {
        let length = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        if page.block_size <= WHOLE_LIMIT {
            let bytes = page.capacity.saturating_mul(page.block_size);
            return vec![(page.start, length(bytes))];
        }
        let heads = (0..page.capacity).map(|number| (page.block(number), length(HEAD_BYTES)));
        heads.collect()
    }

    fn new(page: &Page, bytes: Vec<u8>) -> Self {
        let stride = if page.block_size <= WHOLE_LIMIT {
            page.block_size
        } else {
            HEAD_BYTES
        };
        Self { stride, bytes }
    }

    /// The first word of a block, which points to the next in its list.
    fn first_word(&self, number: u64) -> u64 {
        self.place(number)
            .map_or(0, |place| word(&self.bytes, place))
    }

    fn words(&self, number: u64) -> Words {
        let end = number.checked_add(1).and_then(|next| self.place(next));
        let place = self.place(number).zip(end);
        let block = place.and_then(|(start, end)| self.bytes.get(start..end));
        words_of(block.unwrap_or_default())
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_mul(self.stride)?).ok()
    }
}

impl PageState {
    /// The page by its entry and the first words of its blocks, read at about the same time.
    pub(super) fn read(page: Page, heads: Heads) -> Self {
        let [free, local, remote] = page.lists.map(|first| listed(&page, &heads, first));
        let (Some(mut free), Some(local), Some(remote)) = (free, local, remote) else {
            return Self::Torn;
        };
        free.extend(local);
        // What other threads gave back is in use until the page's own one takes notice.
        if free.len() as u64 + page.used != page.capacity || remote.len() as u64 > page.used {
            return Self::Torn;
        }
        free.extend(remote);
        free.sort_unstable();
        Self::Used { page, free, heads }
    }

    pub(super) fn see(&self, (block, class): SmallBlock) -> Seen {
        let Self::Used { page, free, heads } = self else {
            return Seen::Dead;
        };
        let number = page.number_of(block);
        match number.filter(|number| free.binary_search(number).is_err()) {
            Some(number) if SizeClass::of(page.block_size) == class => {
                Seen::Alive(heads.words(number))
            }
            _ => Seen::Dead,
        }
    }

    /// The blocks that are handed out.
    pub(super) fn living(&self) -> Vec<SmallBlock> {
        let Self::Used { page, free, .. } = self else {
            return Vec::new();
        };
        let class = SizeClass::of(page.block_size);
        (0..page.capacity)
            .filter(|number| free.binary_search(number).is_err())
            .map(|number| (page.block(number), class))
            .collect()
    }
}

/// The numbers of the blocks in a list; `None` if it is no list of blocks of this page.
fn listed(page: &Page, heads: &Heads, first: u64) -> Option<Vec<u64>> {
    let (mut listed, mut next) = (Vec::new(), first);
    while next != 0 {
        let number = page.number_of(next)?;
        if listed.len() as u64 >= page.capacity {
            return None;
        }
        listed.push(number);
        next = heads.first_word(number);
    }
    Some(listed)
}

/// Reads the pages with these entries, again those that do not add up.
pub(super) fn read<T>(
    mimalloc: &Mimalloc,
    memory: &Memory,
    entries: &[(u64, T)],
    mut take: impl FnMut(&PageState, &T),
) {
    for batch in entries.chunks(BATCH) {
        let mut left: Vec<&(u64, T)> = batch.iter().collect();
        for _ in 0..ATTEMPTS {
            let addresses: Vec<u64> = left.iter().map(|(entry, _)| *entry).collect();
            let states = read_once(mimalloc, memory, &addresses);
            let mut torn = Vec::new();
            for (entry, state) in left.into_iter().zip(states) {
                if state == PageState::Torn {
                    torn.push(entry);
                } else {
                    take(&state, &entry.1);
                }
            }
            left = torn;
            if left.is_empty() {
                break;
            }
        }
    }
}

fn read_once(mimalloc: &Mimalloc, memory: &Memory, entries: &[u64]) -> Vec<PageState> {
    let pages = mimalloc.pages(memory, entries);
    let entry_bytes = mimalloc.layout().page_bytes.into();
    let mut ranges = Vec::new();
    for (entry, page) in entries.iter().zip(&pages) {
        if let Some(page) = page {
            ranges.push((*entry, entry_bytes));
            ranges.extend(Heads::ranges(page));
        }
    }
    let mut contents = memory.read_many(&ranges).into_iter();
    let states = entries.iter().zip(pages).map(|(entry, page)| {
        let Some(page) = page else {
            return PageState::Gone;
        };
        let again = contents.next().flatten();
        let count = Heads::ranges(&page).len();
        let parts: Vec<Option<Vec<u8>>> = contents.by_ref().take(count).collect();
        let parts: Option<Vec<Vec<u8>>> = parts.into_iter().collect();
        let again = again.and_then(|bytes| mimalloc.page(*entry, &bytes));
        match (again, parts) {
            (Some(now), Some(parts)) if is_same(&page, &now) => {
                PageState::read(now, Heads::new(&now, parts.concat()))
            }
            (Some(_), Some(_)) => PageState::Torn,
            // Its memory was given back to the system in between.
            _ => PageState::Gone,
        }
    });
    states.collect()
}

/// Whether what was read for a page as it was is what has to be read for it as it is.
fn is_same(was: &Page, is: &Page) -> bool {
    (was.start, was.block_size, was.capacity) == (is.start, is.block_size, is.capacity)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 0x7f00_0001_00c0;

    fn page(block_size: u64, used: u64, lists: [u64; 3]) -> Page {
        Page {
            slices: 1,
            start: START,
            block_size,
            capacity: 10,
            used,
            lists,
        }
    }

    /// A page with ten blocks of 64 bytes, with these lists of free ones.
    fn state(used: u64, lists: [&[u64]; 3]) -> PageState {
        let block = |number: &u64| START + number * 64;
        let mut bytes = vec![0; 640];
        for list in lists {
            for pair in list.windows(2) {
                let at = usize::try_from(pair[0] * 64).unwrap();
                bytes[at..at + 8].copy_from_slice(&block(&pair[1]).to_le_bytes());
            }
        }
        let firsts = lists.map(|list| list.first().map_or(0, block));
        let page = page(64, used, firsts);
        PageState::read(page, Heads::new(&page, bytes))
    }

    fn class(bytes: u64) -> SizeClass {
        SizeClass::of(bytes)
    }

    #[test]
    fn what_is_in_one_of_the_lists_is_dead() {
        let state = state(5, [&[4, 2, 9], &[1, 0], &[7]]);
        let is_alive = |number: &u64| {
            let seen = state.see((START + number * 64, class(64)));
            matches!(seen, Seen::Alive(_))
        };
        let alive: Vec<u64> = (0..12).filter(is_alive).collect();
        assert_eq!(alive, [3, 5, 6, 8]);
        let living: Vec<u64> = (state.living().iter())
            .map(|(block, _)| (block - START) / 64)
            .collect();
        assert_eq!(living, alive);
    }

    #[test]
    fn a_page_of_other_blocks_has_none_of_these() {
        let state = state(10, [&[]; 3]);
        assert!(matches!(state.see((START, class(64))), Seen::Alive(_)));
        assert_eq!(state.see((START, class(80))), Seen::Dead);
        assert_eq!(state.see((START + 8, class(64))), Seen::Dead);
        assert_eq!(PageState::Gone.see((START, class(64))), Seen::Dead);
        assert!(PageState::Gone.living().is_empty());
    }

    #[test]
    fn a_page_that_does_not_add_up_is_torn() {
        assert_eq!(state(6, [&[4, 2, 9], &[1, 0], &[]]), PageState::Torn);
        assert_eq!(state(9, [&[11], &[], &[]]), PageState::Torn);
        assert_eq!(state(9, [&[4, 2, 4], &[], &[]]), PageState::Torn);
    }

    #[test]
    fn the_first_words_of_a_block_are_read_whatever_its_size() {
        for block_size in [16, 64, 2048, 100_000] {
            let page = page(block_size, 10, [0; 3]);
            let ranges = Heads::ranges(&page);
            let mut bytes: Vec<u8> = Vec::new();
            for (start, length) in ranges {
                let words = (start..).step_by(8).take(length / 8);
                bytes.extend(words.flat_map(u64::to_le_bytes));
            }
            let state = PageState::read(page, Heads::new(&page, bytes));
            let block = page.block(7);
            let Seen::Alive(words) = state.see((block, class(block_size))) else {
                panic!("{state:?}");
            };
            assert_eq!((words[0], words[1]), (block, block + 8));
            assert_eq!(words[2] == 0, block_size == 16);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_state(
            block_size in 1..5000_u64,
            (used, capacity) in (0..20_u64, 0..20_u64),
            lists in prop::array::uniform3(prop_oneof![Just(0), START..START + 4000, any::<u64>()]),
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            block: u64,
        ) {
            let page = Page { capacity, ..page(block_size, used, lists) };
            let state = PageState::read(page, Heads::new(&page, bytes));
            let _seen = state.see((block, class(block_size)));
            for living in state.living() {
                prop_assert!(matches!(state.see(living), Seen::Alive(_)));
            }
        }
    }
}
