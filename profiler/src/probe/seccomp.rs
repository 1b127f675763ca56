//! Whether return probes are safe for a process under a seccomp filter.
//!
//! Since Linux 6.11 a probed function returns through a system call, `uretprobe`, that no filter
//! knew: a filter that kills for unknown calls killed the target. Later kernels let that call pass.
//! Which of them a host runs is not told by its version, so heaptide tries it on itself: on a child
//! that forbids itself that very call.

use std::{
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::{Links, Probe, ProbeError, Site, SiteProgram, calibration::probed};
use crate::{process::architecture::HERE, units::Pid};

/// The verb, hidden from users, with which heaptide starts itself as the child that is tried on.
pub const TRIAL_VERB: &str = "__return-probe-trial";

/// Tries it. The links come back so that the caller can detach them when there is time.
pub fn return_probes_are_safe(
    probe: &mut Probe,
    file_offset_of: impl FnOnce(u64) -> Option<u64>,
) -> Result<(bool, Links), ProbeError> {
    if HERE.return_call.is_none() {
        return Ok((true, Links::default()));
    }
    let Some(file_offset) = file_offset_of(probed as *const () as u64) else {
        return Ok((false, Links::default()));
    };
    // A child that cannot be tried on proves nothing, so that the answer is no.
    let Ok(mut child) = start_trial() else {
        return Ok((false, Links::default()));
    };
    let attached = probe.attach_sites(
        SiteProgram::RequestReturned,
        Pid(child.id()),
        &PathBuf::from("/proc/self/exe"),
        &[Site {
            file_offset,
            cookie: 0,
        }],
    );
    let survived = finish_trial(&mut child);
    Ok((survived, attached?))
}

fn start_trial() -> io::Result<Child> {
    let mut child = Command::new("/proc/self/exe")
        .arg(TRIAL_VERB)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // It answers when it has started, so that its program is mapped when the probe is attached.
    let mut ready = [0];
    let answer = child
        .stdout
        .as_mut()
        .map(|stdout| stdout.read_exact(&mut ready));
    if let Some(Ok(())) = answer {
        return Ok(child);
    }
    child.wait()?;
    Err(io::Error::other("the trial did not start"))
}

fn finish_trial(child: &mut Child) -> bool {
    if let Some(mut stdin) = child.stdin.take() {
        // A child that is gone already is seen when it is waited for.
        let _unread: io::Result<()> = stdin.write_all(b"!");
    }
    child.wait().is_ok_and(|status| status.success())
}

/// What the child does: forbids itself `uretprobe`, waits for the probe, and runs into it.
pub fn run_trial() -> io::Result<()> {
    forbid(HERE.return_call)?;
    io::stdout().write_all(b"!")?;
    io::stdout().flush()?;
    let mut byte = [0];
    io::stdin().read_exact(&mut byte)?;
    std::hint::black_box(probed)();
    Ok(())
}

/// Installs a filter that kills for this system call and allows all others.
fn forbid(call: Option<u32>) -> io::Result<()> {
    let Some(call) = call else {
        return Ok(());
    };
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        // The number is the first word of `struct seccomp_data`.
        step(LOAD_WORD, 0, 0, 0),
        step(JUMP_IF_EQUAL, 0, 1, call),
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the first call takes no pointers; the second one reads the program and its four
    // steps, which live until it returns.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) != 0
    };
    if failed {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
