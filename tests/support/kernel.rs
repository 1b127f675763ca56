//! What heaptide holds in the kernel while it runs, and must not leave there.

use std::{collections::BTreeSet, fs, process::Command};

use serde::Deserialize;

/// Kinds of BPF objects, as bpftool calls them.
const KINDS: [&str; 3] = ["prog", "map", "link"];

/// BPF objects, by kind and id.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Holdings(BTreeSet<(&'static str, u64)>);

impl Holdings {
    /// What a process holds through its file descriptors.
    pub(crate) fn of(pid: u32) -> Self {
        let folder = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the process runs");
        let texts = folder.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        let held =
            texts.flat_map(|text| KINDS.into_iter().filter_map(move |kind| held(&text, kind)));
        Self(held.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Which of these are still there, whoever holds them.
    pub(crate) fn remaining(&self) -> Self {
        let existing = KINDS.into_iter().flat_map(existing).collect();
        Self(&self.0 & &existing)
    }

    /// Checks that all of these are gone. The kernel takes its time to free what nobody holds.
    #[track_caller]
    pub(crate) fn expect_gone(&self) {
        let is_gone = (0..500).any(|_| self.remaining().is_empty());
        assert!(is_gone, "still there: {:?}", self.remaining());
    }
}

/// The object of a kind that a descriptor stands for, if it does.
fn held(descriptor: &str, kind: &'static str) -> Option<(&'static str, u64)> {
    let key = format!("{kind}_id:");
    let id = descriptor
        .lines()
        .find_map(|line| line.strip_prefix(&key))?;
    Some((kind, id.trim().parse().ok()?))
}

/// All objects of a kind.
fn existing(kind: &'static str) -> Vec<(&'static str, u64)> {
    #[derive(Deserialize)]
    struct Entry {
        id: u64,
    }

    let output = Command::new("bpftool")
        .args([kind, "list", "--json"])
        .output();
    let output = output.expect("the test has made sure that there is a bpftool");
    let entries: Vec<Entry> = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "bpftool {kind}: {error}: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    entries.into_iter().map(|entry| (kind, entry.id)).collect()
}
