//! The rows of versions whose runtime begins with a table of its own offsets, since 3.13.
//!
//! What the table has overrides the row, so it is the rest that matters here: how things are
//! done, the allocators' tables, pymalloc's state.

use profiler_common::layout::{FrameEntry, InterpreterLayout};

use super::{
    AllocatorTables, CodeOffsets, HolderPath, Layout, Obmalloc, RuntimeLayout, RuntimeLink,
    rows::{CODE, INTERPRETER, OBMALLOC_STATE, TEXT},
};
use crate::python::{
    debug_offsets::{DebugOffsetsLayout, Groups, fields},
    mimalloc::MimallocLayout,
    text::TextLayout,
    version::FeatureVersion,
};

pub(super) const CPYTHON_3_13: Layout = Layout {
    feature: FeatureVersion::new(3, 13),
    free_threaded: false,
    assertions: false,
    interpreter: InterpreterLayout {
        thread_id: 152,
        code_bytecode: 200,
        ..INTERPRETER_3_13
    },
    code: CodeOffsets {
        basic_size: 200,
        ..CODE
    },
    runtime: RUNTIME_3_13,
};

pub(super) const CPYTHON_3_13_FREE_THREADED: Layout = Layout {
    free_threaded: true,
    interpreter: InterpreterLayout {
        code_bytecode: 216,
        ..CPYTHON_3_13.interpreter
    },
    code: CodeOffsets {
        basic_size: 216,
        text: TEXT_FREE_THREADED,
        ..CODE_FREE_THREADED
    },
    runtime: RuntimeLayout {
        holder: FREE_THREADED_HOLDER,
        obmalloc: Obmalloc::Absent,
        mimalloc: Some(free_threaded(MIMALLOC_2_1)),
        ..RUNTIME_3_13
    },
    ..CPYTHON_3_13
};

pub(super) const CPYTHON_3_14: Layout = Layout {
    feature: FeatureVersion::new(3, 14),
    free_threaded: false,
    assertions: false,
    interpreter: InterpreterLayout {
        thread_id: 152,
        ..INTERPRETER_3_14
    },
    code: CodeOffsets {
        basic_size: 208,
        ..CODE
    },
    runtime: RUNTIME_3_14,
};

pub(super) const CPYTHON_3_14_FREE_THREADED: Layout = Layout {
    free_threaded: true,
    interpreter: InterpreterLayout {
        thread_id: 152,
        code_tag: 1,
        ..INTERPRETER_3_14_FREE_THREADED
    },
    code: CODE_3_14_FREE_THREADED,
    runtime: RuntimeLayout {
        holder: FREE_THREADED_HOLDER,
        obmalloc: Obmalloc::Absent,
        mimalloc: Some(free_threaded(MIMALLOC_2_2)),
        ..RUNTIME_3_14
    },
    ..CPYTHON_3_14
};

pub(super) const CPYTHON_3_15: Layout = Layout {
    feature: FeatureVersion::new(3, 15),
    free_threaded: false,
    assertions: false,
    interpreter: InterpreterLayout {
        thread_id: 176,
        ..INTERPRETER_3_14
    },
    code: CodeOffsets {
        basic_size: 208,
        ..CODE
    },
    runtime: RUNTIME_3_15,
};

pub(super) const CPYTHON_3_15_FREE_THREADED: Layout = Layout {
    free_threaded: true,
    interpreter: InterpreterLayout {
        thread_id: 176,
        ..INTERPRETER_3_14_FREE_THREADED
    },
    code: CODE_3_14_FREE_THREADED,
    runtime: RuntimeLayout {
        holder: FREE_THREADED_HOLDER,
        obmalloc: Obmalloc::Absent,
        mimalloc: Some(free_threaded(MIMALLOC_2_2)),
        ..RUNTIME_3_15
    },
    ..CPYTHON_3_15
};

/// The thread state points to its frame again.
const INTERPRETER_3_13: InterpreterLayout = InterpreterLayout {
    thread_frame: 72,
    entry: FrameEntry::Direct as u32,
    ..INTERPRETER
};

/// What a frame runs is a tagged reference since 3.14.
const INTERPRETER_3_14: InterpreterLayout = InterpreterLayout {
    frame_owner: 74,
    code_tag: 3,
    code_bytecode: 208,
    ..INTERPRETER_3_13
};

const INTERPRETER_3_14_FREE_THREADED: InterpreterLayout = InterpreterLayout {
    frame_owner: 78,
    code_bytecode: 232,
    ..INTERPRETER_3_14
};

/// The head of an object has 16 more bytes without a GIL.
const CODE_FREE_THREADED: CodeOffsets = CodeOffsets {
    object_type: 24,
    filename: 128,
    name: 144,
    arguments: 68,
    keyword_only: 76,
    flags: 64,
    first_line: 84,
    line_table: 152,
    bytes_size: 32,
    bytes_data: 48,
    type_basic_size: 48,
    type_members: 256,
    ..CODE
};

