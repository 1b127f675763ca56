//! A root with Debian's unstable branch: the newest interpreters as a distribution builds them, in
//! a root of their own, as in a container.

use std::{fs, path::PathBuf};

use anyhow::{Result, bail};

use super::{folder, is_made, stamp};
use crate::{
    exec::{Tool, say},
    packages::{Package, is_root, require},
};

/// What the root has beside the base system: interpreters, and headers for the rows of layouts.
const PACKAGES: &str = concat!(
    "python3.13,python3.14,python3.15,",
    "libpython3.13-dev,libpython3.14-dev,libpython3.15-dev"
);

/// Builds with assertions, and their headers.
const DEBUG_PACKAGES: [&str; 3] = ["python3.13-dbg", "python3.14-dbg", "python3.15-dbg"];

/// The file in the root that says that it has them.
const DEBUG_STAMP: &str = "heaptide-debug-builds";

/// What makes the root.
const DEBOOTSTRAP: Package = Package {
    name: "debootstrap",
    file: "/usr/sbin/debootstrap",
};

/// Where the root is.
pub(super) fn root() -> PathBuf {
    folder().join("sid")
}

/// Makes the root, if that has not been done.
pub(super) fn make() -> Result<()> {
    let root = root();
    if is_made(&root, PACKAGES) {
        return Ok(());
    }
    if !is_root() {
        bail!("only root can make a root with {PACKAGES}");
    }
    require(&[DEBOOTSTRAP], "a root with new interpreters", true)?;
    say(format_args!(
        "getting {PACKAGES} from Debian sid into {}: half a minute, once",
        root.display()
    ));
    let unfinished = folder().join("sid.unfinished");
    for leftover in [&root, &unfinished] {
        Tool::new("rm")
            .args(["-rf", "--one-file-system"])
            .arg(leftover)
            .run()?;
    }
    fs::create_dir_all(folder())?;
    Tool::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), "sid"])
        .arg(&unfinished)
        .capture()?;
    stamp(&unfinished, PACKAGES)?;
    Ok(fs::rename(unfinished, root)?)
}

/// Adds builds with assertions to the root, if that has not been done.
pub(super) fn add_debug_builds() -> Result<()> {
    let stamp = root().join(DEBUG_STAMP);
    if !is_made(&root(), PACKAGES) || stamp.exists() {
        return Ok(());
    }
    let names = DEBUG_PACKAGES.join(" ");
    if !is_root() {
        bail!("only root can add {names} to {}", root().display());
    }
    say(format_args!(
        "adding {names} to {}: two minutes, once",
        root().display()
    ));
    let apt = |arguments: &[&str]| {
        Tool::new("chroot")
            .arg(root())
            // A copy of the archive may be older than it says that it may get.
            .args(["apt-get", "-qq", "-o", "Acquire::Check-Valid-Until=false"])
            // A gigabyte of symbols, of which nothing here makes use.
            .args(["-o", "Dpkg::Options::=--path-exclude=/usr/lib/debug/*"])
            .args(arguments)
            .hidden_env("DEBIAN_FRONTEND", "noninteractive")
            .capture()
    };
    apt(&["update"])?;
    apt(&[
        ["install", "-y", "--no-install-recommends"].as_slice(),
        &DEBUG_PACKAGES,
    ]
    .concat())?;
    Ok(fs::write(stamp, names)?)
}
