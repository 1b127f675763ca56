//! What keeps two recordings from being compared, and what makes a comparison doubtful.

use std::time::Duration;

use thiserror::Error;

use super::{Recording, places::Matches, role};
use crate::{
    aggregate::Spread,
    profile::{Frame, Recorded},
    units::human_duration,
};

/// Why two recordings cannot be compared.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Incomparable {
    /// Nothing is known of one of them.
    #[error("{which} holds no process that was measured")]
    Empty {
        /// Which of them.
        which: &'static str,
    },
    /// They share no line of Python.
    #[error(
        "the recordings are of different programs: `{before}` and `{after}` have no function of \
         their own in common"
    )]
    Program {
        /// The command before.
        before: String,
        /// The command after.
        after: String,
    },
    /// One followed everything, the other windows.
    #[error("{exact} followed every allocation (--exact), and {other} did not")]
    Mode {
        /// The exact one.
        exact: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Small objects were measured in different ways.
    #[error(
        "{which} followed small objects one by one, and {other} knows them by their pools at \
         most: their numbers mean different things"
    )]
    Meter {
        /// The one with objects.
        which: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Requests were not counted.
    #[error("--per request: {which} does not know how many requests there were")]
    NoRequests {
        /// Which of them.
        which: &'static str,
    },
    /// Requests were counted in different ways.
    #[error("--per request: {before} stand for requests before, {after} after")]
    Requests {
        /// What was counted before.
        before: &'static str,
        /// What was counted after.
        after: &'static str,
    },
}

impl Incomparable {
    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "record while the program runs, for half a minute or longer",
            Self::Program { .. } => "compare two recordings of one program",
            Self::Mode { .. } => {
                "record both with --exact, or both without: it slows the target down"
            }
            Self::NoRequests { .. } => {
                "compare --per second, with the same load while both are recorded"
            }
            Self::Requests { .. } => {
                "record both with the same --traffic, tcp-accepts or socket-bytes"
            }
            Self::Meter { .. } => {
                "record both on the same kernel, with the same PYTHONMALLOC and kind of Python"
            }
        }
    }
}

/// What people call the two.
pub(super) const NAMES: [&str; 2] = ["BEFORE", "AFTER"];

/// Rates of activity that differ by more than this are of different situations.
const TENFOLD: f64 = 10.0;

/// A recording that is shorter than this is very short.
const SHORT: Duration = Duration::from_secs(10);

