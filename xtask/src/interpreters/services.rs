//! Servers that the scenarios of growth run: a virtual environment with them, and Redis.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{is_made, pyenv, stamp};
use crate::{
    exec::{Tool, say, target},
    packages::{Package, require},
};

/// The variable that tells the tests which Python has the servers.
pub(crate) const VARIABLE: &str = "HEAPTIDE_SERVICES";

const PACKAGES: [&str; 8] = [
    "flask==3.1.2",
    "django==5.2.8",
    "gunicorn==23.0.0",
    "uvicorn==0.38.0",
    "celery==5.5.3",
    "redis==5.2.1",
    "numpy==2.3.5",
    "pandas==2.3.3",
];

const REDIS: Package = Package {
    name: "redis-server",
    file: "/usr/bin/redis-server",
};

/// The version of pyenv that has them.
const VERSION: &str = "3.12";

/// The Python of the environment, if that was made.
pub(crate) fn program() -> Option<PathBuf> {
    is_made(&environment(), &PACKAGES.join("\n")).then(|| environment().join("bin/python"))
}

fn environment() -> PathBuf {
    target().join("services")
}

/// Makes the environment, if that has not been done, and installs Redis.
pub(crate) fn make() -> Result<()> {
    require(&[REDIS], "the scenarios of growth", true)?;
    let environment = environment();
    if program().is_some() {
        return Ok(());
    }
    let python = pyenv(VERSION).with_context(|| format!("pyenv has no CPython {VERSION}"))?;
    say(format_args!(
        "getting servers into {}",
        environment.display()
    ));
    fs::create_dir_all(&environment)?;
    Tool::new(python)
        .args(["-m", "venv", "--clear"])
        .arg(&environment)
        .capture()?;
    Tool::new(environment.join("bin/pip"))
        .args(["install", "--quiet", "--only-binary=:all:"])
        .args(PACKAGES)
        .capture()?;
    stamp(&environment, &PACKAGES.join("\n"))
}
