//! The registers of 64-bit ARM. Nothing of this has been tried.

use core::{mem::offset_of, ptr};

use aya_ebpf::bindings::pt_regs;

use super::{SyscallRegisters, saved_registers};
use crate::memory::read_kernel;

/// The numbers of system calls.
pub(crate) mod call {
    pub(crate) const BRK: u32 = 214;
    pub(crate) const MUNMAP: u32 = 215;
    pub(crate) const MREMAP: u32 = 216;
    pub(crate) const MMAP: u32 = 222;
}

/// Where the kernel keeps the first argument of a system call, behind the registers of the user:
/// `x0` holds the result when the call ends.
const FIRST_ARGUMENT_OFFSET: u64 = size_of::<pt_regs>() as u64;

/// The registers with which the current system call was entered.
#[inline(always)]
pub(crate) fn syscall_registers() -> Option<SyscallRegisters> {
    let saved = saved_registers();
    let first = read_kernel(saved + FIRST_ARGUMENT_OFFSET)?;
    let [_x0, x1, x2, x3, x4]: [u64; 5] = read_kernel(saved)?;
    let stack = read_kernel(saved + offset_of!(pt_regs, sp) as u64)?;
    Some(SyscallRegisters {
        arguments: [first, x1, x2, x3, x4],
        stack,
    })
}

/// The first argument of the function at whose start the probe stands.
#[inline(always)]
pub(crate) fn first_argument(registers: &pt_regs) -> u64 {
    registers.regs[0]
}

/// The second argument of that function.
#[inline(always)]
pub(crate) fn second_argument(registers: &pt_regs) -> u64 {
    registers.regs[1]
}

/// What the function has returned.
#[inline(always)]
pub(crate) fn return_value(registers: &pt_regs) -> u64 {
    registers.regs[0]
}

/// The stack pointer.
#[inline(always)]
pub(crate) fn stack_pointer(registers: &pt_regs) -> u64 {
    registers.sp
}

/// By how much the stack pointer has grown between a function's start and its return: the return
/// address is in a register.
pub(crate) const RETURN_ADDRESS_BYTES: u64 = 0;

/// The register with this number in the instruction encoding, where 31 is the stack pointer.
///
/// It is read through a helper: the verifier forbids loads from a context at an offset that is
/// only known when the program runs.
#[inline(always)]
pub(crate) fn by_number(registers: &pt_regs, number: u8) -> u64 {
    let offset = u64::from(number & 31) * size_of::<u64>() as u64;
    read_kernel(ptr::from_ref(registers) as u64 + offset).unwrap_or_default()
}
