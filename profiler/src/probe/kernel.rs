//! What must be known about the running kernel before the programs are loaded.

use std::{fs, path::Path};

use profiler_common::config::KernelLayout;

use super::{ProbeError, btf::Btf};
use crate::process::architecture::HERE;

const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// Reads where things are in this kernel's structures.
pub fn read_layout() -> Result<KernelLayout, ProbeError> {
    let bytes = fs::read(Path::new(BTF_PATH)).map_err(|source| ProbeError::NoTypeInformation {
        path: BTF_PATH,
        source,
    })?;
    let btf = Btf::parse(&bytes)?;
    Ok(KernelLayout {
        task_pid: btf.offset_of("task_struct", "pid")?,
        task_tgid: btf.offset_of("task_struct", "tgid")?,
        task_signal: btf.offset_of("task_struct", "signal")?,
        task_thread_pointer: btf.offset_of_nested("task_struct", "thread", HERE.thread_pointer)?,
        signal_live: btf.offset_of("signal_struct", "live")?,
        ring_wake_bytes: 0,
        ring_crowded_bytes: 0,
        // Without these, one signal of traffic is missing: no reason to measure nothing.
        socket_local_port: btf.offset_of("sock_common", "skc_num").unwrap_or(0),
        socket_remote_port: btf.offset_of("sock_common", "skc_dport").unwrap_or(0),
        // Local sockets may be a module with type information of its own.
        socket_name: btf.offset_of("unix_sock", "addr").unwrap_or(0),
    })
}
