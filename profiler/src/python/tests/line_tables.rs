//! Line tables of real code, as Python reads them.

use crate::python::{
    line_table::{LineTable, LineTableFormat},
    testing::{Program, pythons},
};

/// Prints the line tables of modules of the standard library, and what Python makes of them.
const LINE_TABLES: &str = r#"
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

def show(code):
    table = code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab
    print(table.hex(), code.co_firstlineno, *lines_of(code))
    for const in code.co_consts:
        if hasattr(const, "co_code"):
            show(const)

for module in argparse, asyncio.events, ast, inspect, subprocess, tarfile, typing:
    with open(module.__file__, encoding="utf-8") as file:
        show(compile(file.read(), module.__file__, "exec"))
print(".")
"#;

fn unhex(text: &str) -> Vec<u8> {
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    pairs
        .iter()
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Compares every instruction of a line that [`LINE_TABLES`] prints, and says how many.
fn compare_lines(format: LineTableFormat, line: &str) -> usize {
    let (table, rest) = line.split_once(' ').unwrap();
    let mut numbers = rest.split(' ').map(|number| number.parse().unwrap());
    let table = LineTable::new(format, numbers.next().unwrap(), unhex(table));
    let expected: Vec<u32> = numbers.collect();
    for (unit, expected) in expected.iter().enumerate() {
        let offset = i32::try_from(2 * unit).unwrap();
        assert_eq!(table.line_at(offset).unwrap_or(0), *expected, "at {offset}");
    }
    expected.len()
}

#[test]
fn line_tables_say_what_python_says() {
    for python in pythons() {
        let mut program = Program::start(&python, &[], LINE_TABLES);
        let (mut tables, mut positions) = (0, 0);
        let mut line = program.line();
        let format = program.interpreter().code.offsets.line_table_format;
        loop {
            if line == "." {
                break;
            }
            positions += compare_lines(format, &line);
            tables += 1;
            line = program.line();
        }
        println!("{}: {tables} tables, {positions} positions", python.name);
        assert!(tables > 500 && positions > 30_000, "{}", python.name);
    }
}
