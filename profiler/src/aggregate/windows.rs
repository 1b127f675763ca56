//! When the probes of one class were open in one process, and for how much it stands what they
//! saw then.

use std::{collections::VecDeque, ops::Range, time::Duration};

use crate::source::Event;

/// A time in which probes were open, from the start of the recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// From when on what was seen counts.
    pub from: Duration,
    /// Until when it counts.
    pub until: Duration,
    /// For how many events one that was seen stands: exactly one, if nothing is left out.
    pub weight: f64,
}

impl Window {
    pub(super) fn is_sample(&self) -> bool {
        self.weight > 1.0
    }

    /// For how long a time it stands.
    pub(super) fn stands_for(&self) -> Duration {
        let length = self.until.saturating_sub(self.from);
        Duration::try_from_secs_f64(length.as_secs_f64() * self.weight).unwrap_or(Duration::MAX)
    }
}

/// For how much more than by its weight a window stands, when it closes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correction {
    /// So many times as much, all in all.
    pub times: f64,
    /// The part of it that is because the window was closed before its time.
    pub early: f64,
    /// How many times as much as they left it hits took of the target's time, as far as the model
    /// of costs tells; zero if nobody looked.
    pub crowding: f64,
    /// The part of the window in which one hit came right after the other.
    pub busy: f64,
}

impl Correction {
    /// So many times as much, without looking closer.
    pub const fn of(times: f64) -> Self {
        Self {
            times,
            early: 1.0,
            crowding: 0.0,
            busy: 0.0,
        }
    }
}

/// How often some places were come to right before a window of small objects, and in it.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// When the window opened.
    pub time: Duration,
    /// How often in a second, when nothing else was probed.
    pub alone: f64,
    /// How often in a second of the window …
    pub in_window: f64,
    /// … and how often in all of it.
    pub hits: u32,
    /// As in [`Correction`].
    pub crowding: f64,
}

/// For what an event stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Share {
    /// As many like it are taken to have happened.
    pub(super) copies: u32,
    /// Whether that is an estimate.
    pub(super) is_sampled: bool,
}

impl Share {
    /// What was seen and stands for itself.
    pub(super) const WHOLE: Self = Self {
        copies: 1,
        is_sampled: false,
    };
}

/// Records come late, but hardly later than so many windows.
const REMEMBERED: usize = 8;

/// The windows of late, in the order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows {
    recent: VecDeque<(Window, Correction)>,
    /// What was rounded off so far: copies are whole, so that what is given back is what was got,
    /// but their sum keeps to the sum of the weights.
    carry: f64,
    /// Whether the last window is still open.
    is_open: bool,
    /// What was seen in the open window, if that is a sample: only when it closes is known for
    /// how much it stands.
    held_back: Vec<Event>,
}

impl Windows {
    /// Probes were opened.
    pub(super) fn open(&mut self, window: Window) {
        self.recent.push_back((window, Correction::of(1.0)));
        self.is_open = true;
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
    }

    /// Probes that may still be open are closed at this time; what was seen in the last window
    /// stands for so many times as much as it was thought to. Returns the events to enter now.
    pub(super) fn close(&mut self, at: Duration, correction: Correction) -> Vec<Event> {
        if let Some((last, corrected)) = self.recent.back_mut().filter(|_| self.is_open) {
            last.until = last.until.min(at);
            if last.is_sample() {
                // What was seen stands for itself, whatever it would have been without probes.
                last.weight = 1.0 + (last.weight - 1.0) * correction.times.max(1.0);
                *corrected = correction;
            }
        }
        self.is_open = false;
        std::mem::take(&mut self.held_back)
    }

    /// The window that is open, if it is a sample.
    pub(super) fn open_sample(&self) -> Option<Window> {
        let (last, _) = self.recent.back().filter(|_| self.is_open)?;
        last.is_sample().then_some(*last)
    }

    /// The last window, if it was a sample.
    pub(super) fn last_sample(&self) -> Option<Range<Duration>> {
        let (last, _) = (self.recent.back()).filter(|(window, _)| window.is_sample())?;
        Some(last.from..last.until)
    }

    /// Holds an event back, if it is not known yet for how much it stands. Says whether it did.
    pub(super) fn hold_back(&mut self, event: &Event) -> bool {
        let is_open =
            self.is_open && (self.recent.back()).is_some_and(|(window, _)| window.is_sample());
        if is_open {
            self.held_back.push(*event);
        }
        is_open
    }

    /// For how many events one at this time stands; `None` if it was seen while probes were opened
    /// or closed, so that it does not count. As long as no window was named, all events count.
    /// If it was a sample, it is also said how its window was corrected.
    pub(super) fn weight(&self, time: Duration) -> Option<(f64, Option<Correction>)> {
        if self.recent.is_empty() {
            return Some((1.0, None));
        }
        let holds =
            |(window, _): &&(Window, Correction)| (window.from..window.until).contains(&time);
        let (window, correction) = self.recent.iter().rev().find(holds)?;
        let correction = window.is_sample().then_some(*correction);
        Some((window.weight.max(1.0), correction))
    }

    /// The same in whole events.
    pub(super) fn share(&mut self, time: Duration) -> Option<Share> {
        let (weight, _) = self.weight(time)?;
        if weight <= 1.0 {
            return Some(Share::WHOLE);
        }
        let (copies, carry) = whole(weight + self.carry);
        self.carry = carry;
        Some(Share {
            copies,
            is_sampled: true,
        })
    }
}

/// The whole part of a number that is not negative, and what is left of it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates"
)]
fn whole(number: f64) -> (u32, f64) {
    (number.trunc() as u32, number.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn window(from: u64, until: u64, weight: f64) -> Window {
        Window {
            from: at(from),
            until: at(until),
            weight,
        }
    }

    #[test]
    fn without_windows_everything_stands_for_itself() {
        assert_eq!(Windows::default().share(at(5)), Some(Share::WHOLE));
    }

    #[test]
    fn an_event_belongs_to_the_window_of_its_time_however_late_it_comes() {
        let mut windows = Windows::default();
        windows.open(window(0, 1000, 1.0));
        windows.close(at(100), Correction::of(9.0));
        windows.open(window(200, 300, 2.5));
        windows.close(at(300), Correction::of(2.0));
        assert_eq!(windows.share(at(50)), Some(Share::WHOLE));
        assert_eq!(windows.share(at(150)), None);
        assert_eq!(windows.share(at(250)).map(|share| share.copies), Some(4));
        assert_eq!(windows.share(at(300)), None);
    }

    #[test]
    fn copies_add_up_to_the_weights() {
        let mut windows = Windows::default();
        windows.open(window(0, 1000, 1.3));
        let copies: Vec<u32> = (0..1000)
            .filter_map(|millis| windows.share(at(millis)))
            .map(|share| share.copies)
            .collect();
        assert!(copies.iter().all(|copies| (1..=2).contains(copies)));
        assert!((1299..=1300).contains(&copies.iter().sum::<u32>()));
    }

    #[test]
    fn what_a_sample_shows_is_held_back_until_it_is_known_what_it_stands_for() {
        let event = Event {
            process: crate::profile::ProcessKey(0),
            time: at(250),
            what: crate::source::What::BlockFreed { address: 7 },
        };
        let mut windows = Windows::default();
        windows.open(window(0, 1000, 1.0));
        assert!(!windows.hold_back(&event));
        windows.open(window(200, 300, 5.0));
        assert!(windows.hold_back(&event));
        assert_eq!(windows.close(at(300), Correction::of(1.0)), [event]);
        assert!(!windows.hold_back(&event));
    }
}
