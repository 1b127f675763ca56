//! The machine code of x86-64.
//!
//! Which instructions the kernel carries out itself is decided by `branch_setup_xol_ops` and
//! `push_setup_xol_ops` in `arch/x86/kernel/uprobes.c`. Only what every kernel since 4.17 emulates
//! counts here.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess,
    OpKind, Register,
};

/// How far behind a function's entry jumps back into its first block are looked for.
const REENTRY_SPAN: usize = 4096;

/// Whether the kernel emulates this instruction under a uprobe; `bytes` are its bytes.
///
/// Of the prefixes only `bnd` is accepted. The kernel refuses a probe on a jump or call with an
/// operand-size prefix, and on anything with `lock` or a segment prefix other than `fs` and
/// `gs`, so also on `notrack` and branch hints; the rest no compiler puts there.
///
/// A `nop` counts only without operands and prefixes. Kernels before 6.18 took any prefix, so
/// that `xchg %r8, %rax` (`41 90`) and `pause` were skipped. Most kernels single-step the longer
/// forms. And since 6.18 a probe on a `nop` of 5 bytes is turned into a call that overwrites
/// the red zone below the stack pointer, where leaf functions keep their variables: such a
/// probe breaks the target.
///
/// An emulated call does not write the shadow stack: never probe one where the target may
/// have such a stack.
pub fn is_emulated(instruction: &Instruction, bytes: &[u8]) -> bool {
    if instruction.is_invalid() || bytes.len() != instruction.len() {
        return false;
    }
    match instruction.code() {
        Code::Nopd => bytes == [0x90],
        Code::Push_r64 => matches!(bytes, [0x50..=0x57] | [0x41, 0x50..=0x57]),
        Code::Jmp_rel8_64 | Code::Jmp_rel32_64 | Code::Call_rel32_64 => has_plain_opcode(bytes),
        _ if instruction.is_jcc_short_or_near() => has_plain_opcode(bytes),
        _ => false,
    }
}

/// Whether a branch starts with its opcode, or with `bnd` and its opcode.
fn has_plain_opcode(bytes: &[u8]) -> bool {
    let opcode = match bytes {
        [0xf2, rest @ ..] => rest.first(),
        _ => bytes.first(),
    };
    matches!(opcode, Some(0x0f | 0x70..=0x7f | 0xe8 | 0xe9 | 0xeb))
}

/// A place for a probe in a function's entry block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntrySite {
    /// Its address.
    pub address: u64,
    /// The registers that hold the arguments there, in their order.
    pub arguments: Vec<Register>,
}

/// Finds the first place in a function's entry block that is cheap to probe and at which the
/// arguments are still in registers, be it that they were moved to others.
///
/// `code` starts with the function at `address`, and may end anywhere behind it. With
/// `keep_stack` the stack pointer must also still point at the return address, as a return
/// probe needs it. There is no such place if the block ends before, in a call for example, or
/// if the function jumps back into the block, so that one call could hit the place twice.
pub fn entry_site(
    code: &[u8],
    address: u64,
    arguments: &[Register],
    keep_stack: bool,
) -> Option<EntrySite> {
    let arguments = arguments.iter().map(|argument| argument.full_register());
    let mut holders: Vec<Vec<Register>> = arguments.map(|argument| vec![argument]).collect();
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut factory = InstructionInfoFactory::new();
    while decoder.can_decode() {
        let start = decoder.position();
        let instruction = decoder.decode();
        let bytes = code.get(start..decoder.position())?;
        if is_emulated(&instruction, bytes) && !instruction.is_call_near() {
            let site = EntrySite {
                address: instruction.ip(),
                arguments: holders.iter().map(|holders| holders[0]).collect(),
            };
            return (!is_reentered(code, address, site.address)).then_some(site);
        }
        if instruction.is_invalid() || instruction.flow_control() != FlowControl::Next {
            return None;
        }
        let written: Vec<Register> = written_registers(&mut factory, &instruction).collect();
        if keep_stack && written.contains(&Register::RSP) {
            return None;
        }
        for holders in &mut holders {
            let copy = copy(&instruction).filter(|(from, _)| holders.contains(from));
            holders.retain(|holder| !written.contains(holder));
            holders.extend(copy.map(|(_, to)| to));
            if holders.is_empty() {
                return None;
            }
        }
    }
    None
}

