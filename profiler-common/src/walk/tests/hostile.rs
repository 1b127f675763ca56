//! Memory that means harm: nothing in it can be believed.

use std::vec;

use proptest::{array, collection, option, prelude::*, sample};

use super::walk;
use crate::{
    fake::{CFRAME_LAYOUT, FakeFrame, FakeMemory, LAYOUT, UNIT_LAYOUT},
    layout::InterpreterLayout,
    memory::ReadMemory as _,
    walk::{
        MAX_COUNTED_FRAMES, MAX_FRAMES, MAX_THREAD_STATES, RawFrame, WalkEnd, find_thread_state,
    },
};

const START: u64 = 0x1000;

/// Pointers at the end of the address space, at its beginning, and between words.
const ODD: [u64; 6] = [u64::MAX, u64::MAX - 7, u64::MAX - 79, 1, 7, START + 3];

#[test]
fn thread_states_at_odd_places_are_walked_without_a_panic() {
    for state in ODD {
        for layout in [LAYOUT, CFRAME_LAYOUT] {
            let walked = walk(&FakeMemory::default(), &layout, state);
            assert_eq!((walked.frames.len(), walked.end), (0, WalkEnd::Unreadable));
        }
    }
}

#[test]
fn frames_at_odd_places_are_walked_without_a_panic() {
    for frame in ODD {
        let memory = FakeMemory::default().entry(START, frame);
        let walked = walk(&memory, &LAYOUT, START);
        assert_eq!((walked.frames.len(), walked.end), (0, WalkEnd::Unreadable));
    }
}

#[test]
fn a_frame_between_words_is_a_frame() {
    let frame = FakeFrame::python(0, 0xc000, 2);
    let memory = FakeMemory::default()
        .entry(START, START + 0x103)
        .frame(START + 0x103, frame);
    let walked = walk(&memory, &LAYOUT, START);
    assert_eq!((walked.frames.len(), walked.end), (1, WalkEnd::Complete));
}

#[test]
fn code_at_odd_places_has_no_fingerprint() {
    let layout = InterpreterLayout {
        code_tag: 0,
        ..LAYOUT
    };
    let frame = START + 0x100;
    for code in ODD {
        let memory = FakeMemory::default()
            .entry(START, frame)
            .frame(frame, FakeFrame::python(0, code, 2));
        let walked = walk(&memory, &layout, START);
        let expected = RawFrame {
            code,
            fingerprint: 0,
            instruction: 2,
        };
        assert_eq!(
            (walked.frames, walked.end),
            (vec![expected], WalkEnd::Complete)
        );
    }
}

#[test]
fn thread_states_at_odd_places_are_searched_without_a_panic() {
    for state in ODD {
        let memory = FakeMemory::default().word(0x100, state).word(0x200, state);
        assert_eq!(
            find_thread_state(&memory, &LAYOUT, 0x100, state, 0x200, 0, 9),
            Err(state)
        );
        assert_eq!(
            find_thread_state(&memory, &LAYOUT, state, state, state, 0, 9),
            Err(0)
        );
    }
}

/// A pointer into the little memory that there is. There are few, so that structures overlap,
/// lists go round and one word is many things.
fn pointer() -> impl Strategy<Value = u64> {
    (0u64..16).prop_map(|number| START + 24 * number)
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        24 => pointer(),
        1 => START..START + 400,
        2 => Just(0),
        1 => sample::select(ODD.to_vec()),
        1 => any::<u64>(),
    ]
}

/// Memory with a hole here and there.
fn memory() -> impl Strategy<Value = FakeMemory> {
    collection::vec(option::weighted(0.99, word()), 64).prop_map(|words| {
        let places = (START..).step_by(8).zip(words);
        places.fold(
            FakeMemory::default(),
            |memory, (address, word)| match word {
                Some(word) => memory.word(address, word),
                None => memory,
            },
        )
    })
}

