//! Objects that only look alive: their place was given back and handed out again unseen, to an
//! object that cannot be told from them.
//!
//! In windows every object is seen, and so is every place that is handed out again. For objects
//! that had been seen alive before, that tells by stack, size class and age how often it happens,
//! and how often the new object looks like the old one. Between windows it happens as often. So of
//! the objects that look alive so many are, as the life table of the actuaries says.

use std::collections::HashMap;

use crate::profile::{SizeClass, StackId};

/// Objects of one size class that one stack got: others have other lives.
pub(super) type Kin = (StackId, SizeClass);

/// Ages are told apart by powers of two, from so many milliseconds on.
const YOUNGEST: u32 = 64;
const BINS: usize = 24;

/// What windows showed of objects that had been seen alive before.
#[derive(Debug, Default)]
pub(super) struct LifeTables {
    by_kin: HashMap<Kin, LifeTable>,
    alike: Alike,
}

/// What windows showed of objects of one kind, by their age.
#[derive(Debug, Default)]
struct LifeTable {
    /// For how many milliseconds objects were watched.
    watched: [f64; BINS],
    /// How many places were handed out again meanwhile.
    replaced: [f64; BINS],
    alike: Alike,
}

/// How many new objects could not be told from the old ones, and how many were compared.
#[derive(Clone, Copy, Debug, Default)]
struct Alike {
    alike: f64,
    compared: f64,
}

impl LifeTables {
    /// An object was watched from one age to another, in milliseconds, while the process did only
    /// the part `progress` of what it does in such a time otherwise.
    pub(super) fn watched(&mut self, kin: Kin, (from, to): (u32, u32), progress: f64) {
        let time = progress * f64::from(to.saturating_sub(from));
        if time > 0.0 {
            let table = self.by_kin.entry(kin).or_default();
            table.watched[bin(from.midpoint(to))] += time;
        }
    }

    /// The place of an object of an age was seen to be handed out again.
    pub(super) fn replaced(&mut self, kin: Kin, age: u32) {
        let table = self.by_kin.entry(kin).or_default();
        table.replaced[bin(age)] += 1.0;
    }

    /// The object that has taken the place of one of this stack was compared with that.
    pub(super) fn compared(&mut self, kin: Kin, is_alike: bool) {
        let table = self.by_kin.entry(kin).or_default();
        for alike in [&mut table.alike, &mut self.alike] {
            alike.compared += 1.0;
            alike.alike += f64::from(u8::from(is_alike));
        }
    }

    /// How probable it is that an object that looks alive at an age is. It was out of sight for
    /// `unseen` of its time.
    pub(super) fn chance(&self, kin: Kin, age: u32, unseen: f64) -> f64 {
        let Some(table) = self.by_kin.get(&kin) else {
            return 1.0;
        };
        let survives = survival(unseen * table.hazard(age));
        let ghosts = (1.0 - survives) * table.alike.part(self.alike.part(0.5));
        survives / (survives + ghosts)
    }
}

impl LifeTable {
    /// How many times the place of an object is handed out again up to an age, on average.
    fn hazard(&self, age: u32) -> f64 {
        let bins = self.watched.iter().zip(&self.replaced).enumerate();
        bins.filter(|(_, (watched, _))| **watched > 0.0)
            .map(|(number, (watched, replaced))| {
                let (start, end) = bounds(number);
                let time = f64::from(age).min(end) - start;
                surely(*replaced) / watched * time.max(0.0)
            })
            .sum()
    }
}

/// How many events there would be at least on average, where so many were seen (19 times in 20). A
/// line is not to be acquitted because of one or two places that it used otherwise.
fn surely(events: f64) -> f64 {
    (events - 1.65 * events.sqrt() - 1.0).max(0.0)
}

impl Alike {
    /// Which part could not be told apart, if it was expected to be `before`.
    fn part(self, before: f64) -> f64 {
        (self.alike + before) / (self.compared + 1.0)
    }
}

/// How probable it is that a place was not handed out again that is so `often`, on average. If
/// it is handed out at random times again and again, that is `exp(-often)`; if it happens at most
/// once, `1 - often`. The truth is in between.
fn survival(often: f64) -> f64 {
    (-often * (1.0 + often / 2.0)).exp()
}

fn bin(age: u32) -> usize {
    let doublings = (age / YOUNGEST).checked_ilog2().map_or(0, |it| it + 1);
    (doublings as usize).min(BINS - 1)
}

/// The ages of a bin, in milliseconds.
fn bounds(bin: usize) -> (f64, f64) {
    let edge = |number: usize| f64::from(YOUNGEST) * 2.0_f64.powf(as_exponent(number));
    let start = if bin == 0 { 0.0 } else { edge(bin - 1) };
    (start, edge(bin))
}

fn as_exponent(number: usize) -> f64 {
    f64::from(u8::try_from(number).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kin(stack: u32) -> Kin {
        (StackId(stack), SizeClass::new(3).unwrap())
    }

    /// Windows of 10 ms each second show a hundred objects of a cache, of which each lives for
    /// ten seconds, and a hundred that are kept.
    fn watched(is_alike: bool) -> LifeTables {
        let mut tables = LifeTables::default();
        for window in 0..60_u32 {
            for object in 0..100_u32 {
                let age = window * 1000 + object * 100;
                tables.watched(kin(2), (age, age + 10), 1.0);
                let age = age % 10_000;
                tables.watched(kin(1), (age, age + 10), 1.0);
                // The last ten of these ten thousand milliseconds.
                if age >= 9900 && window % 10 == 0 {
                    tables.replaced(kin(1), age);
                    tables.compared(kin(1), is_alike);
                }
            }
        }
        tables
    }

    #[test]
    fn whose_places_are_never_taken_are_alive() {
        let tables = watched(true);
        for age in [10, 1000, 100_000] {
            assert!(tables.chance(kin(2), age, 0.99) >= 1.0);
            assert!(tables.chance(kin(7), age, 0.99) >= 1.0);
        }
    }

    #[test]
    fn who_is_older_than_its_like_gets_is_a_ghost() {
        let tables = watched(true);
        assert!(tables.chance(kin(1), 2000, 0.99) > 0.9);
        let old = tables.chance(kin(1), 60_000, 0.99);
        assert!(old < 0.5, "{old}");
        assert!(tables.chance(kin(1), 60_000, 0.0) >= 1.0);
    }

    #[test]
    fn ghosts_that_can_be_told_apart_have_been_found_already() {
        let (alike, different) = (watched(true), watched(false));
        let [alike, different] = [alike, different].map(|it| it.chance(kin(1), 60_000, 0.99));
        assert!(different > 0.9 && alike < 0.5, "{different} {alike}");
    }

    #[test]
    fn each_age_has_its_bin() {
        for age in [0, 1, 63, 64, 65, 127, 128, 1000, 60_000, 86_400_000] {
            let (start, end) = bounds(bin(age));
            assert!((start..end).contains(&f64::from(age)), "{age}");
        }
        assert_eq!(bin(u32::MAX), BINS - 1);
    }
}
