//! Code objects of the target: the function, the file and the lines they stand for.
//!
//! The target runs on while they are read, and a code object can die and its memory be used for
//! another. What tells them apart is the type at the address and the fingerprint that the
//! kernel half took with the stack.

use profiler_common::{layout::InterpreterLayout, walk};
use thiserror::Error;

use super::{
    code_copies::{instruction_at, offset_in_copy},
    layouts::CodeOffsets,
    line_table::LineTable,
    text::{Place, Text},
};
use crate::process::memory::Memory;

/// The longest name, in code points.
const TEXT_LIMIT: usize = 64 << 10;

/// The largest line table, in bytes; generated modules reach hundreds of KiB.
const LINE_TABLE_LIMIT: usize = 4 << 20;

/// How to read code objects of one process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CodeLayout {
    /// Where things are in a code object.
    pub offsets: CodeOffsets,
    /// The address of the type of all code objects.
    pub code_type: u64,
}

/// Why a code object could not be read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum CodeError {
    /// A read failed.
    #[error("the {what} of the code object at {address:#x} cannot be read")]
    Unreadable {
        /// The code object.
        address: u64,
        /// The part of it.
        what: &'static str,
    },
    /// There is no code object at the address, or not any more.
    #[error("there is no code object at {address:#x}")]
    NotCode {
        /// The address.
        address: u64,
    },
    /// The code object is not the one that was seen.
    #[error("the code object at {address:#x} was replaced by another")]
    Replaced {
        /// The address.
        address: u64,
    },
    /// The code object holds what none holds.
    #[error("the {what} of the code object at {address:#x} makes no sense")]
    Malformed {
        /// The code object.
        address: u64,
        /// The part of it.
        what: &'static str,
    },
}

/// What is known of a code object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CodeInfo {
    /// The function, with the classes and functions around it.
    pub function: String,
    /// The file that it was compiled from, as the code object has it: it may be made up, or empty.
    pub file: String,
    /// The line that it begins on.
    pub first_line: u32,
    lines: LineTable,
    /// How many bytes of instructions there are, if threads run copies of them.
    copied: Option<i32>,
}

impl CodeInfo {
    /// Reads the code object at `address`.
    ///
    /// `expected_fingerprint` is what the walk found there; zero means unknown, and any code
    /// object will do.
    pub fn read(
        memory: &Memory,
        layout: &CodeLayout,
        interpreter: &InterpreterLayout,
        address: u64,
        expected_fingerprint: u32,
    ) -> Result<Self, CodeError> {
        let head = Head::read(memory, layout, interpreter, address)?;
        if expected_fingerprint != 0 && head.fingerprint != expected_fingerprint {
            return Err(CodeError::Replaced { address });
        }
        let parts = Parts::read(memory, &layout.offsets, address, &head)?;
        Ok(Self {
            function: parts.name,
            file: parts.file,
            first_line: head.first_line,
            copied: head.copied,
            lines: LineTable::new(
                layout.offsets.line_table_format,
                head.first_line,
                parts.line_table,
            ),
        })
    }

    /// Whether nobody wrote it: since 3.13 the interpreter can put a frame of its own between the
    /// call of a class and the `__init__`, and hides it. Code that was compiled has a first line.
    pub fn is_shim(&self) -> bool {
        self.first_line == 0 && self.file == "__init__"
    }

    /// As [`Self::line_at`], for an instruction of the code object at `address` that may be in a
    /// copy.
    pub fn line_in_copy(
        &self,
        memory: &Memory,
        interpreter: &InterpreterLayout,
        address: u64,
        offset: i32,
    ) -> u32 {
        let bytecode = address.wrapping_add(u64::from(interpreter.code_bytecode));
        let found = self
            .copied
            .filter(|size| !(-2..*size).contains(&offset))
            .and_then(|size| {
                let table = bytecode.wrapping_sub(size_of::<u64>() as u64);
                offset_in_copy(memory, table, instruction_at(bytecode, offset), size)
            });
        self.line_at(found.unwrap_or(offset))
    }