const CODE_3_14_FREE_THREADED: CodeOffsets = CodeOffsets {
    basic_size: 232,
    has_copies: true,
    text: TextLayout {
        // Interning has a byte of its own, before the other bits.
        kind_shift: 8,
        compact_bit: 11,
        ascii_bit: 12,
        ..TEXT_FREE_THREADED
    },
    ..CODE_FREE_THREADED
};

const TEXT_FREE_THREADED: TextLayout = TextLayout {
    length: 32,
    state: 48,
    ascii_text: 56,
    compact_text: 72,
    pointer: 72,
    ..TEXT
};

const RUNTIME_3_13: RuntimeLayout = RuntimeLayout {
    interpreters: 632,
    holder: HolderPath::InGil { gil: 16, holder: 8 },
    threads_head: 7344,
    link: RuntimeLink::FromInterpreter { offset: 7376 },
    thread_previous: 0,
    thread_interpreter: 16,
    allocators: AllocatorTables::InRuntime {
        raw: 704,
        mem: 744,
        object: 784,
        arena: 976,
    },
    obmalloc: obmalloc(10800),
    arena_bits: 20,
    pool_bits: 14,
    mimalloc: Some(MIMALLOC_2_1),
    debug_offsets: Some(DEBUG_OFFSETS_3_13),
};

const RUNTIME_3_14: RuntimeLayout = RuntimeLayout {
    interpreters: 808,
    link: RuntimeLink::FromInterpreter { offset: 7384 },
    allocators: AllocatorTables::InRuntime {
        raw: 880,
        mem: 920,
        object: 960,
        arena: 1152,
    },
    obmalloc: obmalloc(10904),
    mimalloc: Some(MIMALLOC_2_2),
    debug_offsets: Some(DEBUG_OFFSETS_3_14),
    ..RUNTIME_3_13
};

const RUNTIME_3_15: RuntimeLayout = RuntimeLayout {
    interpreters: 936,
    threads_head: 7336,
    link: RuntimeLink::FromInterpreter { offset: 7376 },
    allocators: AllocatorTables::InRuntime {
        raw: 1008,
        mem: 1048,
        object: 1088,
        arena: 1280,
    },
    obmalloc: obmalloc(10880),
    debug_offsets: Some(DEBUG_OFFSETS_3_15),
    ..RUNTIME_3_14
};

/// Mimalloc as 3.13 has it.
const MIMALLOC_2_1: MimallocLayout = MimallocLayout {
    segment_slices: 224,
    slices: 264,
    page_bytes: 80,
    page_capacity: 10,
    page_free: 16,
    page_local_free: 32,
    page_thread_free: 40,
    page_reserved: 12,
    page_used: 24,
    page_block_size: 28,
    page_start: 0,
};

/// Mimalloc as 3.14 and 3.15 have it.
const MIMALLOC_2_2: MimallocLayout = MimallocLayout {
    segment_slices: 248,
    slices: 288,
    page_bytes: 96,
    page_local_free: 24,
    page_thread_free: 56,
    page_used: 32,
    page_block_size: 40,
    page_start: 48,
    ..MIMALLOC_2_1
};

/// Without a GIL pages wait for their last reader, and are linked for that.
const fn free_threaded(mimalloc: MimallocLayout) -> MimallocLayout {
    MimallocLayout {
        page_bytes: mimalloc.page_bytes + 16,
        ..mimalloc
    }
}

/// The state of a GIL begins with whether there is one.
const FREE_THREADED_HOLDER: HolderPath = HolderPath::InGil {
    gil: 16,
    holder: 16,
};

const fn obmalloc(offset: u32) -> Obmalloc {
    Obmalloc::Pointer {
        offset,
        state: OBMALLOC_STATE,
    }
}

const DEBUG_OFFSETS_3_13: DebugOffsetsLayout = DebugOffsetsLayout {
    size: 584,
    groups: GROUPS_3_13,
    fields: &fields(GROUPS_3_13),
    gc_size: 240,
};

const DEBUG_OFFSETS_3_14: DebugOffsetsLayout = DebugOffsetsLayout {
    size: 760,
    groups: GROUPS_3_14,
    fields: &fields(GROUPS_3_14),
    // 3.14.0 to 3.14.4 had another garbage collector, and 240 bytes for it.
    gc_size: 264,
};

const DEBUG_OFFSETS_3_15: DebugOffsetsLayout = DebugOffsetsLayout {
    size: 888,
    groups: GROUPS_3_15,
    fields: &fields(GROUPS_3_15),
    gc_size: 176,
};

const GROUPS_3_13: Groups = Groups {
    runtime: 24,
    interpreter: 48,
    gil: 112,
    thread: 152,
    thread_id: 192,
    frame: 224,
    code: 272,
    object: 352,
    bytes: 512,
    text: 536,
    gc: 568,
};

const GROUPS_3_14: Groups = Groups {
    gil: 120,
    thread: 176,
    thread_id: 216,
    frame: 248,
    code: 312,
    object: 400,
    bytes: 592,
    text: 616,
    gc: 648,
    ..GROUPS_3_13
};

const GROUPS_3_15: Groups = Groups {
    thread_id: 240,
    frame: 312,
    code: 376,
    object: 464,
    bytes: 688,
    text: 712,
    gc: 752,
    ..GROUPS_3_14
};
