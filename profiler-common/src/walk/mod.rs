//! The walk over the Python frames of a thread, from the innermost one outwards.

use crate::{
    layout::{FrameEntry, InterpreterLayout},
    memory::{Block, ReadMemory, opaque},
};

mod frames;
#[cfg(test)]
mod tests;

pub use self::frames::{Frames, Looking, OneByOne, Sight};

/// How many frames a stack keeps; the outermost ones are cut off beyond it.
pub const MAX_FRAMES: usize = 128;

/// How many frames a short record has room for; most stacks have fewer.
pub const SHORT_FRAMES: usize = 32;

/// How many frames are looked at in all. Those that are not kept are counted: Python's own limit,
/// unless a program raises it, is a thousand.
pub const MAX_COUNTED_FRAMES: usize = 1024;

/// How many thread states are looked at to find the one of a thread that does not hold the GIL.
pub const MAX_THREAD_STATES: usize = 512;

/// A frame before its names are looked up. One without a code object stands for C code between
/// two stretches of Python code, or for a frame that is just being set up or torn down.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct RawFrame {
    /// Address of the code object, or zero.
    pub code: u64,
    /// Numbers of the code object folded into one; another object at the same address has
    /// another fingerprint, most likely.
    pub fingerprint: u32,
    /// Offset of the instruction from the first one, in bytes.
    pub instruction: i32,
}

const _: () = assert!(size_of::<RawFrame>() == 16);
const _: () = assert!(MAX_FRAMES.is_multiple_of(SHORT_FRAMES));

/// Why a walk stopped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u32)]
pub enum WalkEnd {
    /// It reached the outermost frame.
    Complete = 0,
    /// A read of the target's memory failed.
    Unreadable = 1,
    /// The stack has more frames than fit, and all were counted.
    TooDeep = 2,
    /// The thread has no Python thread state.
    NoThreadState = 3,
    /// The process runs no Python that is known.
    NoInterpreter = 4,
    /// The stack has more frames than fit, and more than were counted.
    Uncounted = 5,
}

impl WalkEnd {
    /// Reads an end that came through the ring buffer.
    pub const fn from_wire(raw: u32) -> Option<Self> {
        Some(match raw {
            0 => Self::Complete,
            1 => Self::Unreadable,
            2 => Self::TooDeep,
            3 => Self::NoThreadState,
            4 => Self::NoInterpreter,
            5 => Self::Uncounted,
            _ => return None,
        })
    }
}

/// Folds the numbers that tell code objects apart into one.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the verifier sees one function, not a call"
)]
pub const fn fingerprint(arguments: u32, keyword_only: u32, flags: u32, first_line: u32) -> u32 {
    (arguments << 25)
        .wrapping_add(keyword_only << 18)
        .wrapping_add(flags << 10)
        .wrapping_add(first_line)
}

/// Finds the thread state of the thread whose `pthread_self()` is `thread_id`.
///
/// The holder of the GIL is nearly always the one that allocates. `remembered` is what an
/// earlier call for this thread returned. Both are believed only if they name the thread.
///
/// Otherwise the list is searched. If that is in vain, the error is the list's first state. New
/// states come first: whoever hands that state in as `searched` the next time spares a thread that
/// runs no Python the search, as long as no other thread has begun to.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the verifier sees one function, not a call"
)]
#[expect(
    clippy::too_many_arguments,
    reason = "a struct of them would live on a small stack"
)]
pub fn find_thread_state<M: ReadMemory>(
    memory: &M,
    layout: &InterpreterLayout,
    holder: u64,
    remembered: u64,
    threads_head: u64,
    searched: u64,
    thread_id: u64,
) -> Result<u64, u64> {
    // Where nothing can be read there is a zero, which is no thread's.
    if thread_id == 0 {
        return Err(0);
    }
    let id_of = |state: u64| memory.word_or_zero(state.wrapping_add(u64::from(layout.thread_id)));
    let belongs = |state: u64| state != 0 && id_of(state) == thread_id;
    let holding = memory.word_or_zero(holder);
    for state in [holding, remembered] {
        if belongs(state) {
            return Ok(state);
        }
    }
    let head = memory.word_or_zero(threads_head);
    if belongs(head) {
        return Ok(head);
    }
    // A state whose address was used again is the first one, and was looked at just now.
    if head == searched {
        return Err(head);
    }
    let mut state = head;
    for _ in 1..MAX_THREAD_STATES {
        state = memory.word_or_zero(state.wrapping_add(u64::from(layout.thread_next)));
        if belongs(state) {
            return Ok(state);
        }
        if state == 0 {
            break;
        }
    }
    Err(head)
}

/// A walk over the frames of a thread, from the innermost one outwards. It goes on from where it
/// was, so that whoever finds that a stack is long can get more room.
///
/// The loops are bounded by constants, which is what lets the verifier accept them.
#[derive(Debug)]
pub struct Walk {
    /// The frame that is next; zero behind the outermost one.
    next: u64,
    count: u32,
}

