//! The memory of another process, read through `process_vm_readv`.
//!
//! The process runs on while it is read: what two reads tell need not fit together.

use std::io;

use libc::iovec;
use profiler_common::memory::{Block, ReadMemory};
use rustix::param::page_size;

use crate::units::Pid;

/// The most that one read gets.
const SIZE_LIMIT: usize = 64 << 20;

/// How many ranges one call of the kernel gets; it takes at most 1024.
const BATCH: usize = 512;

/// The memory of one process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Memory {
    pid: Pid,
}

impl Memory {
    /// The memory of this process; whether it can be read shows at the first read.
    pub const fn of(pid: Pid) -> Self {
        Self { pid }
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

    /// Reads many ranges in few calls. What cannot be read, or is too long, is `None`.
    pub fn read_many(&self, ranges: &[(u64, usize)]) -> Vec<Option<Vec<u8>>> {
        let mut blocks: Vec<Option<Vec<u8>>> = Vec::with_capacity(ranges.len());
        for batch in ranges.chunks(BATCH) {
            self.read_batch(batch, &mut blocks);
        }
        blocks
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
        let mut done = 0;
        while done < bytes.len() {
            let rest = &mut bytes[done..];
            let from = remote(offset(address, done)?, rest.len())?;
            match self.read_vectors(&[local(rest)], &[from])? {
                0 => return Err(io::Error::from_raw_os_error(libc::EFAULT)),
                count => done += count,
            }
        }
        Ok(())
    }

    /// Fills bytes, or clears them and says no.
    fn fill_or_clear(&self, address: u64, bytes: &mut [u8]) -> bool {
        let filled = self.fill(address, bytes).is_ok();
        if !filled {
            bytes.fill(0);
        }
        filled
    }

    fn read_batch(&self, ranges: &[(u64, usize)], blocks: &mut Vec<Option<Vec<u8>>>) {
        let start = blocks.len();
        let sized = |len: usize| (len <= SIZE_LIMIT).then(|| vec![0; len]);
        blocks.extend(ranges.iter().map(|range| sized(range.1)));
        let blocks = &mut blocks[start..];
        let mut next = 0;
        while next < ranges.len() {
            let read = self.read_prefix(&ranges[next..], &mut blocks[next..]);
            next += read;
            // The range behind those that were read is the one that could not be.
            if let Some(block) = blocks.get_mut(next) {
                *block = None;
                next += 1;
            }
        }
    }

    /// Reads ranges up to the first that cannot be read, and says how many that were.
    fn read_prefix(&self, ranges: &[(u64, usize)], blocks: &mut [Option<Vec<u8>>]) -> usize {
        let mut to = Vec::with_capacity(ranges.len());
        let mut from = Vec::with_capacity(ranges.len());
        for ((address, len), block) in ranges.iter().zip(blocks) {
            let (Some(block), Ok(remote)) = (block, remote(*address, *len)) else {
                break;
            };
            to.push(local(block));
            from.push(remote);
        }
        let mut left = self.read_vectors(&to, &from).unwrap_or(0);
        let whole = from.iter().take_while(|vector| {
            let fits = vector.iov_len <= left;
            left = left.saturating_sub(vector.iov_len);
            fits
        });
        whole.count()
    }

    /// Reads into the local vectors what the remote ones name, and says how many bytes it got.
    fn read_vectors(&self, local: &[iovec], remote: &[iovec]) -> io::Result<usize> {
        if local.is_empty() {
            return Ok(0);
        }
        let pid = libc::pid_t::try_from(self.pid.0)
            .map_err(|_error| io::Error::from_raw_os_error(libc::ESRCH))?;
        let count = |vectors: &[iovec]| libc::c_ulong::try_from(vectors.len());
        let (to, from) = (count(local), count(remote));
        let (to, from) = (
            to.map_err(io::Error::other)?,
            from.map_err(io::Error::other)?,
        );
        // SAFETY: the local vectors stand for buffers that are borrowed mutably for as long as
        // the vectors are used, and the kernel checks the remote ones.
        let read =
            unsafe { libc::process_vm_readv(pid, local.as_ptr(), to, remote.as_ptr(), from, 0) };
        usize::try_from(read).map_err(|_error| io::Error::last_os_error())
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

fn local(bytes: &mut [u8]) -> iovec {
    iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}

fn remote(address: u64, len: usize) -> io::Result<iovec> {
    let address = usize::try_from(address).map_err(io::Error::other)?;
    Ok(iovec {
        iov_base: std::ptr::without_provenance_mut(address),
        iov_len: len,
    })
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

    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

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
            let (page, flags) = (page_size(), ProtFlags::READ | ProtFlags::WRITE);
            // SAFETY: the kernel chooses where, and nothing else uses the pages.
            unsafe {
                let start = std::ptr::null_mut();
                let pages = mmap_anonymous(start, 2 * page, flags, MapFlags::PRIVATE).unwrap();
                pages.cast::<u8>().write_bytes(b'x', page);
                mprotect(pages.byte_add(page), page, MprotectFlags::empty()).unwrap();
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
