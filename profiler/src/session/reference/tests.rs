//! What rare probes tell of targets that are made up.

use super::*;

/// What a hit costs by the model, and as it is with what follows from it.
const MODELLED: Duration = Duration::from_micros(2);
const REAL: f64 = 3.2e-6;
const LENGTH: Duration = Duration::from_millis(2);

/// A target that makes so many objects a second, one in twenty-five of them at a rare place.
struct Target {
    rate: f64,
    now: Duration,
}

impl Target {
    /// How many times slower it is while all probes are open.
    fn slowing(&self) -> f64 {
        1.0 + self.rate * REAL
    }

    /// It goes through a window, of which the model says that it stands for `by_model` times as
    /// much. Returns the correction.
    fn window(&mut self, reference: &mut Reference, by_model: f64) -> f64 {
        reference.settle(0);
        reference.choose();
        if !reference.chosen.is_empty() {
            reference.window.alone = Some(self.rate / 25.0);
        }
        let end = self.now + LENGTH;
        reference.opened(self.now, end);
        let apart = Duration::from_secs_f64(self.slowing() / self.rate);
        for number in 0.. {
            let time = self.now + apart * number;
            if time >= end {
                break;
            }
            reference.saw(Place(u16::from(number % 25 == 7)), time);
            reference.charge(Passed {
                cost: MODELLED,
                ..Passed::default()
            });
        }
        self.now += Duration::from_secs(1);
        reference.correct(end, LENGTH, by_model).times
    }

    fn with_rate(rate: f64) -> Self {
        let now = Duration::from_secs(1);
        Self { rate, now }
    }
}

#[track_caller]
fn check(found: f64, truth: f64) {
    let error = found / truth - 1.0;
    assert!(error.abs() < 0.15, "{found} for {truth}");
}

#[test]
fn rare_probes_tell_how_much_slower_a_crowded_target_is() {
    for rate in [3e5, 1e6, 1e7] {
        let (mut target, mut reference) = (Target::with_rate(rate), Reference::default());
        let corrections: Vec<f64> = (0..40)
            .map(|_| target.window(&mut reference, 2.5))
            .collect();
        check(corrections[0], 2.5);
        check(corrections[39], target.slowing());
    }
}

#[test]
fn a_target_that_makes_few_objects_is_not_said_to_be_slowed_down() {
    let (mut target, mut reference) = (Target::with_rate(1000.0), Reference::default());
    for _ in 0..400 {
        let found = target.window(&mut reference, 1.0);
        check(found, 1.0);
    }
}

#[test]
fn hits_are_as_dear_as_windows_show() {
    let (mut target, mut reference) = (Target::with_rate(1e6), Reference::default());
    check(reference.dearness(), DEAR);
    for _ in 0..40 {
        target.window(&mut reference, 2.0);
    }
    // The model has it that they take half of the time.
    check(reference.dearness(), (1.0 - 1.0 / target.slowing()) / 0.5);
}

#[test]
fn one_place_alone_tells_nothing() {
    let mut reference = Reference::default();
    (0..10_000).for_each(|_| reference.saw(Place(3), Duration::ZERO));
    reference.choose();
    assert_eq!(reference.chosen, []);
    (0..200).for_each(|_| reference.saw(Place(1), Duration::ZERO));
    reference.choose();
    assert!(reference.chosen.contains(&Place(1)));
    assert!(!reference.chosen.contains(&Place(3)));
}

#[test]
fn places_that_take_too_much_of_the_time_are_left_out() {
    let mut reference = Reference::default();
    let hits = [(Place(0), 9300), (Place(1), 540), (Place(2), 160)];
    for (place, number) in hits {
        (0..number).for_each(|_| reference.saw(place, Duration::ZERO));
    }
    reference.choose();
    assert_eq!(reference.chosen, [Place(1)]);
    reference.looked(None);
    reference.choose();
    assert_eq!(reference.chosen, [Place(2)]);
    reference.looked(Some(1000.0));
    reference.choose();
    assert_eq!(reference.chosen, [Place(2)]);
}

