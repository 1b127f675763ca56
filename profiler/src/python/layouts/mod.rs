//! Where each version of `CPython` keeps what: one row of facts a version.
//!
//! A difference in place is a number, a difference in manner is an enum; whoever uses a row
//! compares no versions. The numbers are those of x86-64 and come from the debug information of
//! real builds; `machine` moves them to where others have them.

mod assertions;
mod machine;
mod objects;
mod rows;
mod self_describing;

use profiler_common::layout::InterpreterLayout;

use super::{
    debug_offsets::DebugOffsetsLayout, line_table::LineTableFormat, mimalloc::MimallocLayout,
    text::TextLayout, version::FeatureVersion,
};

/// All that differs between versions.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The version that the row is about.
    pub feature: FeatureVersion,
    /// Whether it is about builds that run without a GIL.
    pub free_threaded: bool,
    /// Whether it is about builds with assertions (`Py_DEBUG`).
    pub assertions: bool,
    /// What the walk over frames needs, but for the numbers of a code object.
    pub interpreter: InterpreterLayout,
    /// What reading a code object needs.
    pub code: CodeOffsets,
    /// What finding everything else needs.
    pub runtime: RuntimeLayout,
}

/// Where a code object, and the objects it refers to, keep what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CodeOffsets {
    /// Any object: its type.
    pub object_type: u16,
    /// The file's name.
    pub filename: u16,
    /// The name that is shown: the qualified one where there is one.
    pub name: u16,
    /// How many positional arguments.
    pub arguments: u16,
    /// How many keyword-only arguments.
    pub keyword_only: u16,
    /// The flags.
    pub flags: u16,
    /// The first line.
    pub first_line: u16,
    /// The line table.
    pub line_table: u16,
    /// How the line table is encoded.
    pub line_table_format: LineTableFormat,
    /// A `bytes` object: how many bytes.
    pub bytes_size: u16,
    /// A `bytes` object: the first byte.
    pub bytes_data: u16,
    /// A `str` object.
    pub text: TextLayout,
    /// A type: how large its objects are.
    pub type_basic_size: u16,
    /// A type: the table of its members.
    pub type_members: u16,
    /// What `code`'s type gives as the size of its objects.
    pub basic_size: u16,
    /// Whether threads run copies of the instructions; the last word before these leads to them.
    pub has_copies: bool,
    /// The names of the members that the offsets above are checked against.
    pub members: CodeMembers,
}

/// What the type of code objects calls its members.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CodeMembers {
    /// The name that is shown.
    pub name: &'static str,
    /// The line table.
    pub line_table: &'static str,
}

/// Where the runtime, an interpreter and pymalloc keep what.
#[derive(Clone, Debug)]
pub struct RuntimeLayout {
    /// Runtime: the list of interpreters; the main one is the second word.
    pub interpreters: u32,
    /// How to get to the word that names the thread state which holds the GIL.
    pub holder: HolderPath,
    /// Interpreter: the first thread state.
    pub threads_head: u32,
    /// What shows that runtime and interpreter belong to each other.
    pub link: RuntimeLink,
    /// Thread state: the one before it.
    pub thread_previous: u32,
    /// Thread state: its interpreter.
    pub thread_interpreter: u32,
    /// Where the tables of allocator functions are.
    pub allocators: AllocatorTables,
    /// Where pymalloc's state is.
    pub obmalloc: Obmalloc,
    /// An arena has 2 to the power of this many bytes.
    pub arena_bits: u8,
    /// A pool has 2 to the power of this many bytes.
    pub pool_bits: u8,
    /// Where mimalloc keeps what, in versions that have it.
    pub mimalloc: Option<MimallocLayout>,
    /// The table of offsets that the runtime begins with, in versions that have one.
    pub debug_offsets: Option<DebugOffsetsLayout>,
}

/// How to get to the word that names the thread state which holds the GIL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HolderPath {
    /// It is in the runtime.
    InRuntime {
        /// Where in the runtime.
        offset: u32,
    },
    /// It is in the GIL, which the interpreter points to.
    InGil {
        /// Interpreter: the GIL.
        gil: u32,
        /// GIL: the holder.
        holder: u32,
    },
}

/// A pointer between the runtime and the main interpreter; zero while they are set up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RuntimeLink {
    /// The interpreter points to the runtime.
    FromInterpreter {
        /// Where in the interpreter.
        offset: u32,
    },
    /// The runtime points to the interpreter.
    FromRuntime {
        /// Where in the runtime.
        offset: u32,
    },
}

/// Where the tables of allocator functions are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AllocatorTables {
    /// In the runtime, at these offsets.
    InRuntime {
        /// The raw domain.
        raw: u32,
        /// The memory domain.
        mem: u32,
        /// The object domain.
        object: u32,
        /// The arenas.
        arena: u32,
    },
    /// In variables of their own, which only the code names.
    Static,
}

