//! A `str` object of the target, in every layout: its head, which the input starts with, and its
//! text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler::python::{
    layouts::Layout,
    text::{Kind, Text},
};

const LIMIT: usize = 4096;

fuzz_target!(|input: &[u8]| {
    for layout in Layout::all() {
        let layout = &layout.code.text;
        let (head, bytes) = input.split_at(input.len().min(layout.ascii_text.into()));
        if let Some(text) = Text::parse(layout, u64::MAX, head, LIMIT) {
            assert!(text.size <= 4 * LIMIT);
            decode(text.kind, bytes);
        }
    }
    for kind in [Kind::One, Kind::Two, Kind::Four] {
        decode(kind, input);
    }
});

fn decode(kind: Kind, bytes: &[u8]) {
    assert!(kind.decode(bytes).chars().count() <= bytes.len());
}
