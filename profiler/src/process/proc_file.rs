//! Reading the small files below `/proc/PID`.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use super::ProcessError;
use crate::units::Pid;

/// More than any file has that is read whole: the memory map of a process with the usual limit
/// of 65,530 mappings, all with long names.
const SIZE_LIMIT: u64 = 64 << 20;

/// The path of something below `/proc/PID`.
pub(super) fn path(pid: Pid, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// Reads all of a file; `what` is what a person would call its content.
pub(super) fn read(pid: Pid, name: &str, what: &'static str) -> Result<Vec<u8>, ProcessError> {
    let bytes = read_start(pid, name, what, SIZE_LIMIT + 1)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > SIZE_LIMIT) {
        let source = io::Error::other(format!("there are more than {SIZE_LIMIT} bytes"));
        return Err(ProcessError::Unreadable { pid, what, source });
    }
    Ok(bytes)
}

/// Reads the first bytes of a file.
pub(super) fn read_start(
    pid: Pid,
    name: &str,
    what: &'static str,
    limit: u64,
) -> Result<Vec<u8>, ProcessError> {
    let mut bytes = Vec::new();
    File::open(path(pid, name))
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|source| ProcessError::new(pid, what, source))?;
    Ok(bytes)
}

/// Opens a file that is read piece by piece.
pub(super) fn open(pid: Pid, name: &str, what: &'static str) -> Result<File, ProcessError> {
    File::open(path(pid, name)).map_err(|source| ProcessError::new(pid, what, source))
}

/// Text from a process as it may be shown: nothing in it controls a terminal.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
