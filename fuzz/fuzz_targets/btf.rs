//! The kernel's type information, if the kernel were hostile.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler::probe::Btf;

/// Names so short that their offsets are met by chance.
const STRINGS: &[u8] = b"\0s\0m\0n\0";

fuzz_target!(|input: &[u8]| {
    look_up(input);
    look_up(&with_types(input));
});

fn look_up(bytes: &[u8]) {
    let Ok(btf) = Btf::parse(bytes) else { return };
    let plain = btf.offset_of("s", "m");
    let nested = btf.offset_of_nested("s", "m", "n");
    // The outer member was looked for in one structure of that name, and before in all.
    assert!(nested.is_err() || plain.is_ok());
}

/// Type information with these types.
fn with_types(types: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, types.len(), types.len(), STRINGS.len()] {
        bytes.extend(u32::try_from(word).unwrap_or(u32::MAX).to_le_bytes());
    }
    bytes.extend([types, STRINGS].concat());
    bytes
}
