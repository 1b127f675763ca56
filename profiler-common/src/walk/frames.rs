//! Where a walk gets frames and fingerprints from: one by one, or by way of a page that holds most
//! of them.
//!
//! Most of what a walk costs are its reads: each takes about as long for a hundred bytes as for a
//! page, and nearly all frames of a stack are on the same one.
#![expect(
    clippy::inline_always,
    reason = "the verifier sees one function, not a call"
)]

use super::{FrameBlock, NumberBlock, read_fingerprint};
use crate::{
    layout::InterpreterLayout,
    memory::{Pages, ReadMemory, opaque},
};

/// Gives a walk what it asks for.
pub trait Frames {
    /// A frame.
    fn frame(&mut self, address: u64, length: u16) -> Option<&FrameBlock>;

    /// A frame that is read on its own, and whether it could be read; if not, it is all zeros.
    fn frame_alone(&mut self, address: u64, length: u16) -> (bool, &FrameBlock);

    /// The fingerprint of the code object of a caller. It is still there if it was there a moment
    /// ago, while the innermost frame may be gone at once, and its code with it.
    fn fingerprint_of_caller(&mut self, layout: &InterpreterLayout, code: u64) -> u32;

    /// The same for the innermost frame.
    fn fingerprint(&mut self, layout: &InterpreterLayout, code: u64) -> u32;
}

/// Reads each frame on its own.
#[derive(Debug)]
pub struct OneByOne<'m, M> {
    memory: &'m M,
    room: FrameBlock,
    numbers: NumberBlock,
}

impl<'m, M> OneByOne<'m, M> {
    /// Nothing is read yet.
    pub const fn new(memory: &'m M) -> Self {
        Self {
            memory,
            room: FrameBlock::ZERO,
            numbers: NumberBlock::ZERO,
        }
    }
}

impl<M: ReadMemory> Frames for OneByOne<'_, M> {
    fn frame(&mut self, address: u64, length: u16) -> Option<&FrameBlock> {
        let (is_read, frame) = self.frame_alone(address, length);
        is_read.then_some(frame)
    }

    fn frame_alone(&mut self, address: u64, length: u16) -> (bool, &FrameBlock) {
        let is_read = (self.memory).read_some_into(address, length, &mut self.room);
        (is_read, &self.room)
    }

    fn fingerprint_of_caller(&mut self, layout: &InterpreterLayout, code: u64) -> u32 {
        self.fingerprint(layout, code)
    }

    fn fingerprint(&mut self, layout: &InterpreterLayout, code: u64) -> u32 {
        read_fingerprint(self.memory, layout, code, &mut self.numbers)
    }
}

/// No page of a process is smaller.
const PAGE: usize = 4096;

/// What is read of a frame, at most.
const FRAME: usize = size_of::<FrameBlock>();

/// How many code objects are remembered.
const KNOWN: usize = 256;

/// Fibonacci hashing: the golden ratio spreads addresses, also those at equal distances, and the
/// topmost bits tell the place.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const KNOWN_SHIFT: u32 = u64::BITS - KNOWN.ilog2();

/// How long a fingerprint is believed: for a quarter of a millisecond. In that time code is hardly
/// compiled where other code was, and where costs matter there are a hundred walks.
const MOMENT_BITS: u32 = 18;

/// What was seen of processes: for one walk at a time.
#[derive(Debug)]
#[repr(C)]
pub struct Sight {
    /// Where the page begins that was read last; zero if none was.
    start: u64,
    /// The last frame of which all was read. Behind it is what was read for other walks.
    end: u64,
    /// The frame that was asked for last.
    last: u64,
    /// Where the first page began that was read for the walk before.
    first: u64,
    known: [Known; KNOWN],
    /// Where the frame is that was looked at last.
    place: u16,
    /// The page, and a frame that was read alone.
    pages: Pages<FRAME>,
    /// The numbers of a code object.
    numbers: NumberBlock,
}

/// One if a distance is shorter than a page, else zero: the sign of a difference takes no branch.
#[inline(always)]
fn is_in_page(distance: u64) -> u64 {
    let pages = opaque(distance / PAGE as u64);
    pages.wrapping_sub(1) >> (u64::BITS - 1)
}

/// A code object and its fingerprint.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Known {
    code: u64,
    moment: u32,
    fingerprint: u32,
}