    /// The line of the instruction at this offset, in bytes from the first one; zero if it has
    /// none.
    pub fn line_at(&self, instruction_offset_bytes: i32) -> u32 {
        self.lines.line_at(instruction_offset_bytes).unwrap_or(0)
    }
}

/// The numbers and pointers of a code object.
struct Head {
    fingerprint: u32,
    first_line: u32,
    name: u64,
    filename: u64,
    line_table: u64,
    copied: Option<i32>,
}

impl Head {
    fn read(
        memory: &Memory,
        layout: &CodeLayout,
        interpreter: &InterpreterLayout,
        address: u64,
    ) -> Result<Self, CodeError> {
        let offsets = &layout.offsets;
        let unreadable = CodeError::Unreadable {
            address,
            what: "head",
        };
        let bytes = memory
            .read_bytes(address, usize::from(offsets.basic_size))
            .map_err(|_unreadable| unreadable)?;
        let word = |offset| word(&bytes, offset).ok_or(unreadable);
        let number = |offset: u16| {
            let offset = interpreter.code_numbers.saturating_add(offset);
            half(&bytes, offset).ok_or(unreadable)
        };
        if word(offsets.object_type)? != layout.code_type {
            return Err(CodeError::NotCode { address });
        }
        let first_line = number(interpreter.number_first_line)?;
        Ok(Self {
            fingerprint: walk::fingerprint(
                number(interpreter.number_arguments)?,
                number(interpreter.number_keyword_only)?,
                number(interpreter.number_flags)?,
                first_line,
            ),
            first_line,
            name: word(offsets.name)?,
            filename: word(offsets.filename)?,
            line_table: word(offsets.line_table)?,
            // A code object is counted in units of two bytes.
            copied: i32::try_from(word(offsets.bytes_size)?)
                .ok()
                .filter(|_| offsets.has_copies)
                .map(|units| units.saturating_mul(2)),
        })
    }
}

/// The objects that a code object refers to.
struct Parts {
    name: String,
    file: String,
    line_table: Vec<u8>,
}

impl Parts {
    /// Reads them in two calls: their heads, and what the heads say where it is.
    fn read(
        memory: &Memory,
        offsets: &CodeOffsets,
        address: u64,
        head: &Head,
    ) -> Result<Self, CodeError> {
        const WHAT: [&str; 3] = ["name", "file name", "line table"];
        let text_head = usize::from(offsets.text.ascii_text);
        let bytes_head = usize::from(offsets.bytes_size) + size_of::<u64>();
        let heads = [
            (head.name, text_head),
            (head.filename, text_head),
            (head.line_table, bytes_head),
        ];
        let [name, file, table] = read_three(memory, heads, address, WHAT)?;
        let malformed = |what| CodeError::Malformed { address, what };
        let text = |at, bytes: &[u8], what| {
            Text::parse(&offsets.text, at, bytes, TEXT_LIMIT).ok_or_else(|| malformed(what))
        };
        let name = text(head.name, &name, "name")?;
        let file = text(head.filename, &file, "file name")?;
        let table_size = word(&table, offsets.bytes_size)
            .and_then(|size| usize::try_from(size).ok())
            .filter(|&size| size <= LINE_TABLE_LIMIT)
            .ok_or_else(|| malformed("line table"))?;
        let table_start = head.line_table.wrapping_add(u64::from(offsets.bytes_data));
        let bodies = [
            (follow(memory, name.place, address, "name")?, name.size),
            (follow(memory, file.place, address, "file name")?, file.size),
            (table_start, table_size),
        ];
        let [name_text, file_text, line_table] = read_three(memory, bodies, address, WHAT)?;
        Ok(Self {
            name: name.kind.decode(&name_text),
            file: file.kind.decode(&file_text),
            line_table,
        })
    }
}

