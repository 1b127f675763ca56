//! The walk over processes that are made up; what more than one of the files needs.

mod frames;
mod hostile;
mod looking;
mod threads;

use std::vec::Vec;

use super::{MAX_FRAMES, RawFrame, WalkEnd, walk_frames};
use crate::{fake::FakeMemory, layout::InterpreterLayout};

/// What a walk found.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Walked {
    frames: Vec<RawFrame>,
    missing: usize,
    end: WalkEnd,
}

/// Walks into frames that still hold something, as those in the ring do.
fn walk(memory: &FakeMemory, layout: &InterpreterLayout, thread_state: u64) -> Walked {
    let leftover = RawFrame {
        code: 0xbad,
        fingerprint: 0xbad,
        instruction: 0xbad,
    };
    let mut frames = [leftover; MAX_FRAMES];
    let (count, end) = walk_frames(memory, layout, thread_state, &mut frames);
    let kept = MAX_FRAMES.min(count as usize);
    Walked {
        frames: frames[..kept].to_vec(),
        missing: count as usize - kept,
        end,
    }
}
