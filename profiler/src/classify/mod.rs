//! What kind of growth it is, and on what evidence.
//!
//! A function of the findings alone. `thresholds` has every number that a verdict turns on,
//! and `docs/verdicts.md` explains the patterns.

mod activity;
mod advice;
mod amount;
mod causes;
mod evidence;
mod group;
mod opinion;
mod pattern;
mod signals;
#[cfg(test)]
mod simulation;
mod statistics;
#[cfg(test)]
mod tests;
mod thresholds;
mod traffic;

use std::time::Duration;

pub use activity::Activity;
pub use pattern::Pattern;

use self::{
    activity::Came,
    evidence::Case,
    group::GroupOpinion,
    opinion::{Opinion, opinion},
    signals::Signals,
};
use crate::aggregate::Findings;

/// What is thought of one process, or of all together.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The pattern.
    pub pattern: Pattern,
    /// How sure that is: 0 to 1.
    pub confidence: f64,
    /// A sentence that a person can act on.
    pub summary: String,
    /// What speaks for it, a sentence each, with numbers.
    pub evidence: Vec<String>,
    /// What to do about it, a sentence each, the most useful one first.
    pub next_steps: Vec<String>,
    /// The parts of a mixture, each with its share in it, 0 to 1, the largest first.
    pub parts: Vec<(Pattern, f64)>,
    /// How much longer to record, if too little is known.
    pub record_longer: Option<Duration>,
}

/// The verdicts on a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdicts {
    /// On all processes together.
    pub group: Verdict,
    /// On each process, in the order of [`Findings::processes`].
    pub processes: Vec<Verdict>,
    /// What stood for traffic.
    pub activity: Activity,
    /// How much of that there was.
    pub traffic: Traffic,
}

/// How much traffic there was, in all processes together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    /// How much in all, in units of the activity; `None` if there is nothing to count.
    pub count: Option<f64>,
    /// How much per second.
    pub per_second: Option<f64>,
    /// The same for a person.
    pub text: String,
}

/// Says what kind of growth it is, of each process and of all together.
pub fn judge(findings: &Findings) -> Verdicts {
    let activity = Activity::of(findings);
    let opinions: Vec<Opinion> = (findings.processes.iter())
        .map(|process| {
            let came = Came::of(activity, &process.course, &findings.rounds);
            opinion(&Signals::of_process(process, came))
        })
        .collect();
    let cases = findings.processes.iter().zip(&opinions);
    Verdicts {
        group: evidence::of_group(findings, &opinions, &GroupOpinion::of(findings, &opinions)),
        processes: cases
            .map(|(process, opinion)| evidence::of_process(&Case::new(findings, process, opinion)))
            .collect(),
        activity,
        traffic: amount::traffic(findings, activity),
    }
}
