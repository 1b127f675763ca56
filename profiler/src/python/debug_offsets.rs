//! The table of offsets that the runtime begins with since 3.13 (`struct _Py_DebugOffsets`).
//!
//! It tells the numbers of the very build, so what it has overrides the row of the version.
//! Patch releases have moved fields; the table moves with them, a row does not. Only the
//! position of each number in the table is fixed for a version.

use super::{
    layouts::{HolderPath, Layout, Obmalloc},
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

/// Where the table of a version keeps the numbers that are needed, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct DebugOffsetsLayout {
    /// How many bytes it has.
    pub size: u16,
    /// Where the numbers about each structure begin.
    pub groups: Groups,
    /// Where the offsets are that need no more than to be taken over.
    pub fields: &'static [DebugField],
    /// How large the garbage collector's state is for which the row was made. What an interpreter
    /// keeps behind it moves with its size, which the table tells.
    pub gc_size: u32,
}

/// Where the numbers about each structure begin in the table of a version: first its size, then
/// offsets in it.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    /// `_PyRuntimeState`.
    pub runtime: u16,
    /// `PyInterpreterState`.
    pub interpreter: u16,
    /// The part about the GIL, at the end of it.
    pub gil: u16,
    /// `PyThreadState`.
    pub thread: u16,
    /// The part about its ids.
    pub thread_id: u16,
    /// `_PyInterpreterFrame`.
    pub frame: u16,
    /// `PyCodeObject`.
    pub code: u16,
    /// `PyObject`.
    pub object: u16,
    /// `PyBytesObject`.
    pub bytes: u16,
    /// `PyUnicodeObject`.
    pub text: u16,
    /// `struct _gc_runtime_state`.
    pub gc: u16,
}

impl Groups {
    /// The offset that is the same as the table's size, but for what stands before it.
    const fn finalizing(&self) -> u16 {
        self.runtime + 8
    }

    /// The GIL that an interpreter holds itself.
    const fn own_gil(&self) -> u16 {
        self.gil + 8
    }

    /// The holder in that GIL, from the interpreter's start as well.
    const fn own_gil_holder(&self) -> u16 {
        self.gil + 32
    }
}

/// The offsets that a row takes over as they are.
pub const fn fields(groups: Groups) -> [DebugField; 24] {
    let Groups {
        runtime,
        interpreter,
        thread,
        thread_id,
        frame,
        code,
        object,
        bytes,
        text,
        ..
    } = groups;
    [
        wide(runtime + 16, runtime, 8, |row| {
            &mut row.runtime.interpreters
        }),
        wide(interpreter + 24, interpreter, 8, |row| {
            &mut row.runtime.threads_head
        }),
        wide(thread + 8, thread, 8, |row| {
            &mut row.runtime.thread_previous
        }),
        narrow(thread + 16, thread, 8, |row| {
            &mut row.interpreter.thread_next
        }),
        wide(thread + 24, thread, 8, |row| {
            &mut row.runtime.thread_interpreter
        }),
        narrow(thread + 32, thread, 8, |row| {
            &mut row.interpreter.thread_frame
        }),
        narrow(thread_id, thread, 8, |row| &mut row.interpreter.thread_id),
        narrow(frame + 8, frame, 8, |row| {
            &mut row.interpreter.frame_previous
        }),
        narrow(frame + 16, frame, 8, |row| &mut row.interpreter.frame_code),
        narrow(frame + 24, frame, 8, |row| {
            &mut row.interpreter.frame_instruction
        }),
        narrow(frame + 40, frame, 1, |row| &mut row.interpreter.frame_owner),
        narrow(code + 8, code, 8, |row| &mut row.code.filename),
        narrow(code + 24, code, 8, |row| &mut row.code.name),
        narrow(code + 32, code, 8, |row| &mut row.code.line_table),
        narrow(code + 40, code, 4, |row| &mut row.code.first_line),
        narrow(code + 48, code, 4, |row| &mut row.code.arguments),
        narrow(code + 72, code, 1, |row| &mut row.code.basic_size),
        narrow(code + 72, code, 1, |row| &mut row.interpreter.code_bytecode),
        narrow(object + 8, object, 8, |row| &mut row.code.object_type),
        narrow(bytes + 8, bytes, 8, |row| &mut row.code.bytes_size),
        narrow(bytes + 16, bytes, 1, |row| &mut row.code.bytes_data),
        narrow(text + 8, text, 4, |row| &mut row.code.text.state),
        narrow(text + 16, text, 8, |row| &mut row.code.text.length),
        narrow(text + 24, text, 0, |row| &mut row.code.text.ascii_text),
    ]
}

const fn narrow(at: u16, within: u16, width: u8, of: fn(&mut Layout) -> &mut u16) -> DebugField {
    DebugField {
        at,
        within,
        width,
        place: Place::Narrow(of),
    }
}