/// From where to where an instruction copies a whole register, if it does nothing else.
fn copy(instruction: &Instruction) -> Option<(Register, Register)> {
    let is_copy = matches!(
        instruction.code(),
        Code::Mov_r64_rm64 | Code::Mov_rm64_r64
            if instruction.op0_kind() == OpKind::Register
                && instruction.op1_kind() == OpKind::Register
    );
    is_copy.then(|| (instruction.op1_register(), instruction.op0_register()))
}

/// Whether a jump leads behind a function's first instruction, but not behind `site`.
///
/// A jump to the first instruction itself is a call that needs no frame.
fn is_reentered(code: &[u8], address: u64, site: u64) -> bool {
    let depth = site.wrapping_sub(address);
    let code = &code[..code.len().min(REENTRY_SPAN)];
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    decoder.iter().any(|instruction| {
        let is_branch = matches!(
            instruction.flow_control(),
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
        );
        let target = instruction.near_branch_target().wrapping_sub(address);
        is_branch && target != 0 && target <= depth
    })
}

/// The whole registers of which an instruction writes at least a part, or may do so.
pub fn written_registers<'factory>(
    factory: &'factory mut InstructionInfoFactory,
    instruction: &Instruction,
) -> impl Iterator<Item = Register> + use<'factory> {
    let used = factory.info(instruction).used_registers();
    used.iter()
        .filter(|used| {
            matches!(
                used.access(),
                OpAccess::Write
                    | OpAccess::CondWrite
                    | OpAccess::ReadWrite
                    | OpAccess::ReadCondWrite
            )
        })
        .map(|used| used.register().full_register())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use iced_x86::Mnemonic;
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const ENTRY: u64 = 0x10_0000;
    const RDI: [Register; 1] = [Register::RDI];

    fn decode(bytes: &[u8]) -> Instruction {
        Decoder::with_ip(64, bytes, ENTRY, DecoderOptions::NONE).decode()
    }

    fn distance(code: &[u8], arguments: &[Register], keep_stack: bool) -> Option<u64> {
        entry_site(code, ENTRY, arguments, keep_stack).map(|site| site.address - ENTRY)
    }

    #[test]
    fn what_the_kernel_emulates_is_told_from_what_it_steps() {
        #[rustfmt::skip]
        let cases: &[(&[u8], bool, &str)] = &[
            (&[0x55], true, "push %rbp"),
            (&[0x54], true, "push %rsp"),
            (&[0x41, 0x57], true, "push %r15"),
            (&[0x66, 0x50], false, "push %ax"),
            (&[0x48, 0x50], false, "push %rax with an idle prefix"),
            (&[0x6a, 0x01], false, "push $1"),
            (&[0xff, 0x30], false, "push (%rax)"),
            (&[0x90], true, "nop"),
            (&[0x66, 0x90], false, "nop of 2 bytes"),
            (&[0xf3, 0x90], false, "pause"),
            (&[0x41, 0x90], false, "xchg %r8, %rax"),
            (&[0x0f, 0x1f, 0x40, 0x00], false, "nop of 4 bytes"),
            (&[0x0f, 0x1f, 0x44, 0x00, 0x00], false, "nop of 5 bytes"),
            (&[0x2e, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], false, "nop of 10 bytes"),
            (&[0xeb, 0x10], true, "jmp, short"),
            (&[0xe9, 1, 0, 0, 0], true, "jmp, near"),
            (&[0xf2, 0xe9, 1, 0, 0, 0], true, "bnd jmp"),
            (&[0x66, 0xe9, 1, 0, 0, 0], false, "jmp with an operand-size prefix"),
            (&[0xff, 0xe0], false, "jmp *%rax"),
            (&[0x3e, 0xff, 0xe0], false, "notrack jmp *%rax"),
            (&[0xff, 0x28], false, "ljmp *(%rax)"),
            (&[0x78, 0x10], true, "js, short"),
            (&[0x0f, 0x84, 1, 0, 0, 0], true, "je, near"),
            (&[0x3e, 0x74, 0x10], false, "je with a hint"),
            (&[0xf2, 0x0f, 0x84, 1, 0, 0, 0], true, "bnd je"),
            (&[0xe3, 0x10], false, "jrcxz"),
            (&[0xe2, 0x10], false, "loop"),
            (&[0xe8, 1, 0, 0, 0], true, "call"),
            (&[0xff, 0xd0], false, "call *%rax"),
            (&[0xf3, 0x0f, 0x1e, 0xfa], false, "endbr64"),
            (&[0xc3], false, "ret"),
            (&[0x48, 0x89, 0xfe], false, "mov %rdi, %rsi"),
            (&[0x06], false, "an invalid byte"),
        ];
        for (bytes, expected, name) in cases {
            assert_eq!(is_emulated(&decode(bytes), bytes), *expected, "{name}");
        }
    }

    #[test]
    fn a_length_that_disagrees_is_not_an_instruction() {
        assert!(!is_emulated(&decode(&[0x90]), &[0x90, 0x90]));
        assert!(!is_emulated(&decode(&[0xe9, 1, 0, 0, 0]), &[]));
    }

    #[test]
    fn the_site_lies_where_the_arguments_still_are() {
        #[rustfmt::skip]
        let cases: &[(&[u8], Option<u64>, &str)] = &[
            (&[0x48, 0x89, 0xfe, 0x48, 0x85, 0xff, 0x78, 0x20], Some(6), "mov; test; js"),
            (&[0xf3, 0x0f, 0x1e, 0xfa, 0x55], Some(4), "endbr64; push"),
            (&[0x48, 0x85, 0xf6, 0x74, 0x20], Some(3), "test; je"),
            (&[0x48, 0x8d, 0x46, 0xff, 0x53], Some(4), "lea; push"),
            (&[0x41, 0x57, 0x41, 0x56], Some(0), "push"),
            (&[0x48, 0x89, 0xfe, 0x48, 0x8b, 0x3d, 1, 0, 0, 0, 0xff, 0x25, 1, 0, 0, 0], None,
             "mov; mov (argument overwritten); jmp *"),
            (&[0x48, 0x8b, 0x05, 1, 0, 0, 0, 0xff, 0x25, 1, 0, 0, 0], None, "mov; jmp *"),
            (&[0x48, 0x89, 0xfe, 0x31, 0xff, 0x55], Some(5), "mov; xor (moved before); push"),
            (&[0x48, 0x89, 0xfe, 0x31, 0xf6, 0x31, 0xff, 0x55], None, "both overwritten; push"),
            (&[0x89, 0xfe, 0x31, 0xff, 0x55], None, "mov %edi, %esi (half of it); xor; push"),
            (&[0x40, 0xb7, 0x01, 0x55], None, "mov $1, %dil; push"),
            (&[0x31, 0xff, 0x55], None, "xor %edi, %edi; push"),
            (&[0x48, 0x0f, 0x44, 0xfe, 0x55], None, "cmove %rsi, %rdi; push"),
            (&[0xe8, 1, 0, 0, 0, 0x55], None, "call; push"),
            (&[0xc3, 0x55], None, "ret; push"),
            (&[0x0f, 0x05, 0x55], None, "syscall; push"),
            (&[0x48, 0x89, 0xfe], None, "mov, and the code ends"),
            (&[0x48, 0x89, 0xfe, 0xe9, 0xf8, 0xff, 0xff, 0xff], Some(3), "mov; jmp entry"),
            (&[], None, "nothing"),
        ];
        for (code, expected, name) in cases {
            assert_eq!(distance(code, &RDI, true), *expected, "{name}");
        }
    }

    #[test]
    fn arguments_that_change_places_are_followed() {
        // mov %rsi, %rdx; mov %rdi, %rsi; mov %rax, %rdi; jmp
        let code = [
            0x48, 0x89, 0xf2, 0x48, 0x89, 0xfe, 0x48, 0x89, 0xc7, 0xe9, 0, 0, 0, 0,
        ];
        let site = entry_site(&code, ENTRY, &[Register::RDI, Register::RSI], true);
        let expected = EntrySite {
            address: ENTRY + 9,
            arguments: vec![Register::RSI, Register::RDX],
        };
        assert_eq!(site, Some(expected));
    }

    #[test]
    fn a_moved_stack_matters_to_return_probes_only() {
        // sub $0x18, %rsp; test %rdi, %rdi; js
        let code = [0x48, 0x83, 0xec, 0x18, 0x48, 0x85, 0xff, 0x78, 0x20];
        assert_eq!(distance(&code, &RDI, true), None);
        assert_eq!(distance(&code, &RDI, false), Some(7));
    }

    #[test]
    fn every_argument_counts() {
        // xor %esi, %esi; push %rbp
        let code = [0x31, 0xf6, 0x55];
        assert_eq!(distance(&code, &RDI, true), Some(2));
        assert_eq!(distance(&code, &[Register::RDI, Register::ESI], true), None);
    }

    #[test]
    fn a_block_that_is_also_a_loop_has_no_site() {
        // test %rdi, %rdi; je +5; sub $1, %rdi; and a jump back to the test, or to the je
        let code = |back: u8| [0x48, 0x85, 0xff, 0x74, 5, 0x48, 0xff, 0xcf, 0xeb, back];
        assert_eq!(distance(&code(0xf6), &RDI, true), Some(3));
        assert_eq!(distance(&code(0xf9), &RDI, true), None);
    }

    /// Instructions that entry blocks are made of, and bytes that are none.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&[u8]> = vec![
            &[0xf3, 0x0f, 0x1e, 0xfa],
            &[0x48, 0x89, 0xfe],
            &[0x48, 0x89, 0xf7],
            &[0x48, 0x85, 0xff],
            &[0x48, 0x83, 0xec, 0x18],
            &[0x48, 0x8d, 0x46, 0xff],
            &[0x0f, 0x1f, 0x44, 0x00, 0x00],
            &[0x66, 0x90],
            &[0x8f, 0xc7],
            &[0x66, 0x50],
            &[0x53],
            &[0x74, 0xfb],
            &[0xe8, 0, 0, 0, 0],
            &[0xff, 0xe0],
        ];
        let piece = prop_oneof![
            8 => select(pieces).prop_map(<[u8]>::to_vec),
            1 => vec(any::<u8>(), 0..6),
        ];
        vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_is_chosen_keeps_its_promise(code in pieces(), keep_stack: bool) {
            if let Some(site) = entry_site(&code, ENTRY, &RDI, keep_stack) {
                // What registers hold: the argument, or anything else.
                let mut is_argument = HashMap::from([(Register::RDI, true)]);
                let mut decoder = Decoder::with_ip(64, &code, ENTRY, DecoderOptions::NONE);
                let mut factory = InstructionInfoFactory::new();
                loop {
                    let instruction = decoder.decode();
                    prop_assert!(!instruction.is_invalid());
                    let start = usize::try_from(instruction.ip() - ENTRY).unwrap();
                    if instruction.ip() == site.address {
                        let bytes = &code[start..decoder.position()];
                        prop_assert!(is_emulated(&instruction, bytes));
                        prop_assert_ne!(instruction.flow_control(), FlowControl::Call);
                        prop_assert_eq!(is_argument.get(&site.arguments[0]), Some(&true));
                        break;
                    }
                    prop_assert!(instruction.ip() < site.address);
                    prop_assert_eq!(instruction.flow_control(), FlowControl::Next);
                    let copies = instruction.mnemonic() == Mnemonic::Mov
                        && instruction.op0_register().size() == 8
                        && is_argument.get(&instruction.op1_register()) == Some(&true);
                    for written in written_registers(&mut factory, &instruction) {
                        is_argument.insert(written, copies);
                        prop_assert!(!keep_stack || written != Register::RSP);
                    }
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(code in vec(any::<u8>(), 0..64), address: u64, keep: bool) {
            let found = entry_site(&code, address, &[Register::RDI, Register::XMM0], keep);
            prop_assert!(found.is_none_or(|site| site.address.wrapping_sub(address) < 64));
        }
    }
}
