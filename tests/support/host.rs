//! What this host can do. A test that needs more prints `skipped` and passes, unless
//! `HEAPTIDE_REQUIRE=all` or `CI=true` demands that every test runs.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::program::script;

/// A `CPython` on this host.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    /// Its feature version and where it comes from.
    pub(crate) name: String,
    /// Its feature version, such as 3.12.
    pub(crate) version: String,
    pub(crate) path: PathBuf,
    /// The root that it runs in, if that is not the host's.
    pub(crate) root: Option<PathBuf>,
}

impl Python {
    /// The command that runs it, without arguments. What it becomes keeps the pid.
    pub(crate) fn command(&self) -> Command {
        let Some(root) = &self.root else {
            return Command::new(&self.path);
        };
        copy_programs(root);
        let mut command = Command::new("chroot");
        command.arg(root).arg(&self.path);
        command
    }
}

/// Copies the programs under test to where they are, but in another root.
fn copy_programs(root: &Path) {
    let folder = script("steps");
    let folder = folder.parent().expect("a file is in a folder");
    let copies = root.join(folder.strip_prefix("/").expect("the path is absolute"));
    let copied = fs::create_dir_all(&copies).and_then(|()| {
        fs::read_dir(folder)?.try_for_each(|entry| {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), copies.join(entry.file_name()))?;
            }
            Ok(())
        })
    });
    copied.unwrap_or_else(|error| panic!("{}: {error}", copies.display()));
}

/// The versions that heaptide measures; a host that is to run all tests has each of them.
const SUPPORTED: [&str; 8] = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"];

/// The versions that heaptide refuses.
pub(crate) const TOO_OLD: [&str; 3] = ["2.7", "3.6", "3.7"];

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

/// The interpreters to measure. Empty where heaptide cannot record.
#[track_caller]
pub(crate) fn pythons() -> Vec<Python> {
    if !can_record() {
        return Vec::new();
    }
    let versions = SUPPORTED.iter();
    versions.flat_map(|version| find(version)).collect()
}

/// Every interpreter of the list that is supported in any way, in its order. Empty where heaptide
/// cannot record.
#[track_caller]
pub(crate) fn every_python() -> Vec<Python> {
    if !can_record() {
        return Vec::new();
    }
    let (found, missing): (Vec<_>, Vec<_>) = listed()
        .into_iter()
        .filter(|python| !TOO_OLD.contains(&python.version.as_str()))
        .partition(Python::is_here);
    for python in missing {
        skip(&format!("there is no CPython {}", python.name));
    }
    found
}

/// One interpreter in a shared library, and one that is static, stripped and optimized.
#[track_caller]
pub(crate) fn two_builds() -> Vec<Python> {
    if !can_record() {
        return Vec::new();
    }
    let names = ["3.11 of the distribution", "3.12 of pyenv"];
    let found = ["3.11", "3.12"].into_iter().flat_map(find);
    found
        .filter(|python| names.contains(&python.name.as_str()))
        .collect()
}

/// The newest interpreter to measure in the root of this host; `None` where heaptide cannot
/// record.
#[track_caller]
pub(crate) fn python() -> Option<Python> {
    if !can_record() {
        return None;
    }
    let found = listed().into_iter().rfind(|python| {
        let is_supported = SUPPORTED.contains(&python.version.as_str());
        is_supported && python.is_here() && python.root.is_none()
    });
    if found.is_none() {
        skip("there is no CPython to measure");
    }
    found
}

/// An interpreter of a version that heaptide does not measure.
#[track_caller]
pub(crate) fn old_python(version: &str) -> Option<Python> {
    find(version).into_iter().next()
}

/// The interpreters of a version; those that are missing are named.
#[track_caller]
pub(crate) fn find(version: &str) -> Vec<Python> {
    let listed = listed().into_iter();
    let (found, missing): (Vec<_>, Vec<_>) = listed
        .filter(|python| python.version == version)
        .partition(Python::is_here);
    for python in missing {
        skip(&format!("there is no CPython {}", python.name));
    }
    found
}

/// The interpreters that `cargo xtask` knows: in each line of the variable the name, the version,
/// the path and the root of one, the path empty if it is missing.
#[track_caller]
fn listed() -> Vec<Python> {
    let Ok(list) = env::var("HEAPTIDE_PYTHONS") else {
        skip("only `cargo xtask test` and `cargo xtask cargo -- test` know the interpreters");
        return Vec::new();
    };
    let python = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        Some(Python {
            name: fields.next()?,
            version: fields.next()?,
            path: fields.next()?.into(),
            root: fields
                .next()
                .filter(|root| !root.is_empty())
                .map(PathBuf::from),
        })
    };
    list.lines().filter_map(python).collect()
}

impl Python {
    /// Whether it runs without a lock around all of it, and allocates with mimalloc.
    pub(crate) fn is_free_threaded(&self) -> bool {
        self.version.ends_with('t')
    }

    /// Whether it was built with assertions, which guard each block by bytes around it.
    pub(crate) fn has_assertions(&self) -> bool {
        self.version.ends_with('d')
    }

    /// Whether it is on this host.
    fn is_here(&self) -> bool {
        !self.path.as_os_str().is_empty()
    }
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
