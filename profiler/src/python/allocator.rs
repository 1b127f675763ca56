//! Which functions the interpreter allocates with.
//!
//! `CPython` goes through a table of functions in each of three domains, and through one more
//! for pymalloc's arenas. The tables say whether pymalloc is in use, and where its functions are
//! even in a binary without symbols.
//!
//! What cannot be told: an allocator inside the interpreter's binary that serves both domains
//! with the same functions, as pymalloc does, is taken for pymalloc. `CPython` has no other.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::{
    decode::{self, first_pair},
    layouts::AllocatorTables,
    runtime::Interpreter,
};
use crate::{
    process::{elf::ElfFile, image, memory::Memory},
    units::Pid,
};

/// Hooks are not stacked any higher.
const HOOKS_LIMIT: usize = 8;

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
            other => AllocatorKind::Other(other.name()),
        }
    }

    /// Whether small objects end in pymalloc's pools, be it through hooks.
    pub fn uses_pymalloc(&self) -> bool {
        self.base == Base::Pymalloc
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

/// Addresses of the tables.
struct Places {
    raw: u64,
    mem: u64,
    object: u64,
    arena: u64,
}

struct Reader<'a> {
    interpreter: &'a Interpreter,
    elf: &'a ElfFile,
    memory: &'a Memory,
}

