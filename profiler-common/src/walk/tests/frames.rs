//! Stacks as interpreters have them, and stacks with a part that cannot be read.

use std::{collections::BTreeSet, vec::Vec};

use proptest::prelude::*;

use super::{Walked, walk};
use crate::{
    fake::{CFRAME_LAYOUT, FakeFrame, FakeMemory, LAYOUT, UNIT_LAYOUT},
    layout::{InterpreterLayout, NO_SHIMS},
    walk::{
        Frames as _, MAX_COUNTED_FRAMES, MAX_FRAMES, OneByOne, RawFrame, SHORT_FRAMES, Walk,
        WalkEnd, fingerprint,
    },
};

pub(super) const STATE: u64 = 0x1000;
const CFRAME: u64 = 0x1800;
const CODE: u64 = 0xc000;

/// Numbers of a code object that are not those of any other in these tests.
const NUMBERS: [u32; 4] = [2, 1, 3, 40];

/// Where the frame with this number is, counted from the innermost one.
pub(super) fn frame_at(number: usize) -> u64 {
    0x20_0000 + 0x100 * number as u64
}

fn code_at(number: usize) -> u64 {
    0x80_0000 + 0x200 * number as u64
}

/// What the walk makes of a frame of code with [`NUMBERS`].
fn raw(code: u64, instruction: i32) -> RawFrame {
    RawFrame {
        code,
        fingerprint: fingerprint(2, 1, 3, 40),
        instruction,
    }
}

fn complete(frames: impl Into<Vec<RawFrame>>) -> Walked {
    Walked {
        frames: frames.into(),
        missing: 0,
        end: WalkEnd::Complete,
    }
}

fn unreadable(frames: impl Into<Vec<RawFrame>>) -> Walked {
    Walked {
        end: WalkEnd::Unreadable,
        ..complete(frames)
    }
}

/// A thread whose only frame is this one, and whose code can be read.
fn lone(frame: FakeFrame) -> FakeMemory {
    FakeMemory::default()
        .entry(STATE, frame_at(0))
        .frame(frame_at(0), frame)
        .code(CODE, NUMBERS)
}

/// What the walk makes of that frame.
fn walk_lone(frame: FakeFrame, layout: &InterpreterLayout) -> RawFrame {
    let walked = walk(&lone(frame), layout, STATE);
    assert_eq!((walked.frames.len(), walked.end), (1, WalkEnd::Complete));
    walked.frames[0]
}

/// Frames of a function called `depth` times over, and what the walk should make of them.
pub(super) fn stack(depth: usize) -> (FakeMemory, Vec<RawFrame>) {
    let mut memory = FakeMemory::default();
    let mut expected = Vec::new();
    for (number, offset) in (0..depth).zip((0..).step_by(2)) {
        let is_outermost = number + 1 == depth;
        let previous = if is_outermost {
            0
        } else {
            frame_at(number + 1)
        };
        let code = code_at(number);
        memory = memory
            .frame(frame_at(number), FakeFrame::python(previous, code, offset))
            .code(code, NUMBERS);
        expected.push(raw(code, offset));
    }
    (memory, expected)
}

#[test]
fn walks_from_the_innermost_frame_to_the_outermost() {
    let (memory, expected) = stack(3);
    let memory = memory.entry(STATE, frame_at(0));
    assert_eq!(walk(&memory, &LAYOUT, STATE), complete(expected));
}

#[test]
fn walks_through_a_cframe_where_there_is_one() {
    let (memory, expected) = stack(3);
    let memory = memory.cframe_entry(STATE, CFRAME, frame_at(0));
    assert_eq!(walk(&memory, &CFRAME_LAYOUT, STATE), complete(expected));
}

#[test]
fn a_thread_outside_of_python_has_a_complete_stack_of_no_frames() {
    let memory = FakeMemory::default().entry(STATE, 0);
    assert_eq!(walk(&memory, &LAYOUT, STATE), complete([]));
    let memory = FakeMemory::default().cframe_entry(STATE, CFRAME, 0);
    assert_eq!(walk(&memory, &CFRAME_LAYOUT, STATE), complete([]));
}

#[test]
fn a_thread_state_or_cframe_that_cannot_be_read_gives_no_frames() {
    let nothing = FakeMemory::default();
    assert_eq!(walk(&nothing, &LAYOUT, STATE), unreadable([]));
    let no_cframe = nothing.entry(STATE, CFRAME);
    assert_eq!(walk(&no_cframe, &CFRAME_LAYOUT, STATE), unreadable([]));
}

#[test]
fn keeps_the_frames_read_before_a_fault() {
    let memory = lone(FakeFrame::python(frame_at(1), CODE, 6));
    assert_eq!(walk(&memory, &LAYOUT, STATE), unreadable([raw(CODE, 6)]));
}

