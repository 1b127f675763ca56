//! Starts a command so that it can be measured from its first instruction: the child waits, as a
//! copy of heaptide, until everything is in place, and then becomes the command.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::Path,
    process::{Child, Command, ExitStatus},
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::{Pid as OsPid, Signal, getpgrp, kill_process, set_parent_process_death_signal},
    termios::tcgetpgrp,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{SessionError, signals::Signals};
use crate::units::Pid;

/// The verb, hidden from users, with which heaptide starts itself as the waiting child. After it
/// come the number of a descriptor and the command.
pub const HANDSHAKE_VERB: &str = "__become";

/// A command that was started and waits to be let go.
pub(super) struct Launched {
    child: Child,
    start: Option<UnixStream>,
}

impl Launched {
    /// Starts the child, and waits until it waits: what it did to become heaptide is over then, and
    /// whatever it executes next is the command.
    pub(super) fn start(command: &[String]) -> Result<Self, SessionError> {
        let name = command.first().cloned().unwrap_or_default();
        let failed = |source| SessionError::Launch {
            command: name.clone(),
            source,
        };
        find_program(&name).map_err(failed)?;
        let (mut start, gate) = UnixStream::pair().map_err(failed)?;
        // The child needs its end; the command must not inherit it, and does not: the waiting
        // child closes it.
        fcntl_setfd(gate.as_fd(), FdFlags::empty()).map_err(|error| failed(error.into()))?;
        let child = Command::new("/proc/self/exe")
            .arg(HANDSHAKE_VERB)
            .arg(gate.as_raw_fd().to_string())
            .args(command)
            .spawn()
            .map_err(failed)?;
        drop(gate);
        start.read_exact(&mut [0]).map_err(failed)?;
        Ok(Self {
            child,
            start: Some(start),
        })
    }

    pub(super) fn pid(&self) -> Pid {
        Pid(self.child.id())
    }

    /// Lets the child become the command.
    pub(super) fn release(&mut self) {
        if let Some(mut start) = self.start.take() {
            // A child that was killed in the meantime is noticed when it is waited for.
            let _unread: io::Result<()> = start.write_all(b"!");
        }
    }

    /// Passes a signal on. What the terminal sent has reached the command by itself.
    pub(super) fn pass_on(&self, kind: SignalKind) {
        let from_terminal = [SignalKind::interrupt(), SignalKind::quit()].contains(&kind)
            && tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp());
        let signal = Signal::from_named_raw(kind.as_raw_value());
        if let (false, Some(signal)) = (from_terminal, signal) {
            send(self.pid(), signal);
        }
    }

    /// The exit status. A command that outlives the recording is waited for, and gets its signals
    /// as before.
    pub(super) async fn wait(mut self, mut signals: Signals) -> Option<ExitStatus> {
        // Listened for before the first look, so that no end is missed.
        let mut ends = signal(SignalKind::child()).ok()?;
        loop {
            if let Some(status) = self.child.try_wait().ok()? {
                return Some(status);
            }
            tokio::select! {
                _ = ends.recv() => {}
                kind = signals.next() => self.pass_on(kind),
            }
        }
    }
}

/// Stops a launched command while it is kept. Between the moment when its Python can be seen and
/// the one when all probes are in place it would have run most of its imports.
pub(super) struct Pause(Pid);

impl Pause {
    /// Stops the command.
    pub(super) fn of(command: Pid) -> Self {
        send(command, Signal::STOP);
        Self(command)
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        send(self.0, Signal::CONT);
    }
}

/// Sends a signal to a child, which has its id until it is waited for.
fn send(pid: Pid, signal: Signal) {
    let pid = i32::try_from(pid.0).ok().and_then(OsPid::from_raw);
    if let Some(pid) = pid {
        // It may have ended just now.
        let _ended: rustix::io::Result<()> = kill_process(pid, signal);
    }
}

/// What the waiting child does: waits for its parent, then becomes the command. Returns only if
/// that fails, or nothing if the parent has given up.
pub fn become_command(descriptor: i32, command: &[OsString]) -> Option<io::Error> {
    // SAFETY: the parent has opened it for this process and named it on the command line.
    let mut gate = UnixStream::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    // A heaptide that is killed while the command is paused must not leave it stopped. The setting
    // outlives what the child becomes; that it cannot be made is no reason not to start.
    let _set: rustix::io::Result<()> = set_parent_process_death_signal(Some(Signal::CONT));
    gate.write_all(b"?").ok()?;
    gate.read_exact(&mut [0]).ok()?;
    drop(gate);
    let Some((program, arguments)) = command.split_first() else {
        return Some(io::Error::from(io::ErrorKind::InvalidInput));
    };
    Some(Command::new(program).args(arguments).exec())
}

/// Finds out in advance whether there is such a program, as the shell would look for it.
fn find_program(name: &str) -> io::Result<()> {
    if name.contains('/') {
        return fs::metadata(name).map(drop);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = env::split_paths(&path).any(|folder| Path::new(&folder).join(name).is_file());
    if is_there {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}
