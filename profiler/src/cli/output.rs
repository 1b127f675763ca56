//! Results to stdout, messages to stderr, files where they can be.

use std::{
    env,
    io::{self, ErrorKind, IsTerminal, Write as _},
    path::Path,
};

use anyhow::Context as _;

use super::{
    args::{ColorChoice, Common},
    exit::Misuse,
};
use crate::profile::Recorded;

/// Whether what goes to a stream is coloured.
pub(super) fn has_color(choice: ColorChoice, stream: &impl IsTerminal) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            !refused && stream.is_terminal()
        }
    }
}

/// Prints a result. Whoever has read enough and closed the pipe is content.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let ending = if text.ends_with('\n') { "" } else { "\n" };
    match write!(stdout, "{text}{ending}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot print the results")
        }
        _ => Ok(()),
    }
}

/// Prints a message.
pub(super) fn complain(text: &str) {
    // Nothing is left to do if stderr is gone.
    let _unwritable: io::Result<()> = writeln!(io::stderr().lock(), "{text}");
}

/// Warns of a recording without an end, where the result itself cannot say so.
pub(super) fn warn_of_missing_end(path: &Path, recorded: &Recorded, common: &Common) {
    if !recorded.facts.complete && !common.quiet {
        complain(&format!(
            "warning: {} was not ended in order, or is still being written: its end is missing",
            path.display()
        ));
    }
}

/// Finds out early that a drawing cannot be written, before half a minute was recorded for it.
pub(super) fn check_writable(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        let message = format!("{} is a folder", path.display());
        return Err(Misuse::new(&message, "name a file, such as growth.svg").into());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let message = format!("there is no folder {}", folder.display());
        return Err(Misuse::new(&message, "create it, or name a file elsewhere").into());
    }
    if let Err(error) = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK) {
        let message = format!("cannot write {}: {error}", path.display());
        return Err(Misuse::new(&message, "name a file in a folder that you may write to").into());
    }
    Ok(())
}
