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

    /// As [`Self::read_into`], with a number of bytes that the target's version decides about. It
    /// is less than `N`, which is the number of bytes in the block.
    fn read_some_into<const N: usize>(
        &self,
        address: u64,
        length: u16,
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

    /// The same; zero if it cannot be read, which takes no branch and so costs the verifier
    /// nothing.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier sees one function, not a call"
    )]
    fn word_or_zero(&self, address: u64) -> u64 {
        let mut word = Block::<8>::ZERO;
        let _readable: bool = self.read_into::<8, 8>(address, &mut word);
        word.word(0)
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

    /// A number of bytes, cut to less than the block has.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier must see the bound where it is used"
    )]
    pub fn cut(length: u16) -> usize {
        hidden(length) & (N - 1)
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
        let offset = hidden(offset) & (N - 8);
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
        let offset = hidden(offset) & (N - 4);
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
        let offset = hidden(offset) & (N - 1);
        // SAFETY: the mask keeps the byte inside the block.
        unsafe { self.0.as_ptr().add(offset).read() }
    }
}

/// Room for a page with what may begin at its end, and for something that was read alone. What is
/// looked at may be in either: the verifier need not know which it is.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Pages<const N: usize> {
    pages: Block<8192>,
    behind: Block<N>,
}

impl<const N: usize> Pages<N> {
    /// Room that is empty.
    pub const EMPTY: Self = {
        assert!(N <= 4096 - 8);
        Self {
            pages: Block::ZERO,
            behind: Block::ZERO,
        }
    };

    /// Where the room begins for what is read alone.
    pub const ALONE: u16 = 8192 - 8;

    /// The page, from its start on.
    pub const fn page_mut(&mut self) -> &mut Block<8192> {
        &mut self.pages
    }

    /// The room for what is read alone.
    pub const fn alone_mut(&mut self) -> &mut Block<N> {
        // SAFETY: as in `part`.
        unsafe { &mut *(&raw mut *self).byte_add(Self::ALONE as usize).cast() }
    }

    /// What lies at an offset that is a multiple of eight: in the page, or alone.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the verifier must see the bound where it is used"
    )]
    pub fn part(&self, offset: u16) -> &Block<N> {
        let offset = hidden(offset) & (8192 - 8);
        // SAFETY: the mask keeps the start in the pages, behind which there is room for as much;
        // pages and offset are aligned.
        unsafe { &*(&raw const *self).byte_add(offset).cast() }
    }
}

/// An offset of which the compiler does not know where it comes from. Otherwise it moves "block
/// plus offset" in front of the mask, out of the loop around both, and the verifier refuses the
/// program.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it stands between two instructions")]
#[expect(
    clippy::cast_possible_truncation,
    reason = "an offset is a small number"
)]
fn hidden(offset: u16) -> usize {
    opaque(u64::from(offset)) as usize
}

/// Hides from the compiler what is known of a number, so that it makes no branch of a calculation
/// with it.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it stands between two instructions")]
pub(crate) fn opaque(number: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    let number = {
        let mut hidden = number;
        // SAFETY: the register keeps its value. The move is there because two positions in the
        // source may not share an instruction, and an empty template would make them do so.
        unsafe { core::arch::asm!("{0} = {0}", inout(reg) hidden, options(nomem, nostack)) };
        hidden
    };
    number
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fake::FakeMemory;

    const ADDRESS: u64 = 0x1000;

    /// A block in which each byte is its own offset.
    fn counting() -> Block<128> {
        let mut block = Block::ZERO;
        for (byte, offset) in block.bytes_mut().iter_mut().zip(0..) {
            *byte = offset;
        }
        block
    }

    #[test]
    fn a_number_is_read_from_its_offset_lowest_byte_first() {
        let block = counting();
        assert_eq!(block.word(8), 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(block.half(20), 0x1716_1514);
        assert_eq!(block.byte(69), 69);
    }

    #[test]
    fn the_last_number_of_a_block_is_a_whole_one() {
        let block = counting();
        assert_eq!(block.word(120), 0x7f7e_7d7c_7b7a_7978);
        assert_eq!(block.half(124), 0x7f7e_7d7c);
        assert_eq!(block.byte(127), 127);
    }

    #[test]
    fn a_word_is_read_where_it_is() {
        let memory = FakeMemory::default().word(ADDRESS, 0x0123_4567_89ab_cdef);
        assert_eq!(memory.read_word(ADDRESS), Some(0x0123_4567_89ab_cdef));
    }

    #[test]
    fn a_word_of_which_a_byte_is_missing_is_no_word() {
        let memory = FakeMemory::default().bytes(ADDRESS, &[1; 7]);
        assert_eq!(memory.read_word(ADDRESS), None);
        assert_eq!(memory.word(ADDRESS + 8, 1).read_word(ADDRESS), None);
    }

    #[test]
    fn a_read_fills_as_much_of_a_block_as_was_asked_for() {
        let memory = FakeMemory::default().bytes(ADDRESS, &[0xff; 100]);
        let mut block = counting();
        assert!(memory.read_into::<80, _>(ADDRESS, &mut block));
        assert_eq!([block.byte(79), block.byte(80)], [0xff, 80]);
    }

    #[test]
    fn a_read_that_fails_leaves_zeros() {
        let mut block = counting();
        assert!(!FakeMemory::default().read_into::<80, _>(ADDRESS, &mut block));
        assert_eq!([block.byte(0), block.byte(79), block.byte(80)], [0, 0, 80]);
    }

    proptest! {
        #[test]
        fn no_offset_leads_out_of_a_block(offset: u16) {
            let mut block = counting();
            let [word, half, byte] = [!7, !3, !0].map(|mask| (usize::from(offset) % 128) & mask);
            let bytes = *block.bytes_mut();

            prop_assert_eq!(&block.word(offset).to_le_bytes(), &bytes[word..word + 8]);
            prop_assert_eq!(&block.half(offset).to_le_bytes(), &bytes[half..half + 4]);
            prop_assert_eq!(block.byte(offset), bytes[byte]);
        }
    }
}
