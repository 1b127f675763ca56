//! Bytes count once, whatever Python allocates with.

use std::{path::Path, process::Command};

use crate::support::{
    Heaptide, Program,
    host::{can_record, pythons, skip, two_builds},
    program::script,
    workload::{watch, with},
};

#[test]
fn each_build_counts_bytes_once() {
    for python in pythons() {
        let seen = watch(python.command().arg(script("keeps_all_sizes")));
        seen.expect_large().expect_small().expect_no_notes();
    }
}

#[test]
fn debug_hooks_add_their_own_bytes_and_no_more() {
    for python in pythons() {
        let seen = watch(&mut with(&python, "PYTHONMALLOC", "debug"));
        seen.expect_large().expect_small().expect_no_notes();
    }
    for python in two_builds() {
        let seen = watch(&mut with(&python, "PYTHONMALLOC", "pymalloc_debug"));
        seen.expect_large().expect_small().expect_no_notes();
    }
}

#[test]
fn where_all_comes_from_malloc_blocks_of_all_sizes_are_measured_there() {
    for python in two_builds() {
        for setting in ["malloc", "malloc_debug"] {
            let seen = watch(&mut with(&python, "PYTHONMALLOC", setting));
            seen.expect_large().expect_small().expect_no_notes();
        }
    }
}

/// Windows would take for alive what is only in a list of free blocks.
#[test]
fn small_blocks_of_malloc_are_said_to_be_left_out_within_a_budget() {
    for python in two_builds() {
        let program = Program::spawn(&mut with(&python, "PYTHONMALLOC", "malloc"));
        let report = Heaptide::attach_with(&program, &["--max-overhead", "2"]);
        let notes = report.stop().report().recording.notes.join("\n");
        assert!(notes.contains("with --exact only"), "{notes}");
    }
}

/// A preloaded library; `None` where it is missing.
#[track_caller]
fn library(name: &str) -> Option<String> {
    let path = format!("/usr/lib/x86_64-linux-gnu/{name}");
    let is_here = Path::new(&path).exists();
    if !is_here {
        skip(&format!("there is no {path}"));
    }
    is_here.then_some(path)
}

#[test]
fn jemalloc_in_front_of_the_c_library_is_measured() {
    let Some(library) = library("libjemalloc.so.2") else {
        return;
    };
    for python in two_builds() {
        let seen = watch(&mut with(&python, "LD_PRELOAD", &library));
        seen.expect_large().expect_small().expect_no_notes();
    }
}

/// Where a probe is cheap in its functions, their arguments were moved to other registers.
#[test]
fn mimalloc_in_front_of_the_c_library_is_measured() {
    let Some(library) = library("libmimalloc.so.2") else {
        return;
    };
    for python in two_builds() {
        let seen = watch(&mut with(&python, "LD_PRELOAD", &library));
        seen.expect_large().expect_small().expect_no_notes();
    }
}

#[test]
fn a_build_with_assertions_is_measured() {
    let path = Path::new("/usr/bin/python3.11d");
    if !can_record() {
        return;
    }
    if !path.exists() {
        skip(&format!("there is no {}", path.display()));
        return;
    }
    let seen = watch(Command::new(path).arg(script("keeps_all_sizes")));
    seen.expect_large().expect_small().expect_no_notes();
}
