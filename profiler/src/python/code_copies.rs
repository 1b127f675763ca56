//! Copies of a code object's instructions. Without a GIL, each thread runs one of its own since
//! 3.14, because the interpreter writes into the instructions what it learns of them.
//!
//! The walk counts from the code object's own instructions. In a copy that leads anywhere, so the
//! copies are looked through for the one that holds the instruction.

use crate::process::memory::Memory;

/// A code object has no more copies: one for each thread that ran it.
const COPIES_LIMIT: u64 = 1 << 16;

/// Finds the copy that holds an instruction, and says where in it: in bytes from the first one.
///
/// `table` is the address of the word that points to the table of copies, `instruction` the lower
/// half of the instruction's address, and `size` how many bytes of instructions there are.
pub(super) fn offset_in_copy(
    memory: &Memory,
    table: u64,
    instruction: u32,
    size: i32,
) -> Option<i32> {
    let copies = memory.read_word(table)?;
    let [count] = memory.read_words(copies)?;
    let count = usize::try_from(count.min(COPIES_LIMIT)).ok()?;
    let bytes = memory.read_bytes(copies.wrapping_add(8), 8 * count).ok()?;
    let (words, _) = bytes.as_chunks::<8>();
    let addresses = words.iter().map(|word| u64::from_le_bytes(*word));
    // A thread that has not run it yet has none.
    let mut offsets = addresses
        .filter(|&address| address != 0)
        .map(|address| instruction.wrapping_sub(low_half(address)).cast_signed());
    offsets.find(|offset| (0..size).contains(offset))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the walk has no more of an address either"
)]
const fn low_half(address: u64) -> u32 {
    address as u32
}

/// Where an instruction is that the walk found `offset` bytes from those at `bytecode`: the lower
/// half of its address.
pub(super) const fn instruction_at(bytecode: u64, offset: i32) -> u32 {
    low_half(bytecode).wrapping_add_signed(offset)
}

#[cfg(test)]
mod tests {
    use super::{instruction_at, low_half, offset_in_copy};
    use crate::{process::memory::Memory, units::Pid};

    /// What is found in a table that this process has.
    fn find(table: &[u64], instruction: u64) -> Option<i32> {
        let memory = Memory::of(Pid(std::process::id()));
        let pointer = table.as_ptr() as u64;
        let place = (&raw const pointer) as u64;
        offset_in_copy(&memory, place, low_half(instruction), 100)
    }

    #[test]
    fn an_instruction_is_found_in_the_copy_that_holds_it() {
        let table = [4, 0x7f00_1000, 0, 0x7fff_ffff_ffb0, 0x7f00_3000];
        for (instruction, expected) in [
            (0x7f00_1000, Some(0)),
            (0x7f00_1062, Some(98)),
            (0x7f00_1064, None),
            (0x7f00_0ffe, None),
            (0x7f00_3002, Some(2)),
            (0x1000, None),
            // The lower half of a copy's addresses may begin again in it.
            (0x8000_0000_0010, Some(96)),
        ] {
            assert_eq!(find(&table, instruction), expected, "{instruction:#x}");
        }
    }

    #[test]
    fn copies_beyond_the_end_of_the_table_are_none() {
        assert_eq!(find(&[1, 0x1000, 0x2000], 0x2000), None);
        assert_eq!(find(&[0, 0x1000], 0x1000), None);
    }

    #[test]
    fn a_table_that_cannot_be_read_has_no_copies() {
        let memory = Memory::of(Pid(std::process::id()));
        assert_eq!(offset_in_copy(&memory, 8, 0, 100), None);
        let nowhere = 8_u64;
        let place = (&raw const nowhere) as u64;
        assert_eq!(offset_in_copy(&memory, place, 0, 100), None);
    }

    #[test]
    fn what_the_walk_counts_leads_back_to_the_instruction() {
        for (bytecode, instruction) in [
            (0x7f12_0000_00e8_u64, 0x7f12_0000_0100_u64),
            (0x7f12_0000_00e8, 0x7f10_0000_0100),
            (0x7f12_ffff_ff00, 0x7f12_0000_0100),
        ] {
            let offset = low_half(instruction).wrapping_sub(low_half(bytecode));
            let found = instruction_at(bytecode, offset.cast_signed());
            assert_eq!(found, low_half(instruction));
        }
    }
}
