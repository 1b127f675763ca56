//! A sum, by slices of time.

use std::time::Duration;

use crate::aggregate::{estimate::as_float, selection::Part};

/// More slices than this tell little more.
const MOST: u32 = 32;

/// With so many, pairs of them are looked at, too; then their number is even.
const PAIRED: f64 = 8.0;

/// A turn has so long a time on either side, as a part of the recording.
const LASTING: usize = 6;

/// A turn stands out if its squared difference is so many times the mean of the others.
const STANDING_OUT: f64 = 16.0;

/// Times of survivors are known to within this, or to this part of the recording.
const GRAIN: Duration = Duration::from_secs(1);
const GRAINS: u32 = 256;

/// How the time of a part is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slices {
    start: Duration,
    length: Duration,
    count: u32,
}

/// A piece of time, in slices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct When {
    from: f64,
    to: f64,
}

impl Slices {
    /// Slices of equal length that are multiples of the longest interval, or a little more: shorter
    /// ones would show how intervals were merged.
    pub(super) fn of(part: &Part<'_>) -> Self {
        let lengths = part
            .intervals
            .iter()
            .map(|it| it.end.saturating_sub(it.start));
        let longest = lengths.max().unwrap_or_default().as_secs_f64();
        let intervals = (part.duration().as_secs_f64() / longest + 0.1).floor();
        let intervals = if intervals.is_finite() {
            intervals
        } else {
            1.0
        };
        let each = (intervals / f64::from(MOST)).ceil().max(1.0);
        let count = (intervals / each).floor().clamp(1.0, f64::from(MOST));
        // Pairs are looked at, too.
        let count = if count >= PAIRED {
            count - count % 2.0
        } else {
            count
        };
        Self {
            start: part.start,
            length: part.duration().div_f64(count),
            count: (1..MOST).find(|n| f64::from(*n) >= count).unwrap_or(MOST),
        }
    }

    /// How many there are.
    pub(super) const fn count(self) -> u32 {
        self.count
    }

    /// To within what the times of survivors are known.
    pub(super) fn grain(self) -> Duration {
        GRAIN.max(self.length * self.count / GRAINS)
    }

    /// Where a piece of time lies in them.
    pub(super) fn place(self, from: Duration, to: Duration) -> When {
        let place = |time: Duration| {
            let passed = time.saturating_sub(self.start).as_secs_f64();
            let place = passed / self.length.as_secs_f64();
            if place.is_finite() {
                place.clamp(0.0, f64::from(self.count))
            } else {
                0.0
            }
        };
        When {
            from: place(from),
            to: place(to),
        }
    }
}

/// A sum, by slices of time; of most lines most slices are empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Course(Vec<(u32, f64)>);

impl Course {
    /// Adds what came evenly in a piece of time.
    pub(super) fn add(&mut self, when: When, value: f64) {
        let When { from, to } = when;
        let (first, last) = (whole(from), whole(to));
        if first == last || to <= from {
            self.add_to(first, value);
            return;
        }
        for slice in first..=last {
            let inside = to.min(f64::from(slice + 1)) - from.max(f64::from(slice));
            if inside > 0.0 {
                self.add_to(slice, value * inside / (to - from));
            }
        }
    }

    /// Adds another sum of the same slices.
    pub(super) fn add_all(&mut self, other: &Self) {
        for (slice, value) in &other.0 {
            self.add_to(*slice, *value);
        }
    }

    fn add_to(&mut self, slice: u32, value: f64) {
        // Time passes: mostly it is the last slice, or a new one.
        let place = match self.0.last() {
            Some((last, _)) if *last < slice => Err(self.0.len()),
            None => Err(0),
            Some(_) => self.0.binary_search_by_key(&slice, |(slice, _)| *slice),
        };
        match place {
            Ok(place) => self.0[place].1 += value,
            Err(place) => self.0.insert(place, (slice, value)),
        }
    }

    /// The sum.
    pub(super) fn sum(&self) -> f64 {
        self.0.iter().map(|(_, value)| value).sum()
    }

    /// One standard deviation of the sum, as neighbouring slices differ, and pairs of them,
    /// since what goes up and down slowly differs less from one slice to the next.
    pub(super) fn scatter(&self, slices: Slices) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        let mut values = vec![0.0; slices.count as usize];
        for (slice, value) in &self.0 {
            let slice = (*slice).min(slices.count - 1);
            values[slice as usize] += value;
        }
        if f64::from(slices.count) < PAIRED {
            return variance(&values).sqrt();
        }
        let pairs: Vec<f64> = values.chunks(2).map(|pair| pair.iter().sum()).collect();
        f64::midpoint(variance(&values), variance(&pairs)).sqrt()
    }

    /// By how much more the last slice has than its share, as a part of the whole.
    pub(super) fn excess(&self, slices: Slices) -> f64 {
        let last = slices.count - 1;
        let of_last = self.0.iter().filter(|(slice, _)| *slice >= last);
        let share = of_last.map(|(_, value)| value).sum::<f64>() / self.sum();
        if share.is_finite() {
            (share - 1.0 / as_float(u64::from(slices.count))).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// The variance of a sum: half of the squared differences of neighbours. A single turn for good is
/// no chance: a cache that is full, or a job that has begun.
fn variance(values: &[f64]) -> f64 {
    let count = as_float(values.len() as u64);
    if values.len() < 2 {
        return values.iter().map(|value| value * value).sum();
    }
    let squares: Vec<f64> = values
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).powi(2))
        .collect();
    let (mut sum, mut number) = (squares.iter().sum::<f64>(), count - 1.0);
    let rest = |turn: f64| (sum - turn) / (number - 2.0);
    if let Some(turn) = turn(values, &squares).filter(|turn| *turn > STANDING_OUT * rest(*turn)) {
        (sum, number) = (sum - turn, number - 2.0);
    }
    sum / number / 2.0 * count
}

/// The largest squared difference over a slice in which one pace goes over to another.
fn turn(values: &[f64], squares: &[f64]) -> Option<f64> {
    let aside = values.len() / LASTING;
    let inside = aside.max(2)..values.len().saturating_sub(aside.max(2));
    inside
        .filter(|slice| {
            let (before, after) = (values[slice - 1], values[slice + 1]);
            (before.min(after)..=before.max(after)).contains(&values[*slice])
        })
        .map(|slice| squares[slice - 1] + squares[slice])
        .max_by(f64::total_cmp)
}

/// The number of the slice that a place is in.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places are from zero to the number of slices"
)]
fn whole(place: f64) -> u32 {
    place as u32
}
