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
    })
}