/// Rows as they are, and rows that no check has seen.
fn layout() -> impl Strategy<Value = InterpreterLayout> {
    let rest = (0u32..3, any::<[u16; 2]>(), any::<u32>());
    let wild = (array::uniform16(any::<u16>()), rest).prop_map(|(numbers, rest)| {
        let (entry, [frame_bytes, instruction_shift], instruction_address) = rest;
        let [
            thread_next,
            thread_id,
            thread_frame,
            cframe_frame,
            rest @ ..,
        ] = numbers;
        let [
            frame_code,
            frame_previous,
            frame_instruction,
            frame_owner,
            rest @ ..,
        ] = rest;
        let [shim_owner, code_tag, code_numbers, code_bytecode, rest @ ..] = rest;
        let [
            number_arguments,
            number_keyword_only,
            number_flags,
            number_first_line,
        ] = rest;
        InterpreterLayout {
            thread_next: thread_next % 64,
            thread_id: thread_id % 64,
            thread_frame: thread_frame % 64,
            cframe_frame: cframe_frame % 64,
            frame_code,
            frame_previous,
            frame_instruction,
            frame_owner,
            shim_owner,
            code_tag,
            code_numbers,
            number_arguments,
            number_keyword_only,
            number_flags,
            number_first_line,
            code_bytecode,
            frame_bytes,
            instruction_shift,
            instruction_address,
            entry,
            reserved: 0,
        }
    });
    prop_oneof![Just(LAYOUT), Just(CFRAME_LAYOUT), Just(UNIT_LAYOUT), wild]
}

proptest! {
    #[test]
    fn any_memory_is_walked_to_an_end(memory in memory(), layout in layout(), state in pointer()) {
        let walked = walk(&memory, &layout, state);
        let is_cut = [WalkEnd::TooDeep, WalkEnd::Uncounted].contains(&walked.end);
        prop_assert!(walked.missing <= MAX_COUNTED_FRAMES - MAX_FRAMES);
        prop_assert!(memory.reads() <= 2 + MAX_FRAMES + MAX_COUNTED_FRAMES);
        prop_assert_eq!(is_cut && walked.frames.len() < MAX_FRAMES, false);
        prop_assert!(is_cut || walked.missing == 0);
    }

    #[test]
    fn a_fault_makes_no_frame_up(
        memory in memory(),
        layout in layout(),
        state in pointer(),
        read in 0usize..2 + 2 * MAX_FRAMES,
    ) {
        let truth = walk(&memory, &layout, state);
        let faulty = walk(&memory.fail_at(read), &layout, state);
        prop_assert!(faulty.frames.len() <= truth.frames.len());
        prop_assert!(faulty.missing <= truth.missing);
        let by_fault = [WalkEnd::Unreadable, WalkEnd::Uncounted];
        prop_assert!(faulty.end == truth.end || by_fault.contains(&faulty.end));
        for (frame, truth) in faulty.frames.iter().zip(&truth.frames) {
            let fingerprint = if frame.fingerprint == 0 { 0 } else { truth.fingerprint };
            prop_assert_eq!(*frame, RawFrame { fingerprint, ..*truth });
        }
    }

    #[test]
    fn whatever_thread_state_is_found_names_the_thread(
        memory in memory(),
        layout in layout(),
        words in array::uniform4(pointer()),
        read in 0usize..4 + 2 * MAX_THREAD_STATES,
    ) {
        let [holder, remembered, head, id] = words;
        let memory = memory.fail_at(read);
        let found = find_thread_state(&memory, &layout, holder, remembered, head, 0, id);
        prop_assert!(memory.reads() <= 4 + 2 * MAX_THREAD_STATES);
        if let Ok(state) = found {
            let place = state.wrapping_add(u64::from(layout.thread_id));
            prop_assert_ne!(state, 0);
            prop_assert_eq!(memory.fail_at(usize::MAX).read_word(place), Some(id));
        }
    }
}
