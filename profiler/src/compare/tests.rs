//! Made-up recordings compared: what chance does is no change, and what was changed is found.

use std::time::Duration;

use super::*;
use crate::{
    aggregate::Selection,
    classify::judge,
    profile::{
        Census, Change as Row, Counters, Facts, Interval, Metered, ProcessKey, ProcessRecord,
        TrafficChoice,
    },
    units::Pid,
};

const SECONDS: u64 = 60;
const KIB: f64 = 1024.0;

/// A made-up recording while it is made: a minute of a service.
struct Run {
    recorded: Recorded,
    /// What chance is made of.
    seed: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let interval = |second| Interval {
            start: Duration::from_secs(second),
            end: Duration::from_secs(second + 1),
            censuses: vec![Census {
                time: Duration::from_secs(second + 1),
                rss: (100 << 20) + second * 1000,
                cpu: Duration::from_millis(500 * (second + 1)),
                blocks_observed: Duration::from_secs(second + 1),
                ..Census::default()
            }],
            ..Interval::default()
        };
        let process = ProcessRecord {
            pid: Pid(100),
            inner_pid: None,
            parent: Pid(1),
            command: "python serve.py".to_owned(),
            python: Some("3.12.1".to_owned()),
            started: Duration::ZERO,
            ended: None,
        };
        let recorded = Recorded {
            facts: Facts {
                duration: Duration::from_secs(SECONDS),
                complete: true,
                budget_percent: Some(2.0),
                ..Facts::default()
            },
            processes: vec![process],
            intervals: (0..SECONDS).map(interval).collect(),
            ..Recorded::default()
        };
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { recorded, seed }
    }

    /// A number between -1 and 1.
    fn chance(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let thousandths = u32::try_from(self.seed % 2001).unwrap();
        f64::from(thousandths) / 1000.0 - 1.0
    }

    /// Adds a line that keeps and drops so many KiB in each second, each off by chance by up to
    /// `noise` of it.
    fn line(
        mut self,
        (function, line): (&str, u32),
        noise: f64,
        amounts: impl Fn(u64) -> (f64, f64),
    ) -> Self {
        let stacks = &mut self.recorded.stacks;
        let frame = stacks.intern_frame(&Frame {
            function: function.to_owned(),
            file: "/srv/serve.py".to_owned(),
            line,
        });
        let stack = stacks.intern([frame]);
        for second in 0..SECONDS {
            let (kept, dropped) = amounts(second);
            let mut noisy = |amount: f64| amount * KIB * (1.0 + noise * self.chance());
            let [kept, dropped] = [noisy(kept), noisy(dropped)].map(whole);
            let row = Row {
                process: ProcessKey(0),
                stack,
                meter: Metered::Block,
                counters: Counters {
                    bytes_in: kept + dropped,
                    count_in: (kept + dropped) / 1024,
                    bytes_out: dropped,
                    count_out: dropped / 1024,
                    samples: (kept + dropped) / 1024,
                },
            };
            let interval = usize::try_from(second).unwrap();
            self.recorded.intervals[interval].changes.push(row);
        }
        self
    }

    /// A service with lines of every kind, and a leak that is so much as usual.
    fn service(seed: u64, leak: f64) -> Self {
        let chance = |second: u64, seed: u64| (second * 7919 + seed * 104_729).is_multiple_of(11);
        Self::new(seed)
            .line(("leak", 10), 0.1, |_| (200.0 * leak, 50.0))
            .line(("handle", 20), 0.4, |_| (0.0, 900.0))
            .line(("parse", 30), 0.4, |_| (0.0, 1500.0))
            .line(("render", 40), 0.4, |_| (0.0, 700.0))
            .line(("cache", 50), 0.3, |second| {
                (f64::from(u8::from(second < 20)) * 300.0, 1.0)
            })
            // In use at the end: how much is chance.
            .line(("in_flight", 60), 1.0, |second| {
                (f64::from(u8::from(second == 59)) * 900.0, 9.0)
            })
            // Now and then.
            .line(("rare", 70), 0.5, move |second| {
                (f64::from(u8::from(chance(second, seed))) * 400.0, 1.0)
            })
            .line(("once", 80), 1.0, |second| {
                (f64::from(u8::from(second == 3)) * 500.0, 0.0)
            })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made-up sizes are small and not negative"
)]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

