//! `/proc/PID/stat`: one line of figures about a process.

use std::{io, time::Duration};

use rustix::param::clock_ticks_per_second;

use super::{ProcessError, proc_file};
use crate::units::Pid;

const WHAT: &str = "the state";

/// The process is a part of the kernel: `PF_KTHREAD` of `linux/sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The fields that are used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stat {
    pub(super) name: String,
    pub(super) state: char,
    pub(super) parent: Pid,
    flags: u64,
    /// Processor time, in ticks of the kernel's clock.
    ticks: u64,
    pub(super) threads: u32,
    /// On which it ran last.
    pub(super) processor: Option<usize>,
}

impl Stat {
    pub(super) fn read(pid: Pid) -> Result<Self, ProcessError> {
        Self::read_file(pid, "stat")
    }

    /// The same of one thread of the process.
    pub(super) fn read_thread(pid: Pid, tid: u32) -> Result<Self, ProcessError> {
        Self::read_file(pid, &format!("task/{tid}/stat"))
    }

    fn read_file(pid: Pid, name: &str) -> Result<Self, ProcessError> {
        let bytes = proc_file::read(pid, name, WHAT)?;
        Self::parse(&bytes).ok_or_else(|| ProcessError::Unreadable {
            pid,
            what: WHAT,
            source: io::Error::from(io::ErrorKind::InvalidData),
        })
    }

    /// Reads the line, or `None` if it is not one.
    fn parse(line: &[u8]) -> Option<Self> {
        // The name is in parentheses and may hold anything, other parentheses too.
        let open = line.iter().position(|byte| *byte == b'(')?;
        let close = line.iter().rposition(|byte| *byte == b')')?;
        let name = line.get(open + 1..close)?;
        let rest = str::from_utf8(line.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Fields are counted from one, and the one after the name is the third.
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |index: usize| field(index)?.parse::<u64>().ok();
        Some(Self {
            name: proc_file::printable(name),
            state: field(3)?.chars().next()?,
            parent: Pid(field(4)?.parse().ok()?),
            flags: number(9)?,
            ticks: number(14)?.saturating_add(number(15)?),
            threads: field(20)?.parse().ok()?,
            processor: field(39).and_then(|number| number.parse().ok()),
        })
    }

    pub(super) fn is_kernel_thread(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }

    pub(super) fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Processor time used so far.
    pub(super) fn cpu(&self) -> Duration {
        let rate = clock_ticks_per_second().max(1);
        let nanoseconds = u128::from(self.ticks % rate) * 1_000_000_000 / u128::from(rate);
        Duration::from_secs(self.ticks / rate)
            + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KTHREADD: &[u8] = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 25 0 0 \
        18446744073709551615 0 0 0 0 0 0 0 2147483647 0 1 0 0 0 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn a_name_may_hold_parentheses_spaces_and_line_ends() {
        let line = b"7 (a) S 1 (\n\xff) R 3 7 7 34816 7 4194304 1 2 3 4 250 31 5 6 20 0 2 0 99 0";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat.name, "a) S 1 ( \u{fffd}");
        assert_eq!((stat.state, stat.parent), ('R', Pid(3)));
        assert_eq!(stat.threads, 2);
        let rate = clock_ticks_per_second();
        assert_eq!(stat.cpu().as_nanos(), u128::from(281_000_000_000 / rate));
        assert!(!stat.is_kernel_thread());
    }

    #[test]
    fn threads_of_the_kernel_carry_a_flag() {
        let stat = Stat::parse(KTHREADD).unwrap();
        assert!(stat.is_kernel_thread());
        assert_eq!(stat.processor, Some(3));
    }

    #[test]
    fn half_a_line_is_not_read() {
        assert_eq!(Stat::parse(&KTHREADD[..40]), None);
        assert_eq!(Stat::parse(b""), None);
        assert_eq!(Stat::parse(b") ("), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(
            name in proptest::collection::vec(any::<u8>(), 0..40),
            numbers in proptest::collection::vec(any::<i128>(), 0..30),
        ) {
            let mut line = b"1 (".to_vec();
            line.extend(&name);
            line.extend(b") S ");
            for number in &numbers {
                line.extend(format!("{number} ").as_bytes());
            }
            if let Some(stat) = Stat::parse(&line) {
                prop_assert!(!stat.name.chars().any(char::is_control));
                prop_assert!(stat.cpu() < Duration::MAX);
            }
            prop_assert_eq!(Stat::parse(&name).is_none(), true);
        }
    }
}
