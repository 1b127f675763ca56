//! The small objects of one process that are followed, and what becomes of them.
//!
//! That one was handed out is an event. Its end is none: it is found out when its place is handed
//! out again, or when a look from outside finds it given back or something else in its place. New
//! objects are looked at soon, because most die young; those that stay, ever more rarely.

use std::{ops::Range, time::Duration};

use foldhash::HashMap;

use profiler_common::sampling::PROBABILITIES;

use super::ghosts::{Kin, LifeTables};

use crate::{
    profile::{Counters, Metered, SizeClass, StackId},
    python::fates::{Fate, Identity, SmallBlock},
};

/// No object is looked at more often than that, except when the window in which it was handed
/// out closes.
const SHORTEST_PAUSE: u32 = 1000;

/// An object of an age is looked at again after that part of it.
const PAUSES_IN_AGE: u32 = 2;

/// What has just been handed out still shows what was there before.
const FILLING: u32 = 2;

/// Allocators deal in whole words.
const WORD_BYTES: u64 = 8;

/// An object that is followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    /// The stack that got it.
    pub(super) stack: StackId,
    size_class: SizeClass,
    /// How large it is, in words.
    words: u32,
    /// Whether it was only by chance that it was seen.
    is_sampled: bool,
    /// For how many objects it stands.
    copies: u32,
    /// In milliseconds since the recording began: there are many objects to be followed.
    born: u32,
    /// When to look at it again, in the same unit.
    due: u32,
    /// What it was when it was looked at last.
    identity: Option<Identity>,
}

impl Object {
    /// What counts it.
    pub(super) const fn meter(&self) -> Metered {
        if self.is_sampled {
            Metered::SampledObject(self.size_class)
        } else {
            Metered::Object(self.size_class)
        }
    }

    /// What handing it out counts.
    pub(super) fn got(&self) -> Counters {
        Counters {
            bytes_in: self.bytes(),
            count_in: self.copies.into(),
            samples: 1,
            ..Counters::default()
        }
    }

    /// What its end counts.
    pub(super) fn given_back(&self) -> Counters {
        Counters {
            bytes_out: self.bytes(),
            count_out: self.copies.into(),
            ..Counters::default()
        }
    }

    /// When it was handed out, in milliseconds since the recording began.
    pub(super) const fn born(&self) -> u32 {
        self.born
    }

    /// Whether it was looked at since it was handed out.
    const fn was_seen(&self) -> bool {
        self.due > 0
    }

    const fn kin(&self) -> Kin {
        (self.stack, self.size_class)
    }

    fn age(&self, now: Duration) -> u32 {
        millis(now).saturating_sub(self.born)
    }

    fn bytes(&self) -> u64 {
        u64::from(self.copies) * u64::from(self.words) * WORD_BYTES
    }

    /// Takes in what was seen at a time. Whether it is still there.
    fn sees(&mut self, fate: Fate, now: Duration) -> bool {
        let now = millis(now);
        let age = now.saturating_sub(self.born);
        self.due = now.saturating_add(SHORTEST_PAUSE.max(age / PAUSES_IN_AGE));
        match fate {
            Fate::Dead => false,
            Fate::Unknown => true,
            // What is about to be made may look like what was there before.
            Fate::Alive(_) | Fate::Kept if age < FILLING => true,
            Fate::Kept => false,
            Fate::Alive(found) => {
                let was = self.identity;
                self.identity = found.or(was);
                was.is_none_or(|was| found.is_some_and(|found| was.may_become(&found)))
            }
        }
    }
}

/// The objects of one process that are followed, by address.
#[derive(Debug, Default)]
pub(super) struct ObjectBook {
    objects: HashMap<u64, Object>,
    /// What was rounded off so far, by size class: see [`Self::share`].
    carries: HashMap<SizeClass, f64>,
    lives: LifeTables,
    /// What was at a place before, as long as the new object was not compared with it.
    replaced: HashMap<u64, (Kin, Identity)>,
}

