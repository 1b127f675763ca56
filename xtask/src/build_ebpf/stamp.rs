//! Tells from what sources an object was built, without comparing the bytes of objects.

use std::{
    fmt::{self, Write as _},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// What goes into the object, as files and folders.
const SOURCES: [&str; 4] = [
    "profiler-common/Cargo.toml",
    "profiler-common/src",
    "profiler-ebpf/Cargo.toml",
    "profiler-ebpf/src",
];

/// Packages of others that go into the object; `Cargo.lock` names their versions.
const PACKAGES: [&str; 2] = ["aya-ebpf", "aya-log-ebpf"];

/// Hashes of the sources and of the object that was built from them.
pub(super) struct Stamp {
    sources: String,
    object: String,
}

impl Stamp {
    /// The stamp of an object built from the sources below `root`.
    pub(super) fn of(root: &Path, object: &[u8]) -> Result<Self> {
        Ok(Self {
            sources: hash_sources(root)?,
            object: hex(Sha256::digest(object).as_slice()),
        })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "sources {}\nobject {}", self.sources, self.object)
    }
}

fn hash_sources(root: &Path) -> Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        list_files(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.strip_prefix(root).unwrap_or(&file);
        // Name and length first, so that text cannot wander from one file to the next unseen.
        hash.update(format!("{} {}\n", name.display(), text.len()));
        hash.update(text);
    }
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    hash.update(package_versions(&lock));
    Ok(hex(hash.finalize().as_slice()))
}

fn list_files(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        list_files(&entry?.path(), files)?;
    }
    Ok(())
}

/// Name and version of the packages that matter, from the text of `Cargo.lock`.
fn package_versions(lock: &str) -> String {
    let mut versions = String::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let name = line
            .strip_prefix("name = ")
            .map(|name| name.trim_matches('"'));
        if name.is_some_and(|name| PACKAGES.iter().any(|package| name.starts_with(package))) {
            versions.push_str(line);
            versions.push_str(lines.next().unwrap_or_default());
        }
    }
    versions
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"aya-ebpf\"\nversion = \"0.3.0\"\n\n\
                        [[package]]\nname = \"clap\"\nversion = \"4.6.0\"\n";

    /// A small workspace that goes away with the test.
    struct Workspace(PathBuf);

    impl Workspace {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("stamp-{name}-{}", std::process::id()));
            let workspace = Self(root);
            for source in SOURCES {
                let file = if source.ends_with("src") {
                    "src/main.rs"
                } else {
                    "Cargo.toml"
                };
                let folder = source.split('/').next().unwrap();
                workspace.write(&format!("{folder}/{file}"), "text");
            }
            workspace.write("Cargo.lock", LOCK);
            workspace
        }

        fn write(&self, file: &str, text: &str) {
            let file = self.0.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }

        fn stamp(&self) -> String {
            Stamp::of(&self.0, b"object").unwrap().to_string()
        }
    }

    impl Drop for Workspace {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn changes_with_a_source_and_comes_back_with_it() {
        let workspace = Workspace::new("source");
        let before = workspace.stamp();
        workspace.write("profiler-ebpf/src/maps.rs", "new");
        let with_another_file = workspace.stamp();
        workspace.write("profiler-ebpf/src/maps.rs", "newer");
        let with_another_text = workspace.stamp();
        assert_ne!(before, with_another_file);
        assert_ne!(with_another_file, with_another_text);
        fs::remove_file(workspace.0.join("profiler-ebpf/src/maps.rs")).unwrap();
        assert_eq!(workspace.stamp(), before);
    }

    #[test]
    fn changes_with_the_version_of_aya_ebpf_but_of_nothing_else() {
        let workspace = Workspace::new("lock");
        let before = workspace.stamp();
        workspace.write("Cargo.lock", &LOCK.replace("4.6.0", "4.7.0"));
        assert_eq!(workspace.stamp(), before);
        workspace.write("Cargo.lock", &LOCK.replace("0.3.0", "0.3.1"));
        assert_ne!(workspace.stamp(), before);
    }

    #[test]
    fn changes_with_the_object() {
        let workspace = Workspace::new("object");
        let other = Stamp::of(&workspace.0, b"other object")
            .unwrap()
            .to_string();
        assert_ne!(workspace.stamp(), other);
        assert_eq!(other.lines().next(), workspace.stamp().lines().next());
    }
}
