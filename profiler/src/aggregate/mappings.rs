//! The address space that one process got while recording, and which stacks got it.

use std::{collections::BTreeMap, ops::Range};

use crate::profile::StackId;

/// What a system call changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Remapped {
    /// Bytes that the calling stack got.
    pub(super) got: u64,
    /// Bytes that were given back, by the stack that had got them: an entry for each piece.
    pub(super) removed: Vec<(StackId, u64)>,
}

/// The mappings that one process made while recording, each with the stack that made it.
///
/// What was mapped before is not in it: to unmap that changes nothing.
#[derive(Clone, Debug)]
pub(super) struct MappingLedger {
    page_size: u64,
    /// End and stack by start. Ranges are whole pages, disjoint and not empty.
    ranges: BTreeMap<u64, (u64, StackId)>,
    /// Where the heap of `brk` ends, once that is known.
    program_break: Option<u64>,
}

impl MappingLedger {
    /// An empty ledger. The kernel maps whole pages of this size.
    pub(super) fn new(page_size: u64) -> Self {
        Self {
            page_size: page_size.max(1),
            ranges: BTreeMap::new(),
            program_break: None,
        }
    }

    /// Says where the heap of `brk` ends now, if that is known.
    #[must_use]
    pub(super) fn with_break(mut self, program_break: Option<u64>) -> Self {
        self.program_break = program_break;
        self
    }

    /// `mmap` has mapped a range, over whatever was there.
    pub(super) fn map(&mut self, range: Range<u64>, stack: StackId) -> Remapped {
        let range = self.pages(range);
        let removed = self.remove(&range);
        self.insert(&range, stack);
        Remapped {
            got: length(&range),
            removed,
        }
    }

    /// `munmap` has unmapped a range.
    pub(super) fn unmap(&mut self, range: Range<u64>) -> Remapped {
        let range = self.pages(range);
        Remapped {
            got: 0,
            removed: self.remove(&range),
        }
    }

    /// `mremap` has shrunk, grown or moved a range. What remains belongs to the stack that made
    /// it; what comes on top, to the caller.
    pub(super) fn remap(&mut self, old: Range<u64>, new: Range<u64>, stack: StackId) -> Remapped {
        let (old, new) = (self.pages(old), self.pages(new));
        let kept = length(&old).min(length(&new));
        let kept_pieces = self.cut(&(old.start..old.start + kept));
        // What the range loses at its end, and what stood where it comes to stand.
        let mut removed = self.remove(&old);
        removed.extend(self.remove(&new));
        for (piece, owner) in kept_pieces {
            let start = new.start + (piece.start - old.start);
            self.insert(&(start..start + length(&piece)), owner);
        }
        let growth = new.start + kept..new.end;
        self.insert(&growth, stack);
        Remapped {
            got: length(&growth),
            removed,
        }
    }

    /// `brk` has moved the end of the heap. As long as its old end is unknown, this only learns.
    pub(super) fn set_break(&mut self, new: u64, stack: StackId) -> Remapped {
        let Some(old) = self.program_break.replace(new) else {
            return Remapped::default();
        };
        let (old, new) = (self.round_up(old), self.round_up(new));
        if old < new {
            self.map(old..new, stack)
        } else {
            self.unmap(new..old)
        }
    }

    /// How many bytes are mapped.
    #[cfg(test)]
    fn live_bytes(&self) -> u64 {
        self.ranges
            .iter()
            .map(|(start, (end, _))| end - start)
            .sum()
    }

    fn round_up(&self, address: u64) -> u64 {
        address
            .checked_next_multiple_of(self.page_size)
            .unwrap_or_else(|| self.round_down(address))
    }

    fn round_down(&self, address: u64) -> u64 {
        address - address % self.page_size
    }

    /// The pages that a range touches.
    fn pages(&self, range: Range<u64>) -> Range<u64> {
        let start = self.round_down(range.start);
        let end = if range.is_empty() {
            start
        } else {
            self.round_up(range.end).max(start)
        };
        start..end
    }

