//! The user registers of the target, as each kind of program sees them. All that depends on the
//! processor architecture is below here: a file for each, with the same names in it.

// A BPF program is compiled for one architecture that it runs on; what is only type-checked, for
// that of the check.
#[cfg(any(bpf_target_arch = "aarch64", target_arch = "aarch64"))]
mod aarch64;
#[cfg(not(any(bpf_target_arch = "aarch64", target_arch = "aarch64")))]
mod x86_64;

#[cfg(any(bpf_target_arch = "aarch64", target_arch = "aarch64"))]
use self::aarch64 as architecture;
#[cfg(not(any(bpf_target_arch = "aarch64", target_arch = "aarch64")))]
use self::x86_64 as architecture;

use aya_ebpf::{
    bindings::task_struct,
    helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
};

pub(crate) use self::architecture::{
    RETURN_ADDRESS_BYTES, by_number, call, first_argument, return_value, second_argument,
    stack_pointer, syscall_registers,
};

/// What a system call was called with, and the stack pointer then.
pub(crate) struct SyscallRegisters {
    /// The arguments, in their order.
    pub(crate) arguments: [u64; 5],
    /// The stack pointer.
    pub(crate) stack: u64,
}

/// Where the kernel has saved the registers with which the current system call was entered.
#[inline(always)]
fn saved_registers() -> u64 {
    // SAFETY: both helpers only need a current task, which every system call has.
    unsafe {
        let task: *mut task_struct = bpf_get_current_task_btf();
        bpf_task_pt_regs(task).cast_unsigned()
    }
}