fn compared(before: &Recorded, after: &Recorded) -> Result<Comparison, Incomparable> {
    compared_per(Per::Second, before, after)
}

fn compared_per(per: Per, before: &Recorded, after: &Recorded) -> Result<Comparison, Incomparable> {
    let tallies = [before, after].map(|it| Tallies::of(it, &Selection::default()));
    let found = tallies.each_ref().map(Tallies::findings);
    let verdicts = found.each_ref().map(judge);
    let recording = |side: usize| Recording {
        tallies: &tallies[side],
        findings: &found[side],
        verdicts: &verdicts[side],
        called: command(tallies[side].recorded()),
    };
    compare_per(per, &recording(0), &recording(1))
}

fn of(before: &Run, after: &Run) -> Comparison {
    compared(&before.recorded, &after.recorded).unwrap()
}

impl Comparison {
    #[track_caller]
    fn at(&self, function: &str) -> &LineChange {
        let is_it = |frame: &Option<Frame>| {
            frame
                .as_ref()
                .is_some_and(|frame| frame.function == function)
        };
        let mut found = self
            .lines
            .iter()
            .filter(|it| is_it(&it.before) || is_it(&it.after));
        let line = found.next().unwrap();
        assert!(found.next().is_none(), "{function} is there twice");
        line
    }
}

fn is_told(change: &Change) -> bool {
    matches!(change.outcome, Outcome::Improved | Outcome::Regressed)
}

#[test]
fn runs_that_differ_by_chance_are_never_said_to_differ() {
    let mut unchanged = 0;
    for pair in 0..40 {
        let (before, after) = (Run::service(pair, 1.0), Run::service(1000 + pair, 1.0));
        let comparison = of(&before, &after);
        let lines = comparison.lines.iter().map(|line| &line.changes);
        for changes in lines.chain([&comparison.total]) {
            let Changes {
                retained,
                allocated,
                mapped,
                resident,
            } = changes;
            let told: Vec<&Change> = [retained, allocated, mapped]
                .into_iter()
                .chain(resident)
                .filter(|change| is_told(change))
                .collect();
            assert!(told.is_empty(), "pair {pair}: {told:#?}");
        }
        let steady = comparison.at("leak").changes.retained;
        unchanged += u32::from(steady.outcome == Outcome::Unchanged);
    }
    assert!(
        unchanged >= 30,
        "{unchanged} of 40 were seen to be the same"
    );
}

#[test]
fn a_regression_of_five_percent_is_found() {
    let steady = |seed, leak: f64| {
        Run::new(seed)
            .line(("leak", 10), 0.02, move |_| (200.0 * leak, 0.0))
            .line(("handle", 20), 0.02, |_| (0.0, 900.0))
            .line(("parse", 30), 0.02, |_| (0.0, 900.0))
            .line(("render", 40), 0.02, |_| (0.0, 900.0))
    };
    for pair in 0..20 {
        let comparison = of(&steady(pair, 1.0), &steady(100 + pair, 1.05));
        let leak = comparison.at("leak").changes.retained;
        assert_eq!(leak.outcome, Outcome::Regressed, "{leak:#?}");
        assert_eq!(comparison.total.retained.outcome, Outcome::Regressed);
        assert!((3.5..6.5).contains(&leak.percent.unwrap()), "{leak:?}");
        assert_eq!(
            comparison.at("handle").changes.allocated.outcome,
            Outcome::Unchanged
        );
    }
}

