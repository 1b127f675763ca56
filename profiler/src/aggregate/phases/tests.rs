//! What is reckoned of processes that are made up.

use super::{kinds::ratio, *};

const STEP: Duration = Duration::from_millis(10);
const HUNDRED: Shown = Shown {
    counted: 100.0,
    plain: 50.0,
    crowded: 100.0,
};

/// A process, and what was seen of it.
#[derive(Default)]
struct Seen {
    stacks: StackTable,
    phases: Phases,
    now: Duration,
}

impl Seen {
    fn stack(&mut self, functions: &[&str]) -> StackId {
        let frame = |name: &&str| Frame {
            function: (*name).to_owned(),
            file: "app.py".to_owned(),
            line: 7,
        };
        let frames: Vec<_> = (functions.iter().map(frame))
            .map(|frame| self.stacks.intern_frame(&frame))
            .collect();
        self.stacks.intern(frames)
    }

    /// It does something for so many hundredths of a second, and in each `every`th a window
    /// comes that shows 100 bytes.
    fn works(&mut self, functions: &[&str], steps: u32, every: u32) {
        let stack = self.stack(functions);
        for step in 0..steps {
            self.phases.sampled(self.now, stack, false);
            if every > 0 && step % every == every / 2 {
                self.looks(self.now, 1.0);
                self.phases.saw(self.now, stack, HUNDRED);
            }
            self.now += STEP;
        }
    }

    /// A window of a millisecond, which stands for a tenth of a second, and in which it is busy for
    /// a part of the time.
    fn looks(&mut self, from: Duration, busy: f64) {
        let window = Window {
            from,
            until: from + STEP / 10,
            weight: 100.0,
        };
        let correction = Correction {
            busy,
            ..Correction::of(2.0)
        };
        self.phases.looked(window, window.until, correction);
    }

    fn reckoned(mut self, functions: &[&str]) -> Option<f64> {
        let stack = self.stack(functions);
        self.phases.settle(self.now, &self.stacks);
        let all = self.phases.reckon(ProcessKey(0), &self.stacks);
        let found = all.iter().find(|it| it.stack == stack)?;
        Some(ratio(found.reckoned, found.shown))
    }
}

/// Half of the time one and the other, in turns; one of them is seen three times as often.
fn unequal() -> Seen {
    let mut seen = Seen::default();
    for _ in 0..20 {
        seen.works(&["main", "one"], 60, 10);
        seen.works(&["main", "other"], 60, 30);
    }
    seen
}

#[test]
fn what_too_few_windows_saw_counts_for_more() {
    let one = unequal().reckoned(&["main", "one"]).unwrap();
    let other = unequal().reckoned(&["main", "other"]).unwrap();
    // The windows of the one stand for as long as it lasted, those of the other for a third.
    assert!((0.97..1.03).contains(&one), "{one}");
    assert!((2.9..3.1).contains(&other), "{other}");
}

#[test]
fn what_is_mixed_all_the_time_is_of_one_kind() {
    let mut seen = Seen::default();
    for _ in 0..400 {
        seen.works(&["main", "one"], 3, 0);
        seen.works(&["main", "other"], 2, 2);
    }
    assert_eq!(seen.reckoned(&["main", "other"]), None);
}

#[test]
fn what_never_lasts_is_a_part_of_what_its_caller_does() {
    let mut seen = Seen::default();
    for _ in 0..100 {
        seen.works(&["main", "one"], 10, 10);
        seen.works(&["main", "other"], 10, 5);
    }
    assert_eq!(seen.reckoned(&["main", "other"]), None);
}

#[test]
fn what_no_window_saw_changes_nothing_among_the_others() {
    let mut seen = Seen::default();
    for _ in 0..20 {
        seen.works(&["main", "one"], 60, 20);
        seen.works(&["main", "unseen"], 60, 0);
    }
    assert_eq!(seen.reckoned(&["main", "one"]), None);
}

