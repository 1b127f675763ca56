//! Being on time while probes are open that are hit very often.
//!
//! A window of a millisecond that closes when a busy machine finds the time costs its target many
//! times what was planned. So whoever opens one goes before others until it is closed.

use std::marker::PhantomData;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The lowest priority that goes before all ordinary threads.
const PRIORITY: i32 = 1;

/// While this is there, its thread goes before ordinary ones, and so do threads that it starts,
/// until they end. Where that is not allowed, all goes on as if it was.
#[derive(Debug)]
pub(super) struct Urgency {
    is_raised: bool,
    /// The processor that the thread went to, and those that it may run on otherwise.
    moved: Option<(usize, CpuSet)>,
    /// It is about the thread that made it.
    _thread: PhantomData<*const ()>,
}

impl Urgency {
    /// Begins to hurry, unless that was done before.
    pub(super) fn begin() -> Self {
        Self {
            is_raised: policy() == libc::SCHED_OTHER && set(libc::SCHED_FIFO, PRIORITY),
            moved: None,
            _thread: PhantomData,
        }
    }

    /// The same on one processor, in place of whoever runs there, unless that would have to wait.
    ///
    /// To write a breakpoint takes 35 µs while the target runs on another processor, which has to
    /// be told of it each time, and 3 µs where the target has just run.
    pub(super) fn begin_on(processor: Option<usize>) -> Self {
        let mut urgency = Self::begin();
        if let Some(processor) = processor.filter(|it| *it < CpuSet::MAX_CPU)
            && policy() == libc::SCHED_FIFO
        {
            let mut there = CpuSet::new();
            there.set(processor);
            let home = sched_getaffinity(None).ok();
            let home = home.filter(|_| sched_setaffinity(None, &there).is_ok());
            urgency.moved = home.map(|home| (processor, home));
        }
        urgency
    }
}

impl Drop for Urgency {
    fn drop(&mut self) {
        if let Some((processor, home)) = &self.moved {
            go_home(*processor, home);
        }
        if self.is_raised {
            set(libc::SCHED_OTHER, 0);
        }
    }
}

/// Leaves a processor to the target at once: the kernel itself sees no reason to, and what was seen
/// in a window is still to be taken in.
fn go_home(from: usize, home: &CpuSet) {
    let mut others = *home;
    others.unset(from);
    // Where that is forbidden meanwhile, or there is no other one, one processor has to do.
    let _left: rustix::io::Result<()> = sched_setaffinity(None, &others);
    let _free: rustix::io::Result<()> = sched_setaffinity(None, home);
}

fn policy() -> i32 {
    // SAFETY: the call takes no memory; 0 stands for the calling thread.
    unsafe { libc::sched_getscheduler(0) }
}

/// Whether it was allowed. Niceness stays as it is.
fn set(policy: i32, priority: i32) -> bool {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the parameters outlive the call, which only reads them; 0 stands for the calling
    // thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}

#[cfg(test)]
mod tests {
    use rustix::thread::sched_getcpu;

    use super::*;

    #[test]
    fn it_ends_with_its_guard() {
        let before = policy();
        let outer = Urgency::begin();
        let is_allowed = outer.is_raised;
        let expected = if is_allowed { libc::SCHED_FIFO } else { before };
        drop(Urgency::begin());
        assert_eq!(policy(), expected, "an inner guard ends nothing");
        drop(outer);
        assert_eq!(policy(), before);
    }

    #[test]
    fn it_runs_where_it_is_told_and_returns() {
        let home = sched_getaffinity(None).unwrap();
        let last = (0..CpuSet::MAX_CPU).rfind(|it| home.is_set(*it)).unwrap();
        let urgency = Urgency::begin_on(Some(last));
        if policy() == libc::SCHED_FIFO {
            assert_eq!(sched_getcpu(), last);
            assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        }
        drop(urgency);
        assert_eq!(sched_getaffinity(None).unwrap(), home);
        drop(Urgency::begin_on(Some(CpuSet::MAX_CPU)));
        drop(Urgency::begin_on(None));
        assert_eq!(sched_getaffinity(None).unwrap(), home);
    }
}
