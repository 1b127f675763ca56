//! Where the tables of an ELF file are.
//!
//! Only the header and the program headers must be right, as the kernel insists on them too.
//! Everything else may be missing or stripped, and then is not there.

use std::ops::Range;

use object::{
    LittleEndian, elf,
    read::{
        ReadRef,
        elf::{FileHeader as _, NoteIterator, ProgramHeader as _, SectionHeader as _},
    },
};

use super::{ElfError, symbols::SymbolTable};

pub(super) type Header = elf::FileHeader64<LittleEndian>;
pub(super) type ProgramHeader = elf::ProgramHeader64<LittleEndian>;

/// More libraries than any program asks for, and the longest name one can have.
const NEEDED_LIMIT: usize = 4096;
const NAME_LIMIT: usize = 4096;
/// More than the kernel loads a program with.
const SEGMENTS_LIMIT: u32 = 4096;
/// Linkers write 20 bytes or fewer.
const BUILD_ID_LIMIT: usize = 64;

/// What is kept of the headers.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) kind: elf::FileType,
    pub(super) machine: elf::Machine,
    /// The segments to load, in the order of the file, which is that of their addresses.
    pub(super) loads: Vec<Load>,
    sections: Vec<Row>,
    section_names: Range<usize>,
    pub(super) dynamic_symbols: Option<SymbolTable>,
    pub(super) symbols: Option<SymbolTable>,
    pub(super) dynamic: Dynamic,
    pub(super) build_id: Option<Vec<u8>>,
}

/// A segment that is loaded.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) address: u64,
    pub(super) offset: u64,
    /// How much of it the file holds.
    pub(super) file_size: u64,
    pub(super) executable: bool,
}

/// A section header.
#[derive(Debug)]
pub(super) struct Row {
    name: u32,
    kind: elf::SectionType,
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    link: u32,
}

/// What the file tells the dynamic linker.
#[derive(Debug, Default)]
pub(super) struct Dynamic {
    pub(super) address: Option<u64>,
    pub(super) needed: Vec<String>,
    pub(super) soname: Option<String>,
}

impl Tables {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ElfError> {
        let header = header(bytes)?;
        let segments = program_headers(header, bytes)?;
        let mut tables = Self {
            kind: header.e_type(LittleEndian),
            machine: header.e_machine(LittleEndian),
            loads: segments.iter().filter_map(Load::from_header).collect(),
            sections: sections(header, bytes),
            section_names: 0..0,
            dynamic_symbols: None,
            symbols: None,
            dynamic: Dynamic::default(),
            build_id: build_id(segments, bytes),
        };
        let names = header.shstrndx(LittleEndian, bytes).unwrap_or(0);
        tables.section_names = tables.section_range(bytes, names).unwrap_or(0..0);
        tables.dynamic_symbols = tables.symbol_table(bytes, elf::SHT_DYNSYM);
        tables.symbols = tables.symbol_table(bytes, elf::SHT_SYMTAB);
        tables.dynamic = tables.dynamic(segments, bytes);
        Ok(tables)
    }

    /// Finds a section by its name.
    pub(super) fn section(&self, bytes: &[u8], name: &str) -> Option<&Row> {
        let names = bytes.get(self.section_names.clone())?;
        self.sections.iter().find(|row| {
            usize::try_from(row.name)
                .ok()
                .and_then(|start| names.get(start..)?.strip_prefix(name.as_bytes()))
                .is_some_and(|rest| rest.first() == Some(&0))
        })
    }

    /// Where `len` bytes at an address start in the file.
    pub(super) fn file_offset(&self, vaddr: u64, len: u64) -> Option<u64> {
        self.loads.iter().find_map(|load| {
            let inside = vaddr.checked_sub(load.address)?;
            let left = load.file_size.checked_sub(inside)?;
            (len <= left && left > 0).then(|| load.offset.checked_add(inside))?
        })
    }

    fn section_range(&self, bytes: &[u8], index: u32) -> Option<Range<usize>> {
        let row = self.sections.get(usize::try_from(index).ok()?)?;
        row.range(bytes)
    }

    fn symbol_table(&self, bytes: &[u8], kind: elf::SectionType) -> Option<SymbolTable> {
        let row = self.sections.iter().find(|row| row.kind == kind)?;
        let versions = (kind == elf::SHT_DYNSYM)
            .then(|| {
                let mut rows = self.sections.iter();
                rows.find(|row| row.kind == elf::SHT_GNU_VERSYM)
            })
            .flatten();
        Some(SymbolTable {
            entries: row.range(bytes)?,
            strings: self.section_range(bytes, row.link)?,
            versions: versions.and_then(|row| row.range(bytes)),
        })
    }