/// Finds what makes a comparison impossible.
pub(super) fn refuse(
    recordings: [&Recording<'_>; 2],
    matches: &Matches,
) -> Result<(), Incomparable> {
    for (which, recording) in NAMES.into_iter().zip(recordings) {
        if recording.findings.processes.is_empty() || recording.findings.duration.is_zero() {
            return Err(Incomparable::Empty { which });
        }
    }
    let budgets = recordings.map(|it| it.recorded().facts.budget_percent.is_none());
    let objects = recordings.map(|it| it.findings.objects_observed_fraction.is_some());
    if let Some([exact, other]) = odd_one(budgets) {
        return Err(Incomparable::Mode { exact, other });
    }
    if let Some([which, other]) = odd_one(objects) {
        return Err(Incomparable::Meter { which, other });
    }
    if !have_one_command(recordings) && !share_code(recordings, matches) {
        let [before, after] = recordings.map(|it| it.called.to_owned());
        return Err(Incomparable::Program { before, after });
    }
    Ok(())
}

/// The names of the one of two that is so, and of the other.
fn odd_one(are: [bool; 2]) -> Option<[&'static str; 2]> {
    match are {
        [true, false] => Some(NAMES),
        [false, true] => Some([NAMES[1], NAMES[0]]),
        _ => None,
    }
}

/// Whether both are of the same command, but for what differs from run to run.
fn have_one_command(recordings: [&Recording<'_>; 2]) -> bool {
    let [before, after] = recordings.map(|it| role::plain_command(command(it.recorded())));
    before == after
}

/// The command line of the first process.
pub fn command(recorded: &Recorded) -> &str {
    let first = recorded.processes.first();
    first.map_or("", |process| process.command.as_str())
}

/// Whether they have a function in common that is the program's own.
fn share_code(recordings: [&Recording<'_>; 2], matches: &Matches) -> bool {
    let stacks = &recordings[0].recorded().stacks;
    matches.after.keys().any(|id| is_own(stacks.frame(*id)))
}

/// Whether a frame is of the program itself, as far as its path tells; the code of a module is
/// called the same everywhere.
fn is_own(frame: &Frame) -> bool {
    let shared = [
        "/site-packages/",
        "/dist-packages/",
        "/lib/python3",
        "/lib64/python3",
    ];
    !frame.is_pseudo()
        && !frame.file.starts_with('<')
        && !frame.function.starts_with('<')
        && !shared.iter().any(|folder| frame.file.contains(folder))
}

/// What a person should know before believing a comparison, a sentence each.
pub(super) fn warnings(recordings: [&Recording<'_>; 2], spreads: [&Spread; 2]) -> Vec<String> {
    let [before, after] = recordings;
    let mut warnings = Vec::new();
    if !have_one_command(recordings) {
        let [before, after] = recordings.map(|it| short(it.called));
        warnings.push(format!(
            "the commands differ: `{before}` before, `{after}` after"
        ));
    }
    let pythons = recordings.map(|it| python(it.recorded()));
    if pythons[0] != pythons[1] {
        let [before, after] = pythons.map(|python| python.unwrap_or("an unknown one"));
        warnings.push(format!(
            "the versions of Python differ: {before} before, {after} after; objects may differ in \
             size"
        ));
    }
    let budgets = recordings.map(|it| it.recorded().facts.budget_percent.unwrap_or_default());
    if (budgets[0] - budgets[1]).abs() > 1e-6 {
        let [before, after] = budgets;
        warnings.push(format!(
            "the budgets of the probes differ: {before}% before, {after}% after"
        ));
    }
    if let Some(ratio) = tenfold(recordings) {
        let (ratio, which) = if ratio > 1.0 {
            (ratio, "after")
        } else {
            (1.0 / ratio, "before")
        };
        warnings.push(format!(
            "the activity differs: {ratio:.0} times as much processor time per second {which}"
        ));
    }
    warnings.extend(traffic(recordings));
    for (name, recording) in NAMES.into_iter().zip(recordings) {
        if recording.findings.duration < SHORT {
            let duration = human_duration(recording.findings.duration);
            warnings.push(format!("{name} is very short: {duration}"));
        }
        if !recording.recorded().facts.complete {
            warnings.push(format!(
                "{name} was not ended in order, or is still being written: its end is missing"
            ));
        }
        let missing = recording.findings.losses.missing();
        if missing > 0 {
            warnings.push(format!(
                "{name} lacks {missing} observations that were lost"
            ));
        }
    }
    let counts = [before, after].map(|it| it.findings.processes.len());
    if counts[0] != counts[1] {
        let [before, after] = counts;
        warnings.push(format!(
            "the numbers of processes differ: {before} before, {after} after"
        ));
    }
    let lengths = spreads.map(|spread| spread.duration.as_secs_f64());
    if ratio(lengths[0], lengths[1]).is_some_and(is_tenfold) {
        let [before, after] = spreads.map(|spread| human_duration(spread.duration));
        warnings.push(format!(
            "the recordings differ in length: {before} and {after}; what levels off looks \
             different in them"
        ));
    }
    warnings
}

/// A warning if there was ten times as much traffic in one of them.
fn traffic(recordings: [&Recording<'_>; 2]) -> Option<String> {
    let [before, after] = recordings.map(|it| it.verdicts);
    let rates = [before, after].map(|it| it.traffic.per_second);
    let ratio = ratio(rates[1]?, rates[0]?).filter(|ratio| is_tenfold(*ratio))?;
    let (ratio, which) = if ratio > 1.0 {
        (ratio, "after")
    } else {
        (1.0 / ratio, "before")
    };
    let what = before.activity.describe();
    (before.activity == after.activity)
        .then(|| format!("the traffic differs: {ratio:.0} times as many {what} per second {which}"))
}

/// A command without folders, and not too much of it.
fn short(command: &str) -> String {
    let names = command.split_whitespace();
    let names = names.map(|word| word.rsplit('/').next().unwrap_or(word));
    names
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(60)
        .collect()
}

fn python(recorded: &Recorded) -> Option<&str> {
    let mut versions = recorded.processes.iter().map(|it| it.python.as_deref());
    versions.find(Option::is_some).flatten()
}

/// How many times as much processor time was used per second after, if that is tenfold or a tenth.
pub(super) fn tenfold(recordings: [&Recording<'_>; 2]) -> Option<f64> {
    let [before, after] = recordings.map(activity);
    ratio(after, before).filter(|ratio| is_tenfold(*ratio))
}

fn is_tenfold(ratio: f64) -> bool {
    !(1.0 / TENFOLD..TENFOLD).contains(&ratio)
}

fn ratio(one: f64, other: f64) -> Option<f64> {
    let ratio = one / other;
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

/// Processor seconds per second, of all processes that are compared.
fn activity(recording: &Recording<'_>) -> f64 {
    let mut first_last = std::collections::BTreeMap::new();
    for census in recording
        .recorded()
        .intervals
        .iter()
        .flat_map(|it| &it.censuses)
    {
        let (_, last) = first_last
            .entry(census.process)
            .or_insert((census.cpu, census.cpu));
        *last = census.cpu.max(*last);
    }
    let is_compared = |key| recording.findings.processes.iter().any(|it| it.key == key);
    let used = first_last.into_iter().filter(|(key, _)| is_compared(*key));
    let used: Duration = used
        .map(|(_, (first, last))| last.saturating_sub(first))
        .sum();
    used.as_secs_f64() / recording.findings.duration.as_secs_f64()
}
