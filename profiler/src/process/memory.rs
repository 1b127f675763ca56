//! The memory of another process, read through `/proc/PID/mem`.
//!
//! The process runs on while it is read: what two reads tell need not fit together.
//!
//! `process_vm_readv` would read many places in one call. But since Linux 5.19 it has the kernel
//! copy each page that it reads and that the process shares with others since a fork: reading the
//! heap of forked workers would take away what they share. Reading this file copies nothing.

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt as _, rc::Rc};

use profiler_common::memory::{Block, ReadMemory};
use rustix::param::page_size;

use super::proc_file;
use crate::units::Pid;

/// The most that one read gets.
const SIZE_LIMIT: usize = 64 << 20;

/// The memory of one process.
#[derive(Clone, Debug)]
pub struct Memory {
    pid: Pid,
    /// Opened when it is needed. It stays that of a program when the process executes another one.
    file: Rc<RefCell<Option<Rc<File>>>>,
}

impl Memory {
    /// The memory of this process; whether it can be read shows at the first read.
    pub fn of(pid: Pid) -> Self {
        Self {
            pid,
            file: Rc::default(),
        }
    }

    /// The process.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Reads `len` bytes, all of them or none.
    pub fn read_bytes(&self, address: u64, len: usize) -> io::Result<Vec<u8>> {
        if len > SIZE_LIMIT {
            let message = format!("{len} bytes are more than the {SIZE_LIMIT} read at once");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut bytes = vec![0; len];
        self.fill(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads the word at `address`.
    pub fn read_word(&self, address: u64) -> Option<u64> {
        self.read_words(address).map(|[word]| word)
    }

    /// Reads the `N` words from `address` on, all of them or none.
    pub fn read_words<const N: usize>(&self, address: u64) -> Option<[u64; N]> {
        let mut words = [[0; 8]; N];
        self.fill(address, words.as_flattened_mut()).ok()?;
        Some(words.map(u64::from_le_bytes))
    }

    /// Reads many ranges. What cannot be read, or is too long, is `None`.
    pub fn read_many(&self, ranges: &[(u64, usize)]) -> Vec<Option<Vec<u8>>> {
        let ranges = ranges.iter();
        ranges
            .map(|(address, len)| self.read_bytes(*address, *len).ok())
            .collect()
    }

    /// Reads the text at `address` up to its end, at most `max` bytes of it.
    pub fn read_c_string(&self, address: u64, max: usize) -> io::Result<String> {
        let max = max.min(SIZE_LIMIT);
        let mut text = Vec::new();
        while text.len() < max {
            let next = offset(address, text.len())?;
            // The page behind the end of the text need not be there.
            let len = (max - text.len()).min(left_in_page(next));
            let part = self.read_bytes(next, len)?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                text.extend(&part[..end]);
                break;
            }
            text.extend(part);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn fill(&self, address: u64, bytes: &mut [u8]) -> io::Result<()> {
        offset(address, bytes.len())?;
        let mut done = 0;
        while done < bytes.len() {
            done += self.read_some(offset(address, done)?, &mut bytes[done..])?;
        }
        Ok(())
    }

    /// Reads at least one byte.
    fn read_some(&self, address: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut file = self.opened()?;
        for _ in 0..2 {
            match file.read_at(bytes, address) {
                // It has executed another program since, or it is gone.
                Ok(0) => {
                    self.file.take();
                    file = self.opened()?;
                }
                Ok(read) => return Ok(read),
                Err(_nothing_there) => return Err(io::Error::from_raw_os_error(libc::EFAULT)),
            }
        }
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }

    fn opened(&self) -> io::Result<Rc<File>> {
        if let Some(file) = &*self.file.borrow() {
            return Ok(Rc::clone(file));
        }
        let opened = File::open(proc_file::path(self.pid, "mem"));
        let file = Rc::new(opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::from_raw_os_error(libc::ESRCH),
            _ => error,
        })?);
        *self.file.borrow_mut() = Some(Rc::clone(&file));
        Ok(file)
    }

    /// Fills bytes, or clears them and says no.
    fn fill_or_clear(&self, address: u64, bytes: &mut [u8]) -> bool {
        let filled = self.fill(address, bytes).is_ok();
        if !filled {
            bytes.fill(0);
        }
        filled
    }
}

impl ReadMemory for Memory {
    fn read_into<const LENGTH: usize, const N: usize>(
        &self,
        address: u64,
        block: &mut Block<N>,
    ) -> bool {
        let bytes = block.bytes_mut().get_mut(..LENGTH);
        bytes.is_some_and(|bytes| self.fill_or_clear(address, bytes))
    }

    fn read_some_into<const N: usize>(
        &self,
        address: u64,
        length: u16,
        block: &mut Block<N>,
    ) -> bool {
        let bytes = block.bytes_mut().get_mut(..Block::<N>::cut(length));
        bytes.is_some_and(|bytes| self.fill_or_clear(address, bytes))
    }
}

fn offset(address: u64, len: usize) -> io::Result<u64> {
    let len = u64::try_from(len).map_err(io::Error::other)?;
    let fault = || io::Error::from_raw_os_error(libc::EFAULT);
    address.checked_add(len).ok_or_else(fault)
}

fn left_in_page(address: u64) -> usize {
    let page = page_size();
    usize::try_from(address).map_or(1, |address| page - address % page)
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;

    use rustix::{
        fs::{MemfdFlags, ftruncate, memfd_create},
        mm::{MapFlags, ProtFlags, mmap, munmap},
    };

    use super::*;

    fn own() -> Memory {
        Memory::of(Pid(std::process::id()))
    }

    fn address_of(bytes: &[u8]) -> u64 {
        bytes.as_ptr().addr() as u64
    }

    /// Two pages of which the second cannot be read; the first is full of `x`.
    struct Pages(*mut c_void);

    impl Pages {
        fn new() -> Self {
            let page = page_size();
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            // The second page lies behind the end of the file.
            let file = memfd_create("pages", MemfdFlags::CLOEXEC).unwrap();
            ftruncate(&file, page as u64).unwrap();
            // SAFETY: the kernel chooses where, and nothing else uses the pages.
            unsafe {
                let start = std::ptr::null_mut();
                let pages = mmap(start, 2 * page, protection, MapFlags::PRIVATE, &file, 0).unwrap();
                pages.cast::<u8>().write_bytes(b'x', page);
                Self(pages)
            }
        }

        /// The address of the byte behind the last that can be read.
        fn end(&self) -> u64 {
            (self.0.addr() + page_size()) as u64
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: the pages are those that were mapped, and no reference to them is left.
            unsafe { munmap(self.0, 2 * page_size()).unwrap() };
        }
    }

    #[test]
    fn bytes_words_and_blocks_are_read() {
        let bytes = *b"0123456789abcdef";
        let address = address_of(&bytes);
        assert_eq!(own().read_bytes(address, 16).unwrap(), bytes);
        assert_eq!(own().read_bytes(address, 0).unwrap(), b"");
        let word = u64::from_le_bytes(*b"23456789");
        assert_eq!(own().read_word(address + 2), Some(word));
        assert_eq!(ReadMemory::read_word(&own(), address + 2), Some(word));
        let words = own().read_words(address).unwrap();
        assert_eq!(words.map(u64::to_le_bytes), [*b"01234567", *b"89abcdef"]);
    }

    #[test]
    fn a_range_that_is_not_all_there_is_not_read() {
        let pages = Pages::new();
        assert_eq!(own().read_bytes(pages.end() - 8, 8).unwrap(), b"xxxxxxxx");
        let error = own().read_bytes(pages.end() - 8, 9).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
        assert_eq!(own().read_word(pages.end() - 4), None);
        assert_eq!(own().read_word(u64::MAX - 3), None);
        assert_eq!(own().read_word(0), None);
    }

    #[test]
    fn a_block_that_is_not_all_there_is_zero() {
        let pages = Pages::new();
        let mut block = Block::<32>::ZERO;
        assert!(own().read_into::<16, 32>(pages.end() - 16, &mut block));
        let full = u64::from_le_bytes(*b"xxxxxxxx");
        assert_eq!(
            [0, 8, 16, 24].map(|offset| block.word(offset)),
            [full, full, 0, 0]
        );
        assert!(!own().read_into::<32, 32>(pages.end() - 16, &mut block));
        assert_eq!([0, 8, 16, 24].map(|offset| block.word(offset)), [0; 4]);
    }

    #[test]
    fn one_bad_range_does_not_harm_the_others() {
        let pages = Pages::new();
        let good = (pages.end() - 4, 4);
        let bad = [
            (0, 8),
            (pages.end() - 4, 8),
            (u64::MAX, 1),
            (good.0, SIZE_LIMIT + 1),
        ];
        let mut ranges = vec![good; 700];
        for (index, place) in [0, 1, 350, 699].into_iter().enumerate() {
            ranges[place] = bad[index];
        }
        ranges.push((good.0, 0));
        let blocks = own().read_many(&ranges);
        assert_eq!(blocks.len(), 701);
        for (index, block) in blocks.iter().enumerate() {
            match index {
                0 | 1 | 350 | 699 => assert_eq!(*block, None, "{index}"),
                700 => assert_eq!(block.as_deref(), Some(&b""[..])),
                _ => assert_eq!(block.as_deref(), Some(&b"xxxx"[..]), "{index}"),
            }
        }
    }

    #[test]
    fn a_range_that_begins_well_and_ends_badly_is_not_read() {
        let pages = Pages::new();
        let page = page_size();
        let blocks = own().read_many(&[
            (pages.end() - 2, 2),
            (pages.end() - page as u64, page + 1),
            (pages.end() - 1, 1),
        ]);
        assert_eq!(blocks[0].as_deref(), Some(&b"xx"[..]));
        assert_eq!(blocks[1], None);
        assert_eq!(blocks[2].as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn a_text_ends_at_its_end_or_at_the_limit() {
        let text = b"caf\xc3\xa9\0rest";
        assert_eq!(own().read_c_string(address_of(text), 100).unwrap(), "café");
        assert_eq!(own().read_c_string(address_of(text), 3).unwrap(), "caf");
        let pages = Pages::new();
        assert_eq!(own().read_c_string(pages.end() - 5, 5).unwrap(), "xxxxx");
        assert!(own().read_c_string(pages.end() - 5, 6).is_err());
    }

    #[test]
    fn too_long_reads_are_refused_before_anything_is_allocated() {
        let error = own().read_bytes(4096, usize::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_process_that_is_gone_has_no_memory() {
        let error = Memory::of(Pid(u32::MAX)).read_bytes(4096, 8).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
}
