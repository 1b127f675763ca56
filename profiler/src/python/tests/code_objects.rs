//! Code objects of the standard library: read from the process that has them, they are what Python
//! says they are, with the line of each instruction.

use crate::{
    process::memory::Memory,
    python::{
        code::CodeInfo,
        runtime::Interpreter,
        testing::{Program, pythons},
    },
};

/// Compiles modules of the standard library, and prints what Python makes of the code objects. Of
/// their lines it asks twice: what reads the tables for debuggers, and what does for tracebacks.
const CODE_OBJECTS: &str = r#"
import argparse, asyncio.events, ast, dis, inspect, subprocess, tarfile, typing

def lines_of(code):
    size = len(code.co_code)
    if hasattr(code, "co_positions"):
        return [position[0] or 0 for position in code.co_positions()]
    lines = [0] * (size // 2)
    if hasattr(code, "co_lines"):
        for start, end, line in code.co_lines():
            lines[start // 2:end // 2] = [line or 0] * ((end - start) // 2)
        return lines
    starts = list(dis.findlinestarts(code)) + [(size, 0)]
    for (start, line), (end, _) in zip(starts, starts[1:]):
        lines[start // 2:end // 2] = [line] * ((end - start) // 2)
    return lines

def traced_lines_of(code):
    units = range(len(code.co_code) // 2)
    return [max(ctypes.pythonapi.PyCode_Addr2Line(code, 2 * unit), 0) for unit in units]

try:
    import ctypes
    ctypes.pythonapi.PyCode_Addr2Line.argtypes = [ctypes.py_object, ctypes.c_int]
except ImportError:
    # It is built where its C library is installed.
    traced_lines_of = lines_of

def show(code):
    lines = lines_of(code)
    if lines != traced_lines_of(code):
        raise ValueError(code)
    kept.append(code)
    # There are no qualified names before 3.11.
    name = getattr(code, "co_qualname", code.co_name)
    print(hex(id(code))[2:], name, code.co_filename, *lines, sep="\t")
    for const in code.co_consts:
        if hasattr(const, "co_code"):
            show(const)

kept = []
for module in argparse, asyncio.events, ast, inspect, subprocess, tarfile, typing:
    with open(module.__file__, encoding="utf-8") as file:
        show(compile(file.read(), module.__file__, "exec"))
print(".", flush=True)
input()
"#;

/// Compares a code object with a line that [`CODE_OBJECTS`] prints, and says how many instructions
/// it has.
fn compare(interpreter: &Interpreter, memory: &Memory, line: &str) -> usize {
    let mut fields = line.split('\t');
    let address = u64::from_str_radix(fields.next().unwrap(), 16).unwrap();
    let layouts = (&interpreter.code, &interpreter.layout);
    let code = CodeInfo::read(memory, layouts.0, layouts.1, address, 0).unwrap();
    assert_eq!(Some(code.function.as_str()), fields.next());
    assert_eq!(Some(code.file.as_str()), fields.next());
    let mut count = 0;
    for (unit, expected) in fields.enumerate() {
        let offset = i32::try_from(2 * unit).unwrap();
        let found = code.line_at(offset).to_string();
        assert_eq!(found, expected, "{} at {offset}", code.function);
        count += 1;
    }
    count
}

#[test]
fn code_objects_are_what_python_says_they_are() {
    for python in pythons() {
        let mut program = Program::start(&python, &[], CODE_OBJECTS);
        let mut lines = Vec::new();
        loop {
            let line = program.line();
            if line == "." {
                break;
            }
            lines.push(line);
        }
        let (interpreter, memory) = (program.interpreter(), program.memory());
        let counts = lines
            .iter()
            .map(|line| compare(&interpreter, &memory, line));
        let positions: usize = counts.sum();
        println!(
            "{}: {} code objects, {positions} positions",
            python.name,
            lines.len()
        );
        assert!(lines.len() > 500 && positions > 30_000, "{}", python.name);
    }
}
