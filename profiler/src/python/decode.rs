//! Which variables a function of the interpreter loads.
//!
//! Variables that have no exported name are found through exported functions that use them.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register, UsedRegister,
};

use crate::process::elf::ElfFile;

/// The functions that are looked at are small; what follows a longer one is not needed.
const FUNCTION_LIMIT: usize = 1024;

/// A load from a fixed address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Load {
    /// The address in the file.
    pub(super) address: u64,
    /// How many bytes.
    pub(super) size: usize,
    /// Whether what was loaded is used as an address later on.
    pub(super) followed: bool,
}

/// The loads in an exported function, in the order of its instructions.
pub(super) fn loads(elf: &ElfFile, function: &str) -> Vec<Load> {
    let Some(symbol) = elf.export(function) else {
        return Vec::new();
    };
    let size = usize::try_from(symbol.size).unwrap_or(usize::MAX);
    let known = size != 0;
    let size = if known { size } else { FUNCTION_LIMIT };
    let Some(code) = elf.bytes_at(symbol.address, size.min(FUNCTION_LIMIT)) else {
        return Vec::new();
    };
    loads_in(code, symbol.address, known)
}

/// The loads in the function at an address, up to where it may end.
pub(super) fn loads_at(elf: &ElfFile, vaddr: u64) -> Vec<Load> {
    let code = elf.bytes_at(vaddr, FUNCTION_LIMIT);
    code.map_or_else(Vec::new, |code| loads_in(code, vaddr, false))
}

fn loads_in(code: &[u8], address: u64, whole: bool) -> Vec<Load> {
    let decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut instructions = Vec::new();
    for instruction in decoder {
        if instruction.is_invalid() {
            break;
        }
        instructions.push(instruction);
        // Without a size, the first end of a path may be the end of the function.
        if !whole && instruction.flow_control() == FlowControl::Return {
            break;
        }
    }
    instructions
        .iter()
        .enumerate()
        .filter_map(|(index, instruction)| {
            Some(Load {
                address: fixed_address(instruction)?,
                size: instruction.memory_size().size(),
                followed: is_followed(instruction, instructions.get(index + 1..)?),
            })
        })
        .collect()
}

/// The fixed address that an instruction reads or jumps through.
fn fixed_address(instruction: &Instruction) -> Option<u64> {
    let is_memory = |index| instruction.op_kind(index) == OpKind::Memory;
    let operand = (0..instruction.op_count()).find(|&index| is_memory(index))?;
    // Operand 0 is the destination, but for jumps and the like, which have no other, and
    // comparisons, which have none.
    if operand == 0 && instruction.op_count() > 1 && !compares(instruction) {
        return None;
    }
    if instruction.mnemonic() == Mnemonic::Lea || instruction.segment_prefix() != Register::None {
        return None;
    }
    if instruction.is_ip_rel_memory_operand() {
        return Some(instruction.ip_rel_memory_address());
    }
    let absolute =
        instruction.memory_base() == Register::None && instruction.memory_index() == Register::None;
    absolute.then(|| instruction.memory_displacement64())
}

/// Whether one of the instructions that follow reads where the loaded register points.
fn is_followed(load: &Instruction, rest: &[Instruction]) -> bool {
    if load.op_count() == 0 || load.op_kind(0) != OpKind::Register || compares(load) {
        return false;
    }
    let register = load.op0_register().full_register();
    let mut factory = InstructionInfoFactory::new();
    for instruction in rest {
        let base = instruction.memory_base();
        if base != Register::None
            && base.full_register() == register
            && !matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Nop)
        {
            return true;
        }
        let mut used = factory.info(instruction).used_registers().iter();
        // What is computed from its old value still leads there.
        let replaces = |used: &UsedRegister| {
            used.access() == OpAccess::Write && used.register().full_register() == register
        };
        if used.any(replaces) && !reads(&mut factory, instruction, register) {
            return false;
        }
    }
    false
}

/// Whether an instruction needs what was in a register before.
fn reads(
    factory: &mut InstructionInfoFactory,
    instruction: &Instruction,
    register: Register,
) -> bool {
    let mut used = factory.info(instruction).used_registers().iter();
    used.any(|used| {
        let reads = matches!(used.access(), OpAccess::Read | OpAccess::ReadWrite);
        reads && used.register().full_register() == register
    })
}

/// Whether an instruction sets nothing but flags.
fn compares(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
}