/// How many objects of one process are followed: 64 bytes each, so half a gigabyte at most, and
/// that only where all objects of a large heap are.
const MAX_OBJECTS: usize = 1 << 23;

impl ObjectBook {
    /// An object was seen at a time in which each stands for `weight`, and its stack was looked at
    /// for all of its kind, or by [`profiler_common::sampling`]. Returns what to count; it is
    /// followed if there is room.
    pub(super) fn take(
        &mut self,
        (address, bytes): (u64, u64),
        stack: StackId,
        (weight, draws): (f64, bool),
        now: Duration,
    ) -> (Object, bool) {
        let size_class = SizeClass::of(bytes);
        let weight = weight * if draws { draw_weight(size_class) } else { 1.0 };
        let object = Object {
            stack,
            size_class,
            words: u32::try_from(bytes / WORD_BYTES).unwrap_or(u32::MAX),
            is_sampled: weight > 1.0,
            copies: self.share(size_class, weight),
            born: millis(now),
            due: 0,
            identity: None,
        };
        let has_room = self.objects.len() < MAX_OBJECTS;
        if has_room {
            self.objects.insert(address, object);
        }
        (object, has_room)
    }

    /// Copies are whole, so that what is given back is what was got, but their sum keeps to the sum
    /// of the weights in each class.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the conversion saturates"
    )]
    fn share(&mut self, size_class: SizeClass, weight: f64) -> u32 {
        let carry = self.carries.entry(size_class).or_default();
        let sum = weight + *carry;
        *carry = sum.fract();
        sum.trunc() as u32
    }

    /// The place is handed out again: what was there is gone. Whether that was in a window, in
    /// which all such places are seen.
    pub(super) fn replace(
        &mut self,
        address: u64,
        is_in_window: bool,
        now: Duration,
    ) -> Option<Object> {
        self.replaced.remove(&address);
        let gone = self.objects.remove(&address)?;
        if is_in_window && gone.was_seen() {
            self.lives.replaced(gone.kin(), gone.age(now));
            if let Some(identity) = gone.identity {
                self.replaced.insert(address, (gone.kin(), identity));
            }
        }
        Some(gone)
    }

    /// A window has closed: so long all places were seen that were handed out again, while the
    /// process did only a part of what it does in such a time otherwise.
    pub(super) fn watched(&mut self, window: Range<Duration>, progress: f64) {
        let (from, until) = (millis(window.start), millis(window.end));
        let seen = |object: &&Object| object.was_seen() && object.born < from;
        for object in self.objects.values().filter(seen) {
            let [from, until] = [from, until].map(|time| time.saturating_sub(object.born));
            self.lives.watched(object.kin(), (from, until), progress);
        }
    }

    /// The objects that are alive at a time, by all that is known; their places were out of sight
    /// for so large a part of the time.
    pub(super) fn survivors(
        &self,
        now: Duration,
        unseen: f64,
    ) -> impl Iterator<Item = (&Object, f64)> {
        self.objects.values().map(move |object| {
            let chance = self.lives.chance(object.kin(), object.age(now), unseen);
            (object, chance)
        })
    }

    /// The objects that should be looked at by now, in the order of their addresses.
    pub(super) fn due(&self, now: Duration) -> Vec<SmallBlock> {
        let now = millis(now);
        let due = self.objects.iter().filter(|(_, object)| object.due <= now);
        let mut due: Vec<SmallBlock> = due
            .map(|(address, object)| (*address, object.size_class))
            .collect();
        due.sort_unstable();
        due
    }

    /// An object was looked at. Returns it, if it is gone.
    pub(super) fn look(&mut self, address: u64, fate: Fate, now: Duration) -> Option<Object> {
        if let Fate::Alive(Some(found)) = fate
            && let Some((kin, was)) = self.replaced.remove(&address)
        {
            self.lives.compared(kin, was.may_become(&found));
        }
        let object = self.objects.get_mut(&address)?;
        if object.sees(fate, now) {
            return None;
        }
        self.objects.remove(&address)
    }
}

