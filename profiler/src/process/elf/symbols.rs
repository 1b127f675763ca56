//! The symbol tables of an ELF file.

use std::ops::Range;

use object::{LittleEndian, elf, pod};

use super::Symbol;

type Entry = elf::Sym64<LittleEndian>;

/// Of the version of a symbol: only those ask for it who were linked against it by name.
const VERSION_HIDDEN: u16 = 0x8000;

/// Where a symbol table and what belongs to it are in the file.
#[derive(Debug, Default)]
pub(super) struct SymbolTable {
    /// The entries.
    pub(super) entries: Range<usize>,
    /// Their names.
    pub(super) strings: Range<usize>,
    /// Their versions, if they have any.
    pub(super) versions: Option<Range<usize>>,
}

impl SymbolTable {
    /// Finds the definition of `name` that an unversioned request gets, of those `wanted`.
    pub(super) fn find(
        &self,
        bytes: &[u8],
        name: &str,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Option<Symbol> {
        let entries = bytes.get(self.entries.clone())?;
        let strings = bytes.get(self.strings.clone())?;
        let (entries, _) =
            pod::slice_from_bytes::<Entry>(entries, entries.len() / size_of::<Entry>()).ok()?;
        let mut best: Option<(u8, &Entry)> = None;
        for (index, entry) in entries.iter().enumerate() {
            if !is_named(entry, strings, name) || !is_definition(entry) || !wanted(entry) {
                continue;
            }
            let rank = u8::from(self.is_default_version(bytes, index))
                + 2 * u8::from(entry.st_bind() != elf::STB_LOCAL);
            if best.is_none_or(|(best_rank, _)| rank > best_rank) {
                best = Some((rank, entry));
            }
        }
        best.map(|(_, entry)| Symbol {
            address: entry.st_value.get(LittleEndian),
            size: entry.st_size.get(LittleEndian),
            indirect: entry.st_type() == elf::STT_GNU_IFUNC,
        })
    }

    fn is_default_version(&self, bytes: &[u8], index: usize) -> bool {
        let versions = self
            .versions
            .as_ref()
            .and_then(|range| bytes.get(range.clone()));
        let version = versions.and_then(|versions| versions.as_chunks::<2>().0.get(index));
        version.is_none_or(|version| u16::from_le_bytes(*version) & VERSION_HIDDEN == 0)
    }
}

/// Whether other files may bind to the symbol.
pub(super) fn is_exported(entry: &Entry) -> bool {
    entry.st_bind() != elf::STB_LOCAL
        && [elf::STV_DEFAULT, elf::STV_PROTECTED].contains(&entry.st_visibility())
}

fn is_named(entry: &Entry, strings: &[u8], name: &str) -> bool {
    usize::try_from(entry.st_name.get(LittleEndian))
        .ok()
        .and_then(|start| strings.get(start..)?.strip_prefix(name.as_bytes()))
        .is_some_and(|rest| rest.first() == Some(&0))
}

/// Whether the entry defines something that has an address in memory.
fn is_definition(entry: &Entry) -> bool {
    let section = entry.st_shndx.get(LittleEndian);
    let has_address = [
        elf::STT_NOTYPE,
        elf::STT_OBJECT,
        elf::STT_FUNC,
        elf::STT_GNU_IFUNC,
    ]
    .contains(&entry.st_type());
    has_address && (!section.is_special() || section == elf::SHN_XINDEX)
}
