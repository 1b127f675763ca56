//! Which windows open in a pause of the target.
//!
//! Where objects come in bursts, and each takes many times as long in a window as without, a window
//! shows a small part of a burst. Any part is as likely to be shown, but for the first one: all
//! windows that open in the pause before it show that. So these must not count.

use std::{collections::VecDeque, time::Duration};

/// So many windows are remembered, and so many are enough to tell what is usual.
const REMEMBERED: usize = 64;
const ENOUGH: usize = 8;

/// The part of the windows that opened in the midst of work, at least.
const IN_WORK: usize = 4;

/// The first object comes that much later than usual in a window that opens in a pause, or by half
/// of the time that the target has for itself in a window if that is longer.
const LATE: Duration = Duration::from_micros(10);

/// In windows that slow the target down less than that, much is shown of every burst.
const SLOW: f64 = 4.0;

/// How soon windows showed something.
#[derive(Debug, Default)]
pub(super) struct Starts(VecDeque<Duration>);

impl Starts {
    /// A window of this length showed its first object after that time, and the target is known to
    /// be so many times slower in it. Says whether it opened in a pause.
    pub(super) fn is_in_pause(
        &mut self,
        first: Duration,
        length: Duration,
        slowing: Option<f64>,
    ) -> bool {
        self.0.push_back(first);
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
        let Some(slowing) = slowing.filter(|slowing| *slowing >= SLOW) else {
            return false;
        };
        let late = (length / 2).div_f64(slowing).max(LATE);
        self.0.len() >= ENOUGH && first > self.usual() + late
    }

    /// How long it takes until the target goes on, if it is at work when a window opens.
    fn usual(&self) -> Duration {
        let mut all: Vec<Duration> = self.0.iter().copied().collect();
        let place = all.len() / IN_WORK;
        *all.select_nth_unstable(place).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_micros(500);

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn windows_that_show_nothing_for_longer_than_usual_open_in_a_pause() {
        let mut starts = Starts::default();
        let late = (0..40).filter(|number| {
            let first = if number % 4 == 3 { 60 } else { 20 + number % 4 };
            starts.is_in_pause(micros(first), LENGTH, Some(30.0))
        });
        // The first ones are too few to tell.
        assert_eq!(late.count(), 9);
        // At four times slower, the target has a quarter of the window for itself.
        assert!(!starts.is_in_pause(micros(60), LENGTH, Some(4.0)));
        assert!(starts.is_in_pause(micros(100), LENGTH, Some(4.0)));
    }

    #[test]
    fn where_it_is_not_slow_or_always_late_no_window_is_in_a_pause() {
        let mut starts = Starts::default();
        for number in 0..40 {
            assert!(!starts.is_in_pause(micros(20 + number * 30), LENGTH, Some(2.0)));
            assert!(!starts.is_in_pause(micros(20 + number * 30), LENGTH, None));
        }
        let mut starts = Starts::default();
        let late = (0..40).filter(|_| starts.is_in_pause(micros(300), LENGTH, Some(30.0)));
        assert_eq!(late.count(), 0);
    }
}