impl Sight {
    /// Nothing was seen so far.
    pub const NOTHING: Self = Self {
        start: 0,
        end: 0,
        last: 0,
        first: 0,
        known: [Known {
            code: 0,
            moment: 0,
            fingerprint: 0,
        }; KNOWN],
        place: 0,
        pages: Pages::EMPTY,
        numbers: NumberBlock::ZERO,
    };

    /// Begins a walk through `memory`, which is that of process `pid`, at a time in nanoseconds.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "moments that are far from each other need not be told apart"
    )]
    pub fn look<'m, M: ReadMemory>(
        &'m mut self,
        memory: &'m M,
        pid: u32,
        time_ns: u64,
    ) -> Looking<'m, M> {
        self.start = 0;
        self.last = 0;
        Looking {
            memory,
            sight: self,
            moment: ((time_ns >> MOMENT_BITS) as u32).wrapping_add(pid << 16),
        }
    }

    #[inline(always)]
    const fn holds(&self, frame: u64) -> bool {
        self.start != 0 && frame >= self.start && frame <= self.end
    }

    /// Reads the page of this frame up to its end: callers are in front of it. What is in front of
    /// the page may not be there. If that succeeds, it holds the frame.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an offset in a page is a small number"
    )]
    fn read_page<M: ReadMemory>(&mut self, memory: &M, frame: u64) -> bool {
        let start = frame & !(PAGE as u64 - 1);
        if self.start == 0 {
            self.first = start;
        }
        let length = (frame - start) as u16 + FRAME as u16;
        let is_read = memory.read_some_into(start, length, self.pages.page_mut());
        self.start = if is_read { start } else { 0 };
        self.end = frame;
        is_read
    }

    #[inline(always)]
    const fn place(&mut self, code: u64) -> &mut Known {
        &mut self.known[(code.wrapping_mul(SPREAD) >> KNOWN_SHIFT) as usize & (KNOWN - 1)]
    }
}

/// A walk that looks at pages, and remembers what it saw.
#[derive(Debug)]
pub struct Looking<'m, M> {
    memory: &'m M,
    sight: &'m mut Sight,
    /// The process and the time, in one number.
    moment: u32,
}

impl<M: ReadMemory> Frames for Looking<'_, M> {
    /// Generators keep their frames elsewhere, and so do old versions: a page is only read when
    /// a frame lies right in front of the last one, or the walk before has begun there.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an offset in a page is a small number"
    )]
    fn frame(&mut self, address: u64, length: u16) -> Option<&FrameBlock> {
        let sight = &mut *self.sight;
        let is_near = is_in_page(sight.last.wrapping_sub(address));
        let is_as_before = is_in_page(address.wrapping_sub(sight.first));
        sight.last = address;
        let is_held = sight.holds(address)
            || is_near | is_as_before != 0 && sight.read_page(self.memory, address);
        sight.place = if is_held {
            address as u16 & (PAGE as u16 - 8)
        } else {
            let alone = sight.pages.alone_mut();
            if !self.memory.read_some_into(address, length, alone) {
                return None;
            }
            Pages::<FRAME>::ALONE
        };
        // Whichever it is, the verifier should not care.
        // SAFETY: it is a number that was written just now.
        let place = unsafe { (&raw const sight.place).read_volatile() };
        Some(sight.pages.part(place))
    }

    #[inline(always)]
    fn frame_alone(&mut self, address: u64, length: u16) -> (bool, &FrameBlock) {
        let alone = self.sight.pages.alone_mut();
        let is_read = self.memory.read_some_into(address, length, alone);
        (is_read, alone)
    }

    #[inline(always)]
    fn fingerprint_of_caller(&mut self, layout: &InterpreterLayout, code: u64) -> u32 {
        let known = *self.sight.place(code);
        if known.code == code && known.moment == self.moment {
            return known.fingerprint;
        }
        self.fingerprint(layout, code)
    }

    #[inline(always)]
    fn fingerprint(&mut self, layout: &InterpreterLayout, code: u64) -> u32 {
        let numbers = &mut self.sight.numbers;
        let fingerprint = read_fingerprint(self.memory, layout, code, numbers);
        // What cannot be read now may be there the next time.
        if fingerprint != 0 {
            *self.sight.place(code) = Known {
                code,
                moment: self.moment,
                fingerprint,
            };
        }
        fingerprint
    }
}
