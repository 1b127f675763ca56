//! Attaches what watches the host: lifecycle, system calls, page faults, processors' clocks.

use std::{fs, io, path::Path, thread};

use aya::{
    programs::{
        PerfEvent, Program, ProgramError, RawTracePoint, TracePoint,
        perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
    util::online_cpus,
};
use profiler_common::event::CLOCK_PERIOD_NS;
use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    thread::{UnshareFlags, unshare_unsafe},
};

use super::{Links, Probe, ProbeError};

/// Raw tracepoints and their programs. They need no tracefs.
const LIFECYCLE: [(&str, &str); 3] = [
    ("process_forked", "sched_process_fork"),
    ("process_execed", "sched_process_exec"),
    ("process_exited", "sched_process_exit"),
];

/// Tracepoints of the category `syscalls`, all for one program.
const SYSCALLS: [&str; 4] = [
    "sys_exit_mmap",
    "sys_exit_munmap",
    "sys_exit_mremap",
    "sys_exit_brk",
];

/// Tracepoints of calls that accept connections, all for one program.
const ACCEPTS: [&str; 2] = ["sys_exit_accept", "sys_exit_accept4"];

const TRACEFS: &str = "/sys/kernel/tracing";

impl Probe {
    /// Attaches the programs that watch processes come and go. Attach them first: a process that
    /// is followed from then on takes its children along.
    pub fn attach_lifecycle(&mut self) -> Result<Links, ProbeError> {
        let mut links = Links::default();
        for (name, tracepoint) in LIFECYCLE {
            let program: &mut RawTracePoint = self.program(name)?;
            let link = program
                .attach(tracepoint)
                .and_then(|id| program.take_link(id))
                .map_err(|source| attach_error(name, tracepoint, source))?;
            links.push(link);
        }
        Ok(links)
    }

    /// Attaches the programs that watch address space.
    pub fn attach_syscalls(&mut self) -> Result<Links, ProbeError> {
        self.attach_tracepoints("address_space_changed", "syscalls", &SYSCALLS)
    }

    /// Attaches the program that counts accepted connections. While the programs that watch address
    /// space are in place, all system calls of the host pass through the kernel's slow path anyway,
    /// so this costs only what is accepted.
    pub fn attach_accepts(&mut self) -> Result<Links, ProbeError> {
        self.attach_tracepoints("connection_accepted", "syscalls", &ACCEPTS)
    }

    /// Attaches the program that counts what is received. Kernels before 6.3 lack the tracepoint.
    pub fn attach_receives(&mut self) -> Result<Links, ProbeError> {
        self.attach_tracepoints("data_received", "sock", &["sock_recv_length"])
    }

    fn attach_tracepoints(
        &mut self,
        name: &'static str,
        category: &str,
        tracepoints: &[&str],
    ) -> Result<Links, ProbeError> {
        with_tracefs(|| {
            let mut links = Links::default();
            let program: &mut TracePoint = self.program(name)?;
            for tracepoint in tracepoints {
                let link = program
                    .attach(category, tracepoint)
                    .and_then(|id| program.take_link(id))
                    .map_err(|source| attach_error(name, tracepoint, source))?;
                links.push(link);
            }
            Ok(links)
        })
    }

    /// Attaches the program that samples page faults: one in `period`, on each processor.
    pub fn attach_page_faults(&mut self, period: u64) -> Result<Links, ProbeError> {
        self.attach_samples(SoftwareEvent::PageFaults, "page faults", period)
    }

    /// Attaches the program that tells where processes are while they run, about 97 times in each
    /// second of a processor.
    pub fn attach_clocks(&mut self) -> Result<Links, ProbeError> {
        self.attach_samples(SoftwareEvent::CpuClock, "clocks", CLOCK_PERIOD_NS)
    }

    fn attach_samples(
        &mut self,
        event: SoftwareEvent,
        to: &str,
        period: u64,
    ) -> Result<Links, ProbeError> {
        let cpus = online_cpus().map_err(|(_path, source)| ProbeError::NoProcessors { source })?;
        let mut links = Links::default();
        let name = "sample_taken";
        let program: &mut PerfEvent = self.program(name)?;
        for cpu in cpus {
            let link = program
                .attach(
                    PerfEventConfig::Software(event),
                    PerfEventScope::AllProcessesOneCpu { cpu },
                    SamplePolicy::Period(period),
                    false,
                )
                .and_then(|id| program.take_link(id))
                .map_err(|source| attach_error(name, to, source))?;
            links.push(link);
        }
        Ok(links)
    }

    fn program<'a, P>(&'a mut self, name: &'static str) -> Result<&'a mut P, ProbeError>
    where
        &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        let program = self
            .ebpf
            .program_mut(name)
            .ok_or(ProbeError::Missing { name })?;
        program.try_into().map_err(|source| ProbeError::Program {
            program: name,
            source: Box::new(source),
        })
    }
}

fn attach_error(program: &'static str, to: &str, source: ProgramError) -> ProbeError {
    ProbeError::Attach {
        program,
        to: to.to_owned(),
        source: Box::new(source),
    }
}

/// Runs `attach` where tracefs can be seen. If the host has not mounted it, it is mounted for one
/// thread only, in a mount namespace of its own that ends with the thread and leaves no trace.
fn with_tracefs<T: Send>(
    attach: impl FnOnce() -> Result<T, ProbeError> + Send,
) -> Result<T, ProbeError> {
    if is_tracefs_mounted() {
        return attach();
    }
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            mount_privately().map_err(|source| ProbeError::NoTracefs { source })?;
            attach()
        });
        worker
            .join()
            .expect("the thread passes errors on and does not panic")
    })
}

/// Whether the host has mounted tracefs, and this user can look into it.
pub fn is_tracefs_mounted() -> bool {
    [TRACEFS, "/sys/kernel/debug/tracing"]
        .into_iter()
        .any(|path| Path::new(path).join("events").is_dir())
}

fn mount_privately() -> io::Result<()> {
    fs::metadata(TRACEFS)?;
    // SAFETY: a mount namespace of its own does not change what this process's memory holds, and
    // the thread does nothing else after it.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    mount("tracefs", TRACEFS, "tracefs", MountFlags::empty(), None)?;
    Ok(())
}
