//! Attached programs, and how they are taken away again.

use std::{
    num::NonZeroU32,
    path::PathBuf,
    thread::{self, JoinHandle},
};

use aya::programs::{
    Program, UProbe,
    uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeScope},
};

use super::{Probe, ProbeError};
use crate::units::Pid;

/// A place in a file where a program shall run, and what it is told there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Site {
    /// Offset in the file.
    pub file_offset: u64,
    /// What the program is told.
    pub cookie: u64,
}

/// The programs that can stand at sites.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SiteProgram {
    /// A request enters an allocator; the cookie is a [`profiler_common::config::Request`].
    RequestEntered,
    /// A request returns from an allocator.
    RequestReturned,
    /// Pymalloc has taken a pool; the cookie is a [`profiler_common::cookie::PoolCookie`].
    PoolOpened,
    /// Pymalloc hands out a block; the cookie is a [`profiler_common::cookie::ObjectCookie`].
    ObjectTaken,
    /// The same place, where that is only counted.
    ObjectCounted,
    /// A hit that leads to nothing, to measure its cost.
    Calibration,
}

impl SiteProgram {
    /// Its name in the object, for links over many sites.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::RequestEntered => "request_entered",
            Self::RequestReturned => "request_returned",
            Self::PoolOpened => "pool_opened",
            Self::ObjectTaken => "object_taken",
            Self::ObjectCounted => "object_counted",
            Self::Calibration => "calibration",
        }
    }

    /// Its name in the object, for kernels whose links have a single site.
    pub(super) const fn single_name(self) -> &'static str {
        match self {
            Self::RequestEntered => "request_entered_single",
            Self::RequestReturned => "request_returned_single",
            Self::PoolOpened => "pool_opened_single",
            Self::ObjectTaken => "object_taken_single",
            Self::ObjectCounted => "object_counted_single",
            Self::Calibration => "calibration_single",
        }
    }

    /// All of them.
    pub(super) const ALL: [Self; 6] = [
        Self::RequestEntered,
        Self::RequestReturned,
        Self::PoolOpened,
        Self::ObjectTaken,
        Self::ObjectCounted,
        Self::Calibration,
    ];
}

/// Attached programs. Dropping them detaches them one after the other, which the kernel may make
/// slow; [`Links::detach`] does it at once.
#[derive(Default)]
#[must_use = "programs are detached when their links are dropped"]
pub struct Links(Vec<Box<dyn Send>>);

impl Links {
    pub(super) fn push(&mut self, link: impl Send + 'static) {
        self.0.push(Box::new(link));
    }

    /// Takes over the links of another.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Whether nothing is attached.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Detaches all programs, the first one first, and returns when the last one is gone.
    pub fn detach(self) {
        for thread in self.begin_to_detach() {
            // A thread that only drops a link has nothing to say.
            let _finished: thread::Result<()> = thread.join();
        }
    }

    /// Begins to. Each detach waits for a grace period of the kernel; side by side, they wait
    /// together.
    pub fn begin_to_detach(self) -> Vec<JoinHandle<()>> {
        let links = self.0.into_iter();
        links
            .map(|link| thread::spawn(move || drop(link)))
            .collect()
    }
}

impl Probe {
    /// Attaches `program` at all `sites` of the file at `path`, for the threads of one process.
    pub fn attach_sites(
        &mut self,
        program: SiteProgram,
        pid: Pid,
        path: &PathBuf,
        sites: &[Site],
    ) -> Result<Links, ProbeError> {
        let mut links = Links::default();
        let Some(id) = NonZeroU32::new(pid.0) else {
            return Ok(links);
        };
        let scope = UProbeScope::OneProcess(id);
        let multi = self.multi;
        let probe = self.site_program(program)?;
        let groups = if multi {
            vec![sites]
        } else {
            sites.chunks(1).collect()
        };
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            let points = group.iter().map(|site| UProbeAttachPoint {
                location: UProbeAttachLocation::AbsoluteOffset(site.file_offset),
                cookie: Some(site.cookie),
            });
            let attached = probe
                .attach(points, path, scope)
                .and_then(|id| probe.take_link(id))
                .map_err(|source| ProbeError::Attach {
                    program: program.name(),
                    to: format!("process {pid}, {}", path.display()),
                    source: Box::new(source),
                })?;
            links.push(attached);
        }
        Ok(links)
    }

    fn site_program(&mut self, program: SiteProgram) -> Result<&mut UProbe, ProbeError> {
        let name = if self.multi {
            program.name()
        } else {
            program.single_name()
        };
        match self.ebpf.program_mut(name) {
            Some(Program::UProbe(probe)) => Ok(probe),
            _ => Err(ProbeError::Missing { name }),
        }
    }
}