    /// Adds a range where nothing is, and joins it to neighbours of the same stack.
    fn insert(&mut self, range: &Range<u64>, stack: StackId) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        if let Some((&before, &(before_end, owner))) = self.ranges.range(..start).next_back()
            && (before_end, owner) == (start, stack)
        {
            start = before;
        }
        if let Some(&(after_end, owner)) = self.ranges.get(&end)
            && owner == stack
        {
            self.ranges.remove(&end);
            end = after_end;
        }
        self.ranges.insert(start, (end, stack));
    }

    fn remove(&mut self, range: &Range<u64>) -> Vec<(StackId, u64)> {
        let pieces = self.cut(range).into_iter();
        pieces
            .map(|(piece, owner)| (owner, length(&piece)))
            .collect()
    }

    /// Takes out what stands in a range, and leaves what sticks out of it.
    fn cut(&mut self, range: &Range<u64>) -> Vec<(Range<u64>, StackId)> {
        if range.is_empty() {
            return Vec::new();
        }
        self.split(range.start);
        self.split(range.end);
        let starts: Vec<_> = (self.ranges.range(range.clone()))
            .map(|(start, _)| *start)
            .collect();
        (starts.into_iter())
            .filter_map(|start| {
                let (end, owner) = self.ranges.remove(&start)?;
                Some((start..end, owner))
            })
            .collect()
    }

    /// Splits the range that spans an address.
    fn split(&mut self, address: u64) {
        if let Some((_, (end, owner))) = self.ranges.range_mut(..address).next_back()
            && *end > address
        {
            let rest = (*end, *owner);
            *end = address;
            self.ranges.insert(address, rest);
        }
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: StackId = StackId(1);
    const B: StackId = StackId(2);
    const PAGE: u64 = 0x1000;

    fn ledger() -> MappingLedger {
        MappingLedger::new(PAGE)
    }

    fn got(bytes: u64) -> Remapped {
        Remapped {
            got: bytes,
            removed: Vec::new(),
        }
    }

    #[test]
    fn sizes_are_whole_pages() {
        let mut ledger = ledger();
        assert_eq!(ledger.map(0x10000..0x10001, A), got(PAGE));
        assert_eq!(ledger.map(0x20000..0x20000, A), got(0));
        assert_eq!(ledger.unmap(0x10000..0x10fff).removed, [(A, PAGE)]);
        assert_eq!(ledger.live_bytes(), 0);
    }

    #[test]
    fn a_fixed_mapping_removes_what_was_there() {
        let mut ledger = ledger();
        ledger.map(0x10000..0x14000, A);
        let mapped = ledger.map(0x11000..0x12000, B);
        assert_eq!(mapped.removed, [(A, PAGE)]);
        assert_eq!(
            ledger.unmap(0..0x20000).removed,
            [(A, PAGE), (B, PAGE), (A, 2 * PAGE)]
        );
    }

    #[test]
    fn unmapping_splits_and_spans() {
        let mut ledger = ledger();
        ledger.map(0x10000..0x14000, A);
        ledger.map(0x14000..0x18000, B);
        assert_eq!(
            ledger.unmap(0x13000..0x15000).removed,
            [(A, PAGE), (B, PAGE)]
        );
        assert_eq!(ledger.unmap(0x13000..0x15000).removed, []);
        assert_eq!(ledger.live_bytes(), 6 * PAGE);
    }

    #[test]
    fn what_was_mapped_before_changes_nothing() {
        let mut ledger = ledger();
        assert_eq!(ledger.unmap(0x10000..0x20000), Remapped::default());
        let remapped = ledger.remap(0x10000..0x12000, 0x30000..0x35000, A);
        assert_eq!(remapped, got(3 * PAGE), "only the growth counts");
        assert_eq!(ledger.unmap(0x30000..0x35000).removed, [(A, 3 * PAGE)]);
    }

    #[test]
    fn a_moved_range_keeps_its_stack_and_its_growth_gets_the_callers() {
        let mut ledger = ledger();
        ledger.map(0x10000..0x12000, A);
        assert_eq!(
            ledger.remap(0x10000..0x12000, 0x40000..0x43000, B),
            got(PAGE)
        );
        assert_eq!(
            ledger.unmap(0x40000..0x43000).removed,
            [(A, 2 * PAGE), (B, PAGE)]
        );
    }

    #[test]
    fn a_range_that_shrinks_gives_its_end_back() {
        let mut ledger = ledger();
        ledger.map(0x10000..0x14000, A);
        let shrunk = ledger.remap(0x10000..0x14000, 0x10000..0x11000, B);
        assert_eq!(shrunk.removed, [(A, 3 * PAGE)]);
        assert_eq!((shrunk.got, ledger.live_bytes()), (0, PAGE));
    }

    #[test]
    fn the_first_break_is_only_learned() {
        let mut ledger = ledger();
        assert_eq!(ledger.set_break(0x50_0800, A), got(0));
        assert_eq!(ledger.set_break(0x50_2800, A), got(2 * PAGE));
        assert_eq!(
            ledger.set_break(0x50_2900, A),
            got(0),
            "still in the same page"
        );
        assert_eq!(ledger.set_break(0x50_0000, B).removed, [(A, 2 * PAGE)]);
    }

    #[test]
    fn a_known_break_counts_at_once() {
        let mut ledger = ledger().with_break(Some(0x50_0000));
        assert_eq!(ledger.set_break(0x52_1000, A), got(0x2_1000));
    }

    #[test]
    fn impossible_ranges_do_no_harm() {
        let mut ledger = ledger();
        let backwards = Range {
            start: 9 * PAGE,
            end: PAGE,
        };
        assert_eq!(ledger.map(backwards.clone(), A), got(0));
        ledger.remap(backwards, u64::MAX - 5..u64::MAX, B);
        ledger.remap(0..u64::MAX, u64::MAX - PAGE..u64::MAX, B);
        ledger.map(0..u64::MAX, A);
        ledger.unmap(0..u64::MAX);
        assert_eq!(ledger.live_bytes(), 0);
    }

    #[derive(Clone, Debug)]
    enum Call {
        Map(u64, u64),
        Unmap(u64, u64),
        Remap(u64, u64, u64, u64),
        SetBreak(u64),
    }

    fn calls() -> impl Strategy<Value = Vec<(Call, u32)>> {
        let (page, size) = (0..40_u64, 0..12_u64);
        let call = prop_oneof![
            (page.clone(), size.clone()).prop_map(|(at, size)| Call::Map(at, size)),
            (page.clone(), size.clone()).prop_map(|(at, size)| Call::Unmap(at, size)),
            (page.clone(), size.clone(), page, size)
                .prop_map(|(old, old_size, new, size)| Call::Remap(old, old_size, new, size)),
            (60..90_u64).prop_map(Call::SetBreak),
        ];
        prop::collection::vec((call, 0..4_u32), 0..60)
    }

    /// The same by single pages.
    #[derive(Default)]
    struct Pages(BTreeMap<u64, StackId>);

    impl Pages {
        fn take(&mut self, range: Range<u64>) -> Vec<(u64, Option<StackId>)> {
            range.map(|page| (page, self.0.remove(&page))).collect()
        }

        fn put(&mut self, range: Range<u64>, stack: StackId) -> u64 {
            let length = range.end.saturating_sub(range.start);
            self.0.extend(range.map(|page| (page, stack)));
            length
        }

        /// Bytes got, and bytes lost by stack.
        fn call(
            &mut self,
            call: &Call,
            stack: StackId,
            heap: &mut Option<u64>,
        ) -> (u64, BTreeMap<StackId, u64>) {
            let (mut got, mut lost) = (0, Vec::new());
            match *call {
                Call::Map(at, size) => {
                    lost = self.take(at..at + size);
                    got = self.put(at..at + size, stack);
                }
                Call::Unmap(at, size) => lost = self.take(at..at + size),
                Call::Remap(old, old_size, new, size) => {
                    let kept = self.take(old..old + old_size.min(size));
                    lost = self.take(old..old + old_size);
                    lost.extend(self.take(new..new + size));
                    for (page, owner) in kept {
                        if let Some(owner) = owner {
                            self.0.insert(new + page - old, owner);
                        }
                    }
                    got = self.put(new + old_size.min(size)..new + size, stack);
                }
                Call::SetBreak(to) => match heap.replace(to) {
                    Some(from) if from < to => {
                        lost = self.take(from..to);
                        got = self.put(from..to, stack);
                    }
                    Some(from) => lost = self.take(to..from),
                    None => {}
                },
            }
            let mut by_stack = BTreeMap::new();
            for owner in lost.into_iter().filter_map(|(_, owner)| owner) {
                *by_stack.entry(owner).or_default() += PAGE;
            }
            (got * PAGE, by_stack)
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_map_of_single_pages(calls in calls()) {
            let (mut ledger, mut pages, mut heap) = (ledger(), Pages::default(), None);
            let range = |at: u64, size: u64| at * PAGE..(at + size) * PAGE;
            for (call, stack) in calls {
                let stack = StackId(stack);
                let remapped = match call {
                    Call::Map(at, size) => ledger.map(range(at, size), stack),
                    Call::Unmap(at, size) => ledger.unmap(range(at, size)),
                    Call::Remap(old, old_size, new, size) => {
                        ledger.remap(range(old, old_size), range(new, size), stack)
                    }
                    Call::SetBreak(to) => ledger.set_break(to * PAGE, stack),
                };
                let mut removed = BTreeMap::new();
                for (owner, bytes) in remapped.removed {
                    *removed.entry(owner).or_default() += bytes;
                }
                prop_assert_eq!((remapped.got, removed), pages.call(&call, stack, &mut heap));
                prop_assert_eq!(ledger.live_bytes(), pages.0.len() as u64 * PAGE);
            }
        }
    }
}
