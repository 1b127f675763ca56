//! The time since the recording started, on the clock by which the kernel half dates its records.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Counts the time since it was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Duration,
}

impl Clock {
    /// A clock that begins to count now.
    pub(super) fn start() -> Self {
        Self {
            start: since_boot(),
        }
    }

    /// What it shows.
    pub(super) fn now(self) -> Duration {
        since_boot().saturating_sub(self.start)
    }

    /// What it showed so many nanoseconds after boot.
    pub(super) const fn at(self, boot_ns: u64) -> Duration {
        Duration::from_nanos(boot_ns).saturating_sub(self.start)
    }
}

/// For how long the calling thread has run so far.
pub(super) fn thread_time() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn since_boot() -> Duration {
    read(ClockId::Boottime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}
