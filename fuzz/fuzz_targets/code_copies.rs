//! The tables of copies of instructions, which threads have without a GIL.
//! The input is memory: words of eight bytes, again and again, of which those that end in a one
//! or a two point into it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler::python::hostile::Hostile;

fuzz_target!(|input: &[u8]| {
    let words = input.as_chunks::<8>().0;
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    Hostile::new(&words).read_code_copies();
});
