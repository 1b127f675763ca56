//! The pools of one process that pymalloc opened while recording, and what lives in them.

use std::collections::BTreeMap;

use crate::profile::{Counters, StackId};

/// Size classes are multiples of so many bytes.
const ALIGNMENT: u64 = 16;

/// Blocks of pymalloc have at most 512 bytes.
const CLASSES: u8 = 32;

/// The largest pools have 16 KiB.
const LARGEST_POOL: u64 = 16 << 10;

/// A pool of which the opening was seen.
#[derive(Clone, Debug)]
struct Pool {
    /// Who opened it last.
    stack: StackId,
    size_class: Option<u8>,
    /// Who opened it before its content was looked at last, and what that was.
    counted: Content,
    /// Whether it was opened since: then what was in it is gone.
    is_reopened: bool,
}

#[derive(Clone, Copy, Debug)]
struct Content {
    stack: StackId,
    bytes: u64,
    count: u64,
}

/// The pools of one process by address.
///
/// Openings are events; what lives in a pool is known from looks at its header now and then. A
/// pool that was opened while recording was empty then, so all that lives in it is new.
#[derive(Clone, Debug, Default)]
pub struct PoolBook {
    pools: BTreeMap<u64, Pool>,
}

impl PoolBook {
    /// A stack made pymalloc open a pool, for blocks of this class if that is known.
    pub fn opened(&mut self, address: u64, size_class: Option<u8>, stack: StackId) {
        let nothing = Content {
            stack,
            bytes: 0,
            count: 0,
        };
        let pool = self.pools.entry(address).or_insert(Pool {
            stack,
            size_class,
            counted: nothing,
            is_reopened: true,
        });
        pool.stack = stack;
        pool.size_class = size_class;
        pool.is_reopened = true;
    }

    /// The pools to look at, in ascending order.
    pub fn addresses(&self) -> impl Iterator<Item = u64> + '_ {
        self.pools.keys().copied()
    }

    /// How many pools there are to look at.
    pub fn len(&self) -> usize {
        self.pools.len()
    }

    /// Whether there is no pool to look at.
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// A look at the header of a pool told how many blocks live in it and of which class, or that
    /// it cannot be read. Returns what that changes, by stack; `samples` stay zero, because the
    /// observation was the opening.
    pub fn observe(&mut self, address: u64, header: Option<(u32, u8)>) -> Vec<(StackId, Counters)> {
        let Some(pool) = self.pools.get_mut(&address) else {
            return Vec::new();
        };
        if let Some(content) = header.and_then(|header| pool.content(header)) {
            return pool.count(content);
        }
        // Somebody else has the memory now; it is followed again when it is opened again.
        let counted = self.pools.remove(&address).map(|pool| pool.counted);
        counted.and_then(Content::given_back).into_iter().collect()
    }
}

impl Pool {
    /// What a header says, if it is plausible and no opening of the pool was missed.
    fn content(&mut self, (count, size_class): (u32, u8)) -> Option<Content> {
        let block_size = (u64::from(size_class) + 1) * ALIGNMENT;
        let bytes = u64::from(count) * block_size;
        let is_pool = size_class < CLASSES && bytes <= LARGEST_POOL;
        let is_known = *self.size_class.get_or_insert(size_class) == size_class;
        (is_pool && is_known).then_some(Content {
            stack: self.stack,
            bytes,
            count: count.into(),
        })
    }

    fn count(&mut self, now: Content) -> Vec<(StackId, Counters)> {
        let before = std::mem::replace(&mut self.counted, now);
        if std::mem::take(&mut self.is_reopened) {
            let (given, got) = (before.given_back(), now.got());
            return given.into_iter().chain(got).collect();
        }
        let change = Counters {
            bytes_in: now.bytes.saturating_sub(before.bytes),
            count_in: now.count.saturating_sub(before.count),
            bytes_out: before.bytes.saturating_sub(now.bytes),
            count_out: before.count.saturating_sub(now.count),
            samples: 0,
        };
        let is_changed = change != Counters::default();
        is_changed
            .then_some((now.stack, change))
            .into_iter()
            .collect()
    }
}

impl Content {
    fn got(self) -> Option<(StackId, Counters)> {
        let counters = Counters {
            bytes_in: self.bytes,
            count_in: self.count,
            ..Counters::default()
        };
        (self.count > 0).then_some((self.stack, counters))
    }

    fn given_back(self) -> Option<(StackId, Counters)> {
        let counters = Counters {
            bytes_out: self.bytes,
            count_out: self.count,
            ..Counters::default()
        };
        (self.count > 0).then_some((self.stack, counters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: StackId = StackId(1);
    const B: StackId = StackId(2);

    fn got(bytes_in: u64, count_in: u64) -> Counters {
        Counters {
            bytes_in,
            count_in,
            ..Counters::default()
        }
    }

    fn given(bytes_out: u64, count_out: u64) -> Counters {
        Counters {
            bytes_out,
            count_out,
            ..Counters::default()
        }
    }

    fn opened_by_a(size_class: Option<u8>) -> PoolBook {
        let mut book = PoolBook::default();
        book.opened(0x4000, size_class, A);
        book
    }

    #[test]
    fn what_lives_in_a_pool_belongs_to_the_stack_that_opened_it() {
        let mut book = opened_by_a(Some(3));
        assert_eq!(book.observe(0x4000, Some((10, 3))), [(A, got(640, 10))]);
        assert_eq!(book.observe(0x4000, Some((25, 3))), [(A, got(960, 15))]);
        assert_eq!(book.observe(0x4000, Some((25, 3))), []);
        assert_eq!(book.observe(0x4000, Some((5, 3))), [(A, given(1280, 20))]);
    }

    #[test]
    fn a_pool_that_another_stack_opens_moves_its_content() {
        let mut book = opened_by_a(Some(3));
        book.observe(0x4000, Some((10, 3)));
        book.opened(0x4000, Some(0), B);
        let changes = book.observe(0x4000, Some((4, 0)));
        assert_eq!(changes, [(A, given(640, 10)), (B, got(64, 4))]);
    }

    #[test]
    fn a_pool_that_is_opened_again_was_empty_in_between() {
        let mut book = opened_by_a(Some(3));
        book.observe(0x4000, Some((10, 3)));
        book.opened(0x4000, Some(3), A);
        let changes = book.observe(0x4000, Some((10, 3)));
        assert_eq!(changes, [(A, given(640, 10)), (A, got(640, 10))]);
    }

    #[test]
    fn the_class_is_learned_from_the_header() {
        let mut book = opened_by_a(None);
        assert_eq!(book.observe(0x4000, Some((1, 31))), [(A, got(512, 1))]);
        assert_eq!(book.observe(0x4000, Some((1, 30))), [(A, given(512, 1))]);
    }

    #[test]
    fn an_unreadable_or_implausible_header_empties_the_pool() {
        for header in [None, Some((10, 4)), Some((10, 32)), Some((2000, 3))] {
            let mut book = opened_by_a(Some(3));
            book.observe(0x4000, Some((10, 3)));
            assert_eq!(book.observe(0x4000, header), [(A, given(640, 10))]);
            assert_eq!(book.addresses().count(), 0);
            assert_eq!(book.observe(0x4000, Some((10, 3))), []);
        }
    }

    #[test]
    fn a_pool_that_nobody_opened_counts_for_nobody() {
        let mut book = opened_by_a(Some(3));
        assert_eq!(book.observe(0x8000, Some((10, 3))), []);
        assert_eq!(book.addresses().collect::<Vec<_>>(), [0x4000]);
    }
}
