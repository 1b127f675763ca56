//! A code object of the target, and the text and tables that it refers to. The input is memory:
//! words of eight bytes, of which those that end in a one point into it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler::{
    process::memory::Memory,
    python::{CodeInfo, CodeLayout, layouts::Layout},
    units::Pid,
};

fuzz_target!(|input: &[u8]| {
    let Some((choice, words)) = input.split_first() else {
        return;
    };
    let rows = Layout::all();
    let row = &rows[usize::from(*choice) % rows.len()];
    let image = image(words);
    let Some(code_type) = image.get(usize::from(row.code.object_type / 8)) else {
        return;
    };
    let layout = CodeLayout {
        offsets: row.code,
        code_type: *code_type,
    };
    let memory = Memory::of(Pid(std::process::id()));
    let address = image.as_ptr() as u64;
    let found = CodeInfo::read(&memory, &layout, &row.interpreter, address, 0);
    let Ok(code) = found else { return };
    for offset in [i32::MIN, -1, 0, 1, 2, 100, i32::MAX] {
        code.line_at(offset);
    }
    // It is the same code object as long as nothing changes.
    let again = CodeInfo::read(&memory, &layout, &row.interpreter, address, 0);
    assert_eq!(again.as_ref(), Ok(&code));
});

/// Memory as the target has it: where it points to itself is known only when it is there.
fn image(input: &[u8]) -> Vec<u64> {
    let words = input.as_chunks::<8>().0;
    let mut image: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let (start, length) = (image.as_ptr() as u64, image.len() as u64 * 8);
    for word in &mut image {
        if *word >> 56 == 1 {
            *word = start + (*word & 0xffff) % length;
        }
    }
    image
}
