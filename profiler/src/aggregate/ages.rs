//! What is retained, by when it was got: a leak holds as much from each part of a recording, a
//! cache that was filled holds what is old, and what is only in use is new.

use std::time::Duration;

use super::{
    estimate::{as_float, rounded},
    selection::Part,
};

/// The time of a part is divided into so many.
const QUARTERS: usize = 4;

/// What is retained of what was got in a piece of time, from the start of the recording.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Aged {
    /// It was got after this …
    pub from: Duration,
    /// … and before this.
    pub to: Duration,
    /// How much.
    pub bytes: u64,
}

/// Which part of what is retained was got in the first half; `None` if nothing tells.
pub fn old_share(ages: &[Aged]) -> Option<f64> {
    let (first, last) = (ages.first()?, ages.last()?);
    let middle = (first.from + last.to) / 2;
    let sum = |ages: &mut dyn Iterator<Item = &Aged>| {
        as_float(ages.fold(0, |sum: u64, it| sum.saturating_add(it.bytes)))
    };
    let all = sum(&mut ages.iter());
    let old = sum(&mut ages.iter().filter(|it| it.to <= middle));
    (all > 0.0).then(|| old / all)
}

/// Bytes by the quarter of a part in which they were got.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Ages([f64; QUARTERS]);

impl Ages {
    /// Adds what was got at a time.
    pub(super) fn add_born(&mut self, part: &Part<'_>, born: Duration, bytes: u64) {
        let end = |quarter: &usize| born < bounds(part, *quarter).1;
        let quarter = (0..QUARTERS).find(end).unwrap_or(QUARTERS - 1);
        self.0[quarter] += as_float(bytes);
    }

    /// Adds so many times others.
    pub(super) fn add(&mut self, others: &Self, times: f64) {
        for (sum, bytes) in self.0.iter_mut().zip(others.0) {
            *sum = bytes.mul_add(times, *sum);
        }
    }

    /// The same with times, the oldest first; nothing if nothing is known.
    pub(super) fn in_time(&self, part: &Part<'_>) -> Vec<Aged> {
        if self.0.iter().all(|bytes| *bytes <= 0.0) {
            return Vec::new();
        }
        let quarters = self.0.iter().enumerate().map(|(number, bytes)| {
            let (from, to) = bounds(part, number);
            Aged {
                from,
                to,
                bytes: rounded(*bytes),
            }
        });
        quarters.collect()
    }
}

/// When a quarter of a part begins and ends.
fn bounds(part: &Part<'_>, quarter: usize) -> (Duration, Duration) {
    let at = |number: usize| {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        part.start + part.duration() * number / 4
    };
    (at(quarter), at(quarter + 1))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Selection, findings, test_data::*},
        *,
    };
    use crate::profile::{Metered, ProcessKey, Survivor};

    #[test]
    fn what_is_retained_is_known_by_its_age() {
        let mut recorded = recorded(10);
        let line = stack(&mut recorded, &["line"]);
        change(&mut recorded, 1, line, Metered::Block, counters(9000, 0));
        assert_eq!(
            findings(&recorded, &Selection::default()).sites[0].retained_by_age,
            []
        );
        let survivor = |born, bytes| Survivor {
            process: ProcessKey(0),
            stack: line,
            meter: Metered::Block,
            born: Duration::from_secs(born),
            bytes,
            count: 1,
        };
        recorded.survivors = vec![survivor(6, 5), survivor(2, 3), survivor(7, 4)];
        let found = findings(&recorded, &Selection::default());
        let ages = &found.sites[0].retained_by_age;
        let rows: Vec<_> = (ages.iter())
            .map(|it| (it.from.as_millis(), it.to.as_millis(), it.bytes))
            .collect();
        let expected = [
            (0, 2500, 3),
            (2500, 5000, 0),
            (5000, 7500, 9),
            (7500, 10_000, 0),
        ];
        assert_eq!(rows, expected);
        assert_eq!(&found.processes[0].course.left, ages);
        assert_eq!(old_share(ages), Some(0.25));
        assert_eq!(old_share(&[]), None);
    }
}
