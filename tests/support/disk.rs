//! A disk that a test can fill.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use super::host::skip;

/// A small disk in memory, gone when the test ends.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one of 4 MiB; `None` where that is not allowed.
    #[track_caller]
    pub(crate) fn mount() -> Option<Self> {
        let folder = TempDir::new().expect("there is room for temporary files");
        let size = Some(c"size=4m");
        match mount("none", folder.path(), "tmpfs", MountFlags::empty(), size) {
            Ok(()) => Some(Self { folder }),
            Err(error) => {
                skip(&format!("no disk can be mounted: {error}"));
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves no room.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file needs no room of its own");
        let page = [0; 4096];
        let error = (0..)
            .find_map(|_| filler.write_all(&page).err())
            .expect("the disk is small");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    /// Makes room again.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.filler()).expect("the disk was filled");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever still uses it goes on; it is not seen any more.
        if let Err(error) = unmount(self.folder.path(), UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.folder.path().display());
        }
    }
}
