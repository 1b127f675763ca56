//! A kind of work: how long it lasted, and what windows showed of it.

use std::time::Duration;

use foldhash::HashMap;
use profiler_common::event::CLOCK_PERIOD_NS;

use crate::{
    aggregate::{
        estimate::as_float,
        windows::{Comparison, Correction},
    },
    profile::StackId,
};

/// A kind whose comparisons rest on so many hits is half of itself and half of all kinds, if it has
/// no pauses.
const FEW_HITS: f64 = 12.0;

/// By no larger factor does the crowding of windows tell what they miss.
const SLOWEST: f64 = 100.0;

/// A kind of work.
#[derive(Clone, Debug, Default)]
pub(super) struct Kind {
    pub(super) slices: u64,
    /// How often it was seen at work while there was no window, and how long that was.
    pub(super) samples: u64,
    pub(super) undisturbed: f64,
    pub(super) windows: Showing,
    pub(super) compared: Compared,
    /// The part of the crowding of its windows that counts, once it is known.
    pub(super) busy_part: f64,
}

impl Kind {
    pub(super) fn append(&mut self, other: Self) {
        self.slices += other.slices;
        self.samples += other.samples;
        self.undisturbed += other.undisturbed;
        self.windows.append(other.windows);
        self.compared.add(other.compared);
    }

    /// All is known of it. Returns its comparisons, by the part of the crowding that counts.
    pub(super) fn settle(&mut self) -> Compared {
        self.busy_part = self.busy_part();
        self.compared.crowded *= self.busy_part;
        self.compared
    }

    /// The part of the crowding of its windows that counts. A process that is idle for some of the
    /// time and busy all through its windows is slowed down by less: without hits it would have
    /// been idle in them, too.
    fn busy_part(&self) -> f64 {
        let period = Duration::from_nanos(CLOCK_PERIOD_NS).as_secs_f64();
        let busy = as_float(self.samples) * period / self.undisturbed;
        let busy_in_windows = self.windows.busy / self.windows.lasted;
        (busy / busy.max(busy_in_windows)).min(1.0)
    }

    /// By how many times their crowding its windows slow it down, if it is known of all kinds.
    ///
    /// A kind that pauses is drawn to all kinds more: it comes to some places right after pauses
    /// only, and too often in a window that is shorter than it makes the work between two of them.
    pub(super) fn slowing(&self, all: Option<f64>) -> Option<f64> {
        let busy = self.busy_part;
        let (all, own) = (all?, self.compared.slowing().or(all)?);
        let known = self.compared.hits * busy.powi(3);
        let slowing = (own * known + all * FEW_HITS) / (known + FEW_HITS);
        Some(slowing * busy)
    }
}

/// What windows of small objects showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Showing {
    pub(super) count: u32,
    /// For how long a time they stand.
    pub(super) stood: f64,
    /// How many seconds they lasted, …
    pub(super) lasted: f64,
    /// … and in how many of these one hit came right after the other.
    pub(super) busy: f64,
    /// By stack.
    pub(super) shown: HashMap<StackId, Shown>,
}

impl Showing {
    pub(super) fn append(&mut self, other: Self) {
        self.count += other.count;
        self.stood += other.stood;
        self.lasted += other.lasted;
        self.busy += other.busy;
        for (stack, shown) in other.shown {
            self.shown.entry(stack).or_default().add(shown);
        }
    }
}

/// Bytes that windows showed.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::aggregate) struct Shown {
    /// As they were counted.
    pub(super) counted: f64,
    /// As if nothing had slowed the target down in windows.
    pub(super) plain: f64,
    /// The same, times the crowding of windows.
    pub(super) crowded: f64,
}

impl Shown {
    /// Bytes as they were counted, in a window that was corrected like that.
    pub(in crate::aggregate) fn new(counted: f64, correction: Correction) -> Self {
        let plain = counted * correction.early / correction.times.max(1.0);
        Self {
            counted,
            plain,
            crowded: plain * correction.crowding,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.counted += other.counted;
        self.plain += other.plain;
        self.crowded += other.crowded;
    }

    /// What it really was, if it is known how much hits slow the target down.
    pub(super) fn natural(self, slowing: Option<f64>) -> f64 {
        slowing.map_or(self.counted, |slowing| self.plain + slowing * self.crowded)
    }
}

/// Sums over comparisons.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Compared {
    pub(super) hits: f64,
    pub(super) alone: f64,
    pub(super) in_window: f64,
    pub(super) crowded: f64,
}

impl From<&Comparison> for Compared {
    fn from(comparison: &Comparison) -> Self {
        Self {
            hits: comparison.hits.into(),
            alone: comparison.alone,
            in_window: comparison.in_window,
            crowded: comparison.in_window * comparison.crowding,
        }
    }
}

impl Compared {
    pub(super) fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.alone += other.alone;
        self.in_window += other.in_window;
        self.crowded += other.crowded;
    }

    /// By how many times their crowding windows slow the target down.
    pub(super) fn slowing(&self) -> Option<f64> {
        let slowing = (self.alone - self.in_window).max(0.0) / self.crowded;
        slowing.is_finite().then(|| slowing.min(SLOWEST))
    }
}
