//! What is refused, and how it is named.

use std::process::Command;

use super::version_of;
use crate::{
    process::{image, memory::Memory},
    python::{
        check::check,
        error::PythonError,
        runtime::Interpreter,
        testing::{Program, pyenv, pythons},
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