#[test]
fn a_leak_that_is_mended_is_an_improvement() {
    let comparison = of(&Run::service(1, 1.0), &Run::service(2, 0.0));
    let leak = comparison.at("leak");
    assert_eq!(leak.changes.retained.outcome, Outcome::Improved);
    assert_eq!(comparison.total.retained.outcome, Outcome::Improved);
    assert_eq!(comparison.lines[0].before, leak.before, "it comes first");
    let worse = of(&Run::service(2, 0.0), &Run::service(1, 1.0));
    assert_eq!(
        worse.at("leak").changes.retained.outcome,
        Outcome::Regressed
    );
}

#[test]
fn half_a_cache_is_an_improvement() {
    let cache = |seed, size: u64| {
        Run::new(seed).line(("cache", 50), 0.1, move |second| {
            (f64::from(u8::from(second < size)) * 500.0, 500.0)
        })
    };
    for pair in 0..20 {
        let comparison = of(&cache(pair, 30), &cache(100 + pair, 15));
        let change = comparison.at("cache").changes.retained;
        assert_eq!(change.outcome, Outcome::Improved, "{change:#?}");
        assert!((-55.0..-45.0).contains(&change.percent.unwrap()));
    }
}

#[test]
fn lines_that_moved_are_matched() {
    let two = |first, second| {
        Run::new(3)
            .line(("work", first), 0.1, |_| (200.0, 0.0))
            .line(("work", second), 0.1, |_| (0.0, 800.0))
    };
    let comparison = of(&two(10, 12), &two(12, 14));
    assert_eq!(comparison.lines.len(), 2);
    for line in &comparison.lines {
        assert_eq!(line.fate, Fate::Moved, "{line:?}");
        assert_eq!(line.changes.retained.outcome, Outcome::Unchanged);
    }
}

#[test]
fn code_that_is_new_or_gone_is_listed_as_such() {
    let old = Run::new(3).line(("old", 10), 0.1, |_| (200.0, 0.0));
    let new = Run::new(4).line(("new", 10), 0.1, |_| (200.0, 0.0));
    let comparison = of(&old, &new);
    assert_eq!(comparison.at("old").fate, Fate::Vanished);
    assert_eq!(
        comparison.at("old").changes.retained.outcome,
        Outcome::Improved
    );
    assert_eq!(comparison.at("new").fate, Fate::New);
    assert_eq!(
        comparison.at("new").changes.retained.outcome,
        Outcome::Regressed
    );
    assert_eq!(comparison.total.retained.outcome, Outcome::Unchanged);
}

#[test]
fn a_run_that_did_more_work_is_not_worse() {
    let run = |seed, pace: f64| {
        Run::new(seed)
            .line(("leak", 10), 0.1, move |_| (200.0 * pace, 0.0))
            .line(("handle", 20), 0.1, move |_| (0.0, 900.0 * pace))
            .line(("parse", 30), 0.1, move |_| (0.0, 500.0 * pace))
    };
    let comparison = of(&run(1, 1.0), &run(2, 1.5));
    let leak = comparison.at("leak").changes.retained;
    assert_eq!(leak.outcome, Outcome::CannotTell);
    assert_eq!(leak.doubt, Some(Doubt::Pace));
    assert!((1.4..1.6).contains(&comparison.pace.unwrap()));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let refused = |change: fn(&mut Recorded)| {
        let (before, mut after) = (Run::service(1, 1.0), Run::service(2, 1.0));
        change(&mut after.recorded);
        compared(&before.recorded, &after.recorded).unwrap_err()
    };
    let exact = refused(|after| after.facts.budget_percent = None);
    assert_eq!(
        exact.to_string(),
        "AFTER followed every allocation (--exact), and BEFORE did not"
    );
    let objects = refused(|after| {
        for interval in &mut after.intervals {
            interval.censuses[0].objects_observed = interval.end;
        }
    });
    assert!(matches!(
        objects,
        Incomparable::Meter { which: "AFTER", .. }
    ));
    let other = refused(|after| {
        *after = Run::new(3).line(("other", 1), 0.0, |_| (1.0, 0.0)).recorded;
        after.processes[0].command = "python other.py".to_owned();
    });
    assert!(matches!(other, Incomparable::Program { .. }), "{other}");
    let empty = refused(|after| *after = Recorded::default());
    assert_eq!(empty, Incomparable::Empty { which: "AFTER" });
}