const fn wide(at: u16, within: u16, width: u8, of: fn(&mut Layout) -> &mut u32) -> DebugField {
    DebugField {
        at,
        within,
        width,
        place: Place::Wide(of),
    }
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

/// Whether the table has as many bytes as one with these positions. A table of a later version may
/// keep its numbers elsewhere, but then it has grown.
pub fn has_size(table: &[u8], positions: &DebugOffsetsLayout) -> bool {
    let finalizing = number(table, positions.groups.finalizing());
    finalizing == Some(u64::from(positions.size + BEFORE_FINALIZING))
}

/// What a runtime has between the table and the field which the table mentions first.
const BEFORE_FINALIZING: u16 = 24;

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
    let groups = &positions.groups;
    let holder = number(table, groups.own_gil_holder())?;
    let holder = holder.checked_sub(number(table, groups.own_gil())?)?;
    if holder > HOLDER_LIMIT {
        return None;
    }
    layout.runtime.holder = HolderPath::InGil {
        gil: offset(table, groups.gil, groups.interpreter, 8)?,
        holder: u32::try_from(holder).ok()?,
    };
    if let Obmalloc::Pointer { offset, .. } = &mut layout.runtime.obmalloc {
        let gc_size = u32::try_from(number(table, groups.gc)?).ok()?;
        *offset = offset
            .checked_add(gc_size)?
            .checked_sub(positions.gc_size)?;
    }
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

    use super::{HEAD_BYTES, Head, apply, has_size, number};
    use crate::{
        process::elf::ElfFile,
        python::{
            layouts::{HolderPath, Layout, Obmalloc},
            testing::listed,
            version::Version,
        },
    };

    fn rows() -> impl Iterator<Item = &'static Layout> {
        let rows = Layout::all().iter();
        rows.filter(|row| row.runtime.debug_offsets.is_some())
    }

    /// A table in which each structure has a million bytes and each field the offset `index`.
    fn table(row: &Layout) -> Vec<u8> {
        let positions = row.runtime.debug_offsets.unwrap();
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
        let groups = positions.groups;
        put(groups.finalizing(), u64::from(positions.size) + 24);
        put(groups.gil, 24);
        put(groups.own_gil(), 7752);
        put(groups.own_gil_holder(), 7768);
        put(groups.gc, u64::from(positions.gc_size) + 8);
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
        for row in rows() {
            let mut layout = row.clone();
            let positions = layout.runtime.debug_offsets.unwrap();
            assert!(has_size(&table(row), &positions));
            apply(&table(row), &positions, &mut layout).unwrap();
            assert_eq!(layout.runtime.interpreters, 0);
            assert_eq!(layout.runtime.threads_head, 8);
            assert_eq!(layout.interpreter.thread_next, 24);
            let holder = HolderPath::InGil {
                gil: 24,
                holder: 16,
            };
            assert_eq!(layout.runtime.holder, holder);
            let offset = |row: &Layout| match row.runtime.obmalloc {
                Obmalloc::Pointer { offset, .. } => Some(offset),
                _ => None,
            };
            let behind_a_larger_collector = offset(row).map(|offset| offset + 8);
            assert_eq!(offset(&layout), behind_a_larger_collector);
        }
    }

    #[test]
    fn the_table_of_a_real_build_agrees_with_the_row() {
        for python in listed() {
            let library = format!("../lib/libpython{}.so.1.0", python.version);
            let files = [python.file(), python.file().with_file_name(library)];
            for elf in files.iter().filter_map(|path| ElfFile::open(path).ok()) {
                let section = elf.section(".PyRuntime");
                let bytes = section.and_then(|it| elf.bytes_at(it.address, HEAD_BYTES));
                let Some(head) = bytes.and_then(Head::parse) else {
                    continue;
                };
                let row = head.version.layout(head.free_threaded).unwrap();
                let positions = row.runtime.debug_offsets.unwrap();
                let size = usize::from(positions.size);
                let table = elf.bytes_at(section.unwrap().address, size).unwrap();
                assert!(has_size(table, &positions), "{}", python.name);
                let mut layout = row.clone();
                apply(table, &positions, &mut layout).unwrap();
                assert_eq!(format!("{layout:?}"), format!("{row:?}"), "{}", python.name);
            }
        }
    }

    #[test]
    fn an_offset_beyond_its_structure_spoils_the_table() {
        for row in rows() {
            let positions = row.runtime.debug_offsets.unwrap();
            for field in positions.fields {
                let mut table = table(row);
                let at = usize::from(field.at);
                table[at..at + 8].copy_from_slice(&1_000_001_u64.to_le_bytes());
                assert_eq!(
                    apply(&table, &positions, &mut row.clone()),
                    None,
                    "{field:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
            Head::parse(&bytes);
            for row in rows() {
                let positions = row.runtime.debug_offsets.unwrap();
                has_size(&bytes, &positions);
                apply(&bytes, &positions, &mut row.clone());
            }
            number(&bytes, 8);
        }
    }
}
