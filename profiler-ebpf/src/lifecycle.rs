//! Fork, exec and exit: children inherit what is known about their parent before they run.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, programs::RawTracePointContext};
use aya_log_ebpf::debug;
use profiler_common::{config::ThreadSlot, event::EventKind, loss::Loss};

use crate::{
    maps::{PROCESSES, THREADS, count, kernel},
    memory::{current_task, read_kernel},
    send::{Message, Wake, send_plain},
};

/// A thread or process was created: `sched_process_fork(parent, child)`.
#[inline(always)]
pub(crate) fn forked(context: &RawTracePointContext) -> Option<()> {
    let parent_pid = current_pid();
    // SAFETY: user space writes an entry before it attaches any program; after that only the
    // counters change, and a torn counter is not copied.
    let parent = unsafe { PROCESSES.get(&parent_pid) }?;
    let child_task = context.arg::<u64>(1);
    let child_tid: u32 = read_kernel(child_task + u64::from(kernel().task_pid))?;
    let child_pid: u32 = read_kernel(child_task + u64::from(kernel().task_tgid))?;
    if THREADS
        .insert(&child_tid, &ThreadSlot::default(), 0)
        .is_err()
    {
        count(Loss::ThreadTableFull);
    }
    if child_pid == parent_pid {
        return None;
    }
    if PROCESSES.insert(&child_pid, &parent.forked(), 0).is_err() {
        count(Loss::ProcessTableFull);
        return None;
    }
    debug!(context, "process {} forked {}", parent_pid, child_pid);
    send_plain(
        &Message::new(EventKind::Forked, u64::from(child_pid), 0),
        Wake::Now,
    );
    None
}

/// A process runs another program: `sched_process_exec(task, old_pid, binprm)`.
#[inline(always)]
pub(crate) fn execed(context: &RawTracePointContext) -> Option<()> {
    let pid = current_pid();
    // SAFETY: as above.
    let config = unsafe { PROCESSES.get(&pid) }?.after_exec();
    // The thread that called exec now has the id of the process, and no Python yet.
    if THREADS.insert(&pid, &ThreadSlot::default(), 0).is_err() {
        count(Loss::ThreadTableFull);
    }
    if PROCESSES.insert(&pid, &config, 0).is_err() {
        count(Loss::ProcessTableFull);
    }
    debug!(context, "process {} runs another program", pid);
    send_plain(&Message::new(EventKind::Execed, 0, 0), Wake::Now);
    None
}

/// A thread ended: `sched_process_exit(task)`.
#[inline(always)]
pub(crate) fn exited(context: &RawTracePointContext) -> Option<()> {
    let pid = current_pid();
    PROCESSES.get_ptr(&pid)?;
    let tid = bpf_get_current_pid_tgid() as u32;
    // A thread that was not in the table, because it was full, is no loss of its own.
    let _absent: Result<(), i32> = THREADS.remove(&tid);
    let signal: u64 = read_kernel(current_task() + u64::from(kernel().task_signal))?;
    let live: u32 = read_kernel(signal + u64::from(kernel().signal_live))?;
    if live == 0 {
        // It was there a moment ago; if another processor took it out, all is well.
        let _absent: Result<(), i32> = PROCESSES.remove(&pid);
        debug!(context, "process {} ended", pid);
        send_plain(&Message::new(EventKind::Exited, 0, 0), Wake::Now);
    }
    None
}

#[inline(always)]
fn current_pid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}
