//! What is told from outside is compared with what the program itself knows.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use proptest::prelude::*;

use super::*;
use crate::units::Pid;

/// The Python program beside this file, killed when the test ends.
struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// A block, and whether it lives.
type Truth = (HeapBlock, bool);

impl Program {
    fn start(python: &str) -> Self {
        let mut command = Command::new(python);
        command.args(["-c", include_str!("allocates_and_frees.py")]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            stdin,
            stdout,
        }
    }

    fn memory(&self) -> Memory {
        Memory::of(Pid(self.child.id()))
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn run(&mut self, phase: &str) -> Vec<Truth> {
        self.say(phase);
        self.truth()
    }

    fn truth(&mut self) -> Vec<Truth> {
        let mut blocks = Vec::new();
        loop {
            let line = self.hear();
            if line == "end" {
                return blocks;
            }
            let numbers = line.split(' ').map(|number| number.parse().unwrap());
            let numbers: Vec<u64> = numbers.collect();
            let [address, size, is_live] = numbers[..] else {
                panic!("{line}")
            };
            blocks.push((HeapBlock { address, size }, is_live == 1));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// The interpreters at hand: the first one on the path, and that of the system.
fn pythons() -> impl Iterator<Item = &'static str> {
    let is_there = |python: &&str| !python.starts_with('/') || Path::new(python).exists();
    ["python3", "/usr/bin/python3"].into_iter().filter(is_there)
}

fn judge(program: &Program, truth: &[Truth]) -> Vec<(Truth, Liveness)> {
    let blocks: Vec<HeapBlock> = truth.iter().map(|(block, _)| *block).collect();
    let found = liveness(&program.memory(), &blocks);
    truth.iter().copied().zip(found).collect()
}

/// What was told wrongly, or not at all, of live and of dead blocks.
#[derive(Debug)]
struct Errors {
    live_as_dead: usize,
    dead_as_live: usize,
    not_told: usize,
}

fn errors(judged: &[(Truth, Liveness)]) -> Errors {
    let count = |is_live: bool, liveness: Liveness| {
        let is_it =
            |((_, live), found): &&(Truth, Liveness)| *live == is_live && *found == liveness;
        judged.iter().filter(is_it).count()
    };
    Errors {
        live_as_dead: count(true, Liveness::Dead),
        dead_as_live: count(false, Liveness::Live),
        not_told: count(true, Liveness::Unknown) + count(false, Liveness::Unknown),
    }
}

#[test]
fn every_block_is_told_after_freeing_in_any_order() {
    for python in pythons() {
        for thread in ["main", "second"] {
            let mut program = Program::start(python);
            for phase in ["allocate", "free"] {
                let truth = program.run(&format!("{phase} {thread}"));
                assert!(truth.len() >= 3000);
                let errors = errors(&judge(&program, &truth));
                assert_eq!(
                    (errors.live_as_dead, errors.dead_as_live),
                    (0, 0),
                    "{phase}"
                );
                // The interpreter as well allocates where something was freed.
                assert!(errors.not_told <= 5, "{errors:?}");
            }
        }
    }
}

/// The program leaves half of what it gets unwritten, and so the headers of old.
#[test]
fn leftovers_are_hardly_ever_taken_for_blocks() {
    for python in pythons() {
        let mut program = Program::start(python);
        for thread in ["main", "second"] {
            for phase in ["allocate", "free", "reallocate", "mix", "free", "mix"] {
                let truth = program.run(&format!("{phase} {thread}"));
                let errors = errors(&judge(&program, &truth));
                let all = truth.len();
                assert_eq!(errors.live_as_dead, 0, "{phase}");
                assert!(errors.dead_as_live <= all / 500, "{errors:?} of {all}");
                assert!(errors.not_told <= all / 50, "{errors:?} of {all}");
            }
        }
    }
}

#[test]
fn blocks_stay_live_while_others_come_and_go_around_them() {
    let mut program = Program::start("python3");
    program.run("allocate main");
    let truth = program.run("free main");
    program.say("churn main");
    assert_eq!(program.hear(), "churning");
    let kept: Vec<Truth> = truth.into_iter().filter(|(_, is_live)| *is_live).collect();
    for _ in 0..200 {
        assert_eq!(errors(&judge(&program, &kept)).live_as_dead, 0);
    }
    program.say("stop");
    program.truth();
}

#[test]
fn a_process_that_is_gone_tells_nothing() {
    let mut program = Program::start("python3");
    let truth = program.run("allocate main");
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let judged = judge(&program, &truth);
    assert!(judged.iter().all(|(_, found)| *found == Liveness::Unknown));
}

/// Memory of this process, with words of our own making; the first block is at its third word.
struct Heap(Vec<u128>);

impl Heap {
    fn new(words: &[u64]) -> Self {
        let pairs = words.chunks(2).map(|pair| {
            let high = pair.get(1).copied().unwrap_or_default();
            u128::from(pair[0]) | u128::from(high) << 64
        });
        // Behind the end as well there has to be something that can be read.
        Self(pairs.chain([0; 1024]).collect())
    }

    fn address(&self, word: u64) -> u64 {
        self.0.as_ptr().addr() as u64 + 8 * word
    }

    fn look(&self, blocks: &[(u64, u64)]) -> Vec<Liveness> {
        let block = |(word, size): &(u64, u64)| HeapBlock {
            address: self.address(*word),
            size: *size,
        };
        let blocks: Vec<HeapBlock> = blocks.iter().map(block).collect();
        liveness(&Memory::of(Pid(std::process::id())), &blocks)
    }
}

#[test]
fn a_chunk_is_free_if_the_next_one_says_so() {
    assert_eq!(
        Heap::new(&[0, 0x21, 0, 0, 0, 0x21]).look(&[(2, 24)]),
        [Liveness::Live]
    );
    assert_eq!(
        Heap::new(&[0, 0x21, 0, 0, 0, 0x20]).look(&[(2, 24)]),
        [Liveness::Dead]
    );
}

#[test]
fn a_chunk_of_another_size_is_another_block() {
    let heap = Heap::new(&[0, 0x31, 0, 0, 0, 0, 0, 0x21]);
    for (size, expected) in [
        (8, Liveness::Live),
        (40, Liveness::Live),
        (41, Liveness::Dead),
        (600, Liveness::Dead),
        (u64::MAX, Liveness::Dead),
    ] {
        assert_eq!(heap.look(&[(2, size)]), [expected], "{size}");
    }
    assert_eq!(
        Heap::new(&[0, 0x41, 0, 0, 0, 0, 0, 0, 0, 1]).look(&[(2, 24)]),
        [Liveness::Dead]
    );
}

#[test]
fn a_header_that_the_chunk_before_has_swallowed_is_a_leftover() {
    let swallowed = |size| Heap::new(&[0, size, 0, 0, 0x20, 0x20, 0, 0, 0, 0x21]);
    assert_eq!(swallowed(0x21).look(&[(6, 24)]), [Liveness::Live]);
    assert_eq!(swallowed(0x41).look(&[(6, 24)]), [Liveness::Dead]);
}

#[test]
fn a_block_in_the_cache_of_a_thread_is_dead() {
    let mut heap = Heap::new(&[0, 0x21, 0, 7, 0, 0x21, 0, 7, 0, 0x21]);
    let (first, second) = (heap.address(2), heap.address(6));
    assert_eq!(heap.look(&[(2, 24), (6, 24)]), [Liveness::Live; 2]);
    heap.0[1] = u128::from((first >> 12) ^ second) | 7 << 64;
    heap.0[3] = u128::from(second >> 12) | 7 << 64;
    assert_eq!(heap.look(&[(2, 24), (6, 24)]), [Liveness::Dead; 2]);
    // Handed out again: the key is gone, the link is not.
    heap.0[1] = u128::from((first >> 12) ^ second);
    assert_eq!(
        heap.look(&[(2, 24), (6, 24)]),
        [Liveness::Live, Liveness::Dead]
    );
}

#[test]
fn of_blocks_that_overlap_nothing_is_told() {
    let heap = Heap::new(&[
        0, 0x21, 0, 0, 0, 0x41, 0, 0, 0, 0x21, 0, 0, 0, 0x21, 0, 0, 0, 0x21,
    ]);
    let blocks = [(2, 24), (6, 56), (10, 24), (14, 24), (2, 24), (6, 200)];
    let (live, unknown) = (Liveness::Live, Liveness::Unknown);
    let expected = [live, unknown, unknown, live, live, Liveness::Dead];
    assert_eq!(heap.look(&blocks), expected);
}

#[test]
fn what_malloc_never_hands_out_is_not_judged() {
    let heap = Heap::new(&[0, 0x21, 0, 0, 0, 0x21]);
    assert_eq!(heap.look(&[(3, 24)]), [Liveness::Unknown]);
}

#[test]
fn memory_that_is_not_there_holds_no_block() {
    let memory = Memory::of(Pid(std::process::id()));
    let block = |address| HeapBlock { address, size: 600 };
    let found = liveness(&memory, &[block(0), block(0x1000), block(u64::MAX - 15)]);
    assert_eq!(found, [Liveness::Dead; 3]);
}

#[test]
fn the_c_library_of_the_gnu_project_is_known_by_its_name() {
    let mappings = crate::process::maps::read(Pid(std::process::id())).unwrap();
    let libraries = mappings
        .iter()
        .filter_map(|mapping| mapping.path.as_deref());
    let library = |name: &str| {
        let path = libraries.clone().find(|path| path.ends_with(name)).unwrap();
        ElfFile::open(path).unwrap()
    };
    assert!(is_glibc(&library("libc.so.6")));
    assert!(!is_glibc(&library("libm.so.6")));
}

/// Headers, small numbers and anything.
fn words() -> impl Strategy<Value = u64> {
    let headers = (0..64_u64).prop_map(|size| size << 4 | 1);
    prop_oneof![headers, 0..0x200_u64, any::<u64>()]
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![0..600_u64, any::<u64>()]
}

proptest! {
    #[test]
    fn any_memory_is_judged(
        words in proptest::collection::vec(words(), 2..200),
        blocks in proptest::collection::vec((0..250_u64, sizes()), 0..50),
    ) {
        prop_assert_eq!(Heap::new(&words).look(&blocks).len(), blocks.len());
    }
}
