//! A `str` object of the target: its head, which the input starts with, and its text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler::python::text::{Kind, Text, TextLayout};

const LAYOUT: TextLayout = TextLayout {
    length: 16,
    state: 32,
    kind_shift: 2,
    compact_bit: 5,
    ascii_bit: 6,
    ascii_text: 40,
    compact_text: 56,
    pointer: 56,
};

const LIMIT: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let (head, bytes) = input.split_at(input.len().min(40));
    if let Some(text) = Text::parse(&LAYOUT, u64::MAX, head, LIMIT) {
        assert!(text.size <= 4 * LIMIT);
        decode(text.kind, bytes);
    }
    for kind in [Kind::One, Kind::Two, Kind::Four] {
        decode(kind, bytes);
    }
});

fn decode(kind: Kind, bytes: &[u8]) {
    assert!(kind.decode(bytes).chars().count() <= bytes.len());
}
