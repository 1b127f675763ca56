//! A record of the ring buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler::probe::{Happening, decode};
use profiler_common::walk::MAX_FRAMES;

fuzz_target!(|input: &[u8]| {
    let Some(record) = decode(input) else { return };
    if let Happening::BlockAllocated { stack, .. } | Happening::Mapped { stack, .. } = record.what {
        assert!(stack.frames.len() <= MAX_FRAMES.min(input.len() / 16));
    }
});
