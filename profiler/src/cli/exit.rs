//! Errors become messages, remedies and exit codes.

use std::{io, process::ExitCode};

use thiserror::Error;

use super::{args::Common, output};
use crate::{
    probe::ProbeError,
    process::ProcessError,
    python::{PythonError, version},
    recording::RecordingError,
    session::SessionError,
    source::PlanError,
};

/// An unexpected failure.
const FAILURE: u8 = 1;
/// Wrong use.
const MISUSE: u8 = 2;
/// This host or user may not.
pub(super) const REFUSED: u8 = 3;
/// The target cannot be profiled.
pub(super) const BAD_TARGET: u8 = 4;
/// The recording or file is unreadable.
const BAD_RECORDING: u8 = 5;
/// Memory regressed past the threshold of `diff --fail-above`.
pub(super) const REGRESSED: u8 = 10;

/// Something that the user can only mend on the command line.
#[derive(Debug, Error)]
#[error("{message}")]
pub(super) struct Misuse {
    message: String,
    remedy: String,
}

impl Misuse {
    pub(super) fn new(message: &str, remedy: &str) -> Self {
        Self {
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}

/// The recording is readable, but its last part is missing.
#[derive(Debug, Error)]
#[error("the end of the recording could not be written; what was written before is readable")]
pub(super) struct Incomplete {
    pub(super) source: RecordingError,
}

/// What to say and to answer when the command line is not understood, or asks for help.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _unwritable: io::Result<()> = error.print();
    ExitCode::from(if error.use_stderr() { MISUSE } else { 0 })
}

/// What to say and to answer when a verb fails.
pub(super) fn failure(error: &anyhow::Error, _common: &Common) -> ExitCode {
    output::complain(&format!("error: {error:#}"));
    let (code, remedy) = judge(error);
    if let Some(remedy) = remedy {
        output::complain(&format!("\nhint: {remedy}"));
    }
    ExitCode::from(code)
}

/// The exit code of an error, and its remedy.
fn judge(error: &anyhow::Error) -> (u8, Option<String>) {
    if let Some(misuse) = error.downcast_ref::<Misuse>() {
        return (MISUSE, Some(misuse.remedy.clone()));
    }
    if let Some(error) = error.downcast_ref::<SessionError>() {
        return session(error);
    }
    if let Some(error) = error.downcast_ref::<RecordingError>() {
        return recording(error);
    }
    if let Some(error) = error.downcast_ref::<Incomplete>() {
        return (FAILURE, Some(disk_remedy(&error.source)));
    }
    (FAILURE, None)
}

fn session(error: &SessionError) -> (u8, Option<String>) {
    match error {
        SessionError::Probe(error) => probe(error),
        SessionError::Target(error) => target(error),
        SessionError::Process(error) => process(error),
        SessionError::Recording(error) => recording(error),
        SessionError::EndedFirst { .. } => {
            let remedy = "use `heaptide run -- COMMAND` for programs that end soon";
            (BAD_TARGET, Some(remedy.to_owned()))
        }
        SessionError::Launch { .. } => (
            MISUSE,
            Some("name a program that is on the PATH, or its full path".to_owned()),
        ),
        SessionError::Runtime { .. } => (FAILURE, None),
    }
}

fn target(error: &PlanError) -> (u8, Option<String>) {
    match error {
        PlanError::Process(error) => process(error),
        PlanError::Python(PythonError::Process(error)) => process(error),
        PlanError::Python(error) => (BAD_TARGET, python_remedy(error)),
        PlanError::File(_) | PlanError::Open { .. } => (BAD_TARGET, None),
    }
}

fn python_remedy(error: &PythonError) -> Option<String> {
    Some(match error {
        PythonError::NotPython { .. } => "`pgrep -a python` lists candidates".to_owned(),
        PythonError::Unsupported { .. } => format!("{} is supported", version::supported()),
        PythonError::NotReady { .. } => {
            "try again in a moment, or use `heaptide run -- COMMAND`".to_owned()
        }
        _ => return None,
    })
}

fn process(error: &ProcessError) -> (u8, Option<String>) {
    match error {
        ProcessError::NotPermitted { .. } => (REFUSED, Some(privileges())),
        ProcessError::NoSuchProcess { .. } | ProcessError::KernelThread { .. } => (
            BAD_TARGET,
            Some("`pgrep -a python` lists candidates".to_owned()),
        ),
        ProcessError::Zombie { .. } => (
            BAD_TARGET,
            Some("it holds no memory any more; look at its parent".to_owned()),
        ),
        ProcessError::Unreadable { .. } => (BAD_TARGET, None),
    }
}

/// What to do about a process or kernel that may not be looked into.
fn privileges() -> String {
    if rustix::process::geteuid().is_root() {
        "root alone is not enough here: the capability CAP_SYS_PTRACE is missing, or a security \
         module protects the process; run heaptide on the host itself"
            .to_owned()
    } else {
        "run heaptide as root: `sudo heaptide …`".to_owned()
    }
}

fn probe(error: &ProbeError) -> (u8, Option<String>) {
    let code = if error.is_refusal() { REFUSED } else { FAILURE };
    let remedy = match error {
        ProbeError::NoTypeInformation { .. } => {
            "heaptide needs a kernel built with CONFIG_DEBUG_INFO_BTF=y".to_owned()
        }
        ProbeError::NoTracefs { .. } => {
            "mount it: `mount -t tracefs tracefs /sys/kernel/tracing`".to_owned()
        }
        _ if !rustix::process::geteuid().is_root() => privileges(),
        _ => "`heaptide doctor` says what this host lacks".to_owned(),
    };
    (code, Some(remedy))
}

fn recording(error: &RecordingError) -> (u8, Option<String>) {
    use RecordingError as E;
    match error {
        E::AlreadyExists { .. }
        | E::NotAFile { .. }
        | E::NoFolder { .. }
        | E::FolderNotWritable { .. }
        | E::NotCreated { .. } => (MISUSE, None),
        E::NotWritten { .. } => (FAILURE, Some(disk_remedy(error))),
        E::StillRead { .. } => (FAILURE, None),
        _ => (BAD_RECORDING, None),
    }
}

fn disk_remedy(_error: &RecordingError) -> String {
    "make room on the disk, or write elsewhere with --output".to_owned()
}
