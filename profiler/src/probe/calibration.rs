//! What a probe hit costs on this host: a probe in heaptide itself, hit often enough to tell.

use std::{
    hint::black_box,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{Links, Probe, ProbeError, Site, SiteProgram};
use crate::units::Pid;

/// Hits of one round. A round takes about a millisecond.
const HITS: u32 = 1000;

/// The quickest of so many rounds counts: whatever disturbs a round makes it longer.
const ROUNDS: usize = 5;

/// The function that is probed: its first instruction is one that the kernel emulates, as are
/// those at which targets are probed.
#[cfg(not(target_arch = "aarch64"))]
#[unsafe(naked)]
pub(super) extern "C" fn probed() {
    core::arch::naked_asm!("nop", "ret")
}

#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(super) extern "C" fn probed() {
    core::arch::naked_asm!("b 2f", "2:", "ret")
}

/// Measures the cost of one probe hit, without what the program does with it. The links come back
/// so that the caller can detach them when there is time: it takes a grace period of the kernel.
pub fn calibrate(
    probe: &mut Probe,
    file_offset_of: impl FnOnce(u64) -> Option<u64>,
) -> Result<(Duration, Links), ProbeError> {
    let address = probed as *const () as u64;
    let Some(file_offset) = file_offset_of(address) else {
        return Ok((DEFAULT_COST, Links::default()));
    };
    let bare = quickest_round();
    probe.own_site = Some(Site {
        file_offset,
        cookie: 0,
    });
    let links = probe.attach_to_itself()?;
    let cost = quickest_round().saturating_sub(bare) / HITS;
    Ok((cost, links))
}

impl Probe {
    /// Attaches a program that does nothing to heaptide itself, if there is a place for it.
    fn attach_to_itself(&mut self) -> Result<Links, ProbeError> {
        let pid = Pid(std::process::id());
        let path = PathBuf::from("/proc/self/exe");
        let sites = self.own_site.as_slice().to_vec();
        self.attach_sites(SiteProgram::Calibration, pid, &path, &sites)
    }

    /// Waits until breakpoints can be written without delay. The kernel stops forks meanwhile: for
    /// the first one in a while it waits until all processors know (`dup_mmap_sem`), which takes
    /// about 5 to 15 ms, but hardly at all for those that follow within some milliseconds. The
    /// links that are returned are good for nothing else.
    pub fn make_ready(&mut self) -> Links {
        // Without it, the next ones wait.
        self.attach_to_itself().unwrap_or_default()
    }
}

/// What is assumed where heaptide cannot find its own code: the middle of what virtual machines
/// and bare metal show.
const DEFAULT_COST: Duration = Duration::from_nanos(600);

fn quickest_round() -> Duration {
    let round = || {
        let start = Instant::now();
        for _ in 0..HITS {
            black_box(probed)();
        }
        start.elapsed()
    };
    (0..ROUNDS).map(|_| round()).min().unwrap_or_default()
}
