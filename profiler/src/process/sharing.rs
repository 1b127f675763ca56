//! What a forked process still shares with its parent.
//!
//! A fork copies no page: parent and child share them until one of them writes there, and then it
//! gets a copy. So a page that both have at the same address, that belongs to no file, and that
//! the child has for itself alone, was copied since.

use std::{ops::Range, rc::Rc};

use rustix::param::page_size;

use super::{
    ProcessError,
    maps::{self, Mapping, MappingKind},
    memory::Memory,
    pagemap::{Page, Pagemap},
    proc_file,
};
use crate::units::Pid;

/// The entry of the auxiliary vector that points to 16 random bytes. A process gets others when it
/// executes a program, and keeps them when it forks.
const AT_RANDOM: u64 = 25;

/// Whether a process runs the program of its parent since that forked it.
pub fn is_forked(child: Pid, parent: Pid) -> bool {
    let mark = |pid| -> Option<(u64, Vec<u8>)> {
        let vector = proc_file::read(pid, "auxv", "the auxiliary vector").ok()?;
        let (entries, _rest) = vector.as_chunks::<16>();
        let address = entries.iter().find_map(|entry| {
            let (key, value) = entry.split_first_chunk::<8>()?;
            let value = value.first_chunk::<8>()?;
            (u64::from_le_bytes(*key) == AT_RANDOM).then(|| u64::from_le_bytes(*value))
        })?;
        let bytes = Memory::of(pid).read_bytes(address, 16).ok()?;
        Some((address, bytes))
    };
    let marks = (mark(child), mark(parent));
    matches!(marks, (Some(child), Some(parent)) if child == parent)
}

/// The pages that a process had when it forked others, or soon after.
#[derive(Debug)]
pub struct Inheritance {
    parent: Pid,
    page: u64,
    stretches: Vec<Stretch>,
}

/// Pages of one mapping.
#[derive(Debug)]
struct Stretch {
    range: Range<u64>,
    /// A bit for each page: whether it was there.
    pages: Vec<u64>,
}

impl Stretch {
    fn new(range: Range<u64>) -> Self {
        let pages = Vec::new();
        Self { range, pages }
    }

    fn push(&mut self, number: usize, is_there: bool) {
        if number / 64 >= self.pages.len() {
            self.pages.push(0);
        }
        self.pages[number / 64] |= u64::from(is_there) << (number % 64);
    }

    fn has(&self, number: usize) -> bool {
        self.pages.get(number / 64).copied().unwrap_or(0) >> (number % 64) & 1 == 1
    }
}

/// Bytes of pages that a process had by a fork.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shares {
    /// Still shared.
    pub shared: u64,
    /// Copied since.
    pub copied: u64,
}

impl Inheritance {
    /// What a process can pass on to its children now.
    pub fn of(parent: Pid) -> Result<Rc<Self>, ProcessError> {
        let pages = Pagemap::open(parent)?;
        let mappings = maps::read(parent)?;
        let mut stretches = Vec::new();
        for mapping in mappings.iter().filter(|it| is_passed_on(it)) {
            let mut stretch = Stretch::new(mapping.range());
            let mut number = 0;
            let read = pages.read(mapping.range(), |_, page| {
                stretch.push(number, page.is_anonymous());
                number += 1;
            });
            if read.is_ok() {
                stretches.push(stretch);
            }
        }
        Ok(Rc::new(Self {
            parent,
            page: page_size() as u64,
            stretches,
        }))
    }

    /// The process that passed it on.
    pub const fn parent(&self) -> Pid {
        self.parent
    }

    /// Whether the page of an address was there.
    pub fn has(&self, address: u64) -> bool {
        let after = self.stretches.partition_point(|it| it.range.end <= address);
        let stretch = self.stretches.get(after);
        let stretch = stretch.filter(|it| it.range.contains(&address));
        stretch.is_some_and(|it| {
            let number = (address - it.range.start) / self.page;
            usize::try_from(number).is_ok_and(|number| it.has(number))
        })
    }

    /// What a child still shares, and what it has copied. Of pages that the child gave back, or
    /// that are not in memory, nothing is said.
    pub fn shares(&self, child: Pid) -> Result<Shares, ProcessError> {
        let pages = Pagemap::open(child)?;
        let mut shares = Shares::default();
        for stretch in &self.stretches {
            let mut number = 0;
            let read = pages.read(stretch.range.clone(), |_, page| {
                if stretch.has(number) && page.is_anonymous() {
                    let sum = if page.is_exclusive() {
                        &mut shares.copied
                    } else {
                        &mut shares.shared
                    };
                    *sum += self.page;
                }
                number += 1;
            });
            read.map_err(|source| ProcessError::Unreadable {
                pid: child,
                what: "the page map",
                source,
            })?;
        }
        Ok(shares)
    }

    /// Whether a child has a copy of its own of the page of an address, which it got from here.
    pub fn is_copied(&self, child: &Pagemap, address: u64) -> bool {
        let page = address - address % self.page;
        let is_own = |page: &Page| page.is_anonymous() && page.is_exclusive();
        self.has(address)
            && child
                .pages(page..page + 1)
                .is_ok_and(|pages| pages.first().is_some_and(is_own))
    }
}

