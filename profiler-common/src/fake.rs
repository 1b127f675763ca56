//! A process made of a few values: memory that faults on everything it was not given.

use core::cell::Cell;
use std::collections::BTreeMap;

use crate::{
    layout::{ADDRESS, FrameEntry, InterpreterLayout, OFFSET},
    memory::{Block, ReadMemory},
};

/// A layout in which no two things are in the same place, so that a mistaken one is noticed.
pub(crate) const LAYOUT: InterpreterLayout = InterpreterLayout {
    thread_next: 8,
    thread_id: 16,
    thread_frame: 24,
    cframe_frame: 40,
    frame_code: 0,
    frame_previous: 8,
    frame_instruction: 56,
    frame_owner: 70,
    shim_owner: SHIM as u16,
    code_tag: 1,
    code_numbers: 48,
    number_arguments: 4,
    number_keyword_only: 12,
    number_flags: 0,
    number_first_line: 20,
    code_bytecode: 192,
    frame_bytes: FRAME_BYTES,
    instruction_shift: 0,
    instruction_address: ADDRESS,
    entry: FrameEntry::Direct as u32,
    reserved: 0,
};

/// [`LAYOUT`], but with a `_PyCFrame` between the thread state and the frame.
pub(crate) const CFRAME_LAYOUT: InterpreterLayout = InterpreterLayout {
    entry: FrameEntry::ThroughCFrame as u32,
    ..LAYOUT
};

/// [`LAYOUT`], but frames say how many units of two bytes their instruction is from the first.
pub(crate) const UNIT_LAYOUT: InterpreterLayout = InterpreterLayout {
    instruction_shift: 1,
    instruction_address: OFFSET,
    ..LAYOUT
};

/// How many bytes a frame has.
const FRAME_BYTES: u16 = 80;

/// Owners that mark a frame of Python code, and one that stands for C code.
const THREAD: u8 = 0;
const SHIM: u8 = 3;

/// What a frame is made of; the walk must not care about the rest of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FakeFrame {
    pub(crate) previous: u64,
    /// As the frame has it, with its tag.
    pub(crate) code: u64,
    /// The address of the instruction, not its offset.
    pub(crate) instruction: u64,
    pub(crate) owner: u8,
}

impl FakeFrame {
    /// A frame that executes the instruction at `offset` of `code`.
    pub(crate) fn python(previous: u64, code: u64, offset: i32) -> Self {
        let bytecode = code.wrapping_add(u64::from(LAYOUT.code_bytecode));
        Self {
            previous,
            code,
            instruction: bytecode.wrapping_add_signed(i64::from(offset)),
            owner: THREAD,
        }
    }

    /// A frame that stands for C code; what it says of code is of no use.
    pub(crate) fn shim(previous: u64) -> Self {
        Self {
            owner: SHIM,
            ..Self::python(previous, 0xdead_0000, 2)
        }
    }
}

/// The memory of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeMemory {
    bytes: BTreeMap<u64, u8>,
    reads: Cell<usize>,
    failing: Option<usize>,
}

impl FakeMemory {
    /// Puts bytes at an address; those behind the last address are dropped.
    pub(crate) fn bytes(mut self, address: u64, bytes: &[u8]) -> Self {
        self.bytes
            .extend((address..=u64::MAX).zip(bytes.iter().copied()));
        self
    }

    /// Puts a word at an address.
    pub(crate) fn word(self, address: u64, value: u64) -> Self {
        self.bytes(address, &value.to_le_bytes())
    }

    /// Puts a thread state of the thread `id` there, in front of the one at `next`.
    pub(crate) fn thread(self, state: u64, id: u64, next: u64) -> Self {
        self.word(state + u64::from(LAYOUT.thread_id), id)
            .word(state + u64::from(LAYOUT.thread_next), next)
    }

    /// Lets a thread state point to its innermost frame.
    pub(crate) fn entry(self, state: u64, frame: u64) -> Self {
        self.word(state + u64::from(LAYOUT.thread_frame), frame)
    }

    /// Lets a thread state point to a `_PyCFrame`, and that one to the innermost frame.
    pub(crate) fn cframe_entry(self, state: u64, cframe: u64, frame: u64) -> Self {
        self.entry(state, cframe)
            .word(cframe + u64::from(LAYOUT.cframe_frame), frame)
    }

    /// Puts a frame there, with nothing behind it that could be read.
    pub(crate) fn frame(self, address: u64, frame: FakeFrame) -> Self {
        let mut bytes = [0xa5; FRAME_BYTES as usize];
        let words = [
            (LAYOUT.frame_code, frame.code),
            (LAYOUT.frame_previous, frame.previous),
            (LAYOUT.frame_instruction, frame.instruction),
        ];
        for (offset, word) in words {
            let offset = usize::from(offset);
            bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes[usize::from(LAYOUT.frame_owner)] = frame.owner;
        self.bytes(address, &bytes)
    }

    /// Puts a code object there, with the numbers that go into its fingerprint: positional
    /// arguments, keyword-only arguments, flags, first line.
    pub(crate) fn code(self, address: u64, numbers: [u32; 4]) -> Self {
        let mut bytes = [0x5a; 32];
        let offsets = [
            LAYOUT.number_arguments,
            LAYOUT.number_keyword_only,
            LAYOUT.number_flags,
            LAYOUT.number_first_line,
        ];
        for (offset, number) in offsets.into_iter().zip(numbers) {
            let offset = usize::from(offset);
            bytes[offset..offset + 4].copy_from_slice(&number.to_le_bytes());
        }
        self.bytes(address + u64::from(LAYOUT.code_numbers), &bytes)
    }

    /// Lets the read with this number fail, counted from zero, and none before or after it.
    pub(crate) fn fail_at(mut self, read: usize) -> Self {
        self.failing = Some(read);
        self.reads = Cell::new(0);
        self
    }

    fn fill(&self, address: u64, target: &mut [u8]) -> bool {
        let read = self.reads.get();
        self.reads.set(read + 1);
        target.fill(0);
        if self.failing == Some(read) {
            return false;
        }
        let mut found = target.to_vec();
        let mut given = self.bytes.range(address..);
        for (place, byte) in (0..).zip(&mut found) {
            match given.next() {
                Some((at, value)) if at - address == place => *byte = *value,
                _ => return false,
            }
        }
        target.copy_from_slice(&found);
        true
    }

    /// How many reads there were.
    pub(crate) fn reads(&self) -> usize {
        self.reads.get()
    }
}

impl ReadMemory for FakeMemory {
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
