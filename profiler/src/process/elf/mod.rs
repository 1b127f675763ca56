//! ELF files: symbols, sections, segments and what the dynamic linker reads of them.
//!
//! A file is read once, without what only debuggers look at. Nothing in it is trusted: what does
//! not fit into the file is not there.

mod outline;
mod parts;
mod symbols;
mod tables;

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use object::elf;
use rustix::fs::OFlags;
use thiserror::Error;

pub use self::outline::{Exports, Outline};
use self::tables::Tables;

/// The largest file that is read.
const SIZE_LIMIT: u64 = 512 << 20;

/// Why a file is not used as an ELF file.
#[derive(Debug, Error)]
pub enum ElfError {
    /// The file cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is a directory, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than any binary that heaptide reads.
    #[error("{} has {size} bytes, more than the {SIZE_LIMIT} that are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// The file was read, and is no binary that can be used.
    #[error("cannot use {}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// The bytes do not start like an ELF file.
    #[error("it is not an ELF file")]
    NotElf,
    /// The file is for machines of another word size or byte order.
    #[error("it is not a 64-bit little-endian ELF file")]
    WrongClass,
    /// The file claims more segments than can be loaded.
    #[error("it claims to have {count} segments")]
    TooManySegments {
        /// How many.
        count: u32,
    },
    /// A table does not fit into the file.
    #[error("its {table} are malformed")]
    Malformed {
        /// The table.
        table: &'static str,
        /// What the parser said.
        source: object::read::Error,
    },
}

impl ElfError {
    fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            source,
        }
    }
}

/// A machine that binaries are built for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Machine {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// Any other.
    Other,
}

/// Where a symbol is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Symbol {
    /// Its address, before the file is loaded anywhere.
    pub address: u64,
    /// Its length in bytes; zero if the file does not say.
    pub size: u64,
    /// Whether the address is that of a function which selects the function meant
    /// (`STT_GNU_IFUNC`), so that the symbol itself is never called.
    pub indirect: bool,
}

/// Where a section is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Section {
    /// Its address, before the file is loaded anywhere; zero if it is not loaded.
    pub address: u64,
    /// Its length in bytes.
    pub size: u64,
    /// Where it starts in the file; without meaning for sections that take no room there.
    pub file_offset: u64,
}

/// Bytes of a loaded segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment<'file> {
    /// The address of the first byte, before the file is loaded anywhere.
    pub address: u64,
    /// The part that the file holds.
    pub bytes: &'file [u8],
}

/// An ELF file: its bytes, and where things are in them.
#[derive(Debug)]
pub struct ElfFile {
    bytes: Vec<u8>,
    tables: Tables,
}

impl ElfFile {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self, ElfError> {
        let (file, size) = open_regular(path)?;
        if size > SIZE_LIMIT {
            return Err(ElfError::TooLarge {
                path: path.to_owned(),
                size,
            });
        }
        let unusable = |source| ElfError::Unusable {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let parts = parts::of(&file, size).map_err(unusable)?;
        let bytes = parts::read(&file, size, &parts)
            .map_err(|source| ElfError::unreadable(path, source))?;
        Self::parse(bytes).map_err(unusable)
    }

    /// Finds the tables in the bytes of a file.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, ElfError> {
        let tables = Tables::parse(&bytes)?;
        Ok(Self { bytes, tables })
    }

    /// Finds a symbol that the file defines: among those for the dynamic linker first, then
    /// among all. Of several versions it is the default one.
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        [&self.tables.dynamic_symbols, &self.tables.symbols]
            .into_iter()
            .flatten()
            .find_map(|table| table.find(&self.bytes, name, |_| true))
    }

    /// Finds a symbol that the file offers to other files.
    pub fn export(&self, name: &str) -> Option<Symbol> {
        let table = self.tables.dynamic_symbols.as_ref()?;
        table.find(&self.bytes, name, symbols::is_exported)
    }

    /// Whether the file offers a definition of this symbol to other files.
    pub fn defines(&self, name: &str) -> bool {
        self.export(name).is_some()
    }

    /// Finds a section by its name.
    pub fn section(&self, name: &str) -> Option<Section> {
        let row = self.tables.section(&self.bytes, name)?;
        Some(Section {
            address: row.address,
            size: row.size,
            file_offset: row.offset,
        })
    }

    /// Where in the file the byte is that is loaded at `vaddr`.
    pub fn file_offset(&self, vaddr: u64) -> Option<u64> {
        self.tables.file_offset(vaddr, 1)
    }

    /// The `len` bytes that are loaded at `vaddr`, if the file holds all of them.
    pub fn bytes_at(&self, vaddr: u64, len: usize) -> Option<&[u8]> {
        let size = u64::try_from(len).ok()?;
        let start = usize::try_from(self.tables.file_offset(vaddr, size)?).ok()?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    /// The segments that hold code.
    pub fn executable_segments(&self) -> Vec<Segment<'_>> {
        let executable = self.tables.loads.iter().filter(|load| load.executable);
        executable
            .filter_map(|load| {
                Some(Segment {
                    address: load.address,
                    bytes: tables::slice(&self.bytes, load.offset, load.file_size)?,
                })
            })
            .collect()
    }

    /// The address and the file offset of the first segment that is loaded.
    pub fn first_load(&self) -> Option<(u64, u64)> {
        let first = self.tables.loads.first()?;
        Some((first.address, first.offset))
    }

    /// The address of the table that the dynamic linker works with, unless the file is static.
    pub fn dynamic_address(&self) -> Option<u64> {
        self.tables.dynamic.address
    }

    /// The libraries that the file asks for, in its order.
    pub fn needed(&self) -> Vec<String> {
        self.tables.dynamic.needed.clone()
    }

    /// The name by which other files ask for this one.
    pub fn soname(&self) -> Option<String> {
        self.tables.dynamic.soname.clone()
    }

    /// What the linker made to tell this build from others.
    pub fn build_id(&self) -> Option<Vec<u8>> {
        self.tables.build_id.clone()
    }

    /// The machine that the file is for.
    pub const fn machine(&self) -> Machine {
        match self.tables.machine {
            elf::EM_X86_64 => Machine::X86_64,
            elf::EM_AARCH64 => Machine::Aarch64,
            _ => Machine::Other,
        }
    }

    /// Whether the file is a program with fixed addresses, so that nothing is added to them.
    pub fn is_executable_type(&self) -> bool {
        self.tables.kind == elf::ET_EXEC
    }
}

/// Opens a regular file, and says how large it is.
fn open_regular(path: &Path) -> Result<(File, u64), ElfError> {
    // A pipe that nobody writes to must not stop heaptide.
    let file = OFlags::NONBLOCK.bits().try_into();
    let file = file.map_err(io::Error::other).and_then(|flags| {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags).open(path)
    });
    let file = file.map_err(|source| ElfError::unreadable(path, source))?;
    let metadata = file.metadata();
    let metadata = metadata.map_err(|source| ElfError::unreadable(path, source))?;
    if metadata.is_file() {
        return Ok((file, metadata.len()));
    }
    Err(ElfError::NotRegular {
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests;
