//! How well pymalloc's arenas are used: what is in memory, what is in use, and which arenas are
//! held by little.

use std::io;

use super::pools::Pools;
use crate::{
    process::{memory::Memory, pagemap::Pagemap},
    profile::PythonHeap,
};

/// An arena is sparse if less than one part in so many is in use.
const SPARSE: u64 = 4;

impl Pools {
    /// Looks at all arenas.
    pub fn heap(&self, memory: &Memory) -> io::Result<PythonHeap> {
        let mut arenas: Vec<(u64, u64)> = (self.arenas(memory)?.iter())
            .map(|arena| (arena.address, 0))
            .collect();
        arenas.sort_unstable();
        let size = self.arena_size();
        self.visit(memory, |pool, header| {
            let after = arenas.partition_point(|(address, _)| *address <= pool);
            // An arena that is new since is left out.
            if let Some((address, live)) = after.checked_sub(1).map(|it| &mut arenas[it])
                && pool - *address < size
            {
                *live += u64::from(header.count) * header.block_size();
            }
        })?;
        let pages = Pagemap::open(memory.pid()).map_err(io::Error::other)?;
        let mut heap = PythonHeap {
            arenas: arenas.len() as u64,
            held: arenas.len() as u64 * size,
            ..PythonHeap::default()
        };
        for (address, live) in arenas {
            let page = rustix::param::page_size() as u64;
            pages.read(address..address.saturating_add(size), |_, it| {
                heap.resident += u64::from(it.is_present()) * page;
            })?;
            heap.live += live;
            if live < size / SPARSE {
                heap.sparse_arenas += 1;
                heap.sparse_held += size;
                heap.sparse_live += live;
            }
        }
        Ok(heap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::testing::{Program, with_pymalloc};

    /// Keeps one object in 400, and thereby nearly all arenas.
    const SCRIPT: &str = "
def show():
    print('.', flush=True), input()
show()
things = [(i, i + 0.5) for i in range(400000)]
show()
del things[::2], things[::2], things[::2]
show()
kept = things[::50]
del things
show()
";

    #[test]
    fn arenas_that_are_held_by_little_are_sparse() {
        for python in with_pymalloc() {
            let mut program = Program::start(&python, &[], SCRIPT);
            let memory = program.memory();
            let mut looks = Vec::new();
            for _ in 0..4 {
                program.line();
                let (interpreter, elf) = program.interpreter_and_elf();
                let pools = Pools::find(&interpreter, &elf, &memory).unwrap();
                looks.push(pools.heap(&memory).unwrap());
                program.go();
            }
            println!("{}: {looks:?}", python.name);
            let [small, full, thin, empty] = looks[..] else {
                panic!("{looks:?}");
            };
            for look in &looks {
                assert!(look.live <= look.resident && look.resident <= look.held);
                assert!(look.sparse_live * SPARSE <= look.sparse_held);
            }
            assert!(full.live - small.live > 30 << 20, "{}", python.name);
            assert!(full.sparse_held < full.held / 8, "{}", python.name);
            assert!(thin.kept() > 15 << 20, "{}", python.name);
            // What is left lies scattered over nearly all that there was.
            assert!(empty.held > full.held / 2, "{}", python.name);
            assert!(empty.sparse_held > empty.held / 2, "{}", python.name);
            assert!(empty.kept() > 20 << 20, "{}", python.name);
        }
    }
}