fn read_three(
    memory: &Memory,
    ranges: [(u64, usize); 3],
    address: u64,
    what: [&'static str; 3],
) -> Result<[Vec<u8>; 3], CodeError> {
    let blocks = memory.read_many(&ranges);
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for ((part, block), what) in parts.iter_mut().zip(blocks).zip(what) {
        *part = block.ok_or(CodeError::Unreadable { address, what })?;
    }
    Ok(parts)
}

/// Where the text is.
fn follow(
    memory: &Memory,
    place: Place,
    address: u64,
    what: &'static str,
) -> Result<u64, CodeError> {
    match place {
        Place::At(text) => Ok(text),
        Place::Through(pointer) => memory
            .read_word(pointer)
            .ok_or(CodeError::Unreadable { address, what }),
    }
}

fn word(bytes: &[u8], offset: u16) -> Option<u64> {
    let bytes = bytes.get(usize::from(offset)..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

fn half(bytes: &[u8], offset: u16) -> Option<u32> {
    let bytes = bytes.get(usize::from(offset)..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::{
        python::{layouts::Layout, line_table::LineTableFormat},
        units::Pid,
    };

    /// A word of memory that means harm.
    #[derive(Clone, Copy, Debug)]
    enum Word {
        /// It points into the memory, which is so small that objects overlap and refer to
        /// themselves.
        Inside(usize),
        Any(u64),
    }

    fn word() -> impl Strategy<Value = Word> {
        prop_oneof![
            8 => (0usize..512).prop_map(Word::Inside),
            // States of text, and lengths: small, huge, negative.
            4 => (0u64..256).prop_map(Word::Any),
            1 => select(vec![u64::MAX, 1 << 31, 1 << 63, 4096, (4 << 20) + 1]).prop_map(Word::Any),
            1 => any::<u64>().prop_map(Word::Any),
        ]
    }

    fn memory(words: &[Word]) -> Vec<u64> {
        let mut memory = vec![0; words.len()];
        let start = memory.as_ptr() as u64;
        for (place, word) in memory.iter_mut().zip(words) {
            *place = match word {
                Word::Inside(offset) => start + *offset as u64,
                Word::Any(value) => *value,
            };
        }
        memory
    }

    #[test]
    fn an_instruction_in_a_copy_is_on_the_line_of_the_one_that_was_copied() {
        // Two units on line 11, two on line 12.
        let bytes = vec![0x80 | (11 << 3) | 1, 0, 0, 0x80 | (11 << 3) | 1, 0, 0];
        let code = CodeInfo {
            function: String::new(),
            file: String::new(),
            first_line: 10,
            lines: LineTable::new(LineTableFormat::Locations, 10, bytes),
            copied: Some(8),
        };
        let copy = 0x7f00_0000_1000_u64;
        let copies = [2, 0, copy];
        let object = [0, copies.as_ptr() as u64];
        let address = object.as_ptr() as u64;
        let memory = Memory::of(Pid(std::process::id()));
        let layout = InterpreterLayout {
            code_bytecode: 16,
            ..InterpreterLayout::default()
        };
        let in_copy = |offset: u64| {
            let from_own = (copy + offset).wrapping_sub(address + 16);
            i32::from_le_bytes(*from_own.to_le_bytes().first_chunk().unwrap())
        };
        for (offset, line) in [
            (0, 11),
            (6, 12),
            (in_copy(0), 11),
            (in_copy(2), 11),
            (in_copy(4), 12),
            (in_copy(8), 0),
        ] {
            let found = code.line_in_copy(&memory, &layout, address, offset);
            assert_eq!(found, line, "{offset}");
        }
    }

    proptest! {
        #[test]
        fn any_memory_is_read_as_code_or_refused(
            words in vec(word(), 64),
            row in select(Layout::all()),
            is_code: bool,
        ) {
            let words = memory(&words);
            let code_type = words[usize::from(row.code.object_type / 8)];
            let layout = CodeLayout {
                offsets: row.code,
                code_type: if is_code { code_type } else { !code_type },
            };
            let memory = Memory::of(Pid(std::process::id()));
            let address = words.as_ptr() as u64;
            let found = CodeInfo::read(&memory, &layout, &row.interpreter, address, 0);
            let refusal = Err(CodeError::NotCode { address });
            prop_assert!(is_code || found == refusal);
            if let Ok(code) = found {
                prop_assert!(code.function.chars().count() <= TEXT_LIMIT);
                prop_assert!(code.file.chars().count() <= TEXT_LIMIT);
                code.line_at(0);
                code.line_in_copy(&memory, &row.interpreter, address, 1 << 20);
            }
        }
    }
}
