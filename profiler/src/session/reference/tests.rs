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
