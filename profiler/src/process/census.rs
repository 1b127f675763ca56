//! How large a process is, as the kernel counts.

use std::time::Duration;

use rustix::param::page_size;

use super::{ProcessError, proc_file, stat::Stat};
use crate::units::Pid;

/// How large a process is and how much it has run. What the kernel did not tell is `None`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// Resident bytes; the kernel may be some hundred pages behind.
    pub rss: u64,
    /// Resident bytes, shared ones divided by the number of their users.
    pub pss: Option<u64>,
    /// Resident bytes that no other process shares.
    pub uss: Option<u64>,
    /// Anonymous resident bytes.
    pub anonymous: Option<u64>,
    /// Bytes swapped out.
    pub swap: Option<u64>,
    /// How many threads it has.
    pub threads: u32,
    /// Processor time used since it started.
    pub cpu: Duration,
}

impl Figures {
    /// Asks the kernel.
    ///
    /// `deep` tells what the kernel must walk the page tables for: it costs milliseconds for each
    /// gigabyte, and whoever maps or unmaps memory in the process waits meanwhile.
    pub fn read(pid: Pid, deep: bool) -> Result<Self, ProcessError> {
        let stat = Stat::read(pid)?;
        let statm = proc_file::read(pid, "statm", "the size")?;
        let mut figures = Self {
            // Threads of the kernel and processes that end have no memory.
            rss: resident(&statm).unwrap_or(0),
            threads: stat.threads,
            cpu: stat.cpu(),
            ..Self::default()
        };
        if deep {
            figures.add_rollup(&read_rollup(pid)?);
        }
        Ok(figures)
    }

    fn add_rollup(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let field = |key: &str| {
            let mut values = text.lines().filter_map(|line| kilobytes(line, key));
            values.next()
        };
        let private = ["Private_Clean", "Private_Dirty"].map(field);
        self.pss = field("Pss");
        self.uss = match private {
            [Some(clean), Some(dirty)] => Some(clean.saturating_add(dirty)),
            _ => None,
        };
        self.anonymous = field("Anonymous");
        self.swap = field("Swap");
    }
}

/// The processor time that all threads of a process have used, to the nanosecond; `None` if it is
/// gone.
pub fn processor_time(pid: Pid) -> Option<Duration> {
    let id = libc::pid_t::try_from(pid.0).ok()?;
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the call writes a number to where it is told.
    if unsafe { libc::clock_getcpuclockid(id, &raw mut clock) } != 0 {
        return None;
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: as above.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    Some(Duration::new(
        u64::try_from(time.tv_sec).ok()?,
        u32::try_from(time.tv_nsec).ok()?,
    ))
}

/// On which processor a thread of a process ran last; `None` if it is gone.
pub fn processor_of(pid: Pid, tid: u32) -> Option<usize> {
    Stat::read_thread(pid, tid).ok()?.processor
}

/// The file that sums up all mappings; nothing where the kernel has none or does not show it.
fn read_rollup(pid: Pid) -> Result<Vec<u8>, ProcessError> {
    match proc_file::read(pid, "smaps_rollup", "the sizes of the mappings") {
        Ok(text) => Ok(text),
        Err(ProcessError::NotPermitted { .. }) => Ok(Vec::new()),
        Err(ProcessError::NoSuchProcess { .. }) if Stat::read(pid).is_ok() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn resident(statm: &[u8]) -> Option<u64> {
    let field = str::from_utf8(statm).ok()?.split(' ').nth(1)?;
    let page = u64::try_from(page_size()).ok()?;
    field.parse::<u64>().ok()?.checked_mul(page)
}

/// The value of a line `Key:    12 kB`, in bytes.
fn kilobytes(line: &str, key: &str) -> Option<u64> {
    let value = line.strip_prefix(key)?.strip_prefix(':')?;
    let number = value.trim().strip_suffix(" kB")?;
    number.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::process::testing::{Program, Zombie};

    const ROLLUP: &[u8] = b"\
55d9c0ce2000-7ffd4a1ff000 ---p 00000000 00:00 0                          [rollup]
Rss:                1832 kB
Pss:                 187 kB
Pss_Anon:             92 kB
Private_Clean:        12 kB
Private_Dirty:        96 kB
Anonymous:            92 kB
Swap:                  4 kB
SwapPss:               2 kB
";

    #[test]
    fn the_rollup_tells_what_is_shared() {
        let mut figures = Figures::default();
        figures.add_rollup(ROLLUP);
        assert_eq!(figures.pss, Some(187 * 1024));
        assert_eq!(figures.uss, Some(108 * 1024));
        assert_eq!(figures.anonymous, Some(92 * 1024));
        assert_eq!(figures.swap, Some(4 * 1024));
    }

    #[test]
    fn what_is_not_told_is_none() {
        let mut figures = Figures::default();
        figures.add_rollup(b"Pss: 1 MB\nPrivate_Clean:  1 kB\nSwap: 99999999999999999999 kB");
        assert_eq!(figures, Figures::default());
        assert_eq!(resident(b"1"), None);
        assert_eq!(resident(b"5 18446744073709551615 1"), None);
    }

    #[test]
    fn a_process_has_memory_and_one_thread() {
        let program = Program::start();
        let shallow = Figures::read(program.pid(), false).unwrap();
        assert!(shallow.rss > 100_000 && shallow.rss < 1 << 30);
        assert_eq!(
            (shallow.threads, shallow.pss, shallow.swap),
            (1, None, None)
        );
        let deep = Figures::read(program.pid(), true).unwrap();
        assert!(deep.uss.unwrap() > 0 && deep.uss <= deep.pss);
        assert!(deep.anonymous.unwrap() > 0);
        assert!(deep.swap.is_some());
    }

    #[test]
    fn touched_memory_and_spent_time_are_seen() {
        let touch = "import sys, time\nkept = b'x' * (32 << 20)\n\
            while time.process_time() < 0.05: pass\n\
            print(input(), flush=True)\ninput()";
        let python = Program::spawn(Command::new("python3").args(["-c", touch]));
        let figures = Figures::read(python.pid(), true).unwrap();
        assert!(figures.rss > 32 << 20);
        assert!(figures.anonymous.unwrap() > 32 << 20);
        assert!(figures.cpu >= Duration::from_millis(40));
    }

    #[test]
    fn a_process_that_is_gone_has_no_size() {
        let mut program = Program::start();
        program.end();
        let error = Figures::read(program.pid(), true).unwrap_err();
        assert!(matches!(error, ProcessError::NoSuchProcess { .. }));
    }

    #[test]
    fn a_zombie_has_no_size_but_figures() {
        let zombie = Zombie::start();
        let figures = Figures::read(zombie.pid(), true).unwrap();
        assert_eq!((figures.rss, figures.pss, figures.threads), (0, None, 1));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "((Pss|Swap|Anonymous)?:? {0,3}[0-9]{0,22}( kB)?\n){0,5}") {
            let mut figures = Figures::default();
            figures.add_rollup(text.as_bytes());
            prop_assert_eq!(figures.uss, None);
            prop_assert!(resident(text.as_bytes()).is_none_or(|size| size % 4096 == 0));
        }
    }
}
