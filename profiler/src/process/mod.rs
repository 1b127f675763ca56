//! What the operating system knows about processes, and what their binaries hold.
//!
//! Nothing here knows Python or BPF. Whatever a process or a file says is checked before it is
//! used: a target can be hostile, and it can end at any moment.

pub mod architecture;
pub mod c_library;
pub mod census;
pub mod cgroup;
pub mod elf;
pub mod heap;
pub mod identity;
pub mod image;
pub mod instruction;
pub mod link_map;
pub mod maps;
pub mod memory;
pub mod pagemap;
mod proc_file;
pub mod sharing;
pub mod sockets;
mod stat;

#[cfg(test)]
mod testing;

use std::io;

use rustix::io::Errno;
use thiserror::Error;

use self::identity::Identity;
use crate::units::Pid;

/// Why a process cannot be looked at.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// It ended, or it never existed.
    #[error("process {pid} is not running")]
    NoSuchProcess {
        /// The process.
        pid: Pid,
    },
    /// It is a part of the kernel, which has no memory of its own.
    #[error("process {pid} ({name}) is a kernel thread")]
    KernelThread {
        /// The process.
        pid: Pid,
        /// What it calls itself.
        name: String,
    },
    /// It ended, and only its parent has not noticed.
    #[error("process {pid} ({name}) has ended and waits for its parent to notice")]
    Zombie {
        /// The process.
        pid: Pid,
        /// What it called itself.
        name: String,
    },
    /// The kernel refused.
    #[error("not allowed to read {what} of process {pid}")]
    NotPermitted {
        /// The process.
        pid: Pid,
        /// What was to be read.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something else went wrong.
    #[error("cannot read {what} of process {pid}")]
    Unreadable {
        /// The process.
        pid: Pid,
        /// What was to be read.
        what: &'static str,
        /// What went wrong.
        source: io::Error,
    },
}

impl ProcessError {
    /// What it means that `what` of a process could not be read.
    fn new(pid: Pid, what: &'static str, source: io::Error) -> Self {
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT | Errno::SRCH) => Self::NoSuchProcess { pid },
            Some(Errno::ACCESS | Errno::PERM) => Self::NotPermitted { pid, what, source },
            _ => Self::Unreadable { pid, what, source },
        }
    }
}

/// Checks that there is such a process and that it has a memory to look at.
pub fn check(pid: Pid) -> Result<Identity, ProcessError> {
    let stat = stat::Stat::read(pid)?;
    let name = stat.name.clone();
    if stat.is_kernel_thread() {
        return Err(ProcessError::KernelThread { pid, name });
    }
    if stat.is_zombie() {
        return Err(ProcessError::Zombie { pid, name });
    }
    Identity::from_stat(pid, stat)
}

#[cfg(test)]
mod tests {
    use super::{
        testing::{Program, Zombie},
        *,
    };

    #[test]
    fn a_running_process_is_accepted() {
        let program = Program::start();
        assert_eq!(check(program.pid()).unwrap().name, "cat");
    }

    #[test]
    fn a_process_that_does_not_exist_is_refused_by_number() {
        let error = check(Pid(u32::MAX)).unwrap_err();
        assert_eq!(error.to_string(), "process 4294967295 is not running");
    }

    #[test]
    fn a_zombie_is_refused_by_name() {
        let zombie = Zombie::start();
        let error = check(zombie.pid()).unwrap_err();
        let expected = format!(
            "process {} (true) has ended and waits for its parent to notice",
            zombie.pid()
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_kernel_thread_is_refused_where_one_can_be_seen() {
        if std::fs::read("/proc/2/comm").is_ok_and(|name| name == b"kthreadd\n") {
            let error = check(Pid(2)).unwrap_err();
            assert_eq!(error.to_string(), "process 2 (kthreadd) is a kernel thread");
        }
    }

    #[test]
    fn a_refusal_is_told_from_an_end() {
        let told = |errno: Errno| ProcessError::new(Pid(7), "the memory map", errno.into());
        assert!(matches!(
            told(Errno::SRCH),
            ProcessError::NoSuchProcess { .. }
        ));
        assert!(matches!(told(Errno::IO), ProcessError::Unreadable { .. }));
        assert_eq!(
            told(Errno::ACCESS).to_string(),
            "not allowed to read the memory map of process 7"
        );
    }
}