/// Where pymalloc's state is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Obmalloc {
    /// There is none: these builds have another allocator, mimalloc.
    Absent,
    /// In variables of their own, which only the code names.
    Statics,
    /// As before, but the blocks that are counted are all, not those of the raw allocator.
    StaticsWithTotal,
    /// In the interpreter.
    Embedded {
        /// Where in the interpreter.
        offset: u32,
        /// Where things are in the state.
        state: ObmallocState,
    },
    /// Where the interpreter points.
    Pointer {
        /// Interpreter: the pointer.
        offset: u32,
        /// Where things are in the state.
        state: ObmallocState,
    },
}

/// Where pymalloc's state keeps what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ObmallocState {
    /// The array of arenas.
    pub arenas: u32,
    /// How many elements the array has.
    pub arena_count: u32,
    /// How many blocks went to the raw allocator.
    pub raw_blocks: u32,
}

impl Layout {
    /// Every row of release builds, for who compares them with the headers of interpreters.
    pub fn all() -> &'static [Self] {
        rows::LAYOUTS
    }

    /// The row of a version.
    ///
    /// One that is newer than all rows is taken for the newest. That it is laid out alike, its
    /// table of offsets must show.
    pub(super) fn of(feature: FeatureVersion, free_threaded: bool) -> Option<&'static Self> {
        let mut rows = rows::LAYOUTS
            .iter()
            .filter(|row| row.free_threaded == free_threaded);
        let newest = rows.clone().next_back()?;
        rows.find(|row| row.feature == feature)
            .or((feature > newest.feature).then_some(newest))
    }

    /// What the walk over frames needs, with the numbers of a code object.
    ///
    /// The walk reads blocks and trusts the offsets in them: `None` if one leads out of its
    /// block, or is not aligned.
    pub(super) fn walk(&self) -> Option<InterpreterLayout> {
        let code = &self.code;
        let numbers = [
            code.arguments,
            code.keyword_only,
            code.flags,
            code.first_line,
        ];
        let start = *numbers.iter().min()?;
        let layout = InterpreterLayout {
            code_numbers: start,
            number_arguments: code.arguments - start,
            number_keyword_only: code.keyword_only - start,
            number_flags: code.flags - start,
            number_first_line: code.first_line - start,
            ..self.interpreter
        };
        let frame = layout.frame_bytes;
        let pointers = [layout.frame_code, layout.frame_previous];
        let fits = frame <= FRAME_LIMIT
            && pointers.iter().all(|&at| fits(at, 8, frame))
            && fits(layout.frame_instruction, 4, frame)
            && fits(layout.frame_owner, 1, frame)
            && numbers.iter().all(|at| fits(at - start, 4, NUMBER_BYTES));
        fits.then_some(layout)
    }
}

/// Whether a field of this many bytes lies in a block, and where fields of its size may lie.
const fn fits(at: u16, size: u16, block: u16) -> bool {
    at.is_multiple_of(size) && size <= block && at <= block - size
}

/// The walk reads a frame as one block of less than 128 bytes.
const FRAME_LIMIT: u16 = 127;

/// The walk reads the numbers of a code object as one block of this many bytes.
const NUMBER_BYTES: u16 = 32;

#[cfg(test)]
mod tests {
    use super::{FeatureVersion, Layout, rows::LAYOUTS};

    #[test]
    fn every_row_suits_the_walk() {
        for row in LAYOUTS {
            assert!(row.walk().is_some(), "{}", row.feature);
            let found = Layout::of(row.feature, row.free_threaded).unwrap();
            assert_eq!(found.feature, row.feature);
            assert_eq!(found.free_threaded, row.free_threaded);
        }
    }

    #[test]
    fn what_is_newer_than_all_rows_is_taken_for_the_newest() {
        let row = |minor, free_threaded| {
            Layout::of(FeatureVersion::new(3, minor), free_threaded).map(|row| row.feature.minor)
        };
        assert_eq!(row(99, false), Some(15));
        assert_eq!(row(99, true), Some(15));
        assert_eq!(row(12, true), None);
        assert_eq!(row(7, false), None);
    }

    #[test]
    fn offsets_outside_of_their_block_are_refused() {
        let changes: [fn(&mut Layout); 8] = [
            |row| row.interpreter.frame_code += 4,
            |row| row.interpreter.frame_previous = row.interpreter.frame_bytes,
            |row| row.interpreter.frame_instruction = row.interpreter.frame_bytes - 2,
            |row| row.interpreter.frame_owner = row.interpreter.frame_bytes,
            |row| row.interpreter.frame_bytes = 0,
            |row| row.interpreter.frame_bytes = 128,
            |row| row.code.first_line = row.code.flags + 32,
            |row| row.code.arguments = row.code.flags + 2,
        ];
        for row in LAYOUTS {
            for change in changes {
                let mut row = row.clone();
                change(&mut row);
                assert_eq!(row.walk(), None);
            }
        }
    }
}
