//! Of which objects the stack is looked at: a Poisson draw by bytes.
//!
//! A stack costs more than the rest of a hit. What is to be known is bytes, so large objects are
//! looked at nearly always and tiny ones now and then: an object of `s` bytes with the probability
//! `1 - exp(-s / MEAN_BYTES)`, as if each byte were a chance of its own. Whoever was looked at
//! stands for the reciprocal of that, which makes sums unbiased for all sizes.

use crate::cookie::SIZE_CLASSES;

/// So many bytes are handed out between two bytes that are drawn, on average.
pub const MEAN_BYTES: u32 = 96;

/// Bytes by which size classes differ.
pub const CLASS_BYTES: u32 = 16;

/// By size class, how probable it is that an object is looked at.
pub const PROBABILITIES: [f64; SIZE_CLASSES as usize] = probabilities();

/// The same, as the limit below which a random number of 32 bits has to lie.
const LIMITS: [u32; SIZE_CLASSES as usize] = limits();

/// Whether the stack of a block of this size is looked at, by a random number: beyond pymalloc's
/// size classes it always is.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the verifier follows one function, not calls"
)]
pub fn is_size_drawn(bytes: u32, random: u32) -> bool {
    let class = bytes.saturating_sub(1) / CLASS_BYTES;
    class >= SIZE_CLASSES || is_drawn(class, random)
}

/// Whether the stack of an object of this class is looked at, by a random number.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the verifier follows one function, not calls"
)]
pub fn is_drawn(size_class: u32, random: u32) -> bool {
    // The mask keeps the verifier from asking; and the compiler, which may know that it changes
    // nothing, from leaving it out.
    let class = core::hint::black_box(size_class) & (SIZE_CLASSES - 1);
    random <= LIMITS[class as usize]
}

const fn probabilities() -> [f64; SIZE_CLASSES as usize] {
    let mut probabilities = [0.0; SIZE_CLASSES as usize];
    // exp(-16 / MEAN_BYTES), by its series: the terms fall fast.
    let step = CLASS_BYTES as f64 / MEAN_BYTES as f64;
    let (mut each, mut term, mut number) = (1.0, 1.0, 1.0);
    while number < 20.0 {
        term *= -step / number;
        each += term;
        number += 1.0;
    }
    let (mut missed, mut class) = (1.0, 0);
    while class < SIZE_CLASSES as usize {
        missed *= each;
        probabilities[class] = 1.0 - missed;
        class += 1;
    }
    probabilities
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a probability is between zero and one"
)]
const fn limits() -> [u32; SIZE_CLASSES as usize] {
    let mut limits = [0; SIZE_CLASSES as usize];
    let mut class = 0;
    while class < SIZE_CLASSES as usize {
        limits[class] = (PROBABILITIES[class] * u32::MAX as f64) as u32;
        class += 1;
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probabilities_are_those_of_a_poisson_process() {
        for (class, probability) in (1..).zip(PROBABILITIES) {
            let bytes = f64::from(class * CLASS_BYTES);
            let expected = 1.0 - (-bytes / f64::from(MEAN_BYTES)).exp();
            assert!((probability - expected).abs() < 1e-12, "{bytes} bytes");
        }
    }

    #[test]
    fn sizes_are_drawn_as_their_classes_are() {
        for random in (0..1 << 10).map(|number| number << 22) {
            for (bytes, class) in [(1, 0), (8, 0), (16, 0), (17, 1), (512, 31)] {
                assert_eq!(is_size_drawn(bytes, random), is_drawn(class, random));
            }
            assert!(is_size_drawn(513, random) && is_size_drawn(u32::MAX, random));
        }
    }

    #[test]
    fn draws_come_out_as_often_as_they_are_probable() {
        for (class, probability) in (0..).zip(PROBABILITIES) {
            // Numbers spread evenly over all that there are.
            let drawn = (0..1u32 << 12).filter(|number| is_drawn(class, number << 20));
            let share = f64::from(u32::try_from(drawn.count()).unwrap()) / 4096.0;
            assert!((share - probability).abs() < 1e-3, "class {class}: {share}");
        }
    }
}
