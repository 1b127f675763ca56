//! The binaries of a process, opened and read once.

use std::{collections::HashMap, fs::File, rc::Rc, sync::Arc};

use super::PlanError;
use crate::process::{elf::ElfFile, image::Image};

/// A file, whatever its name: device and inode.
pub(super) type FileId = ((u32, u32), u64);

/// A binary that was opened, and what it says.
pub(super) struct OpenFile {
    pub(super) file: Arc<File>,
    pub(super) elf: ElfFile,
}

/// The binaries of one process, each opened and read once.
#[derive(Default)]
pub(super) struct Files(HashMap<FileId, Rc<OpenFile>>);

impl Files {
    /// Opens the file that was mapped as this image.
    pub(super) fn open(&mut self, image: &Image) -> Result<Rc<OpenFile>, PlanError> {
        if let Some(opened) = self.0.get(&file_id(image)) {
            return Ok(Rc::clone(opened));
        }
        let file = File::open(&image.open_path).map_err(|source| PlanError::Open {
            path: image.path.clone(),
            source,
        })?;
        let opened = Rc::new(OpenFile {
            file: Arc::new(file),
            elf: image.elf()?,
        });
        self.0.insert(file_id(image), Rc::clone(&opened));
        Ok(opened)
    }
}

/// Which file was mapped as this image.
pub(super) const fn file_id(image: &Image) -> FileId {
    (image.device, image.inode)
}
