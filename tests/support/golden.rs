//! The recordings that are kept: one folder for each format that there ever was.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::heaptide::{Output, binary, output};

/// A recording that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Golden {
    /// The folder of its format.
    pub(crate) folder: PathBuf,
    /// The file, in that folder.
    pub(crate) file: String,
}

impl Golden {
    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        self.file.trim_end_matches(".heaptide")
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(&self.file)
    }

    /// Runs heaptide beside it, so that no output has a path of this machine. `RECORDING` stands
    /// for the file.
    pub(crate) fn heaptide(&self, arguments: &[&str]) -> Output {
        let named = arguments.iter().map(|argument| match *argument {
            "RECORDING" => self.file.as_str(),
            other => other,
        });
        output(
            Command::new(binary())
                .args(named)
                .current_dir(&self.folder)
                .env_remove("NO_COLOR"),
        )
    }
}

/// The folder of all formats.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// The folders of formats, the oldest first.
pub(crate) fn formats() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("the folder is kept");
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.is_dir() && !path.ends_with("programs"))
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "there is no recording");
    folders
}

/// All recordings.
pub(crate) fn recordings() -> Vec<Golden> {
    formats().iter().flat_map(|it| recordings_in(it)).collect()
}

fn recordings_in(folder: &Path) -> Vec<Golden> {
    let entries = fs::read_dir(folder).expect("it was listed");
    let names = entries.map(|entry| entry.expect("it can be listed").file_name());
    let mut names: Vec<String> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".heaptide"))
        .collect();
    names.sort();
    let golden = |file| Golden {
        folder: folder.to_owned(),
        file,
    };
    names.into_iter().map(golden).collect()
}

/// One recording of the newest format.
#[track_caller]
pub(crate) fn newest(name: &str) -> Golden {
    let all = recordings().into_iter().rev();
    let mut named = all.filter(|golden| golden.name() == name);
    let found = named.next();
    found.unwrap_or_else(|| panic!("there is no recording {name}"))
}