/// Whether a fork passes the pages of a mapping on, to be copied when they are written to.
fn is_passed_on(mapping: &Mapping) -> bool {
    mapping.writable && !mapping.shared && mapping.kind != MappingKind::Special
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    };

    use super::*;

    /// A process with 32 MiB that forks a child, which writes to a quarter of them when told to,
    /// and then maps 8 MiB more.
    const SCRIPT: &str = r#"
import mmap, os, sys
SIZE, PAGE = 32 << 20, 4096
kept = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
kept.madvise(15)  # without huge pages
for place in range(0, SIZE, PAGE):
    kept[place] = 1
orders, write = os.pipe()
read, answers = os.pipe()
child = os.fork()
if child == 0:
    os.close(write)
    os.write(answers, b"x")  # what it takes to run is copied
    os.read(orders, 1)
    for place in range(0, SIZE, 4 * PAGE):
        kept[place] = 2
    more = mmap.mmap(-1, SIZE // 4, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    more.write(b"x" * len(more))
    os.write(answers, b"x")
    os.read(orders, 1)
    os._exit(0)
os.read(read, 1)
print(child, flush=True)
for line in sys.stdin:
    os.write(write, b"x")
    os.read(read, 1)
    print("done", flush=True)
"#;

    struct Family {
        parent: Child,
        stdin: ChildStdin,
        stdout: BufReader<ChildStdout>,
        child: Pid,
    }

    impl Family {
        fn start() -> Self {
            let mut command = Command::new("python3");
            command.args(["-c", SCRIPT]);
            let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut parent = piped.spawn().unwrap();
            let stdin = parent.stdin.take().unwrap();
            let mut stdout = BufReader::new(parent.stdout.take().unwrap());
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let child = Pid(line.trim().parse().unwrap());
            Self {
                parent,
                stdin,
                stdout,
                child,
            }
        }

        fn write(&mut self) {
            self.stdin.write_all(b"go\n").unwrap();
            self.stdout.read_line(&mut String::new()).unwrap();
        }
    }

    impl Drop for Family {
        fn drop(&mut self) {
            // It may have ended already; without it, the child reads the end of the pipe.
            let _gone = self.parent.kill();
            let _gone = self.parent.wait();
        }
    }

    #[test]
    fn what_is_written_to_is_copied_and_the_rest_is_shared() {
        let mut family = Family::start();
        let inheritance = Inheritance::of(Pid(family.parent.id())).unwrap();
        let before = inheritance.shares(family.child).unwrap();
        family.write();
        let after = inheritance.shares(family.child).unwrap();
        println!("{before:?}, and then {after:?}");
        let written = after.copied - before.copied;
        // Its own objects are among what the interpreter writes to.
        assert!(written.abs_diff(8 << 20) < 1 << 20, "{written}");
        assert!(before.shared > 32 << 20 && before.copied < 4 << 20);
        let gone = before.shared - after.shared;
        assert!(gone.abs_diff(written) < 1 << 18, "{gone}");
        assert!(!inheritance.has(0) && inheritance.parent().0 == family.parent.id());
    }

    #[test]
    fn reading_what_is_shared_copies_nothing() {
        let family = Family::start();
        let inheritance = Inheritance::of(Pid(family.parent.id())).unwrap();
        let before = inheritance.shares(family.child).unwrap();
        let memory = Memory::of(family.child);
        let mut read = 0;
        for stretch in &inheritance.stretches {
            for page in stretch.range.clone().step_by(4096) {
                read += usize::from(memory.read_bytes(page, 16).is_ok());
            }
        }
        let after = inheritance.shares(family.child).unwrap();
        assert!(read > 8000, "{read}");
        assert!(
            after.copied.abs_diff(before.copied) < 1 << 18,
            "{before:?}, then {after:?}"
        );
    }

    #[test]
    fn a_fork_is_told_from_a_program_that_was_executed() {
        let family = Family::start();
        let (parent, own) = (Pid(family.parent.id()), Pid(std::process::id()));
        assert!(is_forked(family.child, parent));
        assert!(!is_forked(parent, own));
        assert!(!is_forked(Pid(u32::MAX), own));
    }

    #[test]
    fn pages_are_found_by_their_addresses() {
        let mut stretch = Stretch::new(0x10_000..0x90_000);
        for number in 0..0x80 {
            stretch.push(number, number % 5 == 0);
        }
        let inheritance = Inheritance {
            parent: Pid(1),
            page: 4096,
            stretches: vec![stretch],
        };
        let expected = [
            (0x0ffff, false),
            (0x10000, true),
            (0x10fff, true),
            (0x11000, false),
            (0x10000 + 75 * 4096, true),
            (0x10000 + 76 * 4096, false),
            (0x90000, false),
        ];
        for (address, is_there) in expected {
            assert_eq!(inheritance.has(address), is_there, "{address:#x}");
        }
    }
}
