//! Which threads are seen at which stacks, while recording.

use std::collections::BTreeMap;

use foldhash::HashMap;

use crate::{
    process::identity::thread_name,
    profile::{ProcessKey, StackId, ThreadName, ThreadUse, Threads},
    units::Pid,
};

/// So many threads are told apart at one stack: where each request has a thread of its own, there
/// is no end of them.
const THREADS_PER_STACK: usize = 32;

/// So many threads are told apart at all.
const THREADS: usize = 4096;

/// Which threads were seen so far.
#[derive(Debug, Default)]
pub(super) struct ThreadWatch {
    names: BTreeMap<(ProcessKey, u32), String>,
    seen: HashMap<(ProcessKey, StackId), Vec<(u32, u64)>>,
}

impl ThreadWatch {
    /// A thread of process `pid` was seen at a stack.
    pub(super) fn saw(&mut self, process: ProcessKey, stack: StackId, (pid, tid): (Pid, u32)) {
        let threads = self.seen.entry((process, stack)).or_default();
        if count(threads, tid) {
            return;
        }
        // The first one of a stack is met far more often than any other.
        let is_told_apart =
            threads.len() < THREADS_PER_STACK && is_named(&mut self.names, process, (pid, tid));
        if is_told_apart {
            threads.push((tid, 1));
        } else if !count(threads, ThreadUse::OTHERS) {
            threads.push((ThreadUse::OTHERS, 1));
        }
    }

    /// All of them.
    pub(super) fn threads(&self) -> Threads {
        let names = self.names.iter().filter(|(_, name)| !name.is_empty());
        let names = names.map(|((process, tid), name)| ThreadName {
            process: *process,
            tid: *tid,
            name: name.clone(),
        });
        let uses = self.seen.iter().flat_map(|(&(process, stack), threads)| {
            threads.iter().map(move |&(tid, seen)| ThreadUse {
                process,
                stack,
                tid,
                seen,
            })
        });
        let mut uses: Vec<ThreadUse> = uses.collect();
        uses.sort_unstable_by_key(|it| (it.process, it.stack, it.tid));
        Threads {
            names: names.collect(),
            uses,
        }
    }
}

/// Counts a thread that was met before.
fn count(threads: &mut [(u32, u64)], tid: u32) -> bool {
    let known = threads.iter_mut().find(|(known, _)| *known == tid);
    let is_known = known.is_some();
    if let Some((_, seen)) = known {
        *seen += 1;
    }
    is_known
}

/// Finds out what a thread is called when it is met first; `false` if there are too many.
fn is_named(
    names: &mut BTreeMap<(ProcessKey, u32), String>,
    process: ProcessKey,
    (pid, tid): (Pid, u32),
) -> bool {
    if names.contains_key(&(process, tid)) {
        return true;
    }
    if names.len() == THREADS {
        return false;
    }
    // One that has ended meanwhile still has its id.
    let name = thread_name(pid, tid).unwrap_or_default();
    names.insert((process, tid), name);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: ProcessKey = ProcessKey(0);

    fn watched(seen: impl IntoIterator<Item = (u32, u32)>) -> Threads {
        let mut watch = ThreadWatch::default();
        let pid = Pid(std::process::id());
        for (stack, tid) in seen {
            watch.saw(PROCESS, StackId(stack), (pid, tid));
        }
        watch.threads()
    }

    fn rows(threads: &Threads) -> Vec<(u32, u32, u64)> {
        let rows = threads.uses.iter();
        rows.map(|it| (it.stack.0, it.tid, it.seen)).collect()
    }

    #[test]
    fn each_thread_is_counted_at_each_stack() {
        let threads = watched([(7, 12), (7, 11), (3, 11), (7, 11)]);
        assert_eq!(rows(&threads), [(3, 11, 1), (7, 11, 2), (7, 12, 1)]);
    }

    #[test]
    fn a_thread_has_the_name_that_the_kernel_knows() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        let tid = u32::try_from(tid).unwrap();
        let threads = watched([(1, tid), (1, u32::MAX)]);
        let name = std::fs::read_to_string(format!("/proc/self/task/{tid}/comm")).unwrap();
        assert_eq!(threads.names.len(), 1, "the other one is no thread");
        assert_eq!(threads.names[0].name, name.trim_end());
        assert_eq!(threads.uses.len(), 2);
    }

    #[test]
    fn what_is_beyond_the_limits_counts_for_the_others() {
        let threads = watched((0..40).map(|thread| (1, 100 + thread)));
        assert_eq!(threads.uses.len(), 33);
        assert_eq!((threads.uses[0].tid, threads.uses[0].seen), (0, 8));
        let many = (0..5000).map(|thread| (thread, 100 + thread));
        let others = watched(many).uses.into_iter();
        assert_eq!(others.filter(|it| it.tid == ThreadUse::OTHERS).count(), 904);
    }
}
