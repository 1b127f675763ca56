//! The table of offsets that the runtime begins with since 3.13 (`struct _Py_DebugOffsets`).
//!
//! It tells the numbers of the very build, so what it has overrides the row of the version.
//! Patch releases have moved fields; the table moves with them, a row does not. Only the
//! position of each number in the table is fixed for a version.

use super::{
    layouts::{HolderPath, Layout},
    version::Version,
};

/// What the table begins with.
const COOKIE: [u8; 8] = *b"xdebugpy";

/// How many bytes must be read to know the version.
pub const HEAD_BYTES: usize = 24;

/// No structure of an interpreter is larger.
const STRUCTURE_LIMIT: u64 = 16 << 20;

/// A GIL has no more bytes before its holder.
const HOLDER_LIMIT: u64 = 64;

/// Where the table keeps the numbers that are needed, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct DebugOffsetsLayout {
    /// How many bytes it has.
    pub size: u16,
    /// The pointer to the GIL, in an interpreter.
    pub gil: u16,
    /// The size of an interpreter.
    pub interpreter_size: u16,
    /// The GIL that an interpreter holds itself.
    pub own_gil: u16,
    /// The holder in that GIL, from the interpreter's start as well.
    pub own_gil_holder: u16,
    /// All other offsets.
    pub fields: &'static [DebugField],
}

/// Where the table keeps one offset.
#[derive(Clone, Copy, Debug)]
pub struct DebugField {
    /// The offset.
    pub at: u16,
    /// The size of the structure that it lies in.
    pub within: u16,
    /// How many bytes are read there.
    pub width: u8,
    /// What of a row it overrides.
    pub place: Place,
}

/// A number of a row.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// One of 16 bits.
    Narrow(fn(&mut Layout) -> &mut u16),
    /// One of 32 bits.
    Wide(fn(&mut Layout) -> &mut u32),
}

/// What the first bytes of a table say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// The version.
    pub version: Version,
    /// Whether it was built to run without a GIL.
    pub free_threaded: bool,
}

impl Head {
    /// Reads the first [`HEAD_BYTES`] bytes of a runtime; `None` if that is no such table.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.first_chunk() != Some(&COOKIE) {
            return None;
        }
        let version = u32::try_from(number(bytes, 8)?).ok()?;
        Some(Self {
            version: Version::from_hex(version)?,
            free_threaded: number(bytes, 16)? != 0,
        })
    }
}

/// Puts the numbers of a table into the row of its version; `None` if they do not fit together,
/// and then the row is not to be used.
pub fn apply(table: &[u8], positions: &DebugOffsetsLayout, layout: &mut Layout) -> Option<()> {
    for field in positions.fields {
        let offset = offset(table, field.at, field.within, field.width)?;
        match field.place {
            Place::Narrow(place) => *place(layout) = u16::try_from(offset).ok()?,
            Place::Wide(place) => *place(layout) = offset,
        }
    }
    let holder = number(table, positions.own_gil_holder)?;
    let holder = holder.checked_sub(number(table, positions.own_gil)?)?;
    if holder > HOLDER_LIMIT {
        return None;
    }
    layout.runtime.holder = HolderPath::InGil {
        gil: offset(table, positions.gil, positions.interpreter_size, 8)?,
        holder: u32::try_from(holder).ok()?,
    };
    Some(())
}

/// The offset at a position, if `width` bytes there lie within the structure.
fn offset(table: &[u8], at: u16, within: u16, width: u8) -> Option<u32> {
    let offset = number(table, at)?;
    let size = number(table, within)?;
    let end = offset.checked_add(u64::from(width))?;
    (end <= size && size <= STRUCTURE_LIMIT)
        .then(|| u32::try_from(offset).ok())
        .flatten()
}

/// The 64-bit number at a position.
fn number(table: &[u8], at: u16) -> Option<u64> {
    let bytes = table.get(usize::from(at)..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Head, apply, number};
    use crate::{
        process::elf::ElfFile,
        python::{
            layouts::{HolderPath, Layout},
            testing::pyenv,
            version::Version,
        },
    };

    fn row() -> Layout {
        Version::new(3, 13, 0).layout().unwrap().clone()
    }

    /// A table in which each structure has a million bytes and each field the offset `index`.
    fn table() -> Vec<u8> {
        let positions = row().runtime.debug_offsets.unwrap();
        let mut table = vec![0; usize::from(positions.size)];
        let mut put = |at: u16, value: u64| {
            table[usize::from(at)..][..8].copy_from_slice(&value.to_le_bytes());
        };
        for (index, field) in positions.fields.iter().enumerate() {
            put(field.at, 8 * index as u64);
        }
        for field in positions.fields {
            put(field.within, 1_000_000);
        }
        put(positions.gil, 24);
        put(positions.own_gil, 7752);
        put(positions.own_gil_holder, 7768);
        table
    }

    #[test]
    fn the_head_tells_the_version() {
        let mut head = *b"xdebugpy\xf0\x12\x0d\x03\0\0\0\0\0\0\0\0\0\0\0\0";
        let version = Version::new(3, 13, 18);
        let free_threaded = false;
        let expected = Head {
            version,
            free_threaded,
        };
        assert_eq!(Head::parse(&head), Some(expected));
        head[16] = 1;
        assert!(Head::parse(&head).unwrap().free_threaded);
        assert_eq!(Head::parse(&head[..20]), None);
        head[0] = b'y';
        assert_eq!(Head::parse(&head), None);
    }

    #[test]
    fn the_table_overrides_the_row() {
        let mut layout = row();
        let positions = layout.runtime.debug_offsets.unwrap();
        apply(&table(), &positions, &mut layout).unwrap();
        assert_eq!(layout.runtime.interpreters, 0);
        assert_eq!(layout.runtime.threads_head, 8);
        assert_eq!(layout.interpreter.thread_next, 24);
        let holder = HolderPath::InGil {
            gil: 24,
            holder: 16,
        };
        assert_eq!(layout.runtime.holder, holder);
    }

    #[test]
    fn the_table_of_a_real_build_agrees_with_the_row() {
        let Some(python) = pyenv("3.13") else {
            return;
        };
        let library = python.path.parent().unwrap();
        let elf = ElfFile::open(&library.join("../lib/libpython3.13.so.1.0")).unwrap();
        let section = elf.section(".PyRuntime").unwrap();
        let (mut layout, row) = (row(), row());
        let positions = row.runtime.debug_offsets.unwrap();
        let table = elf.bytes_at(section.address, usize::from(positions.size));
        apply(table.unwrap(), &positions, &mut layout).unwrap();
        assert_eq!(layout.interpreter, row.interpreter);
        assert_eq!(layout.code, row.code);
        assert_eq!(layout.runtime.holder, row.runtime.holder);
        assert_eq!(layout.runtime.interpreters, row.runtime.interpreters);
        assert_eq!(layout.runtime.threads_head, row.runtime.threads_head);
    }

    #[test]
    fn an_offset_beyond_its_structure_spoils_the_table() {
        let positions = row().runtime.debug_offsets.unwrap();
        for field in positions.fields {
            let mut table = table();
            let at = usize::from(field.at);
            table[at..at + 8].copy_from_slice(&1_000_001_u64.to_le_bytes());
            assert_eq!(apply(&table, &positions, &mut row()), None, "{field:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
            Head::parse(&bytes);
            let positions = row().runtime.debug_offsets.unwrap();
            apply(&bytes, &positions, &mut row());
            number(&bytes, 8);
        }
    }
}
