//! What the sums over all lines are known to be.
//!
//! Windows show a part of what is handed out. How many small blocks of each size class were got
//! since the start and are still held, is known without them ([`super::elders`]). So what windows
//! say of a class is scaled to that sum, and they only divide it among lines: where all of them
//! were seen too often by chance, none of them is too heavy for that.

use super::{elders::got_since, estimate::as_float, series::Series};
use crate::profile::{ClassCensus, SizeClass};

/// Where an estimate rests on windows, it is taken to be off by so large a part of it at least:
/// how far it is off is known from the same windows.
const WINDOW_ERROR: f64 = 0.5;

/// Counts from outside are of no single moment: they are off by so large a part, and so many
/// blocks.
const COUNT_ERROR: f64 = 0.02;
const COUNT_ERROR_BLOCKS: f64 = 50.0;

/// The largest blocks have sizes between those of classes, which are counted as the next larger:
/// their sum is off by so large a part on average.
const CLASS_ERROR: f64 = 0.12;
const EXACT_CLASSES: u64 = 128 << 10;

/// Windows that say more than counts do contradict them if it is by so many standard deviations.
const CONTRADICTION: f64 = 2.0;

/// What is retained of one size class in one process.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    /// By what to multiply what windows say.
    pub(super) factor: f64,
    /// The standard error of the sum, in bytes.
    pub(super) error: f64,
    /// By how many bytes the sum may be more: elders that were replaced by others that cannot be
    /// told from them seem to be left, and windows say that there are so many.
    pub(super) above: f64,
    /// What windows said in all.
    pub(super) total: f64,
    /// The same by groups of windows.
    pub(super) series: Series,
}

impl Anchor {
    /// Combines what windows say of a class with what is known of it, by how sure they are.
    /// `exact` is what was not estimated. `None` if windows say nothing.
    pub(super) fn new(
        series: Series,
        exact: f64,
        (class, census): (SizeClass, ClassCensus),
    ) -> Option<Self> {
        let total = series.sum();
        if total <= 0.0 {
            return None;
        }
        let (got, error) = got_since(class, census);
        let known = (got - exact).max(0.0);
        let of_windows = series.variance() + (WINDOW_ERROR * total).powi(2);
        let counting = COUNT_ERROR_BLOCKS * as_float(class.bytes());
        let by_class = if class.bytes() > EXACT_CLASSES {
            CLASS_ERROR
        } else {
            COUNT_ERROR
        };
        let of_counts = error.powi(2) + (by_class * known).powi(2) + counting.powi(2);
        let (by_windows, by_counts) = (of_windows.recip(), of_counts.recip());
        let both = by_windows + by_counts;
        let combined = (total * by_windows + known * by_counts) / both;
        let noise = (series.variance() + of_counts).sqrt();
        let older = as_float(census.older.saturating_mul(class.bytes()));
        let above = if total - combined > CONTRADICTION * noise {
            // By the windows there may still be more.
            let most = total + CONTRADICTION * series.variance().sqrt();
            (most - combined).min(older)
        } else {
            0.0
        };
        Some(Self {
            factor: combined / total,
            error: both.recip().sqrt(),
            above,
            total,
            series,
        })
    }
}
