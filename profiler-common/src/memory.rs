//! How the walk reads the target's memory, whichever half it runs in.

/// Reads the memory of one process.
pub trait ReadMemory {
    /// Fills the first `LENGTH` bytes of `block` from `address` and says whether all of them could
    /// be read now. If not, these bytes are zero.
    ///
    /// The caller owns the block, so that the kernel half, which has a stack of 512 bytes, needs
    /// no second copy of it.
    fn read_into<const LENGTH: usize, const N: usize>(
        &self,
        address: u64,
        block: &mut Block<N>,
    ) -> bool;

    /// Reads the word at `address`.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    fn read_word(&self, address: u64) -> Option<u64> {
        let mut word = Block::<8>::ZERO;
        self.read_into::<8, 8>(address, &mut word)
            .then(|| word.word(0))
    }
}

/// Bytes copied from the target, aligned so that its words can be loaded in one go. Their number
/// is a power of two: offsets are cut to it, which takes no branch and so costs the verifier
/// nothing. Offsets come from layout rows, which are checked when they are made.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Block<const N: usize>([u8; N]);

impl<const N: usize> Block<N> {
    /// A block of zeros, to be read into.
    pub const ZERO: Self = {
        assert!(N.is_power_of_two() && N >= 8);
        Self([0; N])
    };

    /// The bytes, for whoever fills them.
    pub const fn bytes_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// The pointer-sized word at `offset`, which is a multiple of eight.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    #[expect(
        clippy::cast_ptr_alignment,
        reason = "the block and the offset are aligned"
    )]
    pub fn word(&self, offset: u16) -> u64 {
        let offset = opaque(offset) & (N - 8);
        // SAFETY: the mask keeps the eight bytes inside the block; block and offset are aligned.
        unsafe { self.0.as_ptr().add(offset).cast::<u64>().read() }
    }

    /// The 32-bit number at `offset`, which is a multiple of four.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    #[expect(
        clippy::cast_ptr_alignment,
        reason = "the block and the offset are aligned"
    )]
    pub fn half(&self, offset: u16) -> u32 {
        let offset = opaque(offset) & (N - 4);
        // SAFETY: as above, with four bytes.
        unsafe { self.0.as_ptr().add(offset).cast::<u32>().read() }
    }

    /// The byte at `offset`.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    pub fn byte(&self, offset: u16) -> u8 {
        let offset = opaque(offset) & (N - 1);
        // SAFETY: the mask keeps the byte inside the block.
        unsafe { self.0.as_ptr().add(offset).read() }
    }
}

/// Hides from the compiler where a number comes from. Otherwise it moves "block plus offset" in
/// front of the mask, out of the loop around both, and the verifier refuses the program.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it stands between two instructions")]
fn opaque(offset: u16) -> usize {
    let offset = usize::from(offset);
    #[cfg(target_arch = "bpf")]
    let offset = {
        let mut hidden = offset;
        // SAFETY: the register keeps its value. The move is there because two positions in the
        // source may not share an instruction, and an empty template would make them do so.
        unsafe { core::arch::asm!("{0} = {0}", inout(reg) hidden, options(nomem, nostack)) };
        hidden
    };
    offset
}