/// The first two words next to each other that are loaded: where the first of them is.
pub(super) fn first_pair(loads: &[Load]) -> Option<u64> {
    let words: Vec<u64> = loads
        .iter()
        .filter(|load| load.size == 8)
        .map(|load| load.address)
        .collect();
    words.iter().enumerate().find_map(|(index, &later)| {
        let mut earlier = words.iter().take(index);
        earlier.find_map(|&earlier| (earlier.abs_diff(later) == 8).then_some(earlier.min(later)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Load, first_pair, loads_in};

    fn load(address: u64, size: usize, followed: bool) -> Load {
        Load {
            address,
            size,
            followed,
        }
    }

    #[test]
    fn the_table_of_a_plain_wrapper_is_found() {
        let code = [
            0x48, 0x89, 0xfe, // mov rsi, rdi
            0x48, 0x8b, 0x3d, 0xf6, 0x0f, 0, 0, // mov rdi, [rip + 0xff6]
            0xff, 0x25, 0xf8, 0x0f, 0, 0, // jmp [rip + 0xff8]
        ];
        let loads = loads_in(&code, 0x1000, true);
        let expected = [load(0x2000, 8, false), load(0x2008, 8, false)];
        assert_eq!(loads, expected);
        assert_eq!(first_pair(&loads), Some(0x2000));
    }

    #[test]
    fn the_order_of_the_words_does_not_matter() {
        let loads = [
            load(0x9000, 4, false),
            load(0x2008, 8, false),
            load(0x2000, 8, false),
            load(0x1000, 8, false),
            load(0x1008, 8, false),
        ];
        assert_eq!(first_pair(&loads), Some(0x2000));
        assert_eq!(first_pair(&loads[..2]), None);
    }

    #[test]
    fn a_loaded_address_is_told_from_a_loaded_number() {
        let code = [
            0x8b, 0x05, 0xfa, 0x0f, 0, 0, // mov eax, [rip + 0xffa]
            0x48, 0x8b, 0x15, 0xfb, 0x0f, 0, 0, // mov rdx, [rip + 0xffb]
            0x48, 0x8b, 0x34, 0x25, 0x10, 0x30, 0, 0, // mov rsi, [0x3010]
            0x48, 0x8d, 0x02, // lea rax, [rdx]
            0x48, 0x8b, 0x06, // mov rax, [rsi]
            0xc3, // ret
        ];
        let expected = [
            load(0x2000, 4, false),
            load(0x2008, 8, false),
            load(0x3010, 8, true),
        ];
        assert_eq!(loads_in(&code, 0x1000, true), expected);
    }

    #[test]
    fn a_register_that_was_overwritten_leads_nowhere() {
        let load_number = [0x8b, 0x05, 0xfa, 0x0f, 0, 0]; // mov eax, [rip + 0xffa]
        let compare = [0x3b, 0x05, 0xfa, 0x0f, 0, 0]; // cmp eax, [rip + 0xffa]
        let overwrite = [0x48, 0x8b, 0x06]; // mov rax, [rsi]
        let move_on = [0x48, 0x83, 0xc0, 0x30]; // add rax, 0x30
        let follow = [0x48, 0x8b, 0x08]; // mov rcx, [rax]
        let pad = [0x0f, 0x1f, 0x00]; // nop [rax]
        let cases: [(&[&[u8]], bool); 5] = [
            (&[&load_number, &pad], false),
            (&[&load_number, &overwrite, &follow], false),
            (&[&load_number, &move_on, &follow], true),
            (&[&load_number, &follow, &overwrite], true),
            (&[&compare, &follow], false),
        ];
        for (pieces, followed) in cases {
            let loads = loads_in(&pieces.concat(), 0x1000, true);
            assert_eq!(loads, [load(0x2000, 4, followed)], "{pieces:x?}");
        }
    }

    #[test]
    fn a_comparison_loads_whichever_operand_is_in_memory() {
        let code = [0x39, 0x05, 0xfa, 0x0f, 0, 0]; // cmp [rip + 0xffa], eax
        assert_eq!(loads_in(&code, 0x1000, true), [load(0x2000, 4, false)]);
    }

    #[test]
    fn stores_and_thread_locals_are_no_loads() {
        let code = [
            0x48, 0x89, 0x05, 0xf9, 0x0f, 0, 0, // mov [rip + 0xff9], rax
            0x64, 0x48, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0, // mov rax, fs:[0x10]
        ];
        assert_eq!(loads_in(&code, 0x1000, true), []);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded(
            code in prop::collection::vec(any::<u8>(), 0..200),
            whole in any::<bool>(),
        ) {
            first_pair(&loads_in(&code, u64::MAX - 50, whole));
        }
    }
}
