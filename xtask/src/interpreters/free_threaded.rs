//! An interpreter that runs without a GIL. Debian has none, but the sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{folder, is_made, stamp};
use crate::{
    exec::{Tool, find, say},
    packages::is_root,
};

/// The branch and the package with the sources.
const SUITE: &str = "trixie";
const PACKAGE: &str = "python3.13";

/// How it is configured; nothing is installed, and neither tests nor profiles are built.
const OPTIONS: [&str; 3] = [
    "--disable-gil",
    "--with-ensurepip=no",
    "--disable-test-modules",
];

/// Where the program is. It finds its library beside it.
pub(super) fn program() -> PathBuf {
    folder().join("python3.13t/source/python")
}

/// Compiles the interpreter, if that has not been done.
pub(super) fn make() -> Result<()> {
    let made = folder().join("python3.13t");
    let recipe = format!("{PACKAGE} of {SUITE}, {}", OPTIONS.join(" "));
    if is_made(&made, &recipe) {
        return Ok(());
    }
    if find("apt-get").is_none() || !is_root() {
        bail!("getting the sources of {PACKAGE} needs Debian's apt-get, as root");
    }
    say(format_args!(
        "compiling {recipe} in {}: some minutes, once",
        made.display()
    ));
    if made.exists() {
        fs::remove_dir_all(&made)?;
    }
    let source = made.join("source");
    fs::create_dir_all(&source)?;
    let archive = download(&made.join("download"))?;
    let unpack = ["--strip-components=1", "-xf"];
    Tool::new("tar")
        .in_folder(&source)
        .args(unpack)
        .arg(archive)
        .run()?;
    Tool::new("./configure")
        .in_folder(&source)
        .args(OPTIONS)
        .capture()?;
    Tool::new("make")
        .in_folder(&source)
        .args(["-j2", "python", "sharedmods"])
        .capture()?;
    stamp(&made, &recipe)
}

/// Gets the sources as their authors released them, checked by apt; leaves no trace in the
/// machine's own lists.
fn download(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder.join("lists/partial"))?;
    let sources = format!("deb-src http://deb.debian.org/debian {SUITE} main\n");
    fs::write(folder.join("sources.list"), sources)?;
    let apt = |subcommand: &[&str]| {
        let place = |option: &str, file: &str| format!("{option}={}", folder.join(file).display());
        Tool::new("apt-get")
            .in_folder(folder)
            .args([
                "-qq",
                "-o",
                "APT::Sandbox::User=root",
                "-o",
                "Dir::Etc::SourceParts=-",
            ])
            .args(["-o", &place("Dir::Etc::SourceList", "sources.list")])
            .args(["-o", &place("Dir::State::Lists", "lists")])
            .args(subcommand)
            .capture()
    };
    apt(&["update"])?;
    apt(&["source", "--download-only", PACKAGE])?;
    let files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let mut archives = files.filter(|path| path.to_string_lossy().ends_with(".orig.tar.xz"));
    archives.next().context("the source package has no archive")
}
