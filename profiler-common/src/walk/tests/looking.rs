//! A walk that looks at pages and remembers: it finds what one finds that reads frame by frame.

use std::vec::Vec;

use proptest::prelude::*;

use super::frames::{STATE, frame_at, stack};
use crate::{
    fake::{FakeFrame, FakeMemory, LAYOUT},
    walk::{Frames, MAX_FRAMES, OneByOne, RawFrame, Sight, Walk, WalkEnd, fingerprint},
};

const PAGE: usize = 4096;
const PAGES: usize = 4;

/// Frames begin at multiples of that.
const SLOT: usize = 128;
const SLOTS: usize = PAGES * PAGE / SLOT;

const PID: u32 = 7;

/// A time, and one so much later that nothing is believed any more.
const NOW: u64 = 5 << 30;
const LATER: u64 = 6 << 30;

fn walk(memory: &FakeMemory, mut source: impl Frames) -> (Vec<RawFrame>, Option<WalkEnd>) {
    let mut frames = [RawFrame::default(); MAX_FRAMES];
    let mut walk = Walk::begin(memory, &LAYOUT, STATE).unwrap();
    let end = walk.fill(&mut source, &LAYOUT, &mut frames);
    let count = walk.count() as usize;
    (frames[..count].to_vec(), end)
}

/// Memory with a frame in each of these slots, innermost first, in pages that are there or not.
fn scattered(slots: &[usize], is_there: [bool; PAGES], first_line: u16) -> FakeMemory {
    let at = |offset: usize| 0x20_0000 + offset as u64;
    let mut memory = FakeMemory::default();
    for (page, _) in (0..).zip(is_there).filter(|(_, is_there)| *is_there) {
        memory = memory.bytes(at(PAGE * page), &[0x5a; PAGE]);
    }
    for (number, slot) in slots.iter().enumerate() {
        let previous = slots.get(number + 1).map_or(0, |next| at(SLOT * next));
        let code = 0x80_0000 + 0x200 * *slot as u64;
        memory = memory.code(code, [1, 0, 3, u32::from(first_line)]);
        if is_there[slot * SLOT / PAGE] {
            let frame = FakeFrame::python(previous, code, first_line.into());
            memory = memory.frame(at(SLOT * slot), frame);
        }
    }
    memory.entry(STATE, at(SLOT * slots[0]))
}

/// Slots as a stack that grows upwards has them, or in any order.
fn slots() -> impl Strategy<Value = Vec<usize>> {
    let all: Vec<usize> = (0..SLOTS).rev().collect();
    let stack = prop::sample::subsequence(all, 1..SLOTS);
    prop_oneof![stack.clone(), stack.prop_shuffle()]
}

proptest! {
    // Each case fills pages byte by byte.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn pages_tell_what_frames_tell(
        walks in prop::collection::vec((slots(), [prop::bool::weighted(0.9); 4]), 1..4),
    ) {
        let mut sight = Sight::NOTHING;
        for (number, (slots, is_there)) in (0..).zip(walks) {
            let memory = scattered(&slots, is_there, 100 * (number + 1));
            let time = NOW + u64::from(number) * (LATER - NOW);
            let expected = walk(&memory, OneByOne::new(&memory));
            prop_assert_eq!(walk(&memory, sight.look(&memory, PID, time)), expected);
        }
    }
}

#[test]
fn a_stack_on_one_page_takes_two_reads_and_one_when_it_was_there_before() {
    let slots: Vec<usize> = (0..20).rev().collect();
    let memory = scattered(&slots, [true; 4], 1);
    let mut sight = Sight::NOTHING;
    let mut reads_of_walk = || {
        let before = memory.reads();
        walk(&memory, sight.look(&memory, PID, NOW));
        memory.reads() - before
    };
    // Where the innermost frame is; that frame and the page; the code of each frame.
    assert_eq!(reads_of_walk(), 1 + 2 + 20);
    assert_eq!(reads_of_walk(), 1 + 1 + 1);
}

#[test]
fn only_the_code_of_callers_is_believed_and_only_for_a_moment() {
    let (memory, before) = stack(2);
    let memory = memory.entry(STATE, frame_at(0));
    let mut sight = Sight::NOTHING;
    let mut fingerprints = |memory: &FakeMemory, pid, time| {
        let (frames, _) = walk(memory, sight.look(memory, pid, time));
        [frames[0].fingerprint, frames[1].fingerprint]
    };
    let old = before[0].fingerprint;
    assert_eq!(fingerprints(&memory, PID, NOW), [old; 2]);
    let numbers = [1, 2, 3, 4];
    let new = fingerprint(1, 2, 3, 4);
    let memory = (before.iter()).fold(memory, |memory, frame| memory.code(frame.code, numbers));
    assert_eq!(fingerprints(&memory, PID, NOW), [new, old]);
    assert_eq!(fingerprints(&memory, PID + 1, NOW), [new; 2]);
    let (memory, _) = stack(2);
    let memory = memory.entry(STATE, frame_at(0));
    assert_eq!(fingerprints(&memory, PID + 1, LATER), [old; 2]);
}
