//! Which functions the interpreter allocates with.
//!
//! `CPython` goes through a table of functions in each of three domains, and through one more
//! for pymalloc's arenas. The tables say whether pymalloc is in use, and where its functions are
//! even in a binary without symbols.
//!
//! What cannot be told: an allocator inside the interpreter's binary that serves both domains
//! with the same functions, as pymalloc does, is taken for pymalloc. `CPython` has no other.

mod read;

use std::{io, path::PathBuf};

use thiserror::Error;

use self::read::Reader;
use super::runtime::Interpreter;
use crate::{
    process::{elf::ElfFile, memory::Memory},
    units::Pid,
};

/// Why the tables could not be read.
#[derive(Debug, Error)]
pub enum AllocatorError {
    /// The code does not show where a table is.
    #[error("the table of {what} was not found in {}", path.display())]
    NotFound {
        /// What the table is for.
        what: &'static str,
        /// The interpreter's binary.
        path: PathBuf,
    },
    /// A read failed.
    #[error("cannot read the allocator tables of process {pid}")]
    Unreadable {
        /// The process.
        pid: Pid,
        /// What the kernel said.
        source: io::Error,
    },
    /// A table lacks a function.
    #[error("the table of {what} of process {pid} lacks a function")]
    Malformed {
        /// The process.
        pid: Pid,
        /// What the table is for.
        what: &'static str,
    },
}

/// The functions of one domain (`PyMemAllocatorEx`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Table {
    /// What the functions get as their first argument.
    pub context: u64,
    /// `malloc(context, size)`.
    pub malloc: u64,
    /// `calloc(context, count, size)`.
    pub calloc: u64,
    /// `realloc(context, block, size)`.
    pub realloc: u64,
    /// `free(context, block)`.
    pub free: u64,
}

/// The functions that arenas come from (`PyObjectArenaAllocator`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ArenaTable {
    /// What the functions get as their first argument.
    pub context: u64,
    /// `alloc(context, size)`.
    pub alloc: u64,
    /// `free(context, block, size)`.
    pub free: u64,
}

/// What small objects are allocated with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AllocatorKind {
    /// Pymalloc, with nothing in between.
    Pymalloc,
    /// The C library's functions (`PYTHONMALLOC=malloc`).
    Malloc,
    /// The debug hooks (`PYTHONMALLOC=debug`, `-X dev`), over whatever else.
    Debug,
    /// Functions of another binary, which may pass requests on.
    Foreign(String),
    /// Anything else, in words.
    Other(String),
}

/// What stands at the end of the hooks.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Base {
    Pymalloc,
    Malloc,
    Mimalloc,
    /// Functions of another binary.
    Foreign(String),
    Unknown,
}

/// A table that calls another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hook {
    Debug,
    Tracemalloc,
}

/// The functions that an interpreter allocates with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Allocators {
    /// The raw domain (`PyMem_RawMalloc`).
    pub raw: Table,
    /// The memory domain (`PyMem_Malloc`).
    pub mem: Table,
    /// The object domain (`PyObject_Malloc`).
    pub object: Table,
    /// Arenas.
    pub arena: ArenaTable,
    hooks: Vec<Hook>,
    base: Base,
    base_object: Table,
}

impl Allocators {
    /// Reads the tables of an interpreter; `elf` is the binary that holds it.
    pub fn read(
        interpreter: &Interpreter,
        elf: &ElfFile,
        memory: &Memory,
    ) -> Result<Self, AllocatorError> {
        let reader = Reader {
            interpreter,
            elf,
            memory,
        };
        let places = reader.places()?;
        let [raw, mem, object] = [
            reader.table(places.raw, "the raw domain")?,
            reader.table(places.mem, "the memory domain")?,
            reader.table(places.object, "the object domain")?,
        ];
        let arena = reader.arena(places.arena)?;
        let (base_object, hooks) = reader.unhook(object);
        let (base_mem, _) = reader.unhook(mem);
        let (base_raw, _) = reader.unhook(raw);
        Ok(Self {
            raw,
            mem,
            object,
            arena,
            hooks,
            base: reader.base(&base_raw, &base_mem, &base_object),
            base_object,
        })
    }

    /// What small objects are allocated with.
    pub fn kind(&self) -> AllocatorKind {
        if self.hooks.contains(&Hook::Debug) {
            return AllocatorKind::Debug;
        }
        if self.hooks.contains(&Hook::Tracemalloc) {
            return AllocatorKind::Other(format!("tracemalloc over {}", self.base.name()));
        }
        match &self.base {
            Base::Pymalloc => AllocatorKind::Pymalloc,
            Base::Malloc => AllocatorKind::Malloc,
            Base::Foreign(file) => AllocatorKind::Foreign(file.clone()),
            other => AllocatorKind::Other(other.name()),
        }
    }

