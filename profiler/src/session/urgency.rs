//! Being on time while probes are open that are hit very often.
//!
//! A window of a millisecond that closes when a busy machine finds the time costs its target many
//! times what was planned. So whoever opens one goes before others until it is closed.

use std::marker::PhantomData;

/// The lowest priority that goes before all ordinary threads.
const PRIORITY: i32 = 1;

/// While this is there, its thread goes before ordinary ones, and so do threads that it starts,
/// until they end. Where that is not allowed, all goes on as if it was.
#[derive(Debug)]
pub(super) struct Urgency {
    is_raised: bool,
    /// It is about the thread that made it.
    _thread: PhantomData<*const ()>,
}

impl Urgency {
    /// Begins to hurry, unless that was done before.
    pub(super) fn begin() -> Self {
        Self {
            is_raised: policy() == libc::SCHED_OTHER && set(libc::SCHED_FIFO, PRIORITY),
            _thread: PhantomData,
        }
    }
}

impl Drop for Urgency {
    fn drop(&mut self) {
        if self.is_raised {
            set(libc::SCHED_OTHER, 0);
        }
    }
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
}