impl Reader<'_> {
    fn places(&self) -> Result<Places, AllocatorError> {
        match self.interpreter.places.allocators {
            AllocatorTables::InRuntime {
                raw,
                mem,
                object,
                arena,
            } => {
                let at = |offset| self.interpreter.runtime.wrapping_add(u64::from(offset));
                Ok(Places {
                    raw: at(raw),
                    mem: at(mem),
                    object: at(object),
                    arena: at(arena),
                })
            }
            AllocatorTables::Static => Ok(Places {
                raw: self.variable("PyMem_RawMalloc", "_PyMem_Raw", "the raw domain")?,
                mem: self.variable("PyMem_Malloc", "_PyMem", "the memory domain")?,
                object: self.variable("PyObject_Malloc", "_PyObject", "the object domain")?,
                arena: self.arena_variable()?,
            }),
        }
    }

    /// The table that an exported function calls through, or the variable of this name.
    fn variable(
        &self,
        function: &str,
        variable: &str,
        what: &'static str,
    ) -> Result<u64, AllocatorError> {
        let decoded = first_pair(&decode::loads(self.elf, function));
        self.found(decoded, variable, what)
    }

    fn arena_variable(&self) -> Result<u64, AllocatorError> {
        let loads = decode::loads(self.elf, "PyObject_GetArenaAllocator");
        let decoded = loads.iter().map(|load| load.address).min();
        self.found(decoded, "_PyObject_Arena", "arenas")
    }

    fn found(
        &self,
        decoded: Option<u64>,
        variable: &str,
        what: &'static str,
    ) -> Result<u64, AllocatorError> {
        let named = || Some(self.elf.symbol(variable)?.address);
        let image = &self.interpreter.image;
        decoded
            .or_else(named)
            .map(|vaddr| image.address(vaddr))
            .ok_or_else(|| AllocatorError::NotFound {
                what,
                path: image.path.clone(),
            })
    }

    fn table(&self, address: u64, what: &'static str) -> Result<Table, AllocatorError> {
        let words = self.words(address)?;
        let table = Table::from_words(words);
        if words.iter().skip(1).any(|&function| function == 0) {
            let pid = self.interpreter.pid;
            return Err(AllocatorError::Malformed { pid, what });
        }
        Ok(table)
    }

    fn arena(&self, address: u64) -> Result<ArenaTable, AllocatorError> {
        let [context, alloc, free] = self.words(address)?;
        if alloc == 0 || free == 0 {
            return Err(AllocatorError::Malformed {
                pid: self.interpreter.pid,
                what: "arenas",
            });
        }
        Ok(ArenaTable {
            context,
            alloc,
            free,
        })
    }

    fn words<const N: usize>(&self, address: u64) -> Result<[u64; N], AllocatorError> {
        let bytes = self.memory.read_bytes(address, 8 * N).map_err(|source| {
            AllocatorError::Unreadable {
                pid: self.interpreter.pid,
                source,
            }
        })?;
        let mut words = [0; N];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        Ok(words)
    }

    /// Follows hooks down to the table that allocates.
    fn unhook(&self, mut table: Table) -> (Table, Vec<Hook>) {
        let mut hooks = Vec::new();
        while let Some((hook, inner)) = self.hook(&table)
            && hooks.len() < HOOKS_LIMIT
        {
            hooks.push(hook);
            table = inner;
        }
        (table, hooks)
    }

    /// What a table of the interpreter's own calls, if its context shows that it is a hook.
    ///
    /// That of a debug hook is a letter and the table below it; that of tracemalloc is the
    /// table alone.
    fn hook(&self, table: &Table) -> Option<(Hook, Table)> {
        if table.context == 0 || !self.is_own_code(table.malloc) {
            return None;
        }
        let words: [u64; 6] = self.words(table.context).ok()?;
        let [first, second, third, fourth, fifth, sixth] = words;
        let is_table = |table: &Table| self.is_code(table.malloc) && self.is_code(table.free);
        let under_debug = Table::from_words([second, third, fourth, fifth, sixth]);
        let letters = [b'r', b'm', b'o'].map(u64::from);
        if letters.contains(&first) && is_table(&under_debug) {
            return Some((Hook::Debug, under_debug));
        }
        let under_trace = Table::from_words([first, second, third, fourth, fifth]);
        is_table(&under_trace).then_some((Hook::Tracemalloc, under_trace))
    }

    fn base(&self, raw: &Table, mem: &Table, object: &Table) -> Base {
        if object.malloc == raw.malloc {
            return Base::Malloc;
        }
        if !self.is_own_code(object.malloc) {
            return Base::Foreign(self.file_of(object.malloc));
        }
        let named = |name: &str| {
            let symbol = self.elf.symbol(name);
            symbol.is_some_and(|symbol| {
                self.interpreter.image.address(symbol.address) == object.malloc
            })
        };
        if named("_PyObject_MiMalloc") {
            return Base::Mimalloc;
        }
        if mem.malloc == object.malloc {
            return Base::Pymalloc;
        }
        Base::Unknown
    }

    fn is_own_code(&self, address: u64) -> bool {
        let vaddr = self.interpreter.image.vaddr(address);
        self.elf.executable_segments().iter().any(|segment| {
            let offset = usize::try_from(vaddr.wrapping_sub(segment.address));
            offset.is_ok_and(|offset| offset < segment.bytes.len())
        })
    }

    /// Whether an address may be one of code: of the interpreter, or of another binary.
    fn is_code(&self, address: u64) -> bool {
        self.is_own_code(address) || (address != 0 && !self.interpreter.image.contains(address))
    }

    fn file_of(&self, address: u64) -> String {
        let images = image::images(self.interpreter.pid).unwrap_or_default();
        let owner = images.iter().find(|image| image.contains(address));
        owner.map_or_else(
            || "code without a file".into(),
            |image| image.path.display().to_string(),
        )
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
    use crate::python::testing::{Program, Python, pythons};

    const READY: &str = "print('ready', flush=True); input()";

    fn allocators(python: &Python, arguments: &[&str]) -> Allocators {
        let mut program = Program::start(python, arguments, READY);
        program.line();
        let (interpreter, elf) = program.interpreter_and_elf();
        let found = Allocators::read(&interpreter, &elf, &program.memory()).unwrap();
        for (name, address) in [
            ("_PyMem_RawMalloc", found.raw.malloc),
            ("_PyObject_ArenaMmap", found.arena.alloc),
            ("_PyObject_ArenaMunmap", found.arena.free),
        ] {
            let hooked = !arguments.is_empty() && name == "_PyMem_RawMalloc";
            if let Some(symbol) = elf.symbol(name).filter(|_| !hooked) {
                assert_eq!(address, interpreter.image.address(symbol.address), "{name}");
            }
        }
        found
    }

    #[track_caller]
    fn check(arguments: &[&str], kind: &AllocatorKind, uses_pymalloc: bool) {
        for python in pythons() {
            let found = allocators(&python, arguments);
            assert_eq!(found.kind(), *kind, "{}", python.name);
            assert_eq!(found.uses_pymalloc(), uses_pymalloc, "{}", python.name);
        }
    }

    #[test]
    fn pymalloc_is_the_default() {
        check(&[], &AllocatorKind::Pymalloc, true);
    }

    #[test]
    fn hooks_are_told_from_what_they_call() {
        check(&["-X", "dev"], &AllocatorKind::Debug, true);
        let traced = AllocatorKind::Other("tracemalloc over pymalloc".into());
        check(&["-X", "tracemalloc"], &traced, true);
    }
}
