//! A line table of the target, in each of the formats.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler::python::line_table::{LineTable, LineTableFormat};

fuzz_target!(|input: &[u8]| {
    let Some((numbers, table)) = input.split_first_chunk::<8>() else {
        return;
    };
    let [a, b, c, d, e, f, g, h] = *numbers;
    let first_line = u32::from_le_bytes([a, b, c, d]);
    let offset = i32::from_le_bytes([e, f, g, h]);
    for format in [
        LineTableFormat::Increments,
        LineTableFormat::Ranges,
        LineTableFormat::Locations,
    ] {
        let table = LineTable::new(format, first_line, table.to_vec());
        for offset in [offset, offset % 4096, -1, 0, i32::MIN, i32::MAX] {
            assert_ne!(table.line_at(offset), Some(0));
        }
        assert_eq!(table.line_at(-3), None);
    }
});
