//! The maps of the kernel half: whom it follows, what it counted, and what it sends.

use std::{
    os::fd::{AsFd as _, BorrowedFd},
    time::Duration,
};

use aya::maps::MapError;
use profiler_common::{
    config::{Cause, PortRole, ProcessConfig, Spent, ThreadSlot, Traffic},
    loss::Loss,
};
use rustix::io::Errno;

use super::{Probe, ProbeError, Record, record};
use crate::{profile::Losses, units::Pid};

/// Insert only if the key is new (`BPF_NOEXIST`).
const IF_ABSENT: u64 = 1;

/// What the kernel half counted for a process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ProcessCounters {
    /// For tracepoints and page faults.
    pub kernel: Runs,
    /// For probes of blocks over 512 bytes.
    pub blocks: Runs,
    /// For probes of pools and arenas.
    pub pools: Runs,
    /// For probes of objects.
    pub objects: Runs,
    /// For probes where objects are only counted.
    pub counted: Runs,
    /// How many of them were handed out there.
    pub counted_objects: u64,
    /// What came through its sockets.
    pub traffic: Traffic,
}

/// Runs of programs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Runs {
    /// How many.
    pub count: u64,
    /// The time spent in them, without the traps that led there.
    pub handlers: Duration,
}

impl From<Spent> for Runs {
    fn from(spent: Spent) -> Self {
        Self {
            count: spent.runs,
            handlers: Duration::from_nanos(spent.handler_ns),
        }
    }
}

impl Probe {
    /// Starts to follow a process, or replaces what was known about it.
    pub fn follow(&mut self, pid: Pid, config: &ProcessConfig) -> Result<(), ProbeError> {
        self.processes.insert(&pid.0, config, 0).map_err(|source| {
            if os_error(&source) == Some(Errno::TOOBIG) {
                return ProbeError::TooManyProcesses { pid };
            }
            ProbeError::Map {
                name: "PROCESSES",
                source,
            }
        })
    }

    /// Makes room for what is to be known about a thread; keeps what is known already.
    pub fn follow_thread(&mut self, tid: u32) -> Result<(), ProbeError> {
        match self.threads.insert(&tid, &ThreadSlot::default(), IF_ABSENT) {
            Err(error) if os_error(&error) != Some(Errno::EXIST) => Err(ProbeError::Map {
                name: "THREADS",
                source: error,
            }),
            _ => Ok(()),
        }
    }

    /// Stops to follow a process; it may have ended already.
    pub fn forget(&mut self, pid: Pid) {
        let _absent: Result<(), MapError> = self.processes.remove(&pid.0);
    }

    /// What was counted for a process; `None` once it has ended.
    pub fn counters(&self, pid: Pid) -> Option<ProcessCounters> {
        let config = self.processes.get(&pid.0, 0).ok()?;
        let runs = |cause: Cause| Runs::from(config.spent[cause as usize]);
        Some(ProcessCounters {
            kernel: runs(Cause::Kernel),
            blocks: runs(Cause::Blocks),
            pools: runs(Cause::Pools),
            objects: runs(Cause::Objects),
            counted: runs(Cause::Counted),
            counted_objects: config.counted,
            traffic: config.traffic,
        })
    }

    /// From now on, what is received through this port counts. If there are too many, it does not.
    pub fn look_out_for(&mut self, role: PortRole, port: u16) {
        let _full: Result<(), MapError> = self.ports.insert(&role.key(port), &0, 0);
    }

    /// The losses that the kernel half has counted since the last call.
    pub fn take_losses(&mut self) -> Losses {
        let mut new = Losses::default();
        for loss in Loss::ALL {
            let total = match loss {
                Loss::ProgramSkipped => self.skipped_runs(),
                _ => self.lost_so_far(loss),
            };
            new.add(loss, total.saturating_sub(self.known_losses.count(loss)));
        }
        self.known_losses.merge(&new);
        new
    }

    /// How many records found no room in the ring since the kernel half began.
    pub fn lost_records(&self) -> u64 {
        self.lost_so_far(Loss::RingFull)
    }

    fn lost_so_far(&self, loss: Loss) -> u64 {
        let counts = self.losses.get(&(loss as u32), 0);
        counts.map_or(0, |counts| counts.iter().sum())
    }

    /// Takes the next record out of the ring; `Some(None)` for one that cannot be decoded.
    pub fn next_record(&mut self) -> Option<Option<Record>> {
        let item = self.ring.next()?;
        Some(record::decode(&item))
    }

    /// The descriptor that becomes readable when the ring fills up or a process comes or goes.
    pub fn ring_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

/// What the system said, if it was the system that refused.
fn os_error(error: &MapError) -> Option<Errno> {
    match error {
        MapError::SyscallError(error) => Errno::from_io_error(&error.io_error),
        _ => None,
    }
}
