//! What differs between processor architectures, but for machine code, which is in `instruction`
//! and in `python::sites`, and the structures of `CPython`, which are in `python::layouts`.
//!
//! Probes are set on x86-64 alone. For 64-bit ARM there is here what could be read from headers
//! and binaries; none of it has been tried.

use super::{c_library::CLibrary, elf::Machine};

/// What is particular to an architecture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Architecture {
    /// What binaries call it.
    pub machine: Machine,
    /// What the kernel calls it.
    pub uname: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// The member of the kernel's `thread_struct` that holds, or begins with, the thread pointer.
    pub thread_pointer: &'static str,
    /// The number of the system call through which a probed function returns; `None` where it
    /// returns through a breakpoint, which no filter of system calls sees.
    pub return_call: Option<u32>,
    /// How far what `pthread_self` returns is below the thread pointer, in bytes.
    thread_structure: ThreadStructure,
}

/// The size of what a C library keeps of a thread in front of where the thread pointer points.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct ThreadStructure {
    gnu: u64,
    musl: u64,
}

/// 64-bit x86.
const X86_64: Architecture = Architecture {
    machine: Machine::X86_64,
    uname: "x86_64",
    name: "x86-64",
    thread_pointer: "fsbase",
    return_call: Some(335),
    // The thread pointer points to the structure itself.
    thread_structure: ThreadStructure { gnu: 0, musl: 0 },
};

/// 64-bit ARM.
const AARCH64: Architecture = Architecture {
    machine: Machine::Aarch64,
    uname: "aarch64",
    name: "aarch64",
    // A structure that begins with `tp_value`.
    thread_pointer: "uw",
    return_call: None,
    // Those of glibc 2.43 and musl 1.2.6; the code of `pthread_self` has that of any other.
    thread_structure: ThreadStructure {
        gnu: 1824,
        musl: 200,
    },
};

/// Those of which anything is known.
const ALL: [Architecture; 2] = [X86_64, AARCH64];

/// That of this very program, and so of all that run beside it.
pub const HERE: Architecture = if cfg!(target_arch = "aarch64") {
    AARCH64
} else {
    X86_64
};

/// The only one whose machine code is understood, without which there are no probes.
pub const PROBED: Architecture = X86_64;

impl Architecture {
    /// The one that the kernel calls so.
    pub fn named(uname: &str) -> Option<Self> {
        ALL.into_iter().find(|one| one.uname == uname)
    }

    /// What `pthread_self` returns in the thread with this thread pointer, which is the number by
    /// which `CPython` knows it.
    pub fn thread_id(&self, library: CLibrary, thread_pointer: u64) -> u64 {
        let ThreadStructure { gnu, musl } = self.thread_structure;
        thread_pointer.wrapping_sub(match library {
            CLibrary::Gnu => gnu,
            CLibrary::Musl => musl,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{env::consts::ARCH, fs};

    use super::*;
    use crate::process::elf::ElfFile;

    #[test]
    fn this_program_is_of_the_architecture_that_it_says() {
        let program = ElfFile::open("/proc/self/exe".as_ref()).unwrap();
        assert_eq!(program.machine(), HERE.machine);
        assert_eq!(Architecture::named(ARCH), Some(HERE));
    }

    #[test]
    fn the_kernel_returns_from_probes_by_the_call_that_is_noted() {
        // The header knows it since Linux 6.11.
        let headers = fs::read_to_string("/usr/include/x86_64-linux-gnu/asm/unistd_64.h");
        let known = headers.unwrap_or_default();
        let number = known
            .lines()
            .find_map(|line| line.strip_prefix("#define __NR_uretprobe "));
        let noted = X86_64.return_call.map(|number| number.to_string());
        assert!(number.is_none_or(|number| Some(number) == noted.as_deref()));
    }

    #[test]
    fn only_on_x86_64_a_thread_is_known_by_its_thread_pointer() {
        let pointer = 0x7f00_0000_1000;
        let ids = |one: Architecture| {
            [CLibrary::Gnu, CLibrary::Musl].map(|library| one.thread_id(library, pointer))
        };
        assert_eq!(ids(X86_64), [pointer; 2]);
        assert_eq!(ids(AARCH64), [pointer - 0x720, pointer - 0xc8]);
        assert_eq!(AARCH64.thread_id(CLibrary::Musl, 0), 0u64.wrapping_sub(200));
    }

    #[test]
    fn machines_and_names_tell_architectures_apart() {
        for one in ALL {
            let same = |other: &&Architecture| {
                other.machine == one.machine || other.uname == one.uname || other.name == one.name
            };
            assert_eq!(ALL.iter().filter(same).count(), 1, "{}", one.name);
        }
        assert_eq!(Architecture::named("riscv64"), None);
    }
}