#[test]
fn a_fault_cuts_the_stack_off_or_costs_a_fingerprint_and_nothing_else() {
    let depth = 5;
    let (memory, truth) = stack(depth);
    let memory = memory.cframe_entry(STATE, CFRAME, frame_at(0));
    assert_eq!(
        walk(&memory, &CFRAME_LAYOUT, STATE),
        complete(truth.clone())
    );
    let reads = memory.reads();
    assert_eq!(
        reads,
        2 + 2 * depth,
        "the way in, then each frame and its code"
    );

    for read in 0..reads {
        let walked = walk(&memory.clone().fail_at(read), &CFRAME_LAYOUT, STATE);
        let frame_count = read.saturating_sub(2) / 2;
        let is_code = read >= 2 && read % 2 == 1;
        if is_code {
            let mut expected = truth.clone();
            expected[frame_count].fingerprint = 0;
            assert_eq!(walked, complete(expected), "read {read}");
        } else {
            assert_eq!(walked, unreadable(&truth[..frame_count]), "read {read}");
        }
    }
}

#[test]
fn a_frame_that_stands_for_c_code_has_an_entry_without_code() {
    let (memory, expected) = stack(2);
    let shim = frame_at(7);
    let memory = memory
        .entry(STATE, frame_at(0))
        .frame(frame_at(0), FakeFrame::python(shim, code_at(0), 0))
        .frame(shim, FakeFrame::shim(frame_at(1)));
    let expected = [expected[0], RawFrame::default(), expected[1]];
    assert_eq!(walk(&memory, &LAYOUT, STATE), complete(expected));
}

#[test]
fn the_code_of_a_frame_that_stands_for_c_code_is_not_read() {
    let memory = lone(FakeFrame::shim(0));
    assert_eq!(walk(&memory, &LAYOUT, STATE).frames, [RawFrame::default()]);
    assert_eq!(memory.reads(), 2);
}

#[test]
fn owners_from_the_first_shim_on_are_shims() {
    for owner in [0, 1, 2] {
        let frame = FakeFrame {
            owner,
            ..FakeFrame::python(0, CODE, 0)
        };
        assert_eq!(walk_lone(frame, &LAYOUT), raw(CODE, 0), "owner {owner}");
    }
    for owner in [3, 4, u8::MAX] {
        let frame = FakeFrame {
            owner,
            ..FakeFrame::python(0, CODE, 0)
        };
        assert_eq!(
            walk_lone(frame, &LAYOUT),
            RawFrame::default(),
            "owner {owner}"
        );
    }
}

#[test]
fn without_shims_no_owner_is_one() {
    let layout = InterpreterLayout {
        shim_owner: NO_SHIMS,
        ..LAYOUT
    };
    for owner in 0..=u8::MAX {
        let frame = FakeFrame {
            owner,
            ..FakeFrame::python(0, CODE, 0)
        };
        assert_eq!(walk_lone(frame, &layout), raw(CODE, 0), "owner {owner}");
    }
}

#[test]
fn the_tag_of_a_code_pointer_is_taken_off() {
    let frame = FakeFrame::python(0, CODE, 4);
    let tagged = FakeFrame {
        code: CODE | 1,
        ..frame
    };
    assert_eq!(walk_lone(tagged, &LAYOUT), raw(CODE, 4));
}

#[test]
fn a_bit_of_a_code_pointer_that_is_no_tag_stays() {
    let layout = InterpreterLayout {
        code_tag: 0,
        ..LAYOUT
    };
    let memory = lone(FakeFrame::python(0, CODE | 1, 4)).code(CODE | 1, NUMBERS);
    assert_eq!(walk(&memory, &layout, STATE), complete([raw(CODE | 1, 4)]));
}

#[test]
fn a_frame_without_code_has_an_entry_whether_or_not_the_pointer_is_tagged() {
    for code in [0, 1] {
        let frame = FakeFrame {
            code,
            ..FakeFrame::python(0, CODE, 0)
        };
        assert_eq!(walk_lone(frame, &LAYOUT), RawFrame::default());
    }
}

#[test]
fn an_instruction_counts_from_the_first_one() {
    // A frame that has not begun yet points in front of its first instruction.
    for offset in [0, 2, 65_536, i32::MAX, -2, i32::MIN] {
        let frame = FakeFrame::python(0, CODE, offset);
        assert_eq!(walk_lone(frame, &LAYOUT), raw(CODE, offset));
    }
}

