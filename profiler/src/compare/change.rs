//! One number before and after: what the change is, how sure that is, and what it means.

use super::quantile::{normal, student};

/// A rate: so many bytes per second. `low` and `high` are its own 95 % interval, by how well it was
/// measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// The best single number.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// One standard deviation of what it would be in another run.
    pub scatter: f64,
}

/// What a change means for memory.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// Less is got than before.
    Improved,
    /// More is got than before.
    Regressed,
    /// It is the same, or as good as that.
    Unchanged,
    /// It may be either.
    CannotTell,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [
        Self::Improved,
        Self::Regressed,
        Self::Unchanged,
        Self::CannotTell,
    ];

    /// The stable name, as it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::Regressed => "regressed",
            Self::Unchanged => "unchanged",
            Self::CannotTell => "cannot-tell",
        }
    }
}

/// Why it cannot be told what a change means.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Doubt {
    /// A recording has too few slices of time to see how much these differ.
    TooShort,
    /// The difference may be nothing, or a lot.
    TooWide,
    /// The change is what a program would show that had more, or less, to do.
    Pace,
}

impl Doubt {
    /// All doubts.
    pub const ALL: [Self; 3] = [Self::TooShort, Self::TooWide, Self::Pace];

    /// The stable name, as it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too-short",
            Self::TooWide => "too-wide",
            Self::Pace => "pace",
        }
    }

    /// What it means, for people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::TooShort => "a recording is too short to see how much runs differ by chance",
            Self::TooWide => "chance alone could make the difference nothing, or a lot",
            Self::Pace => "one of the two did more work, and that alone could explain the change",
        }
    }
}

/// A rate before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Before.
    pub before: Rate,
    /// After.
    pub after: Rate,
    /// After less before.
    pub difference: f64,
    /// The lower end of its interval. All intervals of a comparison hold together in all but one
    /// of a thousand comparisons.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The difference in percent of what was before; `None` if that was nothing.
    pub percent: Option<f64>,
    /// What it means.
    pub outcome: Outcome,
    /// Why that cannot be told.
    pub doubt: Option<Doubt>,
}

/// Intervals leave out what chance does so rarely, in all lines of a comparison together.
const LEVEL: f64 = 0.001;

/// Two runs of one program differ in ways that neither shows: so large a part of each rate is taken
/// as a standard deviation for that.
const BETWEEN_RUNS: f64 = 0.005;

/// What is less than this part of the larger of two rates is no change worth the name.
const LEAST_OF_OWN: f64 = 0.02;
/// Nor what is less than this part of the sum of all lines.
const LEAST_OF_ALL: f64 = 0.01;

/// What cannot be more than this part of the larger rate, or of the sum, is no change either.
const SAME_OF_OWN: f64 = 0.1;
const SAME_OF_ALL: f64 = 0.02;

/// How many standard deviations an interval of 95 % reaches to either side.
const REACH_OF_95: f64 = 1.96;

/// With fewer slices, nothing tells how much slices differ.
const FEWEST_SLICES: u32 = 5;

/// Against what changes are judged.
#[derive(Clone, Debug)]
pub(super) struct Yardstick {
    /// Standard deviations to either side, where these are known well.
    reach: f64,
    /// The same where they are known from the slices before, and after.
    reaches: [f64; 2],
    is_too_short: bool,
    /// By what the rates after may have to be multiplied so that both had the same to do.
    paces: Vec<f64>,
    /// Rates that are less than that are nothing.
    least: f64,
}

impl Yardstick {
    /// A yardstick for so many changes at once, by the numbers of slices before and after.
    pub(super) fn new(changes: usize, slices: [u32; 2], least: f64, paces: Vec<f64>) -> Self {
        let changes = u32::try_from(changes.max(1)).unwrap_or(u32::MAX);
        let level = LEVEL / f64::from(changes);
        // Differences of neighbours tell a third less than as many independent values.
        let freedom = |slices: u32| 2.0 / 3.0 * (f64::from(slices) - 1.0);
        Self {
            reach: normal(level),
            reaches: slices.map(|slices| student(level, freedom(slices))),
            is_too_short: slices.iter().any(|slices| *slices < FEWEST_SLICES),
            paces,
            least,
        }
    }

    /// Compares two rates of which there is so much in all.
    pub(super) fn change(&self, before: Rate, after: Rate, all: f64) -> Change {
        let plain = self.range(before, after, 1.0);
        let mut range = plain;
        for pace in &self.paces {
            let other = self.range(before, after, *pace);
            range = (range.0.min(other.0), range.1.max(other.1));
        }
        let difference = after.estimate - before.estimate;
        let own = before.estimate.abs().max(after.estimate.abs());
        let judge = |range| {
            let limits = Limits {
                least: (LEAST_OF_OWN * own).max(LEAST_OF_ALL * all).max(self.least),
                same: (SAME_OF_OWN * own).max(SAME_OF_ALL * all).max(self.least),
            };
            limits.judge(difference, range)
        };
        let outcome = match judge(range) {
            // What is nothing on both sides needs no time to be told.
            told if own <= self.least && range == plain => told,
            _ if self.is_too_short => Outcome::CannotTell,
            told => told,
        };
        let is_told_but_for_pace = judge(plain) != Outcome::CannotTell;
        let doubt = match outcome {
            Outcome::CannotTell if self.is_too_short => Some(Doubt::TooShort),
            Outcome::CannotTell if is_told_but_for_pace => Some(Doubt::Pace),
            Outcome::CannotTell => Some(Doubt::TooWide),
            _ => None,
        };
        let is_something = before.estimate.abs() > f64::EPSILON;
        Change {
            before,
            after,
            difference,
            low: range.0,
            high: range.1,
            percent: is_something.then(|| 100.0 * difference / before.estimate.abs()),
            outcome,
            doubt,
        }
    }

