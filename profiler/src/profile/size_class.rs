//! The sizes in which pymalloc and mimalloc hand out blocks.

use profiler_common::{cookie::SIZE_CLASSES, sampling::CLASS_BYTES};

/// One of the sizes in which pymalloc hands out small blocks, or of those beyond, four between a
/// power of two and the next, in which mimalloc does.
///
/// Mimalloc's largest blocks have sizes in between, and then count as the next larger one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SizeClass(u8);

/// How many of the classes are pymalloc's.
const SMALL: u8 = 32;

/// From so many bytes on, as a power of two, classes are mimalloc's alone …
const LARGE_FROM: u8 = 9;

/// … and there are so many of them to the next power of two …
const STEPS: u8 = 4;

/// … up to this one.
const LARGEST: u8 = 30;

/// The number of the largest class.
const LAST: u8 = SMALL + (LARGEST - LARGE_FROM) * STEPS - 1;

const _: () = assert!(SMALL as u32 == SIZE_CLASSES);

impl SizeClass {
    /// How many there are.
    pub const COUNT: usize = LAST as usize + 1;

    /// Pymalloc's class with this number, if there is one.
    pub fn new(number: u32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (number < SMALL).then_some(Self(number))
    }

    /// The class of blocks of this size.
    pub fn of(bytes: u64) -> Self {
        let below = bytes.saturating_sub(1);
        let number = match below.checked_ilog2() {
            Some(power) if power >= LARGE_FROM.into() => {
                let step = (below >> (power - 2)) & u64::from(STEPS - 1);
                let steps = (power - u32::from(LARGE_FROM)) * u32::from(STEPS);
                u64::from(u32::from(SMALL) + steps) + step
            }
            _ => below / u64::from(CLASS_BYTES),
        };
        Self(u8::try_from(number).unwrap_or(LAST).min(LAST))
    }

    /// All classes, from the smallest to the largest.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=LAST).map(Self)
    }

    /// Pymalloc's classes, from the smallest to the largest.
    pub fn small() -> impl Iterator<Item = Self> {
        (0..SMALL).map(Self)
    }

    /// Its number.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// How large its blocks are.
    pub const fn bytes(self) -> u64 {
        let Some(beyond) = self.0.checked_sub(SMALL) else {
            return (self.0 as u64 + 1) * CLASS_BYTES as u64;
        };
        let [power, step] = [beyond / STEPS, beyond % STEPS];
        ((STEPS + step + 1) as u64) << (power + LARGE_FROM - 2)
    }
}

/// What is known about the blocks of one class in a process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClassCensus {
    /// How many were handed out and not given back.
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
    fn pymallocs_classes_end_at_512_bytes() {
        let bytes: Vec<u64> = SizeClass::small().map(SizeClass::bytes).collect();
        assert_eq!((bytes[0], bytes.len(), bytes[31]), (16, 32, 512));
        assert_eq!(SizeClass::new(32), None);
    }

    #[test]
    fn those_beyond_are_a_quarter_of_a_power_of_two_apart() {
        let bytes: Vec<u64> = SizeClass::all().skip(31).map(SizeClass::bytes).collect();
        assert_eq!(bytes[..7], [512, 640, 768, 896, 1024, 1280, 1536]);
        assert_eq!(bytes.last(), Some(&(1 << 30)));
        assert!(bytes.is_sorted());
    }

    #[test]
    fn a_size_is_of_the_smallest_class_that_holds_it() {
        for class in SizeClass::all() {
            assert_eq!(SizeClass::of(class.bytes()), class);
            let next = SizeClass::of(class.bytes() + 1);
            assert!(next.index() == class.index() + 1 || class.bytes() == 1 << 30);
        }
        assert_eq!(SizeClass::of(0).bytes(), 16);
        assert_eq!(SizeClass::of(8).bytes(), 16);
        assert_eq!(SizeClass::of(u64::MAX).bytes(), 1 << 30);
    }
}
