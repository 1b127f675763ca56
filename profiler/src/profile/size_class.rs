//! The sizes in which pymalloc hands out small blocks.

use profiler_common::{config::SIZE_CLASSES, sampling::CLASS_BYTES};

/// One of the sizes in which pymalloc hands out small blocks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SizeClass(u8);

impl SizeClass {
    /// How many there are.
    pub const COUNT: usize = SIZE_CLASSES as usize;

    /// The class with this number, if there is one.
    pub fn new(number: u32) -> Option<Self> {
        let is_class = number < SIZE_CLASSES;
        u8::try_from(number).ok().filter(|_| is_class).map(Self)
    }

    /// All classes, from the smallest to the largest.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SIZE_CLASSES).filter_map(Self::new)
    }

    /// Its number.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// How large its blocks are.
    pub const fn bytes(self) -> u64 {
        (self.0 as u64 + 1) * CLASS_BYTES as u64
    }
}

/// What is known about the small blocks of one class in a process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClassCensus {
    /// How many pymalloc has handed out and not got back.
    pub blocks: u64,
    /// How many of those are older than that heaptide follows the process, by a sample of them.
    pub older: u64,
    /// The standard error of that.
    pub older_error: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_end_at_512_bytes() {
        let bytes: Vec<u64> = SizeClass::all().map(SizeClass::bytes).collect();
        assert_eq!((bytes[0], bytes.len(), bytes[31]), (16, 32, 512));
        assert_eq!(SizeClass::new(32), None);
    }
}
