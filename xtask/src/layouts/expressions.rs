//! What each number of a row is in C, by version.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::rows::{Row, Version};

/// How a number of a row is checked.
#[derive(Clone, Copy)]
enum Check {
    /// It is the value of an expression.
    Is(&'static str),
    /// It is the value of the first expression before that 3.x, and of the second from then on.
    Until(u8, &'static str, &'static str),
    /// It is the value of the first expression before the first 3.x, of the last from the second
    /// 3.x on, and of the other in between.
    Between((u8, u8), [&'static str; 3]),
    /// It is not checked; the names below say why.
    Not,
}

use Check::{Between, Is, Until};

const FILLED_IN_FROM_THE_CODE_NUMBERS: Check = Check::Not;
const A_CHOICE_AND_NO_PLACE: Check = Check::Not;
const COMPARED_WITH_THE_TARGET_AT_ATTACH: Check = Check::Not;

/// In place of an expression, where the headers have none.
const NOT_IN_THE_HEADERS: &str = "";

/// Every number that a row can have. A name that ends with a dot stands for all that begin so.
const CHECKS: &[(&str, Check)] = &[
    ("interpreter.thread_next", Is("OF(PyThreadState, next)")),
    ("interpreter.thread_id", Is("OF(PyThreadState, thread_id)")),
    (
        "interpreter.thread_frame",
        Between(
            (11, 13),
            [
                "OF(PyThreadState, frame)",
                "OF(PyThreadState, cframe)",
                "OF(PyThreadState, current_frame)",
            ],
        ),
    ),
    (
        "interpreter.cframe_frame",
        Between((11, 13), ["0", "OF(_PyCFrame, current_frame)", "0"]),
    ),
    (
        "interpreter.frame_code",
        Between(
            (11, 13),
            [
                "OF(PyFrameObject, f_code)",
                "OF(FRAME, f_code)",
                "OF(FRAME, f_executable)",
            ],
        ),
    ),
    (
        "interpreter.frame_previous",
        Until(11, "OF(PyFrameObject, f_back)", "OF(FRAME, previous)"),
    ),
    (
        "interpreter.frame_instruction",
        Between(
            (11, 13),
            [
                "OF(PyFrameObject, f_lasti)",
                "OF(FRAME, prev_instr)",
                "OF(FRAME, instr_ptr)",
            ],
        ),
    ),
    (
        "interpreter.frame_owner",
        Until(11, "0", "OF(FRAME, owner)"),
    ),
    // A frame's owner is one byte: 256 is no owner.
    ("interpreter.shim_owner", Until(12, "256", "FIRST_SHIM")),
    ("interpreter.code_tag", Until(14, "0", "Py_TAG_BITS")),
    ("interpreter.code_numbers", FILLED_IN_FROM_THE_CODE_NUMBERS),
    (
        "interpreter.number_arguments",
        FILLED_IN_FROM_THE_CODE_NUMBERS,
    ),
    (
        "interpreter.number_keyword_only",
        FILLED_IN_FROM_THE_CODE_NUMBERS,
    ),
    ("interpreter.number_flags", FILLED_IN_FROM_THE_CODE_NUMBERS),
    (
        "interpreter.number_first_line",
        FILLED_IN_FROM_THE_CODE_NUMBERS,
    ),
    (
        "interpreter.code_bytecode",
        Until(11, "0", "OF(PyCodeObject, co_code_adaptive)"),
    ),
    ("interpreter.frame_bytes", A_CHOICE_AND_NO_PLACE),
    ("interpreter.instruction_shift", A_CHOICE_AND_NO_PLACE),
    ("interpreter.instruction_address", A_CHOICE_AND_NO_PLACE),
    ("interpreter.entry", A_CHOICE_AND_NO_PLACE),
    ("interpreter.reserved", A_CHOICE_AND_NO_PLACE),
    ("code.object_type", Is("OF(PyObject, ob_type)")),
    ("code.filename", Is("OF(PyCodeObject, co_filename)")),
    (
        "code.name",
        Until(
            11,
            "OF(PyCodeObject, co_name)",
            "OF(PyCodeObject, co_qualname)",
        ),
    ),
    ("code.arguments", Is("OF(PyCodeObject, co_argcount)")),
    (
        "code.keyword_only",
        Is("OF(PyCodeObject, co_kwonlyargcount)"),
    ),
    ("code.flags", Is("OF(PyCodeObject, co_flags)")),
    ("code.first_line", Is("OF(PyCodeObject, co_firstlineno)")),
    (
        "code.line_table",
        Until(
            10,
            "OF(PyCodeObject, co_lnotab)",
            "OF(PyCodeObject, co_linetable)",
        ),
    ),
    ("code.bytes_size", Is("OF(PyVarObject, ob_size)")),
    ("code.bytes_data", Is("OF(PyBytesObject, ob_sval)")),
    ("code.text.length", Is("OF(PyASCIIObject, length)")),
    ("code.text.state", Is("OF(PyASCIIObject, state)")),
    ("code.text.kind_shift", Is("STATE_BIT(kind)")),
    ("code.text.compact_bit", Is("STATE_BIT(compact)")),
    ("code.text.ascii_bit", Is("STATE_BIT(ascii)")),
    ("code.text.ascii_text", Is("sizeof(PyASCIIObject)")),
    (
        "code.text.compact_text",
        Is("sizeof(PyCompactUnicodeObject)"),
    ),
    ("code.text.pointer", Is("OF(PyUnicodeObject, data)")),
    ("code.type_basic_size", Is("OF(PyTypeObject, tp_basicsize)")),
    ("code.type_members", Is("OF(PyTypeObject, tp_members)")),
    (
        "code.basic_size",
        Until(
            11,
            "sizeof(PyCodeObject)",
            "OF(PyCodeObject, co_code_adaptive)",
        ),
    ),
    ("code.has_copies", Is("HAS_COPIES")),
    (
        "runtime.interpreters",
        Is("OF(_PyRuntimeState, interpreters.head)"),
    ),
    (
        "runtime.holder.offset",
        Is("OF(_PyRuntimeState, gilstate.tstate_current)"),
    ),
    (
        "runtime.holder.gil",
        Is("OF(PyInterpreterState, ceval.gil)"),
    ),
    (
        "runtime.holder.holder",
        Is("OF(struct _gil_runtime_state, last_holder)"),
    ),
    (
        "runtime.threads_head",
        Until(
            11,
            "OF(PyInterpreterState, tstate_head)",
            "OF(PyInterpreterState, threads.head)",
        ),
    ),
    (
        "runtime.link.offset",
        Until(
            9,
            "OF(_PyRuntimeState, gilstate.autoInterpreterState)",
            "OF(PyInterpreterState, runtime)",
        ),
    ),
    ("runtime.thread_previous", Is("OF(PyThreadState, prev)")),
    (
        "runtime.thread_interpreter",
        Is("OF(PyThreadState, interp)"),
    ),
    (
        "runtime.allocators.raw",
        Is("OF(_PyRuntimeState, allocators.standard.raw)"),
    ),
    (
        "runtime.allocators.mem",
        Is("OF(_PyRuntimeState, allocators.standard.mem)"),
    ),
    (
        "runtime.allocators.object",
        Is("OF(_PyRuntimeState, allocators.standard.obj)"),
    ),
    (
        "runtime.allocators.arena",
        Is("OF(_PyRuntimeState, allocators.obj_arena)"),
    ),
    (
        "runtime.obmalloc.offset",
        Is("OF(PyInterpreterState, obmalloc)"),
    ),
    (
        "runtime.obmalloc.state.arenas",
        Is("OF(struct _obmalloc_state, mgmt.arenas)"),
    ),
    (
        "runtime.obmalloc.state.arena_count",
        Is("OF(struct _obmalloc_state, mgmt.maxarenas)"),
    ),
    (
        "runtime.obmalloc.state.raw_blocks",
        Is("OF(struct _obmalloc_state, mgmt.raw_allocated_blocks)"),
    ),
    (
        "runtime.arena_bits",
        Until(12, NOT_IN_THE_HEADERS, "ARENA_BITS"),
    ),
    (
        "runtime.pool_bits",
        Until(12, NOT_IN_THE_HEADERS, "POOL_BITS"),
    ),
    (
        "runtime.mimalloc.segment_slices",
        Is("OF(mi_segment_t, segment_slices)"),
    ),
    ("runtime.mimalloc.slices", Is("OF(mi_segment_t, slices)")),
    ("runtime.mimalloc.page_bytes", Is("sizeof(mi_page_t)")),
    (
        "runtime.mimalloc.page_capacity",
        Is("OF(mi_page_t, capacity)"),
    ),
    ("runtime.mimalloc.page_free", Is("OF(mi_page_t, free)")),
    (
        "runtime.mimalloc.page_local_free",
        Is("OF(mi_page_t, local_free)"),
    ),
    (
        "runtime.mimalloc.page_thread_free",
        Is("OF(mi_page_t, xthread_free)"),
    ),
    (
        "runtime.mimalloc.page_reserved",
        Is("OF(mi_page_t, reserved)"),
    ),
    ("runtime.mimalloc.page_used", Is("OF(mi_page_t, used)")),
    (
        "runtime.mimalloc.page_block_size",
        Until(
            14,
            "OF(mi_page_t, xblock_size)",
            "OF(mi_page_t, block_size)",
        ),
    ),
    (
        "runtime.mimalloc.page_start",
        Until(14, "0", "OF(mi_page_t, page_start)"),
    ),
    ("runtime.debug_offsets.", COMPARED_WITH_THE_TARGET_AT_ATTACH),
];

const HEAD: &str = r#"
#include <Python.h>
#include <frameobject.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "pycore_pystate.h"
#if __has_include("pycore_interp.h")
#include "pycore_interp.h"
#include "pycore_runtime.h"
#endif
#if __has_include("pycore_frame.h")
#include "pycore_frame.h"
#endif
#if __has_include("pycore_mimalloc.h")
#include "pycore_mimalloc.h"
#include "mimalloc/types.h"
#endif

#define OF(type, field) offsetof(type, field)
#define FRAME struct _PyInterpreterFrame

/* The first of the owners that mark frames which stand for C code. */
#if PY_VERSION_HEX >= 0x030E0000
#include "pycore_stackref.h"
#define FIRST_SHIM FRAME_OWNED_BY_INTERPRETER
#else
#define FIRST_SHIM FRAME_OWNED_BY_CSTACK
#endif

/* Whether the last word before the instructions leads to copies of them. */
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
#define HAS_COPIES (OF(PyCodeObject, co_tlbc) + 8 == OF(PyCodeObject, co_code_adaptive))
#else
#define HAS_COPIES 0
#endif

/* The lowest bit of a bit field in the state of a text. */
#define STATE_BIT(field) ({ \
    PyASCIIObject text; \
    unsigned int word; \
    memset(&text, 0, sizeof text); \
    text.state.field = 1; \
    memcpy(&word, &text.state, sizeof word); \
    __builtin_ctz(word); })

#define SHOW(name, value) printf("%s %lld\n", name, (long long)(value))

int main(void) {
"#;

/// The text of a program that prints what the row's numbers are; fails on one that is unknown.
pub(super) fn program(row: &Row) -> Result<String> {
    let mut text = HEAD.to_owned();
    for (name, _) in &row.numbers {
        let fits = |known: &str| name == known || known.ends_with('.') && name.starts_with(known);
        let Some((_, check)) = CHECKS.iter().find(|(known, _)| fits(known)) else {
            bail!("the rows have a number `{name}` that xtask/src/layouts does not know in C");
        };
        if let Some(expression) = check.expression(row.version) {
            writeln!(text, "    SHOW(\"{name}\", {expression});")?;
        }
    }
    text.push_str("    return 0;\n}\n");
    Ok(text)
}

impl Check {
    fn expression(self, version: Version) -> Option<&'static str> {
        let expression = match self {
            Is(expression) => expression,
            Until(minor, before, _) if version.minor < minor => before,
            Until(_, _, after) => after,
            Between((first, _), [before, ..]) if version.minor < first => before,
            Between((_, second), [_, within, _]) if version.minor < second => within,
            Between(_, [.., after]) => after,
            Self::Not => NOT_IN_THE_HEADERS,
        };
        (!expression.is_empty()).then_some(expression)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program_of(minor: u8, name: &str) -> Result<String> {
        program(&Row {
            version: Version { major: 3, minor },
            free_threaded: false,
            assertions: false,
            numbers: vec![(name.to_owned(), 0)],
        })
    }

    #[test]
    fn the_expression_is_that_of_the_version() {
        let name = "interpreter.frame_code";
        let cases = [
            (10, "OF(PyFrameObject, f_code)"),
            (11, "OF(FRAME, f_code)"),
            (12, "OF(FRAME, f_code)"),
            (13, "OF(FRAME, f_executable)"),
        ];
        for (minor, expression) in cases {
            let shown = format!("SHOW(\"{name}\", {expression});");
            assert!(
                program_of(minor, name).unwrap().contains(&shown),
                "3.{minor}"
            );
        }
    }

    #[test]
    fn what_no_header_tells_is_left_out() {
        let nothing = program_of(12, "interpreter.entry").unwrap();
        assert_eq!(program_of(11, "runtime.pool_bits").unwrap(), nothing);
        assert_eq!(
            program_of(13, "runtime.debug_offsets.fields.at").unwrap(),
            nothing
        );
        assert_ne!(program_of(12, "runtime.pool_bits").unwrap(), nothing);
    }

    #[test]
    fn a_number_without_an_expression_is_an_error() {
        let error = program_of(12, "code.unheard_of").unwrap_err().to_string();
        assert!(error.contains("`code.unheard_of`"), "{error}");
    }
}
