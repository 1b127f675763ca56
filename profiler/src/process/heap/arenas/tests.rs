//! What is read from outside is compared with what glibc itself says.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Deserialize;

use super::*;
use crate::{process::identity::descendants, units::Pid};

/// The Python program beside this file, killed when the test ends.
struct Program {
    child: Child,
    /// Who does the work: it, or a process that it has forked.
    pid: Pid,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// What glibc says: bytes from the system, and of them free.
#[derive(Debug, Deserialize)]
struct Truth {
    main: (u64, u64),
    threads: (u64, u64),
    arenas: u64,
    top: u64,
}

impl Program {
    fn start(python: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(python);
        command
            .args(["-c", include_str!("fragments.py")])
            .args(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let started = Pid(child.id());
        let pid = descendants(started).first().copied().unwrap_or(started);
        Self {
            child,
            pid,
            stdin,
            stdout,
        }
    }

    fn run(&mut self, way: &str) -> Truth {
        writeln!(self.stdin, "{way}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn memory(&self) -> Memory {
        Memory::of(self.pid)
    }

    fn census(&self) -> LibcHeap {
        let arenas = Arenas::find(&self.memory()).unwrap();
        arenas.unwrap().census(&self.memory()).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Those that are linked with the C library of this machine.
fn pythons() -> impl Iterator<Item = &'static str> {
    let is_there = |python: &&str| !python.starts_with('/') || Path::new(python).exists();
    ["python3", "/usr/bin/python3"].into_iter().filter(is_there)
}

/// The interpreter goes on between its answer and the look: it frees the answer, for example. And
/// small chunks that are kept in fast bins look as if they were in use.
const PASSING: u64 = 64 << 10;

#[track_caller]
fn expect_near(what: &str, found: u64, truth: u64) {
    assert!(
        found.abs_diff(truth) <= PASSING + truth / 100,
        "{what}: {found}, and not {truth}"
    );
}

/// Compares what is seen with what glibc says, after each of some ways to leave memory free.
#[track_caller]
fn expect_truth(program: &mut Program, ways: &[&str]) {
    for way in ways {
        let truth = program.run(way);
        let census = program.census();
        println!("{way}: {census:?}");
        assert!(census.unseen <= PASSING, "{way}");
        let LibcHeap { main, threads, .. } = census;
        expect_near(way, main.held, truth.main.0);
        expect_near(way, main.free + main.top, truth.main.1);
        expect_near(way, main.top, truth.top);
        expect_near(way, threads.held, truth.threads.0);
        expect_near(way, threads.free + threads.top, truth.threads.1);
        assert_eq!(main.arenas + threads.arenas, truth.arenas, "{way}");
    }
}

#[test]
fn free_bytes_are_those_that_glibc_itself_counts() {
    for python in pythons() {
        let ways = ["nothing", "small", "pinned", "threads", "top", "many heaps"];
        expect_truth(&mut Program::start(python, &[]), &ways);
    }
}

#[test]
fn a_forked_process_has_a_heap_of_two_parts() {
    for python in pythons() {
        let mut program = Program::start(python, &["forked"]);
        expect_truth(&mut program, &["small", "pinned", "top"]);
        let mappings = maps::read(program.pid).unwrap();
        let parts = mappings
            .iter()
            .filter(|it| it.kind == maps::MappingKind::Heap);
        assert!(parts.count() > 1, "this kernel keeps them together");
    }
}

/// What `malloc_trim` gives back is what was said to be returnable.
#[test]
fn what_can_be_returned_is_what_trimming_returns() {
    let mut program = Program::start("python3", &[]);
    for way in ["pinned", "top", "threads"] {
        program.run(way);
    }
    let resident = || {
        let pid = Pid(program.child.id());
        crate::process::census::Figures::read(pid, true)
            .unwrap()
            .uss
            .unwrap()
    };
    let (before, size) = (program.census(), resident());
    let returnable = before.main.returnable + before.threads.returnable;
    assert!(returnable > 80 << 20, "{before:?}");
    writeln!(program.stdin, "trim").unwrap();
    program.stdout.read_line(&mut String::new()).unwrap();
    let after = program.census();
    let pid = Pid(program.child.id());
    let left = crate::process::census::Figures::read(pid, true)
        .unwrap()
        .uss
        .unwrap();
    let returned = size - left;
    assert!(
        returned.abs_diff(returnable) < returnable / 50 + (1 << 20),
        "{returned}, and not {returnable}"
    );
    let rest = after.main.returnable + after.threads.returnable;
    assert!(rest < 1 << 20, "{after:?}");
}

#[test]
fn another_allocator_has_no_arenas() {
    let library = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
    if !Path::new(library).exists() {
        println!("skipped: no {library}");
        return;
    }
    let mut command = Command::new("python3");
    command.env("LD_PRELOAD", library);
    command.args([
        "-c",
        "x = [b'x' * 600 for _ in range(9999)]; print(1, flush=True); input()",
    ]);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    let arenas = Arenas::find(&Memory::of(Pid(child.id())));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(arenas.unwrap(), None);
}

#[test]
fn a_process_that_is_gone_has_no_arenas() {
    let gone = Memory::of(Pid(u32::MAX));
    assert!(Arenas::find(&gone).is_err());
}
