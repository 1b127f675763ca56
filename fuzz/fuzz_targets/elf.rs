//! A program or library of the target: anything can stand in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler::process::elf::ElfFile;

fuzz_target!(|input: &[u8]| {
    let Ok(file) = ElfFile::parse(input.to_vec()) else {
        return;
    };
    for name in ["", "malloc", "_PyRuntime", ".text", ".PyRuntime"] {
        let symbol = file.symbol(name);
        assert!(symbol.is_some() || !file.defines(name));
        let section = file.section(name);
        for address in symbol
            .map(|symbol| symbol.address)
            .into_iter()
            .chain(section.map(|section| section.address))
        {
            let bytes = file.bytes_at(address, 16);
            assert!(bytes.is_none_or(|bytes| bytes.len() == 16));
            assert!(bytes.is_none() || file.file_offset(address).is_some());
        }
    }
    for segment in file.executable_segments() {
        assert!(segment.bytes.len() <= input.len());
    }
    assert!(file.needed().len() <= 4096);
    assert!(file.build_id().is_none_or(|id| id.len() <= input.len()));
    let _parts = (file.first_load(), file.dynamic_address(), file.soname());
    let _kind = (file.machine(), file.is_executable_type());
});
