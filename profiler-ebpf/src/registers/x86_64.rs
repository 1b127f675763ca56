//! The registers of x86-64.

use core::{mem::offset_of, ptr};

use aya_ebpf::bindings::pt_regs;

use super::{SyscallRegisters, saved_registers};
use crate::memory::read_kernel;

/// The numbers of system calls.
pub(crate) mod call {
    pub(crate) const MMAP: u32 = 9;
    pub(crate) const MUNMAP: u32 = 11;
    pub(crate) const BRK: u32 = 12;
    pub(crate) const MREMAP: u32 = 25;
}

/// Where the saved registers keep the arguments of a system call: `r10`, `r9`, `r8`, `rax`, `rcx`,
/// `rdx`, `rsi` and `rdi` stand in a row.
const ARGUMENTS_OFFSET: u64 = offset_of!(pt_regs, r10) as u64;

/// The registers with which the current system call was entered.
#[inline(always)]
pub(crate) fn syscall_registers() -> Option<SyscallRegisters> {
    let saved = saved_registers();
    let [r10, _r9, r8, _rax, _rcx, rdx, rsi, rdi]: [u64; 8] =
        read_kernel(saved + ARGUMENTS_OFFSET)?;
    let stack = read_kernel(saved + offset_of!(pt_regs, rsp) as u64)?;
    Some(SyscallRegisters {
        arguments: [rdi, rsi, rdx, r10, r8],
        stack,
    })
}

/// The first argument of the function at whose start the probe stands.
#[inline(always)]
pub(crate) fn first_argument(registers: &pt_regs) -> u64 {
    registers.rdi
}

/// The second argument of that function.
#[inline(always)]
pub(crate) fn second_argument(registers: &pt_regs) -> u64 {
    registers.rsi
}

/// What the function has returned.
#[inline(always)]
pub(crate) fn return_value(registers: &pt_regs) -> u64 {
    registers.rax
}

/// The stack pointer.
#[inline(always)]
pub(crate) fn stack_pointer(registers: &pt_regs) -> u64 {
    registers.rsp
}

/// By how much the stack pointer has grown between a function's start and its return: the
/// return address has been taken off.
pub(crate) const RETURN_ADDRESS_BYTES: u64 = 8;

/// The register with this number in the order of the instruction encoding.
///
/// It is read through a helper: the verifier forbids loads from a context at an offset that is
/// only known when the program runs.
#[inline(always)]
pub(crate) fn by_number(registers: &pt_regs, number: u8) -> u64 {
    let offset = match number {
        0 => offset_of!(pt_regs, rax),
        1 => offset_of!(pt_regs, rcx),
        2 => offset_of!(pt_regs, rdx),
        3 => offset_of!(pt_regs, rbx),
        4 => offset_of!(pt_regs, rsp),
        5 => offset_of!(pt_regs, rbp),
        6 => offset_of!(pt_regs, rsi),
        7 => offset_of!(pt_regs, rdi),
        8 => offset_of!(pt_regs, r8),
        9 => offset_of!(pt_regs, r9),
        10 => offset_of!(pt_regs, r10),
        11 => offset_of!(pt_regs, r11),
        12 => offset_of!(pt_regs, r12),
        13 => offset_of!(pt_regs, r13),
        14 => offset_of!(pt_regs, r14),
        _ => offset_of!(pt_regs, r15),
    };
    read_kernel(ptr::from_ref(registers) as u64 + offset as u64).unwrap_or_default()
}