#[test]
fn a_window_that_closes_early_stands_for_all_of_it() {
    let mut reference = Reference::default();
    let from = Duration::from_secs(1);
    reference.opened(from, from + LENGTH);
    let found = reference.correct(from + LENGTH / 2, LENGTH, 4.0);
    // What the throttle says has that in it.
    check(found.times, 4.0);
    check(found.early, 2.0);
}

#[test]
fn windows_of_which_records_were_lost_do_not_count() {
    let mut target = Target::with_rate(1e6);
    let mut reference = Reference::default();
    for lost in 1..40 {
        target.window(&mut reference, 2.0);
        reference.settle(lost);
    }
    assert!(reference.learnt.windows < 0.5);
}

#[test]
fn what_hits_cost_is_no_part_of_the_time_in_which_they_came() {
    assert_eq!(natural_rate(100, 0.2, 1.0), Some(125.0));
    assert_eq!(natural_rate(100, 0.6, 1.0), None);
}

/// A target that makes a burst of objects, a tenth of a microsecond each, pauses for as long, and
/// begins again. The first tenth of each burst is made at one place, the others at another one, and
/// one in fifty of all at a third one, which is rare.
struct Bursts {
    objects: u32,
    now: Duration,
}

impl Bursts {
    const OWN: f64 = 1e-7;

    /// When the `number`th object after the beginning of a burst is made, in seconds of the
    /// target's own time.
    fn due(&self, number: u32) -> f64 {
        let bursts = number / self.objects;
        Self::OWN * f64::from(number + bursts * self.objects)
    }

    /// It goes through a window that opens so far in a burst or in the pause after it. Returns for
    /// how many objects of the first place and of the second one stands what is seen in it.
    fn window(&mut self, reference: &mut Reference, phase: f64) -> [f64; 2] {
        let cycle = 2.0 * Self::OWN * f64::from(self.objects);
        reference.settle(0);
        reference.choose();
        if !reference.chosen.is_empty() {
            reference.window.alone = Some(f64::from(self.objects) / 50.0 / cycle);
        }
        let (start, end) = (self.now, self.now + LENGTH / 4);
        reference.opened(start, end);
        let (mut seen, mut hits) = ([0.0; 2], 0.0);
        for number in 0.. {
            let due = self.due(number) - phase * cycle;
            let time = start + Duration::from_secs_f64((due + hits * REAL).max(0.0));
            if time >= end {
                break;
            }
            if due < 0.0 {
                continue;
            }
            hits += 1.0;
            let is_first = number % self.objects < self.objects / 10;
            let place = if number % 50 == 7 {
                2
            } else {
                u16::from(!is_first)
            };
            reference.saw(Place(place), time);
            seen[usize::from(!is_first)] += 1.0;
            reference.charge(Passed {
                cost: MODELLED,
                busy: Busy {
                    hits: 1,
                    ..Busy::default()
                },
                ..Passed::default()
            });
        }
        self.now += Duration::from_secs(1);
        let correction = reference.correct(end, LENGTH / 4, 2.0);
        seen.map(|hits| hits * correction.times)
    }
}

#[test]
fn bursts_count_by_all_of_their_parts() {
    let (mut target, mut reference) = (
        Bursts {
            objects: 3000,
            now: Duration::from_secs(1),
        },
        Reference::default(),
    );
    let mut sums = [0.0; 2];
    for number in 0..4000_u32 {
        // By the golden ratio, any phase is as likely as another one.
        let phase = (f64::from(number) * 0.618_034).fract();
        let seen = target.window(&mut reference, phase);
        if number >= 400 {
            (0..2).for_each(|place| sums[place] += seen[place]);
        }
    }
    let all = 3600.0 * (LENGTH / 4).as_secs_f64() / (2.0 * Bursts::OWN);
    check(sums[0] + sums[1], all);
    let first = sums[0] / (sums[0] + sums[1]);
    assert!((0.07..0.16).contains(&first), "{first}");
}