    /// The address of the function that gives a block back to pymalloc, if that is in use.
    pub(super) fn pymalloc_free(&self) -> Option<u64> {
        self.uses_pymalloc().then_some(self.base_object.free)
    }

    /// Whether small objects end in pymalloc's pools, be it through hooks.
    pub fn uses_pymalloc(&self) -> bool {
        self.base == Base::Pymalloc
    }

    /// Whether small objects may end in pymalloc's pools: they do, or it cannot be told.
    pub fn may_use_pymalloc(&self) -> bool {
        !self.uses_malloc() && !self.uses_mimalloc()
    }

    /// Whether small objects end in the C library's functions, be it through hooks.
    pub fn uses_malloc(&self) -> bool {
        self.base == Base::Malloc
    }

    /// The binary whose functions allocate, if it is not the interpreter's. They may pass requests
    /// on to the functions that stood there before, as those of a profiler do.
    pub fn foreign(&self) -> Option<&str> {
        match &self.base {
            Base::Foreign(file) => Some(file),
            _ => None,
        }
    }

    /// Whether objects of all sizes end in mimalloc, be it through hooks.
    pub fn uses_mimalloc(&self) -> bool {
        self.base == Base::Mimalloc
    }
}

impl Base {
    fn name(&self) -> String {
        match self {
            Self::Pymalloc => "pymalloc".into(),
            Self::Malloc => "malloc".into(),
            Self::Mimalloc => "mimalloc".into(),
            Self::Foreign(file) => format!("functions of {file}"),
            Self::Unknown => "an allocator that is not known".into(),
        }
    }
}

impl Table {
    const fn from_words([context, malloc, calloc, realloc, free]: [u64; 5]) -> Self {
        Self {
            context,
            malloc,
            calloc,
            realloc,
            free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AllocatorKind, Allocators};
    use crate::python::testing::{Program, Python, pythons, with_pymalloc};

    /// What a Python allocates with whose `PYTHONMALLOC` is this.
    fn allocators(python: &Python, setting: &str, arguments: &[&str]) -> Allocators {
        let mut command = python.command();
        command.env("PYTHONMALLOC", setting).args(arguments);
        let script = "print('ready', flush=True); input()";
        let mut program = Program::spawn(command.args(["-c", script]));
        program.line();
        let (interpreter, elf) = program.interpreter_and_elf();
        let found = Allocators::read(&interpreter, &elf, &program.memory()).unwrap();
        let mut functions = vec![("_PyObject_ArenaMmap", found.arena.alloc)];
        if setting == "pymalloc" && arguments.is_empty() {
            functions.extend([
                ("_PyMem_RawMalloc", found.raw.malloc),
                ("_PyMem_RawFree", found.raw.free),
                ("_PyObject_Malloc", found.mem.malloc),
                ("_PyObject_Calloc", found.object.calloc),
                ("_PyObject_Realloc", found.object.realloc),
            ]);
        }
        for (name, address) in functions {
            if let Some(symbol) = elf.symbol(name) {
                assert_eq!(address, interpreter.image.address(symbol.address), "{name}");
            }
        }
        found
    }

    #[track_caller]
    fn check(setting: &str, arguments: &[&str], kind: &AllocatorKind, uses_pymalloc: bool) {
        for python in with_pymalloc() {
            let found = allocators(&python, setting, arguments);
            assert_eq!(found.kind(), *kind, "{}", python.name);
            assert_eq!(found.uses_pymalloc(), uses_pymalloc, "{}", python.name);
        }
    }

    #[test]
    fn pymalloc_and_malloc_are_told_apart() {
        check("pymalloc", &[], &AllocatorKind::Pymalloc, true);
        check("malloc", &[], &AllocatorKind::Malloc, false);
    }

    #[test]
    fn debug_hooks_are_told_from_what_they_call() {
        check("debug", &[], &AllocatorKind::Debug, true);
        check("malloc_debug", &[], &AllocatorKind::Debug, false);
    }

    #[test]
    fn tracemalloc_is_told_from_what_it_calls() {
        let traced = AllocatorKind::Other("tracemalloc over pymalloc".into());
        check("pymalloc", &["-X", "tracemalloc"], &traced, true);
        let traced = AllocatorKind::Other("tracemalloc over malloc".into());
        check("malloc", &["-X", "tracemalloc"], &traced, false);
    }

    #[test]
    fn mimalloc_is_not_taken_for_pymalloc() {
        for python in pythons() {
            let with_mimalloc = ["3.13", "3.14", "3.15"];
            if with_mimalloc
                .iter()
                .any(|new| python.version.starts_with(new))
            {
                let found = allocators(&python, "mimalloc", &[]);
                assert_eq!(found.kind(), AllocatorKind::Other("mimalloc".into()));
                assert!(!found.uses_pymalloc());
            }
        }
    }
}