    fn dynamic(&self, segments: &[ProgramHeader], bytes: &[u8]) -> Dynamic {
        let table = segments.iter().find_map(|segment| {
            let table = segment.dynamic(LittleEndian, bytes).ok();
            table.flatten()
        });
        let table = table.unwrap_or_default();
        let entries = || {
            table
                .iter()
                .map(|entry| (entry.d_tag.get(LittleEndian), entry.d_val.get(LittleEndian)))
                .take_while(|(tag, _)| *tag != elf::DT_NULL)
        };
        let values =
            |wanted| entries().filter_map(move |(tag, value)| (tag == wanted).then_some(value));
        let strings = values(elf::DT_STRTAB)
            .next()
            .and_then(|vaddr| self.file_offset(vaddr, 1));
        let name = |start: u64| c_string(bytes, strings?.checked_add(start)?);
        Dynamic {
            address: dynamic_address(segments),
            needed: values(elf::DT_NEEDED)
                .take(NEEDED_LIMIT)
                .filter_map(name)
                .collect(),
            soname: values(elf::DT_SONAME).find_map(name),
        }
    }
}

impl Row {
    fn range(&self, bytes: &[u8]) -> Option<Range<usize>> {
        if self.kind == elf::SHT_NOBITS {
            return None;
        }
        range(bytes, self.offset, self.size)
    }
}

/// The part of the bytes that starts at `offset`; `None` if they do not hold all of it.
pub(super) fn slice(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    bytes.get(range(bytes, offset, size)?)
}

fn range(bytes: &[u8], offset: u64, size: u64) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    (end <= bytes.len()).then_some(start..end)
}

/// The file header of a file that can be used.
pub(super) fn header<'file>(file: impl ReadRef<'file>) -> Result<&'file Header, ElfError> {
    let ident = file.read_bytes_at(0, 6).unwrap_or_default();
    if !ident.starts_with(&elf::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    if !ident.ends_with(&[elf::ELFCLASS64.0, elf::ELFDATA2LSB.0]) {
        return Err(ElfError::WrongClass);
    }
    Header::parse(file).map_err(|source| ElfError::Malformed {
        table: "first bytes",
        source,
    })
}

/// The headers of the segments.
pub(super) fn program_headers<'file, R: ReadRef<'file>>(
    header: &Header,
    file: R,
) -> Result<&'file [ProgramHeader], ElfError> {
    let malformed = |source| ElfError::Malformed {
        table: "program headers",
        source,
    };
    let count = header.phnum(LittleEndian, file).map_err(malformed)?;
    if count > SEGMENTS_LIMIT {
        return Err(ElfError::TooManySegments { count });
    }
    let headers = header.program_headers(LittleEndian, file);
    headers.map_err(malformed)
}

/// The address of the table for the dynamic linker.
pub(super) fn dynamic_address(segments: &[ProgramHeader]) -> Option<u64> {
    let mut dynamic = segments.iter();
    dynamic
        .find(|segment| segment.p_type(LittleEndian) == elf::PT_DYNAMIC)
        .map(|segment| segment.p_vaddr(LittleEndian))
}

impl Load {
    pub(super) fn from_header(segment: &ProgramHeader) -> Option<Self> {
        (segment.p_type(LittleEndian) == elf::PT_LOAD).then(|| Self {
            address: segment.p_vaddr(LittleEndian),
            offset: segment.p_offset(LittleEndian),
            file_size: segment.p_filesz(LittleEndian),
            executable: segment.p_flags(LittleEndian).contains(elf::PF_X),
        })
    }
}

fn sections(header: &Header, bytes: &[u8]) -> Vec<Row> {
    let rows = header
        .section_headers(LittleEndian, bytes)
        .unwrap_or_default();
    let rows = rows.iter().map(|row| Row {
        name: row.sh_name(LittleEndian),
        kind: row.sh_type(LittleEndian),
        address: row.sh_addr(LittleEndian),
        offset: row.sh_offset(LittleEndian),
        size: row.sh_size(LittleEndian),
        link: row.sh_link(LittleEndian),
    });
    rows.collect()
}

fn build_id(segments: &[ProgramHeader], bytes: &[u8]) -> Option<Vec<u8>> {
    segments.iter().find_map(|segment| {
        let notes = segment.notes(LittleEndian, bytes).ok()??;
        build_id_in(notes)
    })
}

fn build_id_in(mut notes: NoteIterator<'_, Header>) -> Option<Vec<u8>> {
    while let Ok(Some(note)) = notes.next() {
        let is_build_id =
            note.name() == elf::ELF_NOTE_GNU && note.n_type(LittleEndian) == elf::NT_GNU_BUILD_ID;
        if is_build_id && (1..=BUILD_ID_LIMIT).contains(&note.desc().len()) {
            return Some(note.desc().to_vec());
        }
    }
    None
}

fn c_string(bytes: &[u8], start: u64) -> Option<String> {
    let rest = bytes.get(usize::try_from(start).ok()?..)?;
    let rest = rest.get(..NAME_LIMIT).unwrap_or(rest);
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}
