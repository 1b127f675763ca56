//! What the headers and the export table of an ELF file tell.
//!
//! A process maps files of gigabytes. To find out where they are and which one offers a symbol,
//! only the parts that say so are read.

use std::{fs::File, ops::Range, path::Path};

use object::{
    LittleEndian, elf,
    read::{
        ReadCache,
        elf::{FileHeader as _, SectionHeader as _},
    },
};
use rustix::param::page_size;

use super::{
    ElfError, Symbol, open_regular,
    symbols::{SymbolTable, is_exported},
    tables::{self, Header, Load},
};

/// More than linkers make; a file can claim anything.
const SECTIONS_LIMIT: u32 = 1 << 20;
const TABLE_LIMIT: u64 = 64 << 20;

type SectionHeader = elf::SectionHeader64<LittleEndian>;

/// The headers of an ELF file.
#[derive(Debug)]
pub struct Outline {
    kind: elf::FileType,
    loads: Vec<Load>,
    dynamic_address: Option<u64>,
    file: ReadCache<File>,
}

/// What an ELF file offers to other files.
#[derive(Debug)]
pub struct Exports {
    bytes: Vec<u8>,
    table: SymbolTable,
}

impl Outline {
    /// Reads the headers of a file.
    pub fn open(path: &Path) -> Result<Self, ElfError> {
        let (file, _size) = open_regular(path)?;
        Self::read(file).map_err(|source| ElfError::Unusable {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    fn read(file: File) -> Result<Self, ElfError> {
        let file = ReadCache::new(file);
        let header = tables::header(&file)?;
        let segments = tables::program_headers(header, &file)?;
        Ok(Self {
            kind: header.e_type(LittleEndian),
            loads: segments.iter().filter_map(Load::from_header).collect(),
            dynamic_address: tables::dynamic_address(segments),
            file,
        })
    }

    /// Whether the file is a program with fixed addresses, so that nothing is added to them.
    pub fn is_executable_type(&self) -> bool {
        self.kind == elf::ET_EXEC
    }

    /// The address of the table that the dynamic linker works with, unless the file is static.
    pub const fn dynamic_address(&self) -> Option<u64> {
        self.dynamic_address
    }

    /// The address of the code at `offset`, before the file is loaded anywhere; `None` if the
    /// file has no code there.
    pub fn code_address(&self, offset: u64) -> Option<u64> {
        let mut loads = self.loads.iter().filter(|load| load.executable);
        loads.find_map(|load| address_in(load, offset))
    }

    /// The same for what the file has there in the first segment that is loaded.
    pub fn first_address(&self, offset: u64) -> Option<u64> {
        address_in(self.loads.first()?, offset)
    }

    /// Reads what the file offers to other files; `None` if that is nothing.
    pub fn exports(&self) -> Option<Exports> {
        let header = Header::parse(&self.file).ok()?;
        if header.shnum(LittleEndian, &self.file).ok()? > SECTIONS_LIMIT {
            return None;
        }
        let rows = header.section_headers(LittleEndian, &self.file).ok()?;
        let of_kind = |kind| rows.iter().find(|row| row.sh_type(LittleEndian) == kind);
        let symbols = of_kind(elf::SHT_DYNSYM)?;
        let link = usize::try_from(symbols.sh_link(LittleEndian)).ok()?;
        let mut bytes = Vec::new();
        let table = SymbolTable {
            entries: append(&mut bytes, self.data(symbols)?),
            strings: append(&mut bytes, self.data(rows.get(link)?)?),
            versions: of_kind(elf::SHT_GNU_VERSYM)
                .and_then(|row| self.data(row))
                .map(|versions| append(&mut bytes, versions)),
        };
        Some(Exports { bytes, table })
    }

    fn data(&self, row: &SectionHeader) -> Option<&[u8]> {
        let fits = row.sh_size(LittleEndian) <= TABLE_LIMIT;
        fits.then(|| row.data(LittleEndian, &self.file).ok())?
    }
}

impl Exports {
    /// Finds a symbol that the file offers to other files.
    pub fn find(&self, name: &str) -> Option<Symbol> {
        self.table.find(&self.bytes, name, is_exported)
    }
}

fn address_in(load: &Load, offset: u64) -> Option<u64> {
    // The kernel maps whole pages, so a mapping can start before its segment does.
    let page = u64::try_from(page_size()).ok()?;
    let start = load.offset - load.offset % page;
    let end = load.offset.checked_add(load.file_size)?;
    let address = load.address.wrapping_sub(load.offset).wrapping_add(offset);
    (start..end).contains(&offset).then_some(address)
}

fn append(bytes: &mut Vec<u8>, part: &[u8]) -> Range<usize> {
    let start = bytes.len();
    bytes.extend(part);
    start..bytes.len()
}
