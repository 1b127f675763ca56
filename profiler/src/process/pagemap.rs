//! `/proc/PID/pagemap`: which pages of a process are there, and in which frames of memory.
//!
//! Only root is told frames; others see that a page is there, and no more.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use rustix::param::page_size;

use super::{ProcessError, proc_file};
use crate::units::Pid;

const WHAT: &str = "the page map";

/// How many pages are asked for at once: 256 KiB of entries, for 128 MiB of memory.
const BATCH: usize = 1 << 15;

/// What the kernel says of a page.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Page(u64);

impl Page {
    /// Whether it is in memory.
    pub const fn is_present(self) -> bool {
        self.0 >> 63 & 1 == 1
    }

    /// Whether it was swapped out.
    pub const fn is_swapped(self) -> bool {
        self.0 >> 62 & 1 == 1
    }

    /// Whether it is a page of a file as it stands there, or of shared memory.
    pub const fn is_of_file(self) -> bool {
        self.0 >> 61 & 1 == 1
    }

    /// Whether no other process has it mapped.
    pub const fn is_exclusive(self) -> bool {
        self.0 >> 56 & 1 == 1
    }

    /// Whether it is in memory, and belongs to no file.
    pub const fn is_anonymous(self) -> bool {
        self.is_present() && !self.is_of_file()
    }

    /// The number of its frame; `None` if it is not in memory, or the kernel does not tell.
    pub const fn frame(self) -> Option<u64> {
        let frame = self.0 & ((1 << 55) - 1);
        if self.is_present() && frame != 0 {
            Some(frame)
        } else {
            None
        }
    }
}

/// The page map of a process.
#[derive(Debug)]
pub struct Pagemap {
    file: File,
}

impl Pagemap {
    /// Opens it.
    pub fn open(pid: Pid) -> Result<Self, ProcessError> {
        proc_file::open(pid, "pagemap", WHAT).map(|file| Self { file })
    }

    /// Shows the pages of a range, from the one that its start is in. What is not mapped is shown
    /// as not there.
    pub fn read(&self, range: Range<u64>, mut show: impl FnMut(u64, Page)) -> io::Result<()> {
        let page = page_size() as u64;
        let mut next = range.start / page;
        let end = range.end.div_ceil(page);
        while next < end {
            let count = usize::try_from(end - next).map_or(BATCH, |left| left.min(BATCH));
            let mut bytes = vec![0; count * 8];
            let read = self.file.read_at(&mut bytes, next.saturating_mul(8))?;
            let (entries, _rest) = bytes[..read].as_chunks();
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                show(next.saturating_mul(page), Page(u64::from_le_bytes(*entry)));
                next += 1;
            }
        }
        Ok(())
    }

    /// The pages of a range, in order.
    pub fn pages(&self, range: Range<u64>) -> io::Result<Vec<Page>> {
        let mut pages = Vec::new();
        self.read(range, |_, page| pages.push(page))?;
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

    use super::*;

    #[test]
    fn bits_mean_what_the_kernel_says() {
        let page = Page(1 << 63 | 1 << 56 | 0x1234);
        assert!(page.is_present() && page.is_exclusive() && page.is_anonymous());
        assert_eq!(page.frame(), Some(0x1234));
        let file = Page(1 << 63 | 1 << 61);
        assert!(file.is_of_file() && !file.is_anonymous() && !file.is_exclusive());
        assert_eq!(file.frame(), None);
        assert!(Page(1 << 62).is_swapped() && !Page(1 << 62).is_present());
    }

    #[test]
    fn touched_pages_are_there_and_others_are_not() {
        let size = page_size();
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: the kernel chooses where, and nothing else uses the pages.
        let start = unsafe {
            let start = mmap_anonymous(std::ptr::null_mut(), 8 * size, protection, flags).unwrap();
            for number in [0, 3, 7] {
                start.cast::<u8>().add(number * size).write(1);
            }
            start
        };
        let from = start.addr() as u64;
        let own = Pagemap::open(Pid(std::process::id())).unwrap();
        let pages = own.pages(from..from + 8 * size as u64).unwrap();
        // SAFETY: the pages are those that were mapped, and no reference to them is left.
        unsafe { munmap(start, 8 * size).unwrap() };
        let present = (0..).zip(&pages).filter(|(_, page)| page.is_present());
        let present: Vec<u32> = present.map(|(number, _)| number).collect();
        // With huge pages, the first touch brings them all.
        assert!(present == [0, 3, 7] || present.len() == 8, "{present:?}");
        assert_eq!(pages.len(), 8);
        assert!(pages[3].is_anonymous() && pages[3].is_exclusive());
    }

    #[test]
    fn a_process_that_is_gone_has_no_page_map() {
        let error = Pagemap::open(Pid(u32::MAX)).unwrap_err();
        assert!(matches!(error, ProcessError::NoSuchProcess { .. }));
    }
}
