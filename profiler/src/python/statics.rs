//! Pymalloc's variables, where they are variables of their own: no name of them is exported.

use super::{
    allocator::Allocators,
    decode::{self, Load},
    runtime::Interpreter,
};
use crate::process::{elf::ElfFile, memory::Memory};

/// Addresses in the file of the variables that are needed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Statics {
    /// The pointer to the arenas.
    pub(super) arenas: u64,
    /// How many elements that array has.
    pub(super) arena_count: u64,
    /// The number of blocks: of the raw allocator, or of all.
    pub(super) blocks: u64,
}

/// What `sys.getallocatedblocks` reads, which is exported.
const COUNTER: &str = "_Py_GetAllocatedBlocks";

/// The variables of the versions that count the blocks of the raw allocator.
pub(super) fn with_raw_blocks(elf: &ElfFile) -> Option<Statics> {
    in_counter(elf).or_else(|| named(elf, "raw_allocated_blocks"))
}

/// The variables of the version that counts all blocks.
pub(super) fn with_total(
    interpreter: &Interpreter,
    elf: &ElfFile,
    memory: &Memory,
) -> Option<Statics> {
    in_free(interpreter, elf, memory).or_else(|| named(elf, "_Py_AllocatedBlocks"))
}

/// The variables that `sys.getallocatedblocks` reads, which are exactly those that are needed
/// where it adds the pools up itself.
fn in_counter(elf: &ElfFile) -> Option<Statics> {
    let loads = decode::loads(elf, COUNTER);
    let single = |size: usize, followed: bool| {
        let mut found = loads
            .iter()
            .filter(|load| load.size == size && load.followed == followed)
            .map(|load| load.address);
        let first = found.next()?;
        found.all(|address| address == first).then_some(first)
    };
    Some(Statics {
        arenas: single(8, true)?,
        arena_count: single(4, false)?,
        blocks: single(8, false)?,
    })
}

/// The number that `sys.getallocatedblocks` reads, and the variables in the function that gives
/// a block back: it begins with the question whether that lies in one of the arenas.
fn in_free(interpreter: &Interpreter, elf: &ElfFile, memory: &Memory) -> Option<Statics> {
    let blocks = decode::loads(elf, COUNTER).first()?.address;
    let allocators = Allocators::read(interpreter, elf, memory).ok()?;
    let free = interpreter.image.vaddr(allocators.pymalloc_free()?);
    first_of(&decode::loads_at(elf, free), blocks)
}

/// The first of these loads that may be arenas and their number. The number of blocks is counted
/// down before them.
fn first_of(loads: &[Load], blocks: u64) -> Option<Statics> {
    let first = |size: usize, followed: bool| {
        let mut loads = loads.iter().filter(|load| load.address != blocks);
        loads
            .find(|load| load.size == size && load.followed == followed)
            .map(|load| load.address)
    };
    Some(Statics {
        arenas: first(8, true)?,
        arena_count: first(4, false)?,
        blocks,
    })
}

fn named(elf: &ElfFile, counter: &str) -> Option<Statics> {
    let address = |name| Some(elf.symbol(name)?.address);
    Some(Statics {
        arenas: address("arenas")?,
        arena_count: address("maxarenas")?,
        blocks: address(counter)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Statics, first_of, in_counter, in_free, named};
    use crate::python::{
        decode::Load,
        layouts::Obmalloc,
        testing::{Program, pythons},
    };

    #[test]
    fn code_and_symbols_agree_on_the_variables() {
        for python in pythons() {
            let mut program = Program::start(&python, &[], "print('ready', flush=True); input()");
            program.line();
            let (interpreter, elf) = program.interpreter_and_elf();
            let (found, counter) = match interpreter.places.obmalloc {
                Obmalloc::Statics => (in_counter(&elf), "raw_allocated_blocks"),
                Obmalloc::StaticsWithTotal => (
                    in_free(&interpreter, &elf, &program.memory()),
                    "_Py_AllocatedBlocks",
                ),
                _ => continue,
            };
            assert!(found.is_some(), "{}", python.name);
            if let Some(expected) = named(&elf, counter) {
                assert_eq!(found, Some(expected), "{}", python.name);
            }
        }
    }

    #[test]
    fn the_function_that_gives_back_shows_the_arenas() {
        let load = |address, size, followed| Load {
            address,
            size,
            followed,
        };
        let loads = [
            load(0x10, 8, true),
            load(0x20, 4, false),
            load(0x30, 8, true),
            load(0x40, 8, true),
        ];
        let expected = Statics {
            arenas: 0x30,
            arena_count: 0x20,
            blocks: 0x10,
        };
        assert_eq!(first_of(&loads, 0x10), Some(expected));
        assert_eq!(first_of(&loads[..2], 0x10), None);
        assert_eq!(first_of(&[], 0x10), None);
    }
}
