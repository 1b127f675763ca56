//! What tells the version of an interpreter: a number, a file's name, a text in its data, and the
//! table of offsets that it begins with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler::python::{
    debug_offsets::{self, Head},
    layouts::Layout,
    version::{Version, from_file_name, from_text},
};

fuzz_target!(|input: &[u8]| {
    if let Some(hex) = input.first_chunk() {
        check(Version::from_hex(u32::from_le_bytes(*hex)));
    }
    let text = String::from_utf8_lossy(input);
    from_file_name(&text);
    from_file_name(&format!("libpython{text}"));
    for row in Layout::all() {
        let found = from_text(input, row.feature);
        assert!(found.is_none_or(|version| version.feature() == row.feature));
        let behind_the_feature = [format!("\0{}.", row.feature).as_bytes(), input].concat();
        check(from_text(&behind_the_feature, row.feature));
        read_table(input, row);
    }
});

/// Every version has a name, whether or not there is a row for it.
fn check(version: Option<Version>) {
    let Some(version) = version else { return };
    let name = version.to_string();
    assert!(version.unsupported_name().contains(&name));
    for free_threaded in [false, true] {
        let _row = version.layout(free_threaded);
    }
}

fn read_table(input: &[u8], row: &Layout) {
    if let Some(head) = Head::parse(input) {
        check(Some(head.version));
    }
    let Some(positions) = row.runtime.debug_offsets else {
        return;
    };
    debug_offsets::has_size(input, &positions);
    debug_offsets::apply(input, &positions, &mut row.clone());
}