#[test]
fn what_makes_a_comparison_doubtful_is_named() {
    let (before, mut after) = (Run::service(1, 1.0), Run::service(2, 1.0));
    let recorded = &mut after.recorded;
    recorded.processes[0].python = Some("3.13.0".to_owned());
    recorded.facts.budget_percent = Some(10.0);
    recorded.facts.complete = false;
    recorded.facts.duration = Duration::from_secs(4);
    recorded.intervals.truncate(4);
    for interval in &mut recorded.intervals {
        interval.censuses[0].cpu *= 40;
    }
    let comparison = of(&before, &after);
    let warnings = comparison.warnings.join("\n");
    for words in [
        "Python differ: 3.12.1 before, 3.13.0 after",
        "budgets of the probes differ: 2% before, 10% after",
        "AFTER is very short: 4.0 s",
        "AFTER was not ended in order",
        "times as much processor time per second after",
        "differ in length: 60.0 s and 4.0 s",
    ] {
        assert!(warnings.contains(words), "{words}: {warnings}");
    }
    let leak = comparison.at("leak").changes.retained;
    assert_eq!(leak.doubt, Some(Doubt::TooShort));
}

/// So many connections are accepted each second.
fn asked(run: &mut Run, accepts: u64) {
    for (second, interval) in (1..).zip(&mut run.recorded.intervals) {
        interval.censuses[0].sockets.accepts = Some(accepts * second);
    }
}

#[test]
fn what_more_requests_explain_is_no_regression_per_request() {
    let (mut before, mut after) = (Run::service(1, 1.0), Run::service(2, 20.0));
    asked(&mut before, 10);
    asked(&mut after, 200);
    let [before, after] = [&before.recorded, &after.recorded];
    let by = |per| compared_per(per, before, after).unwrap();
    let (seconds, requests) = (by(Per::Second), by(Per::Request));
    let ratio = |comparison: &Comparison| {
        let change = comparison.at("leak").changes.retained;
        change.after.estimate / change.before.estimate
    };
    assert!(ratio(&seconds) > 10.0, "{}", ratio(&seconds));
    assert!(
        (0.7..1.4).contains(&ratio(&requests)),
        "{}",
        ratio(&requests)
    );
    assert_eq!(requests.unit.name, "connection");
    let warned = requests.warnings.join("\n");
    let expected = "the traffic differs: 20 times as many connections accepted per second after";
    assert!(warned.contains(expected), "{warned}");
}

#[test]
fn requests_that_were_not_counted_cannot_be_compared() {
    let (mut before, mut after) = (Run::service(1, 1.0), Run::service(2, 1.0));
    let refused = |before: &Run, after: &Run| {
        compared_per(Per::Request, &before.recorded, &after.recorded).unwrap_err()
    };
    let error = refused(&before, &after);
    assert_eq!(error, Incomparable::NoRequests { which: "BEFORE" });
    asked(&mut before, 10);
    let error = refused(&before, &after);
    assert_eq!(error, Incomparable::NoRequests { which: "AFTER" });
    after.recorded.facts.traffic = TrafficChoice::SocketBytes;
    for interval in &mut after.recorded.intervals {
        interval.censuses[0].sockets.received_bytes = Some(1000);
    }
    let error = refused(&before, &after).to_string();
    assert!(
        error.contains("connections accepted stand for requests before, bytes"),
        "{error}"
    );
}