/// Whole milliseconds; all that there are for what never comes.
pub(super) fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// For how many objects of its class one stands whose stack was looked at by chance.
fn draw_weight(size_class: SizeClass) -> f64 {
    let probability = PROBABILITIES.get(size_class.index());
    probability.map_or(1.0, |probability| 1.0 / probability)
}

#[cfg(test)]
mod tests {
    use super::{super::estimate::as_float, *};

    fn class(number: u32) -> SizeClass {
        SizeClass::new(number).unwrap()
    }

    const fn number(value: u64) -> Identity {
        Identity::new(0x1000, [1, value])
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn take(book: &mut ObjectBook, address: u64, weight: f64) -> Object {
        let (object, has_room) = book.take(
            (address, class(3).bytes()),
            StackId(7),
            (weight, false),
            Duration::ZERO,
        );
        assert!(has_room);
        object
    }

    #[test]
    fn what_is_given_back_is_what_was_got() {
        let mut book = ObjectBook::default();
        let object = take(&mut book, 0x1000, 2.0);
        assert_eq!(object.got().bytes_in, 128);
        assert_eq!(object.meter(), Metered::SampledObject(class(3)));
        let gone = book.replace(0x1000, true, at(1)).unwrap();
        assert_eq!(gone.given_back().bytes_out, 128);
        assert!(book.replace(0x1000, true, at(1)).is_none());
    }

    #[test]
    fn copies_add_up_to_the_weights() {
        let mut book = ObjectBook::default();
        let copies: u64 = (0..1000)
            .map(|address| take(&mut book, address, 1.3).got().count_in)
            .sum();
        assert!((1299..=1300).contains(&copies), "{copies}");
    }

    #[test]
    fn an_object_whose_stack_was_looked_at_by_chance_stands_for_those_that_were_not() {
        let mut book = ObjectBook::default();
        let bytes: u64 = (0..1000)
            .map(|address| {
                let object = book.take((address, 16), StackId(1), (1.0, true), at(0)).0;
                object.got().bytes_in
            })
            .sum();
        let probability = 1.0 - (-16.0_f64 / 96.0).exp();
        let expected = 16_000.0 / probability;
        assert!((as_float(bytes) - expected).abs() < 32.0, "{bytes}");
    }

    #[test]
    fn a_block_counts_with_its_own_size_and_beyond_512_bytes_for_itself() {
        let mut book = ObjectBook::default();
        for bytes in [8, 640, 1_003_520, 5 << 30] {
            let object = book.take((bytes, bytes), StackId(1), (1.0, true), at(0)).0;
            let weight = if bytes > 512 {
                1
            } else {
                object.got().count_in
            };
            assert_eq!(object.got().bytes_in, bytes * weight);
            assert_eq!(object.meter().is_sampled(), bytes <= 512);
        }
    }

    #[test]
    fn new_objects_are_looked_at_soon_and_old_ones_rarely() {
        let mut book = ObjectBook::default();
        take(&mut book, 0x1000, 1.0);
        assert_eq!(book.due(at(0)), [(0x1000, class(3))]);
        assert!(book.look(0x1000, Fate::Alive(None), at(10)).is_none());
        assert!(book.due(at(14)).is_empty());
        assert_eq!(book.due(at(15)), [(0x1000, class(3))]);
    }

    #[test]
    fn something_else_at_the_same_place_is_another_object() {
        let mut book = ObjectBook::default();
        take(&mut book, 0x1000, 1.0);
        assert!(book.look(0x1000, Fate::Alive(None), at(1)).is_none());
        assert!(
            book.look(0x1000, Fate::Alive(Some(number(5))), at(2))
                .is_none()
        );
        assert!(book.look(0x1000, Fate::Unknown, at(3)).is_none());
        assert!(
            book.look(0x1000, Fate::Alive(Some(number(6))), at(4))
                .is_some()
        );
        take(&mut book, 0x1000, 1.0);
        assert!(book.look(0x1000, Fate::Dead, at(5)).is_some());
    }
}
