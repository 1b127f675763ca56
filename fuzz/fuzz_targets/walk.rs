//! The target's memory while it is walked. The input is a layout row, a few addresses, and memory
//! from address zero on, so that small numbers are pointers.
#![no_main]

use std::cell::Cell;

use libfuzzer_sys::fuzz_target;
use profiler_common::{
    layout::{ADDRESS, InterpreterLayout, OFFSET},
    memory::{Block, ReadMemory},
    walk::{
        MAX_COUNTED_FRAMES, MAX_FRAMES, MAX_THREAD_STATES, RawFrame, WalkEnd, find_thread_state,
        walk_frames,
    },
};

struct Image<'input> {
    bytes: &'input [u8],
    /// The number of the read that fails.
    failing: usize,
    reads: Cell<usize>,
}

impl<'input> Image<'input> {
    fn new(bytes: &'input [u8], failing: usize) -> Self {
        Self {
            bytes,
            failing,
            reads: Cell::new(0),
        }
    }

    fn bytes_at(&self, address: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(address).ok()?;
        self.bytes.get(start..start.checked_add(length)?)
    }

    fn fill(&self, address: u64, target: &mut [u8]) -> bool {
        let read = self.reads.replace(self.reads.get() + 1);
        target.fill(0);
        let found = self.bytes_at(address, target.len());
        match found.filter(|_| read != self.failing) {
            Some(found) => target.copy_from_slice(found),
            None => return false,
        }
        true
    }
}

impl ReadMemory for Image<'_> {
    fn read_into<const LENGTH: usize, const N: usize>(
        &self,
        address: u64,
        block: &mut Block<N>,
    ) -> bool {
        self.fill(address, &mut block.bytes_mut()[..LENGTH])
    }

    fn read_some_into<const N: usize>(
        &self,
        address: u64,
        length: u16,
        block: &mut Block<N>,
    ) -> bool {
        let length = Block::<N>::cut(length);
        self.fill(address, &mut block.bytes_mut()[..length])
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((row, rest)) = input.split_first_chunk::<40>() else {
        return;
    };
    let Some((places, bytes)) = rest.split_first_chunk::<12>() else {
        return;
    };
    let layout = read_layout(row);
    let [state, holder, remembered, head, thread_id, failing] = halves(places);
    walk_with(&layout, bytes, state.into(), failing.into());

    let memory = Image::new(bytes, failing.into());
    let [holder, remembered, head, thread_id] =
        [holder, remembered, head, thread_id].map(u64::from);
    let found = find_thread_state(&memory, &layout, holder, remembered, head, 0, thread_id);
    assert!(memory.reads.get() <= 4 + 2 * MAX_THREAD_STATES);
    if let Ok(found) = found {
        let place = found.wrapping_add(layout.thread_id.into());
        assert_ne!(found, 0);
        assert_eq!(
            Image::new(bytes, usize::MAX).read_word(place),
            Some(thread_id)
        );
    }
});

/// Walks with one fault and without: the fault must not make anything up.
fn walk_with(layout: &InterpreterLayout, bytes: &[u8], state: u64, failing: usize) {
    let memory = Image::new(bytes, usize::MAX);
    let mut frames = [RawFrame::default(); MAX_FRAMES];
    let (count, end) = walk_frames(&memory, layout, state, &mut frames);
    let is_cut = [WalkEnd::TooDeep, WalkEnd::Uncounted].contains(&end);
    assert!(count as usize <= MAX_COUNTED_FRAMES);
    assert!(memory.reads.get() <= 2 + MAX_FRAMES + MAX_COUNTED_FRAMES);
    assert!(is_cut || count as usize <= MAX_FRAMES);

    let mut faulty = [RawFrame::default(); MAX_FRAMES];
    let memory = Image::new(bytes, failing);
    let (faulty_count, faulty_end) = walk_frames(&memory, layout, state, &mut faulty);
    assert!(faulty_count <= count);
    let by_fault = [WalkEnd::Unreadable, WalkEnd::Uncounted];
    assert!(faulty_end == end || by_fault.contains(&faulty_end));
    for (faulty, frame) in faulty.iter().zip(&frames).take(faulty_count as usize) {
        assert!(faulty.fingerprint == 0 || faulty.fingerprint == frame.fingerprint);
        assert_eq!(faulty.code, frame.code);
        assert_eq!(faulty.instruction, frame.instruction);
    }
}

fn read_layout(row: &[u8; 40]) -> InterpreterLayout {
    let [
        thread_next,
        thread_id,
        thread_frame,
        cframe_frame,
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
        kind,
    ] = halves(row);
    InterpreterLayout {
        thread_next,
        thread_id,
        thread_frame,
        cframe_frame,
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
        instruction_address: if kind & 4 == 0 { ADDRESS } else { OFFSET },
        entry: u32::from(kind & 3),
        reserved: 0,
    }
}

/// The first `N` numbers of two bytes each.
fn halves<const N: usize>(bytes: &[u8]) -> [u16; N] {
    std::array::from_fn(|number| {
        let at = bytes[2 * number..].first_chunk().copied();
        u16::from_le_bytes(at.unwrap_or_default())
    })
}
