//! What whoever reads for a walk knows already.

use super::frames::{STATE, frame_at, stack};
use crate::{
    fake::{FakeMemory, LAYOUT},
    memory::{Block, ReadMemory},
    walk::{MAX_FRAMES, RawFrame, walk_frames},
};

/// Memory whose code objects were all read a moment ago.
struct Known<'a>(&'a FakeMemory);

const REMEMBERED: u32 = 77;

impl ReadMemory for Known<'_> {
    fn read_into<const LENGTH: usize, const N: usize>(
        &self,
        address: u64,
        block: &mut Block<N>,
    ) -> bool {
        self.0.read_into::<LENGTH, N>(address, block)
    }

    fn read_some_into<const N: usize>(
        &self,
        address: u64,
        length: u16,
        block: &mut Block<N>,
    ) -> bool {
        self.0.read_some_into(address, length, block)
    }

    fn known_fingerprint(&self, _code: u64) -> Option<u32> {
        Some(REMEMBERED)
    }
}

#[test]
fn only_the_code_of_callers_is_remembered() {
    let (memory, expected) = stack(3);
    let memory = memory.entry(STATE, frame_at(0));
    let mut frames = [RawFrame::default(); MAX_FRAMES];
    let (count, _) = walk_frames(&Known(&memory), &LAYOUT, STATE, &mut frames);
    let fingerprints = [expected[0].fingerprint, REMEMBERED, REMEMBERED];
    assert_eq!(count, 3);
    let found = [0, 1, 2].map(|number: usize| frames[number].fingerprint);
    assert_eq!(found, fingerprints);
}