#[test]
fn an_instruction_far_from_its_code_is_cut_to_an_offset() {
    let bytecode = 0xc0c0;
    for (instruction, offset) in [
        (0, -bytecode),
        (0x1_0000_c0c6, 6),
        (u64::MAX, -1 - bytecode),
    ] {
        let frame = FakeFrame {
            instruction,
            ..FakeFrame::python(0, CODE, 0)
        };
        assert_eq!(walk_lone(frame, &LAYOUT), raw(CODE, offset));
    }
}

#[test]
fn an_instruction_may_be_counted_by_the_frame_in_bytes_or_units() {
    let bytes = InterpreterLayout {
        instruction_shift: 0,
        ..UNIT_LAYOUT
    };
    // A frame has 32 bits for it, and something else behind them.
    for (count, unit) in [(0, 0), (6, 12), (100_000, 200_000), (-1, -2)] {
        let frame = FakeFrame {
            instruction: 0xdead_beef << 32 | u64::from(i32::cast_unsigned(count)),
            ..FakeFrame::python(0, CODE, 0)
        };
        assert_eq!(walk_lone(frame, &UNIT_LAYOUT), raw(CODE, unit));
        assert_eq!(walk_lone(frame, &bytes), raw(CODE, count));
    }
}

#[test]
fn as_many_bytes_of_a_frame_are_read_as_the_layout_says() {
    let larger = InterpreterLayout {
        frame_bytes: LAYOUT.frame_bytes + 8,
        ..LAYOUT
    };
    let memory = lone(FakeFrame::python(0, CODE, 2));
    assert_eq!(walk(&memory, &larger, STATE), unreadable([]));
    let behind = frame_at(0) + u64::from(LAYOUT.frame_bytes);
    let memory = memory.word(behind, 0);
    assert_eq!(walk(&memory, &larger, STATE), complete([raw(CODE, 2)]));
}

#[test]
fn a_stack_that_just_fits_is_complete() {
    let (memory, expected) = stack(MAX_FRAMES);
    let memory = memory.entry(STATE, frame_at(0));
    assert_eq!(walk(&memory, &LAYOUT, STATE), complete(expected));
}

/// A walk that has filled in the frames of a short record, and what it said then.
fn walk_short(memory: &FakeMemory) -> (Walk, Vec<RawFrame>, Option<WalkEnd>) {
    let mut frames = [RawFrame::default(); SHORT_FRAMES];
    let mut walk = Walk::begin(memory, &LAYOUT, STATE).unwrap();
    let end = walk.fill(&mut OneByOne::new(memory), &LAYOUT, &mut frames);
    let kept = walk.count() as usize;
    (walk, frames[..kept].to_vec(), end)
}

#[test]
fn a_walk_says_whether_there_are_more_frames() {
    for (depth, kept, expected_end) in [
        (SHORT_FRAMES - 1, SHORT_FRAMES - 1, Some(WalkEnd::Complete)),
        (SHORT_FRAMES, SHORT_FRAMES, Some(WalkEnd::Complete)),
        (SHORT_FRAMES + 1, SHORT_FRAMES, None),
    ] {
        let (memory, expected) = stack(depth);
        let memory = memory.entry(STATE, frame_at(0));
        let (_, frames, end) = walk_short(&memory);
        assert_eq!((&frames[..], end), (&expected[..kept], expected_end));
    }
}

#[test]
fn a_walk_goes_on_from_where_it_was() {
    let (memory, expected) = stack(MAX_FRAMES);
    let memory = memory.entry(STATE, frame_at(0));
    let (mut walk, mut frames, _) = walk_short(&memory);
    let mut more = [RawFrame::default(); MAX_FRAMES - SHORT_FRAMES];
    let end = walk.fill(&mut OneByOne::new(&memory), &LAYOUT, &mut more);
    frames.extend(more);
    assert_eq!((frames, end), (expected, Some(WalkEnd::Complete)));
    assert_eq!(walk.count() as usize, MAX_FRAMES);
    // The innermost frame's address, then each frame and its code, once.
    assert_eq!(memory.reads(), 1 + 2 * MAX_FRAMES);
}

#[test]
fn a_walk_that_goes_on_may_still_fail() {
    let (memory, expected) = stack(MAX_FRAMES);
    let first_read = 1 + 2 * SHORT_FRAMES;
    for further in [0, 1, 40] {
        let memory = memory.clone().entry(STATE, frame_at(0));
        let memory = memory.fail_at(first_read + 2 * further);
        let kept = &expected[..SHORT_FRAMES + further];
        assert_eq!(walk(&memory, &LAYOUT, STATE), unreadable(kept));
    }
}

