//! Bytes count once, whatever stands in front of Python's allocators.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::support::{
    Program,
    heaptide::heaptide,
    host::{can_record, has, skip, two_builds},
    program::script,
    workload::{watch, with},
};

#[test]
fn tracemalloc_does_not_count_twice() {
    for python in two_builds() {
        let seen = watch(&mut with(&python, "PYTHONTRACEMALLOC", "1"));
        // Its records come from malloc, so a slow machine may have to keep to the budget.
        seen.expect_large().expect_small();
    }
}

/// Stands in front of the allocators, and then runs the program under test.
const FORWARD: &str = "import ctypes, runpy, sys; ctypes.PyDLL(sys.argv[1]).forward(); \
                       sys.path.insert(0, sys.argv[2]); runpy.run_path(sys.argv[3])";

/// Compiles the library that does it; `None` where there is no compiler.
#[track_caller]
fn forwards(folder: &TempDir) -> Option<PathBuf> {
    if !has("cc") {
        return None;
    }
    let library = folder.path().join("forwards.so");
    let compiled = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(script("forwards").with_extension("c"))
        .status();
    assert!(compiled.unwrap().success());
    Some(library)
}

/// Python, told to run the program so, with an argument in front of the program's.
fn hooked(mut command: Command, start: &str, argument: &Path) -> Command {
    let program = script("keeps_all_sizes");
    let folder = program.parent().expect("it is in a folder");
    command
        .args(["-c", start])
        .arg(argument)
        .args([folder, &program]);
    command
}

#[test]
fn functions_that_pass_requests_on_do_not_count_twice() {
    let folder = TempDir::new().unwrap();
    let Some(library) = forwards(&folder) else {
        return;
    };
    for python in two_builds() {
        let seen = watch(&mut hooked(python.command(), FORWARD, &library));
        seen.expect_large().expect_small();
        seen.expect_note("forwards.so: small objects are attributed only if");
    }
}

#[test]
fn the_doctor_says_that_hooks_may_pass_requests_on() {
    let folder = TempDir::new().unwrap();
    let Some(library) = forwards(&folder) else {
        return;
    };
    for python in two_builds() {
        let program = Program::spawn(&mut hooked(python.command(), FORWARD, &library));
        let id = program.pid().to_string();
        let advised = heaptide(&["doctor", &id]).stdout;
        let words: Vec<&str> = advised.split_whitespace().collect();
        let expected = "forwards.so: objects up to 512 bytes are attributed only if these pass";
        assert!(words.join(" ").contains(expected), "{advised}");
    }
}

/// Lets memray trace while the program under test runs.
const TRACE: &str = "import memray, runpy, sys; sys.path.insert(0, sys.argv[2])\n\
                     trace = memray.Tracker(sys.argv[1], trace_python_allocators=ALL)\n\
                     with trace: runpy.run_path(sys.argv[3])";

/// memray puts functions of its own in front of those of the C library, and of Python's if it is
/// told to.
#[test]
fn what_memray_traces_does_not_count_twice() {
    if !can_record() {
        return;
    }
    let Some(python) = env::var_os("HEAPTIDE_MEMRAY") else {
        skip("there is no Python with memray");
        return;
    };
    for traces_python in [false, true] {
        let start = TRACE.replace("ALL", if traces_python { "True" } else { "False" });
        let folder = TempDir::new().unwrap();
        let traced = folder.path().join("traced");
        let seen = watch(&mut hooked(Command::new(&python), &start, &traced));
        seen.expect_large().expect_small();
        assert!(traced.exists(), "memray has traced it");
        if traces_python {
            seen.expect_note("small objects are attributed only if these pass them on");
        } else {
            seen.expect_no_notes();
        }
    }
}
