//! Which parts of an ELF file are read: what is loaded, and the tables. What debuggers need is left
//! out, which is most of a file that has it.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use object::{
    LittleEndian, elf,
    read::{
        ReadCache,
        elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _},
    },
};

use super::{ElfError, tables};

/// More than linkers make; a file can claim anything.
const SECTIONS_LIMIT: u32 = 1 << 20;

type Header = elf::FileHeader64<LittleEndian>;
type SectionHeader = elf::SectionHeader64<LittleEndian>;

/// The parts of a file of this size, in order and apart from one another.
pub(super) fn of(file: &File, size: u64) -> Result<Vec<Range<u64>>, ElfError> {
    let cache = ReadCache::new(file);
    let header = tables::header(&cache)?;
    let segments = tables::program_headers(header, &cache)?;
    let count = header.shnum(LittleEndian, &cache).unwrap_or(0);
    let sections = match count {
        0..=SECTIONS_LIMIT => header.section_headers(LittleEndian, &cache),
        _ => Ok(Default::default()),
    };
    let sections = sections.unwrap_or_default();
    let headers = [
        (0, size_of::<Header>() as u64),
        (header.e_phoff(LittleEndian), size_of_val(segments) as u64),
        (header.e_shoff(LittleEndian), size_of_val(sections) as u64),
    ];
    let segments = segments.iter().map(|segment| {
        (
            segment.p_offset(LittleEndian),
            segment.p_filesz(LittleEndian),
        )
    });
    let sections = sections
        .iter()
        .filter(|row| is_read(row))
        .map(|row| (row.sh_offset(LittleEndian), row.sh_size(LittleEndian)));
    let parts = headers.into_iter().chain(segments).chain(sections);
    let parts =
        parts.map(|(start, length)| start.min(size)..start.saturating_add(length).min(size));
    Ok(joined(parts.collect()))
}

/// Reads these parts of a file. Between them are zeros, which take no memory.
pub(super) fn read(file: &File, size: u64, parts: &[Range<u64>]) -> io::Result<Vec<u8>> {
    let place = |offset| usize::try_from(offset).map_err(io::Error::other);
    let mut bytes = vec![0; place(size)?];
    for part in parts {
        let part = (part.start, place(part.start)?..place(part.end)?);
        file.read_exact_at(&mut bytes[part.1], part.0)?;
    }
    Ok(bytes)
}

fn is_read(row: &SectionHeader) -> bool {
    let kind = row.sh_type(LittleEndian);
    let is_loaded = row.sh_flags(LittleEndian).contains(elf::SHF_ALLOC);
    kind != elf::SHT_NOBITS && (is_loaded || kind != elf::SHT_PROGBITS)
}

/// The same bytes in ranges that do not touch.
fn joined(mut parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    parts.sort_unstable_by_key(|part| part.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        match joined.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => joined.push(part),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_touch_are_read_once() {
        let parts = [8..8, 40..50, 0..10, 5..20, 20..30, 45..46];
        assert_eq!(joined(parts.to_vec()), [0..30, 40..50]);
    }

    #[test]
    fn debugging_information_is_left_out() {
        let path = std::env::current_exe().unwrap();
        let file = File::open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        let parts = of(&file, size).unwrap();
        let read: u64 = parts.iter().map(|part| part.end - part.start).sum();
        assert!(read < size, "{read} of {size} bytes");

        let whole = super::super::ElfFile::parse(std::fs::read(&path).unwrap()).unwrap();
        let debug_info = whole.section(".debug_info").unwrap();
        let place = debug_info.file_offset..debug_info.file_offset + debug_info.size;
        let is_outside = |part: &Range<u64>| part.end <= place.start || place.end <= part.start;
        assert!(parts.iter().all(is_outside), "{place:?} is in {parts:?}");
    }
}
