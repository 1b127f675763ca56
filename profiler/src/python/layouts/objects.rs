//! The rows of the versions whose frames are objects: up to 3.10.

use profiler_common::layout::{FrameEntry, InterpreterLayout, NO_SHIMS, OFFSET};

use super::{
    AllocatorTables, CodeMembers, CodeOffsets, HolderPath, Layout, Obmalloc, RuntimeLayout,
    RuntimeLink,
    rows::{CODE, INTERPRETER, TEXT_WITH_WSTR},
};
use crate::python::{line_table::LineTableFormat, version::FeatureVersion};

pub(super) const PYTHON_3_8: Layout = Layout {
    feature: FeatureVersion::new(3, 8),
    free_threaded: false,
    assertions: false,
    interpreter: FRAME_OBJECTS,
    code: CODE_WITH_LNOTAB,
    runtime: RuntimeLayout {
        holder: HolderPath::InRuntime { offset: 1368 },
        // `gilstate.autoInterpreterState`: interpreters point to the runtime since 3.9.
        link: RuntimeLink::FromRuntime { offset: 1384 },
        // It keeps the number of all blocks; later versions that of the raw ones.
        obmalloc: Obmalloc::StaticsWithTotal,
        ..RUNTIME
    },
};

pub(super) const PYTHON_3_9: Layout = Layout {
    feature: FeatureVersion::new(3, 9),
    free_threaded: false,
    assertions: false,
    interpreter: FRAME_OBJECTS,
    code: CODE_WITH_LNOTAB,
    runtime: RUNTIME,
};

pub(super) const PYTHON_3_10: Layout = Layout {
    feature: FeatureVersion::new(3, 10),
    free_threaded: false,
    assertions: false,
    interpreter: InterpreterLayout {
        frame_instruction: 96,
        // It is counted in code units of two bytes.
        instruction_shift: 1,
        ..FRAME_OBJECTS
    },
    code: CodeOffsets {
        line_table_format: LineTableFormat::Ranges,
        members: CodeMembers {
            name: "co_name",
            line_table: "co_linetable",
        },
        ..CODE_WITH_LNOTAB
    },
    runtime: RuntimeLayout {
        // Since arenas are found by a tree of addresses.
        arena_bits: 20,
        pool_bits: 14,
        ..RUNTIME
    },
};

/// `PyFrameObject` of 3.8 and 3.9, which the thread state points to.
const FRAME_OBJECTS: InterpreterLayout = InterpreterLayout {
    thread_frame: 24,
    thread_id: 176,
    frame_code: 32,
    frame_previous: 24,
    frame_instruction: 104,
    frame_owner: 0,
    shim_owner: NO_SHIMS,
    // The numbers end here, and the stack of blocks begins.
    frame_bytes: 112,
    instruction_address: OFFSET,
    entry: FrameEntry::Direct as u32,
    ..INTERPRETER
};

/// `PyCodeObject` of 3.8 and 3.9.
const CODE_WITH_LNOTAB: CodeOffsets = CodeOffsets {
    filename: 104,
    // There is no `co_qualname` before 3.11.
    name: 112,
    arguments: 16,
    keyword_only: 24,
    flags: 36,
    first_line: 40,
    line_table: 120,
    line_table_format: LineTableFormat::Increments,
    basic_size: 176,
    text: TEXT_WITH_WSTR,
    members: CodeMembers {
        name: "co_name",
        line_table: "co_lnotab",
    },
    ..CODE
};

/// What 3.9 set and 3.10 kept, and 3.8 had in part.
const RUNTIME: RuntimeLayout = RuntimeLayout {
    interpreters: 32,
    holder: HolderPath::InRuntime { offset: 568 },
    threads_head: 8,
    link: RuntimeLink::FromInterpreter { offset: 16 },
    thread_previous: 0,
    thread_interpreter: 16,
    allocators: AllocatorTables::Static,
    obmalloc: Obmalloc::Statics,
    arena_bits: 18,
    pool_bits: 12,
    mimalloc: None,
    debug_offsets: None,
};
