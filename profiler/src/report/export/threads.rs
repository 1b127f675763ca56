//! What a stack weighs, by the threads that were seen there.

use std::collections::HashMap;

use crate::{
    profile::{ProcessKey, Recorded, StackId, ThreadUse},
    units::Pid,
};

/// The threads of the processes with one pid.
pub(super) struct ThreadsOf<'a> {
    names: HashMap<u32, &'a str>,
    seen: HashMap<StackId, Vec<(u32, u64)>>,
}

impl<'a> ThreadsOf<'a> {
    pub(super) fn new(recorded: &'a Recorded, pid: Pid) -> Self {
        let is_asked = |process: ProcessKey| recorded.process(process).pid == pid;
        let threads = &recorded.threads;
        let names = threads.names.iter().filter(|it| is_asked(it.process));
        let mut seen = HashMap::<_, Vec<_>>::new();
        for it in threads.uses.iter().filter(|it| is_asked(it.process)) {
            seen.entry(it.stack).or_default().push((it.tid, it.seen));
        }
        Self {
            names: names.map(|it| (it.tid, it.name.as_str())).collect(),
            seen,
        }
    }

    /// What a thread is called, if that is known.
    pub(super) fn name(&self, tid: u32) -> Option<&'a str> {
        let others = (tid == ThreadUse::OTHERS).then_some("other threads");
        others.or_else(|| self.names.get(&tid).copied())
    }

    /// Divides what a stack weighs among the threads that were seen there, as often as each was
    /// seen. What they get adds up to the whole.
    pub(super) fn divide<const N: usize>(
        &self,
        stack: StackId,
        whole: [u64; N],
    ) -> Vec<(Option<u32>, [u64; N])> {
        let seen = self.seen.get(&stack).map(Vec::as_slice).unwrap_or_default();
        let times: u128 = seen.iter().map(|(_, seen)| u128::from(*seen)).sum();
        if times == 0 {
            return vec![(None, whole)];
        }
        let mut before = 0;
        let parts = seen.iter().map(|(tid, seen)| {
            let after = before + u128::from(*seen);
            let part = whole.map(|whole| up_to(whole, after, times) - up_to(whole, before, times));
            before = after;
            (Some(*tid), part)
        });
        parts.filter(|(_, part)| *part != [0; N]).collect()
    }
}

/// So many of `times` parts of a whole, rounded down.
fn up_to(whole: u64, parts: u128, times: u128) -> u64 {
    // What a broken recording counts may be too much for the product.
    let excess = u64::BITS.saturating_sub(times.leading_zeros());
    let part = u128::from(whole) * (parts >> excess) / (times >> excess);
    u64::try_from(part).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        profile::{ThreadName, Threads},
        report::sample::Sample,
    };

    const PID: Pid = Pid(4711);

    fn recorded(seen: &[(u32, u64)]) -> Recorded {
        let process = ProcessKey(0);
        let uses = seen.iter().map(|&(tid, seen)| ThreadUse {
            process,
            stack: StackId(3),
            tid,
            seen,
        });
        let mut recorded = Sample::quiet().recorded;
        recorded.threads = Threads {
            names: vec![ThreadName {
                process,
                tid: 7,
                name: "pool-1".to_owned(),
            }],
            uses: uses.collect(),
        };
        recorded
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let recorded = recorded(&[(0, 1), (7, 1), (8, 1)]);
        let threads = ThreadsOf::new(&recorded, PID);
        let parts = threads.divide(StackId(3), [100, 2]);
        assert_eq!(
            parts,
            [(Some(0), [33, 0]), (Some(7), [33, 1]), (Some(8), [34, 1])]
        );
        let names = [0, 7, 8].map(|tid| threads.name(tid));
        assert_eq!(names, [Some("other threads"), Some("pool-1"), None]);
    }

    #[test]
    fn what_no_thread_is_known_of_stays_whole() {
        let recorded = recorded(&[(7, 5)]);
        let threads = ThreadsOf::new(&recorded, PID);
        assert_eq!(threads.divide(StackId(4), [9]), [(None, [9])]);
        let others = ThreadsOf::new(&recorded, Pid(4712));
        assert_eq!(others.divide(StackId(3), [9]), [(None, [9])]);
    }

    #[test]
    fn the_largest_numbers_of_a_recording_can_be_divided() {
        let recorded = recorded(&[(7, u64::MAX), (8, u64::MAX)]);
        let threads = ThreadsOf::new(&recorded, PID);
        let parts = threads.divide(StackId(3), [u64::MAX]);
        let sum: u128 = parts.iter().map(|(_, part)| u128::from(part[0])).sum();
        assert_eq!(sum, u128::from(u64::MAX));
    }
}
