//! What is refused, and how it is named.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use super::version_of;
use crate::{
    process::{elf::ElfFile, image, memory::Memory},
    python::{
        check::check,
        error::PythonError,
        runtime::Interpreter,
        testing::{Program, Python, pyenv, pythons},
        version::Version,
    },
    units::Pid,
};

#[test]
fn versions_that_are_not_supported_are_named() {
    for feature in ["2.7", "3.6", "3.7"] {
        let Some(python) = pyenv(feature) else {
            continue;
        };
        let script =
            "import sys; sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.read()";
        let mut program = Program::start(&python, &[], script);
        program.line();
        let expected = format!("CPython {}", version_of(&python));
        match find(program.pid()) {
            Err(PythonError::Unsupported { name, .. }) => assert_eq!(name, expected),
            other => panic!("{feature}: {other:?}"),
        }
    }
}

#[test]
fn a_library_without_an_interpreter_is_not_ready() {
    for feature in ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"] {
        let Some(python) = pyenv(feature) else {
            continue;
        };
        let library = format!("../lib/libpython{feature}.so.1.0");
        let library = python.path.parent().unwrap().join(library);
        let mut program = Program::spawn(Command::new("cat").env("LD_PRELOAD", library));
        program.go();
        program.line();
        let error = find(program.pid()).unwrap_err();
        assert!(matches!(error, PythonError::NotReady { .. }), "{error}");
    }
}

#[test]
fn an_interpreter_that_differs_from_its_row_is_refused() {
    for python in pythons() {
        let mut program = Program::start(&python, &[], "print('ready', flush=True); input()");
        program.line();
        let right = program.interpreter();
        let refused = |change: fn(&mut Interpreter), expected: &str| {
            let mut wrong = right.clone();
            change(&mut wrong);
            let error = check(&wrong, &program.memory()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&right, &program.memory()).unwrap();
        refused(|it| it.runtime += 8, "belongs to another runtime");
        refused(
            |it| it.code.offsets.basic_size += 8,
            "its code objects have",
        );
        refused(|it| it.code.offsets.first_line += 4, "co_firstlineno at");
        refused(|it| it.code.offsets.filename += 8, "co_filename at");
        refused(
            |it| it.code.offsets.members.name = "co_none",
            "lack a member",
        );
        refused(
            |it| it.places.thread_interpreter += 8,
            "belongs to another interpreter",
        );
        refused(|it| it.places.thread_previous += 16, "not linked");
    }
}

/// Where the table of offsets has the version, and the place of the field behind it.
const VERSION: usize = 8;
const FINALIZING: usize = 32;

/// Runs a copy of Debian's 3.15 whose table of offsets was changed; `None` if it cannot be run.
fn changed(name: &str, changes: &[(usize, u64)]) -> Option<Program> {
    let python = pythons()
        .into_iter()
        .find(|python| python.version == "3.15" && python.root.is_some())?;
    let mut bytes = fs::read(python.file()).unwrap();
    let elf = ElfFile::open(&python.file()).unwrap();
    let runtime = elf.section(".PyRuntime").unwrap();
    let table = usize::try_from(elf.file_offset(runtime.address).unwrap()).unwrap();
    for (at, number) in changes {
        bytes[table + at..][..8].copy_from_slice(&number.to_le_bytes());
    }
    let copy = Python {
        path: python.path.with_file_name(name),
        ..python
    };
    fs::write(copy.file(), bytes).unwrap();
    fs::set_permissions(copy.file(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut program = Program::start(&copy, &[], "print('ready', flush=True); input()");
    program.line();
    fs::remove_file(copy.file()).unwrap();
    Some(program)
}

#[test]
fn a_version_of_tomorrow_is_followed_as_far_as_it_describes_itself() {
    let tomorrow = (VERSION, 0x0363_01f0);
    if let Some(program) = changed("python-of-tomorrow", &[tomorrow]) {
        let interpreter = find(program.pid()).unwrap();
        assert_eq!(interpreter.version, Version::new(3, 99, 1));
    }
    // With more fields it can mean anything.
    if let Some(program) = changed("python-of-later", &[tomorrow, (FINALIZING, 920)]) {
        match find(program.pid()) {
            Err(PythonError::Unsupported { name, .. }) => {
                assert_eq!(name, "CPython 3.99.1 (not yet)");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_program_that_is_not_python_is_named() {
    let mut program = Program::spawn(&mut Command::new("cat"));
    program.go();
    program.line();
    let error = find(program.pid()).unwrap_err();
    assert!(matches!(error, PythonError::NotPython { .. }), "{error}");
    assert!(error.to_string().contains("/cat"), "{error}");
}

fn find(pid: Pid) -> Result<Interpreter, PythonError> {
    Interpreter::find(pid, &Memory::of(pid), &image::images(pid)?)
}
