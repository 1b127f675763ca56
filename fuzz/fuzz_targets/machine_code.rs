//! The target's machine code: the input, loaded at the end of the address space or before it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler::{
    process::{elf::Segment, instruction::entry_site},
    python::sites::new_pool,
};

fuzz_target!(|input: &[u8]| {
    let Some((place, bytes)) = input.split_first() else {
        return;
    };
    let length = bytes.len() as u64;
    let address = match place % 4 {
        0 => 0,
        1 => 0x40_0000,
        2 => 0u64.wrapping_sub(length),
        _ => u64::MAX - u64::from(*place),
    };
    for keep_stack in [false, true] {
        let site = entry_site(bytes, address, &[], keep_stack);
        assert!(site.is_none_or(|site| site.address.wrapping_sub(address) < length));
    }
    for site in new_pool::find(&[Segment { address, bytes }]) {
        assert!(site.address.wrapping_sub(address) < length);
    }
});