#[test]
fn frames_that_do_not_fit_are_counted() {
    for depth in [MAX_FRAMES + 1, MAX_FRAMES + 700, MAX_COUNTED_FRAMES] {
        let (memory, expected) = stack(depth);
        let memory = memory.entry(STATE, frame_at(0));
        let expected = Walked {
            frames: expected[..MAX_FRAMES].to_vec(),
            missing: depth - MAX_FRAMES,
            end: WalkEnd::TooDeep,
        };
        assert_eq!(walk(&memory, &LAYOUT, STATE), expected);
    }
}

#[test]
fn frames_that_stand_for_c_code_are_not_counted() {
    let (memory, expected) = stack(MAX_FRAMES + 2);
    let shim = frame_at(MAX_FRAMES + 2);
    let cut = MAX_FRAMES - 1;
    let memory = memory
        .entry(STATE, frame_at(0))
        .frame(shim, FakeFrame::shim(frame_at(MAX_FRAMES + 1)))
        .frame(
            frame_at(MAX_FRAMES),
            FakeFrame::python(shim, code_at(MAX_FRAMES), 0),
        );
    let walked = walk(&memory, &LAYOUT, STATE);
    assert_eq!(walked.frames[cut], expected[cut]);
    assert_eq!((walked.missing, walked.end), (2, WalkEnd::TooDeep));
}

#[test]
fn beyond_a_number_of_frames_or_a_fault_counting_stops() {
    let (memory, expected) = stack(MAX_COUNTED_FRAMES + 1);
    let memory = memory.entry(STATE, frame_at(0));
    let uncounted = |missing| Walked {
        frames: expected[..MAX_FRAMES].to_vec(),
        missing,
        end: WalkEnd::Uncounted,
    };
    let most = MAX_COUNTED_FRAMES - MAX_FRAMES;
    assert_eq!(walk(&memory, &LAYOUT, STATE), uncounted(most));
    let memory = memory.fail_at(1 + 2 * MAX_FRAMES + 7);
    assert_eq!(walk(&memory, &LAYOUT, STATE), uncounted(7));
}

#[test]
fn a_frame_that_called_itself_ends_the_walk() {
    let memory = lone(FakeFrame::python(frame_at(0), CODE, 8));
    let expected = Walked {
        frames: [raw(CODE, 8); MAX_FRAMES].to_vec(),
        missing: MAX_COUNTED_FRAMES - MAX_FRAMES,
        end: WalkEnd::Uncounted,
    };
    assert_eq!(walk(&memory, &LAYOUT, STATE), expected);
}

#[test]
fn code_that_cannot_be_read_has_the_fingerprint_zero() {
    let memory = FakeMemory::default();
    assert_eq!(OneByOne::new(&memory).fingerprint(&LAYOUT, CODE), 0);
    let memory = memory.code(CODE, NUMBERS);
    assert_eq!(
        OneByOne::new(&memory).fingerprint(&LAYOUT, CODE),
        fingerprint(2, 1, 3, 40)
    );
}

#[test]
fn every_end_is_read_back_and_no_other_number_is_one() {
    for end in [
        WalkEnd::Complete,
        WalkEnd::Unreadable,
        WalkEnd::TooDeep,
        WalkEnd::NoThreadState,
        WalkEnd::NoInterpreter,
        WalkEnd::Uncounted,
    ] {
        assert_eq!(WalkEnd::from_wire(end as u32), Some(end));
    }
    assert_eq!(WalkEnd::from_wire(6), None);
    assert_eq!(WalkEnd::from_wire(u32::MAX), None);
}

#[test]
fn functions_that_are_much_alike_have_fingerprints_of_their_own() {
    let flags = [0, 0x03, 0x13, 0x1f, 0x23, 0x83];
    let seen: BTreeSet<u32> = flags
        .into_iter()
        .flat_map(|flags| (0..300).map(move |line| (flags, line)))
        .flat_map(|(flags, line)| (0..16).map(move |n| fingerprint(n / 4, n % 4, flags, line)))
        .collect();
    assert_eq!(seen.len(), flags.len() * 300 * 16);
}

/// Numbers that fit into a fingerprint; of larger ones the highest bits are lost.
fn numbers() -> impl Strategy<Value = [u32; 4]> {
    (0u32..1 << 7, 0u32..1 << 14, 0u32..1 << 22, any::<u32>()).prop_map(Into::into)
}

proptest! {
    #[test]
    fn code_with_one_other_number_has_another_fingerprint(
        numbers in numbers(),
        other in numbers(),
        which in 0usize..4,
    ) {
        let mut changed = numbers;
        changed[which] = other[which];
        let memory = FakeMemory::default().code(CODE, numbers).code(2 * CODE, changed);
        let fingerprint = |code| OneByOne::new(&memory).fingerprint(&LAYOUT, code);
        let fingerprints = [CODE, 2 * CODE].map(fingerprint);
        prop_assert_eq!(fingerprints[0] == fingerprints[1], numbers == changed);
    }
}