    /// The interval of the difference, if the rate after is multiplied: each end from the ends
    /// that lie that way (after Zou and Donner, Statistics in Medicine 27, 2008).
    fn range(&self, before: Rate, after: Rate, pace: f64) -> (f64, f64) {
        let difference = after.estimate * pace - before.estimate;
        let [before_down, before_up] = self.ends(before, self.reaches[0]);
        let [after_down, after_up] = self.ends(after, self.reaches[1]).map(|end| end * pace);
        (
            difference - after_down.hypot(before_up),
            difference + after_up.hypot(before_down),
        )
    }

    /// How far a rate may be off downwards and upwards.
    fn ends(&self, rate: Rate, reach: f64) -> [f64; 2] {
        let between_runs = self.reach * BETWEEN_RUNS * rate.estimate;
        let by_chance = (reach * rate.scatter).hypot(between_runs);
        [rate.estimate - rate.low, rate.high - rate.estimate].map(|measured| {
            let measured = self.reach / REACH_OF_95 * measured.max(0.0);
            measured.hypot(by_chance)
        })
    }
}

/// What differences matter.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// A smaller difference is none, however sure it is.
    least: f64,
    /// A difference that cannot be larger is none, even if its direction is not known.
    same: f64,
}

impl Limits {
    fn judge(self, difference: f64, (low, high): (f64, f64)) -> Outcome {
        let is_sure = low > 0.0 || high < 0.0;
        let is_same = low >= -self.same && high <= self.same;
        if is_sure && difference.abs() >= self.least {
            if difference > 0.0 {
                Outcome::Regressed
            } else {
                Outcome::Improved
            }
        } else if is_same || (is_sure && difference.abs() < self.least) {
            Outcome::Unchanged
        } else {
            Outcome::CannotTell
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(estimate: f64, scatter: f64) -> Rate {
        Rate {
            estimate,
            low: estimate,
            high: estimate,
            scatter,
        }
    }

    fn yardstick(slices: u32, paces: &[f64]) -> Yardstick {
        Yardstick::new(3, [slices; 2], 10.0, paces.to_vec())
    }

    #[track_caller]
    fn check(before: Rate, after: Rate, outcome: Outcome) {
        let change = yardstick(30, &[]).change(before, after, 1000.0);
        assert_eq!(change.outcome, outcome, "{change:?}");
        assert!(change.low <= change.difference && change.difference <= change.high);
    }

    #[test]
    fn what_is_surely_more_or_less_is_said_so() {
        check(rate(1000.0, 5.0), rate(1050.0, 5.0), Outcome::Regressed);
        check(rate(1000.0, 5.0), rate(950.0, 5.0), Outcome::Improved);
        check(rate(1000.0, 5.0), rate(0.0, 0.0), Outcome::Improved);
        check(rate(0.0, 0.0), rate(1000.0, 50.0), Outcome::Regressed);
    }

    #[test]
    fn what_differs_by_little_is_unchanged() {
        check(rate(1000.0, 5.0), rate(1010.0, 5.0), Outcome::Unchanged);
        check(rate(0.0, 0.0), rate(0.0, 0.0), Outcome::Unchanged);
        check(rate(0.0, 0.0), rate(5.0, 0.0), Outcome::Unchanged);
    }

    #[test]
    fn what_may_be_either_is_not_told() {
        check(rate(1000.0, 90.0), rate(1200.0, 90.0), Outcome::CannotTell);
        let wide = Rate {
            low: 0.0,
            high: 3000.0,
            ..rate(1000.0, 0.0)
        };
        let change = yardstick(30, &[]).change(wide, rate(500.0, 5.0), 1000.0);
        assert_eq!(change.doubt, Some(Doubt::TooWide));
    }

    #[test]
    fn too_few_slices_tell_nothing() {
        let (before, after) = (rate(1000.0, 0.0), rate(2000.0, 0.0));
        let change = yardstick(3, &[]).change(before, after, 1000.0);
        assert_eq!(change.outcome, Outcome::CannotTell);
        assert_eq!(change.doubt, Some(Doubt::TooShort));
    }

    #[test]
    fn what_more_work_explains_is_not_told() {
        let (before, after) = (rate(1000.0, 5.0), rate(1300.0, 5.0));
        let change = yardstick(30, &[1.0 / 1.3]).change(before, after, 1000.0);
        assert_eq!(change.outcome, Outcome::CannotTell);
        assert_eq!(change.doubt, Some(Doubt::Pace));
        let twice = yardstick(30, &[1.0 / 1.3]).change(before, rate(2600.0, 5.0), 1000.0);
        assert_eq!(twice.outcome, Outcome::Regressed);
    }

    #[test]
    fn percents_are_of_what_was_before() {
        let yardstick = yardstick(30, &[]);
        let half = yardstick.change(rate(10.0, 0.0), rate(5.0, 0.0), 10.0);
        assert_eq!(half.percent, Some(-50.0));
        let new = yardstick.change(rate(0.0, 0.0), rate(5.0, 0.0), 10.0);
        assert_eq!(new.percent, None);
        let shrank = yardstick.change(rate(-10.0, 0.0), rate(5.0, 0.0), 10.0);
        assert_eq!(shrank.percent, Some(150.0));
    }
}