#[test]
fn a_process_that_mostly_sleeps_shows_by_few_samples_what_it_does() {
    let mut seen = Seen::default();
    for _ in 0..20 {
        seen.works(&["main", "one"], 100, 20);
        for _ in 0..10 {
            seen.works(&["main", "other"], 1, 0);
            seen.now += 9 * STEP;
        }
        let other = seen.stack(&["main", "other"]);
        let ago = seen.now.saturating_sub(20 * STEP);
        seen.looks(ago, 1.0);
        seen.phases.saw(ago, other, HUNDRED);
    }
    let other = seen.reckoned(&["main", "other"]).unwrap();
    // A window stands for a tenth of a second of each turn, which lasts for one.
    assert!((9.5..10.5).contains(&other), "{other}");
}

#[test]
fn each_kind_of_work_is_slowed_down_in_its_own_way() {
    let mut seen = Seen::default();
    for (functions, times) in [(["main", "one"], 3.0), (["main", "other"], 9.0)].repeat(20) {
        let comparison = Comparison {
            time: seen.now + 10 * STEP,
            alone: 1000.0 * times,
            in_window: 1000.0,
            hits: 40,
            crowding: 2.0,
        };
        seen.works(&functions, 60, 20);
        if times > 5.0 {
            // Only then does it come, because the next window is late.
            seen.phases.settle(seen.now, &seen.stacks);
        }
        seen.phases.compare(&comparison);
    }
    // What is counted was taken to be slowed down twice, and windows stand for half of the time.
    let other = seen.reckoned(&["main", "other"]).unwrap();
    assert!((8.8..9.1).contains(&other), "{other}");
}

#[test]
fn what_pauses_is_slowed_down_by_less() {
    let mut seen = Seen::default();
    let comparison = |time, alone, hits| Comparison {
        time,
        alone,
        in_window: 1000.0,
        hits,
        crowding: 2.0,
    };
    for turn in 0..40 {
        seen.phases.compare(&comparison(seen.now, 9000.0, 400));
        seen.works(&["main", "one"], 50, 10);
        // It comes to rare places at the ends of its pauses, in windows almost as often as alone.
        if turn % 8 == 0 {
            seen.phases.compare(&comparison(seen.now, 1100.0, 1));
        }
        let other = seen.stack(&["main", "other"]);
        for _ in 0..5 {
            seen.looks(seen.now, 0.8);
            seen.phases.saw(seen.now, other, HUNDRED);
            seen.works(&["main", "other"], 2, 0);
            seen.now += 8 * STEP;
        }
    }
    // They miss four times their crowding of the first kind. The other one is busy for a quarter of
    // what it is in windows, so they miss once their crowding of that: 50 bytes are 150.
    let other = seen.reckoned(&["main", "other"]).unwrap();
    assert!((1.35..1.55).contains(&other), "{other}");
}

#[test]
fn what_a_window_shows_between_two_kinds_is_of_the_kind_that_it_shows() {
    let mut seen = Seen::default();
    for turn in 0..40 {
        let (alone, functions) = if turn % 2 == 0 {
            (1000.0, ["main", "one"])
        } else {
            (9000.0, ["main", "other"])
        };
        let other = seen.stack(&["main", if turn % 2 == 0 { "other" } else { "one" }]);
        // The kind before goes on for a moment, and that is when a window comes.
        seen.looks(seen.now, 1.0);
        seen.phases.saw(seen.now, other, HUNDRED);
        seen.works(&functions, 60, 20);
        seen.phases.compare(&Comparison {
            time: seen.now.saturating_sub(10 * STEP),
            alone,
            in_window: 1000.0,
            hits: 400,
            crowding: 2.0,
        });
    }
    // One is not slowed down at all, whichever kind its slices are of, the other four times. Four
    // windows stand for six tenths of a second.
    let one = seen.reckoned(&["main", "one"]).unwrap();
    assert!((0.71..0.79).contains(&one), "{one}");
}

#[test]
fn while_all_objects_are_seen_nothing_stands_for_others() {
    let mut seen = unequal();
    seen.phases.see_all(true);
    seen.works(&["main", "other"], 5000, 0);
    let other = seen.reckoned(&["main", "other"]).unwrap();
    assert!((2.9..3.1).contains(&other), "{other}");
}