impl Walk {
    /// A walk that begins at the innermost frame of `thread_state`, or why it ends there.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    pub fn begin<M: ReadMemory>(
        memory: &M,
        layout: &InterpreterLayout,
        thread_state: u64,
    ) -> Result<Self, WalkEnd> {
        Ok(Self {
            next: innermost_frame(memory, layout, thread_state).ok_or(WalkEnd::Unreadable)?,
            count: 0,
        })
    }

    /// How many frames there were so far. Those that were filled in come first.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Fills `frames` with those that come next out of `source`, and says why it stopped, unless
    /// there are more.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    pub fn fill<F: Frames, const N: usize>(
        &mut self,
        source: &mut F,
        layout: &InterpreterLayout,
        frames: &mut [RawFrame; N],
    ) -> Option<WalkEnd> {
        for place in frames.iter_mut() {
            if self.next == 0 {
                return Some(WalkEnd::Complete);
            }
            let Some(fields) = source.frame(self.next, layout.frame_bytes) else {
                return Some(WalkEnd::Unreadable);
            };
            self.next = fields.word(layout.frame_previous);
            let mut frame = read_frame(layout, fields);
            if frame.code != 0 {
                frame.fingerprint = if self.count == 0 {
                    source.fingerprint(layout, frame.code)
                } else {
                    source.fingerprint_of_caller(layout, frame.code)
                };
            }
            // Every step fills one entry: with a count of its own, the verifier would have to look
            // at each pair of step and count.
            *place = frame;
            self.count += 1;
        }
        (self.next == 0).then_some(WalkEnd::Complete)
    }

    /// Counts the frames for which there is no room, but for those that stand for C code, once
    /// [`MAX_FRAMES`] were filled in, and says why it stopped.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    pub fn count_rest<F: Frames>(&mut self, source: &mut F, layout: &InterpreterLayout) -> WalkEnd {
        for _ in MAX_FRAMES..MAX_COUNTED_FRAMES {
            let (is_read, fields) = source.frame_alone(self.next, layout.frame_bytes);
            // The sign of a difference takes no branch, if nobody knows how small both are.
            let owner = opaque(u64::from(fields.byte(layout.frame_owner)));
            let below = owner.wrapping_sub(u64::from(layout.shim_owner));
            self.count += (below >> (u64::BITS - 1)) as u32;
            // What could not be read is zero.
            self.next = fields.word(layout.frame_previous);
            if self.next == 0 {
                if is_read {
                    return WalkEnd::TooDeep;
                }
                // It was no frame, but counted as one of Python code.
                self.count -= 1;
                break;
            }
        }
        WalkEnd::Uncounted
    }
}

/// A whole [`Walk`], for whoever has room for all frames from the start: fills `frames` and returns
/// how many there are, and why it stopped. It goes on as often as that is possible, so that whoever
/// tests it tests that as well.
pub fn walk_frames<M: ReadMemory>(
    memory: &M,
    layout: &InterpreterLayout,
    thread_state: u64,
    frames: &mut [RawFrame; MAX_FRAMES],
) -> (u32, WalkEnd) {
    let mut source = OneByOne::new(memory);
    let mut walk = match Walk::begin(memory, layout, thread_state) {
        Ok(walk) => walk,
        Err(end) => return (0, end),
    };
    let (stretches, _) = frames.as_chunks_mut::<SHORT_FRAMES>();
    let end = stretches
        .iter_mut()
        .find_map(|stretch| walk.fill(&mut source, layout, stretch))
        .unwrap_or_else(|| walk.count_rest(&mut source, layout));
    (walk.count(), end)
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the verifier sees one function, not a call"
)]
fn read_frame(layout: &InterpreterLayout, fields: &FrameBlock) -> RawFrame {
    let code = fields.word(layout.frame_code) & !u64::from(layout.code_tag);
    if code == 0 || u16::from(fields.byte(layout.frame_owner)) >= layout.shim_owner {
        return RawFrame::default();
    }
    let bytecode = low_half(code).wrapping_add(u32::from(layout.code_bytecode));
    let instruction = fields
        .half(layout.frame_instruction)
        .wrapping_sub(bytecode & layout.instruction_address)
        .wrapping_shl(u32::from(layout.instruction_shift));
    RawFrame {
        code,
        fingerprint: 0,
        instruction: instruction.cast_signed(),
    }
}

/// The lower half of an address: instructions are never 2 GiB from the first one.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the verifier sees one function, not a call"
)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper half is not wanted"
)]
const fn low_half(address: u64) -> u32 {
    address as u32
}

/// The part of a frame that is read at once has room in here.
pub type FrameBlock = Block<128>;

/// The part of a code object that holds the numbers of its fingerprint.
type NumberBlock = Block<32>;

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the verifier sees one function, not a call"
)]
fn innermost_frame<M: ReadMemory>(
    memory: &M,
    layout: &InterpreterLayout,
    thread_state: u64,
) -> Option<u64> {
    let entry = memory.read_word(thread_state.wrapping_add(u64::from(layout.thread_frame)))?;
    if layout.entry == FrameEntry::ThroughCFrame as u32 {
        return memory.read_word(entry.wrapping_add(u64::from(layout.cframe_frame)));
    }
    Some(entry)
}

/// The fingerprint of a code object; zero if it cannot be read now, which user space takes for
/// "unknown": the page may only be swapped out. The numbers need some room.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the verifier sees one function, not a call"
)]
fn read_fingerprint<M: ReadMemory>(
    memory: &M,
    layout: &InterpreterLayout,
    code: u64,
    numbers: &mut NumberBlock,
) -> u32 {
    let address = code.wrapping_add(u64::from(layout.code_numbers));
    // What cannot be read is zero, and so is the fingerprint then: no branch for the verifier.
    let _readable: bool = memory.read_into::<{ size_of::<NumberBlock>() }, _>(address, numbers);
    fingerprint(
        numbers.half(layout.number_arguments),
        numbers.half(layout.number_keyword_only),
        numbers.half(layout.number_flags),
        numbers.half(layout.number_first_line),
    )
}
