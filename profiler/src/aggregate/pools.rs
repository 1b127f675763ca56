//! The pools of one process that pymalloc opened while recording, and what lives in them.

use std::collections::BTreeMap;

use super::windows::Share;
use crate::profile::{Counters, Metered, StackId};

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
    /// For how many pools that opening stands.
    share: Share,
    size_class: Option<u8>,
    /// Who opened it before its content was looked at last, and what that was.
    counted: Content,
    /// Whether it was opened since: then what was in it is gone.
    is_reopened: bool,
}

#[derive(Clone, Copy, Debug)]
struct Content {
    stack: StackId,
    share: Share,
    bytes: u64,
    count: u64,
}

/// What a look at a pool changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PoolChange {
    pub(super) stack: StackId,
    pub(super) meter: Metered,
    pub(super) counters: Counters,
}

/// The meter of a pool.
pub(super) const fn pool_meter(share: Share) -> Metered {
    if share.is_sampled {
        Metered::SampledPool
    } else {
        Metered::Pool
    }
}

/// The pools of one process by address.
///
/// Openings are events; what lives in a pool is known from looks at its header now and then. A
/// pool that was opened while recording was empty then, so all that lives in it is new.
#[derive(Clone, Debug, Default)]
pub(super) struct PoolBook {
    pools: BTreeMap<u64, Pool>,
}

impl PoolBook {
    /// A stack made pymalloc open a pool, for blocks of this class if that is known.
    pub(super) fn opened(
        &mut self,
        address: u64,
        size_class: Option<u8>,
        (stack, share): (StackId, Share),
    ) {
        let nothing = Content {
            stack,
            share,
            bytes: 0,
            count: 0,
        };
        let pool = self.pools.entry(address).or_insert(Pool {
            stack,
            share,
            size_class,
            counted: nothing,
            is_reopened: true,
        });
        pool.stack = stack;
        pool.share = share;
        pool.size_class = size_class;
        pool.is_reopened = true;
    }

    /// The pools to look at, in ascending order.
    pub(super) fn addresses(&self) -> impl Iterator<Item = u64> + '_ {
        self.pools.keys().copied()
    }

    /// A look at the header of a pool told how many blocks live in it and of which class, or that
    /// it cannot be read. Returns what that changes; `samples` stay zero, because the observation
    /// was the opening.
    pub(super) fn observe(&mut self, address: u64, header: Option<(u32, u8)>) -> Vec<PoolChange> {
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
            share: self.share,
            bytes,
            count: count.into(),
        })
    }

    fn count(&mut self, now: Content) -> Vec<PoolChange> {
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
        now.changed(change).into_iter().collect()
    }
}

impl Content {
    fn got(self) -> Option<PoolChange> {
        self.changed(Counters {
            bytes_in: self.bytes,
            count_in: self.count,
            ..Counters::default()
        })
    }

    fn given_back(self) -> Option<PoolChange> {
        self.changed(Counters {
            bytes_out: self.bytes,
            count_out: self.count,
            ..Counters::default()
        })
    }

    /// A change of what lives here, as often as it has others to stand for.
    fn changed(self, counters: Counters) -> Option<PoolChange> {
        let copies = self.share.copies.into();
        (counters != Counters::default()).then_some(PoolChange {
            stack: self.stack,
            meter: pool_meter(self.share),
            counters: Counters {
                bytes_in: counters.bytes_in.saturating_mul(copies),
                count_in: counters.count_in.saturating_mul(copies),
                bytes_out: counters.bytes_out.saturating_mul(copies),
                count_out: counters.count_out.saturating_mul(copies),
                samples: counters.samples,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: StackId = StackId(1);
    const B: StackId = StackId(2);

    fn got(stack: StackId, bytes_in: u64, count_in: u64) -> PoolChange {
        whole(
            stack,
            Counters {
                bytes_in,
                count_in,
                ..Counters::default()
            },
        )
    }

    fn whole(stack: StackId, counters: Counters) -> PoolChange {
        PoolChange {
            stack,
            meter: Metered::Pool,
            counters,
        }
    }

    fn given(stack: StackId, bytes_out: u64, count_out: u64) -> PoolChange {
        whole(
            stack,
            Counters {
                bytes_out,
                count_out,
                ..Counters::default()
            },
        )
    }

    fn opened_by_a(size_class: Option<u8>) -> PoolBook {
        let mut book = PoolBook::default();
        book.opened(0x4000, size_class, (A, Share::WHOLE));
        book
    }

    #[test]
    fn what_lives_in_a_pool_belongs_to_the_stack_that_opened_it() {
        let mut book = opened_by_a(Some(3));
        assert_eq!(book.observe(0x4000, Some((10, 3))), [got(A, 640, 10)]);
        assert_eq!(book.observe(0x4000, Some((25, 3))), [got(A, 960, 15)]);
        assert_eq!(book.observe(0x4000, Some((25, 3))), []);
        assert_eq!(book.observe(0x4000, Some((5, 3))), [given(A, 1280, 20)]);
    }

    #[test]
    fn a_pool_that_another_stack_opens_moves_its_content() {
        let mut book = opened_by_a(Some(3));
        book.observe(0x4000, Some((10, 3)));
        book.opened(0x4000, Some(0), (B, Share::WHOLE));
        let changes = book.observe(0x4000, Some((4, 0)));
        assert_eq!(changes, [given(A, 640, 10), got(B, 64, 4)]);
    }

    #[test]
    fn a_pool_that_is_opened_again_was_empty_in_between() {
        let mut book = opened_by_a(Some(3));
        book.observe(0x4000, Some((10, 3)));
        book.opened(0x4000, Some(3), (A, Share::WHOLE));
        let changes = book.observe(0x4000, Some((10, 3)));
        assert_eq!(changes, [given(A, 640, 10), got(A, 640, 10)]);
    }

    #[test]
    fn the_class_is_learned_from_the_header() {
        let mut book = opened_by_a(None);
        assert_eq!(book.observe(0x4000, Some((1, 31))), [got(A, 512, 1)]);
        assert_eq!(book.observe(0x4000, Some((1, 30))), [given(A, 512, 1)]);
    }

    #[test]
    fn an_unreadable_or_implausible_header_empties_the_pool() {
        for header in [None, Some((10, 4)), Some((10, 32)), Some((2000, 3))] {
            let mut book = opened_by_a(Some(3));
            book.observe(0x4000, Some((10, 3)));
            assert_eq!(book.observe(0x4000, header), [given(A, 640, 10)]);
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

    #[test]
    fn a_sampled_pool_stands_for_others_whenever_it_changes() {
        let mut book = PoolBook::default();
        let share = Share {
            copies: 10,
            is_sampled: true,
        };
        book.opened(0x4000, Some(3), (A, share));
        let got = book.observe(0x4000, Some((10, 3)));
        assert_eq!(got[0].meter, Metered::SampledPool);
        assert_eq!(
            (got[0].counters.bytes_in, got[0].counters.count_in),
            (6400, 100)
        );
        let given = book.observe(0x4000, None);
        assert_eq!(given[0].meter, Metered::SampledPool);
        assert_eq!(given[0].counters.bytes_out, 6400);
    }
}
