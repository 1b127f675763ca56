//! Where the tables are, and what stands at the end of their hooks.

use super::{AllocatorError, ArenaTable, Base, Hook, Table};
use crate::{
    process::{elf::ElfFile, image, memory::Memory},
    python::{
        decode::{self, first_pair},
        layouts::AllocatorTables,
        runtime::Interpreter,
    },
};

/// Hooks are not stacked any higher.
const HOOKS_LIMIT: usize = 8;

/// Addresses of the tables.
pub(super) struct Places {
    pub(super) raw: u64,
    pub(super) mem: u64,
    pub(super) object: u64,
    pub(super) arena: u64,
}

/// Reads tables of one process.
pub(super) struct Reader<'a> {
    pub(super) interpreter: &'a Interpreter,
    pub(super) elf: &'a ElfFile,
    pub(super) memory: &'a Memory,
}

impl Reader<'_> {
    pub(super) fn places(&self) -> Result<Places, AllocatorError> {
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

    pub(super) fn table(&self, address: u64, what: &'static str) -> Result<Table, AllocatorError> {
        let words = self.words(address)?;
        let table = Table::from_words(words);
        if words.iter().skip(1).any(|&function| function == 0) {
            let pid = self.interpreter.pid;
            return Err(AllocatorError::Malformed { pid, what });
        }
        Ok(table)
    }

    pub(super) fn arena(&self, address: u64) -> Result<ArenaTable, AllocatorError> {
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
    pub(super) fn unhook(&self, mut table: Table) -> (Table, Vec<Hook>) {
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

    pub(super) fn base(&self, raw: &Table, mem: &Table, object: &Table) -> Base {
        // First of all, as it may serve all domains with one function.
        if !self.is_own_code(object.malloc) {
            return Base::Foreign(self.file_of(object.malloc));
        }
        if object.malloc == raw.malloc {
            return Base::Malloc;
        }
        if mem.malloc == object.malloc {
            return Base::Pymalloc;
        }
        // Stripped or not, only mimalloc has functions of its own for each domain, and it came
        // with the table of offsets.
        if self.interpreter.places.debug_offsets.is_some() {
            return Base::Mimalloc;
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
