//! Robust statistics of short and noisy series: pure functions of points in the order of time.

mod floors;
mod numbers;
mod phases;
mod shape;
mod trend;

pub(super) use floors::{Peaks, floors, peaks, rising_floor, without_open_peaks};
pub(super) use numbers::{count, median, noise, quantile};
pub(super) use phases::{Contrast, Phase, phases};
pub(super) use shape::{Shape, step};
pub(super) use trend::{Trend, trend};

/// A moment in seconds, and a value.
pub(super) type Point = (f64, f64);
