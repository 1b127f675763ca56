//! Which places of a process a window opens.
//!
//! An optimized build of CPython hands out small objects at some hundred places, of which a program
//! comes to some dozens. Each is a breakpoint that is written and taken away again with every
//! window, and together they may cost the target as much as what the window is for. So most windows
//! leave those out at which nothing was seen so far, and only some open all of them, which is left
//! to chance: what such a window shows at places that others leave out stands for so many times as
//! much.

use std::{collections::BTreeSet, time::Duration};

use profiler_common::cookie::Place;

use crate::probe::Random;

/// With fewer places it is not worth while.
const MANY: usize = 50;

/// It is if one in so many of them is used, or fewer.
const UNUSED: usize = 2;

/// So many windows open all places, before any leaves some out.
const FIRST: u32 = 8;

/// Afterwards, one in so many does.
const ONE_IN: u32 = 4;

/// The places of one process.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Those at which something was seen so far.
    used: BTreeSet<Place>,
    /// So many windows were opened.
    windows: u32,
    random: Random,
    opened: Opened,
}

/// What the last window opened.
#[derive(Debug, Default)]
enum Opened {
    /// All places, and so would any other have done.
    #[default]
    Always,
    /// All places, but by chance: most would have opened these only.
    ByChance(BTreeSet<Place>),
    /// These places.
    Some(BTreeSet<Place>),
}

impl Places {
    /// Chooses the places of a window that opens now, of so many that there are.
    pub(super) fn choose(&mut self, all: usize, now: Duration) {
        self.windows += 1;
        let is_worth_while = all >= MANY && self.used.len() * UNUSED <= all;
        self.opened = if !is_worth_while || self.windows <= FIRST {
            Opened::Always
        } else if self.random.draw(now) * f64::from(ONE_IN) < 1.0 {
            Opened::ByChance(self.used.clone())
        } else {
            Opened::Some(self.used.clone())
        };
    }

    /// From now on, all places are open.
    pub(super) fn choose_all(&mut self) {
        self.opened = Opened::Always;
    }

    /// Whether the window opens this place.
    pub(super) fn opens(&self, place: Place) -> bool {
        match &self.opened {
            Opened::Always | Opened::ByChance(_) => true,
            Opened::Some(places) => places.contains(&place),
        }
    }

    /// Whether the window opens all of them.
    pub(super) const fn opens_all(&self) -> bool {
        !matches!(self.opened, Opened::Some(_))
    }

    /// Something was seen at a place. Returns for how many like it that stands, among windows.
    pub(super) fn saw(&mut self, place: Place) -> u32 {
        self.used.insert(place);
        match &self.opened {
            Opened::ByChance(usual) if !usual.contains(&place) => ONE_IN,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: usize = 258;
    const COMMON: Place = Place(3);

    /// Windows, in each of which `seen` names the places that the program comes to.
    fn windows(number: u32, seen: impl Fn(u32) -> Vec<Place>) -> (Vec<(Place, u32)>, Vec<bool>) {
        let (mut places, mut counts, mut full) = (Places::default(), Vec::new(), Vec::new());
        for number in 0..number {
            places.choose(ALL, Duration::from_micros(37 * u64::from(number)));
            full.push(places.opens_all());
            for place in seen(number) {
                if places.opens(place) {
                    counts.push((place, places.saw(place)));
                }
            }
        }
        (counts, full)
    }

    #[test]
    fn most_windows_leave_out_what_is_not_used() {
        let (counts, full) = windows(1016, |_| vec![COMMON]);
        assert_eq!(counts, [(COMMON, 1); 1016]);
        assert!(full[..8].iter().all(|is_full| *is_full));
        let full = full.iter().filter(|is_full| **is_full).count();
        assert!((220..320).contains(&full), "{full}");
    }

    #[test]
    fn what_is_met_late_counts_for_as_much_as_it_is_on_average() {
        // Places that the program comes to in a single window each.
        let (counts, _) = windows(10_016, |number| match u16::try_from(number) {
            Ok(place @ 16..) => vec![COMMON, Place(100 + place)],
            _ => vec![COMMON],
        });
        let rare = counts.iter().filter(|(place, _)| *place != COMMON);
        let rare: u32 = rare.map(|(_, times)| times).sum();
        // After about half of all places are used, windows open all.
        assert!((9000..11_000).contains(&rare), "{rare}");
    }

    #[test]
    fn what_was_seen_once_is_opened_from_then_on() {
        let late = Place(7);
        let (counts, _) = windows(400, |number| {
            if number < 100 {
                vec![COMMON]
            } else {
                vec![COMMON, late]
            }
        });
        let times = |place| {
            let of = counts.iter().filter(move |(it, _)| *it == place);
            of.map(|(_, times)| *times).collect::<Vec<_>>()
        };
        assert_eq!(times(COMMON).len(), 400);
        let times = times(late);
        assert_eq!(times[0], ONE_IN);
        assert!(times[1..].iter().all(|times| *times == 1));
        assert!(times.len() > 280);
    }

    #[test]
    fn few_places_are_opened_all() {
        let mut places = Places::default();
        places.saw(COMMON);
        for _ in 0..100 {
            places.choose(17, Duration::ZERO);
            assert!(places.opens_all() && places.opens(Place(16)));
        }
    }
}
