//! What stands at an address that was written to: the reference count of an object, what the
//! garbage collector keeps in front of one, or anything else.

use super::FateReader;
use crate::{process::memory::Memory, profile::CopyCause};

/// The flag in a type's flags that says that the collector tracks its objects.
const HAS_COLLECTOR: u64 = 1 << 14;

impl FateReader {
    /// What was written to, at an address. The type of an object stands behind its reference
    /// count, and in front of that the two words of the collector, if its type has any.
    ///
    /// It is looked at a moment after it was written. An array of types would be taken for
    /// reference counts.
    pub fn written(&mut self, memory: &Memory, address: u64) -> CopyCause {
        let behind = (address - address % 8).checked_add(8);
        let words = behind.and_then(|behind| memory.read_words::<3>(behind));
        let Some(words) = words.filter(|_| self.kinds.can_tell()) else {
            return CopyCause::Unknown;
        };
        match self.kinds.are_types(memory, words) {
            [true, ..] => CopyCause::References,
            [_, true, _] if self.has_collector(memory, words[1]) => CopyCause::Collector,
            [_, _, true] if self.has_collector(memory, words[2]) => CopyCause::Collector,
            _ => CopyCause::Data,
        }
    }

    fn has_collector(&self, memory: &Memory, kind: u64) -> bool {
        let flags = memory.read_word(self.kinds.flags_at(kind));
        flags.is_some_and(|flags| flags & HAS_COLLECTOR != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::{
        pools::Pools,
        small_heap::SmallHeap,
        testing::{Program, with_pymalloc},
    };

    /// Prints addresses of objects of which the collector tracks one and not the other.
    const SCRIPT: &str = "
text, tracked = 'x' * 100, [1, 2, 3]
class Thing: pass
thing = Thing()
thing.name = text
print(id(text), id(tracked), id(thing), flush=True)
input()
";

    #[test]
    fn what_was_written_shows_by_what_stands_there() {
        for python in with_pymalloc() {
            let mut program = Program::start(&python, &[], SCRIPT);
            let line = program.line();
            let mut places = line.split(' ').map(|it| it.parse::<u64>().unwrap());
            let mut next = || places.next().unwrap();
            let (text, tracked, thing) = (next(), next(), next());
            let (interpreter, elf) = program.interpreter_and_elf();
            let memory = program.memory();
            let pools = Pools::find(&interpreter, &elf, &memory).unwrap();
            let mut reader = FateReader::new(&interpreter, &elf, SmallHeap::Pools(pools));
            for (address, expected) in [
                (text, CopyCause::References),
                (text + 4, CopyCause::References),
                (text - 8, CopyCause::Data),
                (text - 16, CopyCause::Data),
                (text + 64, CopyCause::Data),
                (tracked, CopyCause::References),
                (tracked - 8, CopyCause::Collector),
                (tracked - 16, CopyCause::Collector),
                (tracked + 16, CopyCause::Data),
                (thing, CopyCause::References),
                (thing - 8, CopyCause::Collector),
                (8, CopyCause::Unknown),
            ] {
                let found = reader.written(&memory, address);
                let name = &python.name;
                assert_eq!(found, expected, "{name}: {address:#x} of {line}");
            }
        }
    }
}
