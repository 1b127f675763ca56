//! Tables of what was said, and how often rightly.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::run::Outcome;

const UNDECIDED: &str = "undecided";

/// Patterns of growth without end: a steady service must never be called one of these.
const LEAKS: [&str; 4] = ["retained-growth", "traffic-growth", "idle-growth", "mixed"];

/// What is said with this much certainty has to be right at least as often.
const SURE: f64 = 0.9;

impl Outcome {
    fn is_right(&self) -> bool {
        self.said == self.pattern
    }

    fn is_wrong(&self) -> bool {
        !self.is_right() && self.said != UNDECIDED
    }
}

/// All tables.
pub(super) fn markdown(outcomes: &[Outcome]) -> String {
    let mut text = shares(outcomes);
    let durations: BTreeSet<u32> = outcomes.iter().map(|it| it.seconds).collect();
    for seconds in durations {
        let these: Vec<&Outcome> = outcomes.iter().filter(|it| it.seconds == seconds).collect();
        add(&mut text, &format!("\nAfter {seconds} s:\n\n"));
        add(&mut text, &confusion(&these));
    }
    text + &mistakes(outcomes)
}

fn add(text: &mut String, more: &str) {
    text.push_str(more);
}

fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are some hundreds of runs"
    )]
    let share = 100.0 * part as f64 / whole as f64;
    format!("{share:.1} %")
}

/// How often it was right, for each duration.
fn shares(outcomes: &[Outcome]) -> String {
    let mut text = "| recorded | runs | right | undecided | wrong | said with 90 % or more | of \
                    these right | steady called a leak |\n|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let durations: BTreeSet<u32> = outcomes.iter().map(|it| it.seconds).collect();
    for seconds in durations {
        let these = || outcomes.iter().filter(move |it| it.seconds == seconds);
        let all = these().count();
        let right = these().filter(|it| it.is_right()).count();
        let wrong = these().filter(|it| it.is_wrong()).count();
        let sure = || these().filter(|it| it.confidence >= SURE);
        let steady = || these().filter(|it| it.pattern == "steady");
        let slandered = steady().filter(|it| LEAKS.contains(&it.said.as_str()));
        let cells = [
            format!("{seconds} s"),
            all.to_string(),
            percent(right, all),
            percent(all - right - wrong, all),
            percent(wrong, all),
            sure().count().to_string(),
            percent(sure().filter(|it| it.is_right()).count(), sure().count()),
            format!("{} of {}", slandered.count(), steady().count()),
        ];
        row(&mut text, cells);
    }
    text
}

fn row(text: &mut String, cells: impl IntoIterator<Item = String>) {
    for cell in cells {
        // Writing to a string does not fail.
        let _infallible = write!(text, "| {cell} ");
    }
    text.push_str("|\n");
}

/// What was said of each pattern.
fn confusion(outcomes: &[&Outcome]) -> String {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for outcome in outcomes {
        let key = (outcome.pattern.as_str(), outcome.said.as_str());
        *counts.entry(key).or_default() += 1;
    }
    let said: BTreeSet<&str> = counts.keys().map(|it| it.1).collect();
    let is: BTreeSet<&str> = counts.keys().map(|it| it.0).collect();
    let mut text = String::new();
    let head = said.iter().map(ToString::to_string);
    row(&mut text, ["is \\ said".to_owned()].into_iter().chain(head));
    row(
        &mut text,
        said.iter()
            .map(|_| "---".to_owned())
            .chain(["---".to_owned()]),
    );
    for pattern in is {
        let cells = said.iter().map(|it| match counts.get(&(pattern, *it)) {
            Some(count) if *it == pattern => format!("**{count}**"),
            Some(count) => count.to_string(),
            None => String::new(),
        });
        row(&mut text, [pattern.to_owned()].into_iter().chain(cells));
    }
    text
}

/// Each wrong verdict with its evidence.
fn mistakes(outcomes: &[Outcome]) -> String {
    let mut text = "\nWrong ones:\n\n".to_owned();
    let wrong: Vec<&Outcome> = outcomes.iter().filter(|it| it.is_wrong()).collect();
    if wrong.is_empty() {
        return text + "none.\n";
    }
    for it in wrong {
        // Where files are on this machine is nobody's business.
        let evidence = it.evidence.iter().filter(|said| !said.contains("(/"));
        let evidence: Vec<&str> = evidence.map(String::as_str).collect();
        let _infallible = writeln!(
            text,
            "- `{}` (seed {}, {} s) was said to be `{}` with {:.0} %: {}",
            it.scenario,
            it.seed,
            it.seconds,
            it.said,
            100.0 * it.confidence,
            evidence.join("; "),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(pattern: &str, said: &str, confidence: f64) -> Outcome {
        Outcome {
            scenario: format!("{pattern}-flask"),
            seed: 3,
            seconds: 45,
            pattern: pattern.to_owned(),
            said: said.to_owned(),
            confidence,
            evidence: vec!["it grew".to_owned()],
        }
    }

    #[test]
    fn right_undecided_and_wrong_add_up() {
        let outcomes = [
            outcome("steady", "steady", 0.95),
            outcome("steady", "mixed", 0.92),
            outcome("cache-fill", "undecided", 0.0),
            outcome("cache-fill", "cache-fill", 0.8),
        ];
        let text = markdown(&outcomes);
        let row = "| 45 s | 4 | 50.0 % | 25.0 % | 25.0 % | 2 | 50.0 % | 1 of 2 |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| steady |  | 1 | **1** |  |"), "{text}");
        let mistake = "- `steady-flask` (seed 3, 45 s) was said to be `mixed` with 92 %: it grew";
        assert!(text.contains(mistake), "{text}");
    }

    #[test]
    fn without_mistakes_none_is_listed() {
        assert!(markdown(&[outcome("steady", "steady", 0.9)]).ends_with("none.\n"));
    }
}
