//! The rows.

use profiler_common::layout::{ADDRESS, FrameEntry, InterpreterLayout, NO_SHIMS};

use super::{
    AllocatorTables, CodeMembers, CodeOffsets, HolderPath, Layout, Obmalloc, ObmallocState,
    RuntimeLayout, RuntimeLink, objects, self_describing,
};
use crate::python::{line_table::LineTableFormat, text::TextLayout, version::FeatureVersion};

/// All versions that are known.
pub(super) const LAYOUTS: &[Layout] = &[
    objects::PYTHON_3_8,
    objects::PYTHON_3_9,
    objects::PYTHON_3_10,
    Layout {
        feature: FeatureVersion::new(3, 11),
        free_threaded: false,
        assertions: false,
        interpreter: InterpreterLayout {
            // 3.11 put `_PyCFrame` between the thread and the frame; 3.13 took it away.
            thread_frame: 56,
            cframe_frame: 8,
            thread_id: 152,
            frame_code: 32,
            frame_previous: 48,
            frame_owner: 69,
            // Frames that stand for C code came with 3.12.
            shim_owner: NO_SHIMS,
            code_bytecode: 184,
            ..INTERPRETER
        },
        code: CodeOffsets {
            arguments: 56,
            keyword_only: 64,
            first_line: 72,
            basic_size: 184,
            text: TEXT_WITH_WSTR,
            ..CODE
        },
        runtime: RuntimeLayout {
            interpreters: 40,
            holder: HolderPath::InRuntime { offset: 576 },
            threads_head: 16,
            link: RuntimeLink::FromInterpreter { offset: 40 },
            thread_previous: 0,
            thread_interpreter: 16,
            allocators: AllocatorTables::Static,
            obmalloc: Obmalloc::Statics,
            arena_bits: 20,
            pool_bits: 14,
            mimalloc: None,
            debug_offsets: None,
        },
    },
    Layout {
        feature: FeatureVersion::new(3, 12),
        free_threaded: false,
        assertions: false,
        interpreter: InterpreterLayout {
            thread_frame: 56,
            thread_id: 136,
            code_bytecode: 192,
            ..INTERPRETER
        },
        code: CodeOffsets {
            basic_size: 192,
            ..CODE
        },
        runtime: RuntimeLayout {
            interpreters: 40,
            // Since each interpreter can have a GIL of its own.
            holder: HolderPath::InGil {
                gil: 384,
                holder: 8,
            },
            threads_head: 72,
            link: RuntimeLink::FromInterpreter { offset: 96 },
            thread_previous: 0,
            thread_interpreter: 16,
            allocators: AllocatorTables::InRuntime {
                raw: 96,
                mem: 136,
                object: 176,
                arena: 360,
            },
            obmalloc: Obmalloc::Embedded {
                offset: 3960,
                state: OBMALLOC_STATE,
            },
            arena_bits: 20,
            pool_bits: 14,
            mimalloc: None,
            debug_offsets: None,
        },
    },
    self_describing::CPYTHON_3_13,
    self_describing::CPYTHON_3_13_FREE_THREADED,
    self_describing::CPYTHON_3_14,
    self_describing::CPYTHON_3_14_FREE_THREADED,
    self_describing::CPYTHON_3_15,
    self_describing::CPYTHON_3_15_FREE_THREADED,
];

/// What 3.12 set and later versions kept, and 3.11 in part.
pub(super) const INTERPRETER: InterpreterLayout = InterpreterLayout {
    thread_next: 8,
    thread_id: 0,
    thread_frame: 0,
    cframe_frame: 0,
    frame_code: 0,
    frame_previous: 8,
    frame_instruction: 56,
    frame_owner: 70,
    shim_owner: 3,
    code_tag: 0,
    code_numbers: 0,
    number_arguments: 0,
    number_keyword_only: 0,
    number_flags: 0,
    number_first_line: 0,
    code_bytecode: 0,
    // `_PyInterpreterFrame` has 72 of its own and at least one slot of its value stack.
    frame_bytes: 80,
    instruction_shift: 0,
    instruction_address: ADDRESS,
    entry: FrameEntry::ThroughCFrame as u32,
    reserved: 0,
};

/// What 3.11 set and later versions kept.
pub(super) const CODE: CodeOffsets = CodeOffsets {
    object_type: 8,
    filename: 112,
    name: 128,
    arguments: 52,
    keyword_only: 60,
    flags: 48,
    first_line: 68,
    line_table: 136,
    line_table_format: LineTableFormat::Locations,
    bytes_size: 16,
    bytes_data: 32,
    text: TEXT,
    type_basic_size: 32,
    type_members: 240,
    basic_size: 0,
    has_copies: false,
    members: CodeMembers {
        name: "co_qualname",
        line_table: "co_linetable",
    },
};

/// `str` since 3.12.
pub(super) const TEXT: TextLayout = TextLayout {
    length: 16,
    state: 32,
    kind_shift: 2,
    compact_bit: 5,
    ascii_bit: 6,
    ascii_text: 40,
    compact_text: 56,
    pointer: 56,
};

/// `str` while it could still hold a `wchar_t` text, up to 3.11.
pub(super) const TEXT_WITH_WSTR: TextLayout = TextLayout {
    ascii_text: 48,
    compact_text: 72,
    pointer: 72,
    ..TEXT
};

/// `struct _obmalloc_state` since 3.12.
pub(super) const OBMALLOC_STATE: ObmallocState = ObmallocState {
    arenas: 512,
    arena_count: 520,
    raw_blocks: 1088,
};
