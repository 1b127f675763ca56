//! What kind of growth it is, and on what evidence.
//!
//! Patterns are not told apart yet: every verdict is [`Pattern::Undecided`], and says so.

mod pattern;

pub use pattern::Pattern;

use crate::{
    aggregate::{Estimate, Findings, ProcessFinding, Site},
    units::{Bytes, Pid, human_duration},
};

/// What is thought of one process, or of all together.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The pattern.
    pub pattern: Pattern,
    /// How sure that is: 0 to 1.
    pub confidence: f64,
    /// What speaks for it, a sentence each, with numbers.
    pub evidence: Vec<String>,
    /// What to do about it, a sentence each, the most useful one first.
    pub next_steps: Vec<String>,
}

/// The verdicts on a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdicts {
    /// On all processes together.
    pub group: Verdict,
    /// On each process, in the order of [`Findings::processes`].
    pub processes: Vec<Verdict>,
}

/// Says what is known about the growth of each process, and of all together.
pub fn judge(findings: &Findings) -> Verdicts {
    Verdicts {
        group: undecided(&Growth::of_group(findings), findings),
        processes: findings
            .processes
            .iter()
            .map(|process| undecided(&Growth::of_process(process), findings))
            .collect(),
    }
}

/// The numbers that a verdict is about.
struct Growth {
    /// The process; `None` if it is about all of them.
    pid: Option<Pid>,
    rss_start: Option<u64>,
    rss_end: Option<u64>,
    retained: Estimate,
    explained_percent: Option<f64>,
    mapped: u64,
}

impl Growth {
    fn of_group(findings: &Findings) -> Self {
        Self {
            pid: None,
            rss_start: findings.group.rss_start,
            rss_end: findings.group.rss_end,
            retained: findings.totals.retained,
            explained_percent: findings.group.explained_growth_percent,
            mapped: findings.totals.mapped,
        }
    }

    fn of_process(process: &ProcessFinding) -> Self {
        Self {
            pid: Some(process.pid),
            rss_start: process.rss_start,
            rss_end: process.rss_end,
            retained: process.retained,
            explained_percent: process.explained_growth_percent,
            mapped: process.live_mappings,
        }
    }

    /// The site that retains most, of those that ran in the process.
    fn heaviest<'a>(&self, findings: &'a Findings) -> Option<&'a Site> {
        let of_process = |site: &&Site| self.pid.is_none_or(|pid| site.pids.contains(&pid));
        let site = findings.sites.iter().find(of_process)?;
        (site.retained.estimate > 0).then_some(site)
    }
}

/// The verdict that claims nothing, with the numbers as they are.
fn undecided(growth: &Growth, findings: &Findings) -> Verdict {
    let heaviest = growth.heaviest(findings);
    let mut evidence = vec![resident(growth, findings), retained(growth)];
    evidence.extend(
        growth
            .explained_percent
            .map(|percent| format!("what the sites retain explains {percent:.0}% of the growth")),
    );
    evidence.extend(heaviest.map(|site| {
        format!(
            "the heaviest site is {}: it retains {}, {:.0}% of what all sites retain",
            name(site),
            Bytes(site.retained.estimate),
            site.share_of_growth_percent,
        )
    }));
    let look = match heaviest {
        Some(site) => format!("look at {}: what keeps its blocks alive?", name(site)),
        None if growth.mapped > 0 => {
            format!(
                "no block was retained, but {} were mapped and kept: draw the metric mapped",
                Bytes(growth.mapped)
            )
        }
        None => "record for longer, while the memory grows".to_owned(),
    };
    Verdict {
        pattern: Pattern::Undecided,
        confidence: 0.0,
        evidence,
        next_steps: vec![
            look,
            "this version does not name growth patterns yet: compare what the sites retain with \
             the growth of the resident size"
                .to_owned(),
        ],
    }
}

/// How the resident size changed.
fn resident(growth: &Growth, findings: &Findings) -> String {
    let (Some(start), Some(end)) = (growth.rss_start, growth.rss_end) else {
        return "nothing tells how large the resident size was".to_owned();
    };
    let sign = if end < start { '-' } else { '+' };
    format!(
        "the resident size went from {} to {} in {} ({sign}{})",
        Bytes(start),
        Bytes(end),
        human_duration(findings.duration),
        Bytes(end.abs_diff(start)),
    )
}

/// What was allocated and not freed.
fn retained(growth: &Growth) -> String {
    let Estimate {
        estimate,
        low,
        high,
    } = growth.retained;
    let range = if low == high {
        String::new()
    } else {
        format!(" (95% interval: {} to {})", Bytes(low), Bytes(high))
    };
    format!(
        "{}{range} were allocated while recording and not freed at its end",
        Bytes(estimate)
    )
}

/// `function (file:line)`.
fn name(site: &Site) -> String {
    if site.file.is_empty() {
        site.function.clone()
    } else {
        format!("{} ({}:{})", site.function, site.file, site.line)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        aggregate::{GroupFinding, Totals},
        profile::StackId,
    };

    const MIB: u64 = 1 << 20;

    fn findings() -> Findings {
        Findings {
            group: GroupFinding {
                rss_start: Some(50 * MIB),
                rss_end: Some(130 * MIB),
                explained_growth_percent: Some(94.2),
                ..GroupFinding::default()
            },
            totals: Totals {
                retained: Estimate::exact(75 * MIB),
                ..Totals::default()
            },
            duration: Duration::from_secs(30),
            ..Findings::default()
        }
    }

    #[test]
    fn nothing_is_claimed_and_the_numbers_are_told() {
        let mut findings = findings();
        findings.sites = vec![Site {
            function: "leak".to_owned(),
            file: "/srv/app/leak.py".to_owned(),
            line: 4,
            stack: StackId::ROOT,
            pids: vec![Pid(7)],
            samples: 10,
            retained: Estimate::exact(60 * MIB),
            allocated: Estimate::exact(60 * MIB),
            allocations: Estimate::exact(60),
            resident: 0,
            mapped: 0,
            growth_per_second: 0.0,
            share_of_growth_percent: 80.0,
        }];
        let verdict = judge(&findings).group;
        assert_eq!(verdict.pattern, Pattern::Undecided);
        assert!(verdict.confidence.abs() < f64::EPSILON);
        let evidence = verdict.evidence.join("\n");
        assert_eq!(
            evidence,
            "the resident size went from 50.0 MiB to 130 MiB in 30.0 s (+80.0 MiB)\n\
             75.0 MiB were allocated while recording and not freed at its end\n\
             what the sites retain explains 94% of the growth\n\
             the heaviest site is leak (/srv/app/leak.py:4): it retains 60.0 MiB, 80% of what \
             all sites retain"
        );
        assert_eq!(
            verdict.next_steps[0],
            "look at leak (/srv/app/leak.py:4): what keeps its blocks alive?"
        );
        assert!(verdict.next_steps[1].contains("does not name growth patterns yet"));
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let verdict = judge(&Findings::default()).group;
        assert_eq!(
            verdict.evidence,
            [
                "nothing tells how large the resident size was",
                "0 B were allocated while recording and not freed at its end"
            ]
        );
        assert_eq!(
            verdict.next_steps[0],
            "record for longer, while the memory grows"
        );
    }

    #[test]
    fn mappings_are_pointed_to_when_no_block_was_retained() {
        let mut findings = findings();
        findings.totals.retained = Estimate::default();
        findings.totals.mapped = 64 * MIB;
        let verdict = judge(&findings).group;
        assert!(verdict.next_steps[0].contains("64.0 MiB were mapped and kept"));
    }
}
