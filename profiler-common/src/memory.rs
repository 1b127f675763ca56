//! How the walk reads the target's memory, whichever half it runs in.

/// Reads the memory of one process.
pub trait ReadMemory {
    /// Fills `block` from `address` and says whether all of it could be read now.
    ///
    /// The caller owns the block, so that the kernel half, which has a stack of 512 bytes, needs
    /// no second copy of it.
    fn read_into<const N: usize>(&self, address: u64, block: &mut Block<N>) -> bool;

    /// Reads the word at `address`.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    fn read_word(&self, address: u64) -> Option<u64> {
        let mut word = Block::<8>::ZERO;
        self.read_into(address, &mut word).then(|| word.word(0))
    }
}

/// Bytes copied from the target, aligned so that its words can be loaded in one go.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Block<const N: usize>(pub [u8; N]);

impl<const N: usize> Block<N> {
    /// A block of zeros, to be read into.
    pub const ZERO: Self = Self([0; N]);

    /// The pointer-sized word at `offset`; zero where the block does not hold all of it.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    pub fn word(&self, offset: u16) -> u64 {
        let offset = usize::from(offset);
        if offset + 8 > N {
            return 0;
        }
        // SAFETY: the eight bytes lie inside the block, as just checked.
        unsafe { self.0.as_ptr().add(offset).cast::<u64>().read_unaligned() }
    }

    /// The 32-bit number at `offset`; zero where the block does not hold all of it.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    pub fn half(&self, offset: u16) -> u32 {
        let offset = usize::from(offset);
        if offset + 4 > N {
            return 0;
        }
        // SAFETY: the four bytes lie inside the block, as just checked.
        unsafe { self.0.as_ptr().add(offset).cast::<u32>().read_unaligned() }
    }

    /// The byte at `offset`; zero where the block does not hold it.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    pub fn byte(&self, offset: u16) -> u8 {
        let offset = usize::from(offset);
        if offset + 1 > N {
            return 0;
        }
        // SAFETY: the byte lies inside the block, as just checked.
        unsafe { self.0.as_ptr().add(offset).read() }
    }
}
