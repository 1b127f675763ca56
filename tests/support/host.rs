//! What this host can do. A test that needs more prints `skipped` and passes, unless
//! `HEAPTIDE_REQUIRE=all` or `CI=true` demands that every test runs.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// A `CPython` on this host.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    /// Its feature version, such as 3.12.
    pub(crate) version: String,
    pub(crate) path: PathBuf,
}

/// The versions that heaptide measures; a host that is to run all tests has each of them.
const SUPPORTED: [&str; 3] = ["3.11", "3.12", "3.13"];

/// The capabilities that recording needs: to load programs, to watch events, and to trace.
const CAPABILITIES: [(u32, &str); 3] =
    [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (19, "CAP_SYS_PTRACE")];

/// Says that a test is left out, or fails it where none may be.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    let is_strict = env::var("HEAPTIDE_REQUIRE").is_ok_and(|value| value == "all")
        || env::var("CI").is_ok_and(|value| value == "true");
    assert!(!is_strict, "this host must run every test, but {reason}");
    eprintln!("skipped: {reason}");
}

/// Whether this host lets heaptide record.
#[track_caller]
pub(crate) fn can_record() -> bool {
    match what_forbids_recording() {
        None => true,
        Some(reason) => {
            skip(&reason);
            false
        }
    }
}

fn what_forbids_recording() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("this is not root".to_owned());
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("the kernel has no type information".to_owned());
    }
    let effective = effective_capabilities();
    let (_, lacking) = CAPABILITIES
        .into_iter()
        .find(|(bit, _)| effective & (1 << bit) == 0)?;
    Some(format!("root has no {lacking} here"))
}

fn effective_capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(line.expect("each process has capabilities").trim(), 16)
        .expect("capabilities are a number")
}

/// Interpreters to measure: at least one of each version, and how distributions build them where
/// that is different. Empty where heaptide cannot record.
#[track_caller]
pub(crate) fn pythons() -> Vec<Python> {
    if !can_record() {
        return Vec::new();
    }
    let mut pythons = Vec::new();
    for version in SUPPORTED {
        let found = find(version);
        if found.is_empty() {
            skip(&format!("there is no CPython {version}"));
        }
        pythons.extend(found);
    }
    pythons
}

/// The newest interpreter to measure; `None` where heaptide cannot record.
#[track_caller]
pub(crate) fn python() -> Option<Python> {
    if !can_record() {
        return None;
    }
    let found = SUPPORTED
        .iter()
        .rev()
        .find_map(|version| find(version).into_iter().next());
    if found.is_none() {
        skip("there is no CPython to measure");
    }
    found
}

/// An interpreter of a version that heaptide does not measure.
#[track_caller]
pub(crate) fn old_python(version: &str) -> Option<Python> {
    let found = find(version).into_iter().next();
    if found.is_none() {
        skip(&format!("there is no CPython {version}"));
    }
    found
}

/// The interpreters of a version: pyenv's, and the distribution's.
fn find(version: &str) -> Vec<Python> {
    let name = format!("python{version}");
    let own = fs::read_dir(pyenv().join("versions"))
        .into_iter()
        .flatten()
        .flatten();
    let mut paths: Vec<PathBuf> = own
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with(&format!("{version}."))
        })
        .map(|entry| entry.path().join("bin").join(&name))
        .collect();
    paths.sort();
    paths.push(Path::new("/usr/local/bin").join(&name));
    paths.push(Path::new("/usr/bin").join(&name));
    paths.retain(|path| path.exists());
    let python = |path| Python {
        version: version.to_owned(),
        path,
    };
    paths.into_iter().map(python).collect()
}

fn pyenv() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".pyenv");
    env::var_os("PYENV_ROOT").map_or_else(home, PathBuf::from)
}

/// Whether a program is there that a test uses.
#[track_caller]
pub(crate) fn has(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = env::split_paths(&path).any(|folder| folder.join(program).exists());
    if !is_there {
        skip(&format!("there is no {program}"));
    }
    is_there
}
