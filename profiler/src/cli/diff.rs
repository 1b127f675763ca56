//! `heaptide diff`.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::{
    args::{Common, RedactArgs},
    exit::{Misuse, REGRESSED},
    output,
};
use crate::{
    aggregate::{Findings, Metric, Selection, Tallies},
    classify::{Verdicts, judge},
    compare::{
        self, Change, Comparison, Incomparable, Outcome, Recording, both, command, compare_per,
    },
    profile::Recorded,
    recording,
    report::{
        DiffSubject, Differential, Subject, Widths, diff_html, diff_json, diff_text, differential,
        per_second,
    },
    units::Pid,
};

/// Says what changed from one recording to another.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  heaptide diff before.heaptide after.heaptide --fail-above 5")]
pub(super) struct DiffArgs {
    /// The recording of how it was
    before: PathBuf,
    /// The recording of how it is
    after: PathBuf,
    /// By what the numbers are divided, so that recordings of different lengths can be compared
    #[arg(long, value_enum, default_value_t)]
    per: Per,
    /// Only this process; if it has another pid after: `--pid BEFORE,AFTER`
    #[arg(long, value_name = "PID", value_delimiter = ',', num_args = 1)]
    pid: Vec<u32>,
    /// Exit with 10 if more is retained, or mapped, by more than this
    #[arg(long, value_name = "PERCENT", value_parser = parse_threshold)]
    fail_above: Option<f64>,
    /// What the comparison is written as
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Of which recording the widths of an SVG are; only that of before shows what is gone
    #[arg(long, value_enum, default_value_t, value_name = "SIDE")]
    width: Width,
    #[command(flatten)]
    redact: RedactArgs,
    /// Write it there instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What a comparison is written as.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// A differential flamegraph of what is retained
    Svg,
    /// One page for a browser, with both differential flamegraphs and all lines
    Html,
}

/// Of which recording the widths are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Width {
    /// Of the one before
    Before,
    /// Of the one after
    #[default]
    After,
}

/// By what numbers are divided.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Per {
    /// A second
    #[default]
    Second,
    /// A request, where both recordings count traffic: a connection, a MB received or a message
    Request,
}

/// Reads a threshold in percent, which may be more than all.
fn parse_threshold(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if percent >= 0.0 && percent.is_finite() => Ok(percent),
        _ => Err(format!("`{text}` is not a threshold in percent, such as 5")),
    }
}

/// One of the two recordings, with what it says.
struct Side<'a> {
    tallies: Tallies<'a>,
    findings: Findings,
    verdicts: Verdicts,
}

impl<'a> Side<'a> {
    fn of(recorded: &'a Recorded, pid: Option<Pid>) -> Self {
        let selection = Selection {
            pid,
            ..Selection::default()
        };
        let tallies = Tallies::of(recorded, &selection);
        let findings = tallies.findings();
        Self {
            verdicts: judge(&findings),
            findings,
            tallies,
        }
    }

    /// Both recordings.
    fn both(recorded: &'a [Recorded; 2], pids: [Option<Pid>; 2]) -> [Self; 2] {
        let [before, after] = recorded;
        both(|| Self::of(before, pids[0]), || Self::of(after, pids[1]))
    }

    const fn recording(&'a self, called: &'a str) -> Recording<'a> {
        Recording {
            tallies: &self.tallies,
            findings: &self.findings,
            verdicts: &self.verdicts,
            called,
        }
    }

    const fn subject(&self) -> Subject<'_> {
        Subject {
            recorded: self.tallies.recorded(),
            findings: &self.findings,
            verdicts: &self.verdicts,
        }
    }
}

/// Prints the comparison, and answers whether it got worse.
pub(super) fn run(args: DiffArgs, common: &Common) -> anyhow::Result<ExitCode> {
    if let Some(file) = &args.output {
        output::check_writable(file)?;
    }
    let [before, after] = both(
        || recording::read(&args.before),
        || recording::read(&args.after),
    );
    let mut recorded = [before?, after?];
    let pids = pids(&args.pid, &recorded)?;
    if args.per == Per::Request && !matches!(args.format, Format::Text | Format::Json) {
        let message = "--per request: flamegraphs, and pages with them, show bytes per second";
        return Err(Misuse::new(message, "write --format text or json").into());
    }
    let per = match args.per {
        Per::Second => compare::Per::Second,
        Per::Request => compare::Per::Request,
    };
    let mut redactor = args.redact.redactor();
    let called = recorded.each_ref().map(|recorded| match &mut redactor {
        Some(redactor) => redactor.command(command(recorded)),
        None => command(recorded).to_owned(),
    });
    let mut sides = Side::both(&recorded, pids);
    let [before, after] = [0, 1].map(|side| sides[side].recording(&called[side]));
    let mut comparison = compare_per(per, &before, &after)
        .map_err(|refusal: Incomparable| Misuse::new(&refusal.to_string(), refusal.remedy()))?;
    if let Some(redactor) = &mut redactor {
        // With names hidden, all that the sides say is said anew.
        drop(sides);
        recorded = recorded.map(|recorded| redactor.recorded(recorded));
        sides = Side::both(&recorded, pids);
        comparison = redactor.comparison(comparison);
    }
    let [before, after] = &sides;
    let subject = DiffSubject {
        before: before.subject(),
        after: after.subject(),
        comparison: &comparison,
    };
    let has_color = args.output.is_none() && output::has_color(common.color, &std::io::stdout());
    let written = match args.format {
        Format::Text => diff_text(&subject, has_color),
        Format::Json => diff_json(&subject),
        Format::Svg => {
            let widths = match args.width {
                Width::Before => Widths::Before,
                Width::After => Widths::After,
            };
            String::from_utf8(draw([before, after], &comparison, &[widths])?.remove(0))?
        }
        Format::Html => {
            let widths = [Widths::After, Widths::Before];
            let mut drawn = draw([before, after], &comparison, &widths)?;
            let before = drawn.remove(1);
            diff_html(&subject, drawn.remove(0), before)
        }
    };
    match &args.output {
        Some(file) => {
            fs::write(file, written).with_context(|| format!("cannot write {}", file.display()))?;
        }
        None => output::print(&written)?,
    }
    let total = &comparison.total;
    Ok(gate(&[total.retained, total.mapped], args.fail_above))
}

/// The differential flamegraphs, as wide as these sides.
fn draw(
    sides: [&Side<'_>; 2],
    comparison: &Comparison,
    widths: &[Widths],
) -> anyhow::Result<Vec<Vec<u8>>> {
    let rates = |side: &Side<'_>| {
        let weights = side.tallies.weights(Metric::Retained);
        per_second(&weights, side.findings.duration)
    };
    let rates = both(|| rates(sides[0]), || rates(sides[1]));
    let drawn = widths.iter().map(|widths| {
        Ok(differential(&Differential {
            recorded: sides.map(|side| side.tallies.recorded()),
            same: &comparison.same,
            rates: [&rates[0], &rates[1]],
            widths: *widths,
        })?)
    });
    drawn.collect()
}

/// The answer to whoever asked for a threshold.
fn gate(changes: &[Change], threshold: Option<f64>) -> ExitCode {
    let Some(threshold) = threshold else {
        return ExitCode::SUCCESS;
    };
    // From nothing to something is more than any percent.
    let is_above = |change: &&Change| change.percent.is_none_or(|percent| percent > threshold);
    let is = |outcome| move |change: &&Change| change.outcome == outcome;
    if changes
        .iter()
        .filter(is(Outcome::Regressed))
        .any(|change| is_above(&change))
    {
        output::complain(&format!("memory regressed by more than {threshold}%"));
        return ExitCode::from(REGRESSED);
    }
    if changes
        .iter()
        .any(|change| is(Outcome::CannotTell)(&change))
    {
        output::complain(
            "warning: --fail-above cannot tell whether memory regressed; longer recordings, of the \
             same work, tell more",
        );
    }
    ExitCode::SUCCESS
}

/// The process of each recording that is asked for.
fn pids(asked: &[u32], recorded: &[Recorded; 2]) -> Result<[Option<Pid>; 2], Misuse> {
    let pids = match *asked {
        [] => return Ok([None; 2]),
        [both] => [both; 2],
        [before, after] => [before, after],
        _ => {
            let message = "--pid names more than a process of each recording";
            return Err(Misuse::new(message, "write --pid BEFORE,AFTER"));
        }
    };
    for (name, (pid, recorded)) in ["BEFORE", "AFTER"]
        .into_iter()
        .zip(pids.iter().zip(recorded))
    {
        if recorded
            .processes
            .iter()
            .all(|process| process.pid != Pid(*pid))
        {
            let known: Vec<String> = (recorded.processes.iter().take(20))
                .map(|process| process.pid.to_string())
                .collect();
            return Err(Misuse::new(
                &format!("process {pid} is not in {name}"),
                &format!(
                    "{name} holds the processes {}; write --pid BEFORE,AFTER",
                    known.join(", ")
                ),
            ));
        }
    }
    Ok(pids.map(|pid| Some(Pid(pid))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Rate;

    fn change(outcome: Outcome, percent: Option<f64>) -> Change {
        Change {
            before: Rate::default(),
            after: Rate::default(),
            difference: 0.0,
            low: 0.0,
            high: 0.0,
            percent,
            outcome,
            doubt: None,
        }
    }

    #[track_caller]
    fn check(changes: &[Change], threshold: Option<f64>, code: u8) {
        let answer = gate(changes, threshold);
        assert_eq!(format!("{answer:?}"), format!("{:?}", ExitCode::from(code)));
    }

    #[test]
    fn only_a_regression_beyond_the_threshold_fails() {
        let worse = change(Outcome::Regressed, Some(6.0));
        let better = change(Outcome::Improved, Some(-60.0));
        check(&[better, worse], None, 0);
        check(&[better, worse], Some(5.0), REGRESSED);
        check(&[better, worse], Some(7.0), 0);
        check(&[change(Outcome::CannotTell, Some(900.0))], Some(5.0), 0);
        check(&[change(Outcome::Regressed, None)], Some(1e6), REGRESSED);
    }

    #[test]
    fn a_threshold_may_be_more_than_all_but_not_less_than_nothing() {
        assert_eq!(parse_threshold("5"), Ok(5.0));
        assert_eq!(parse_threshold("250%"), Ok(250.0));
        for wrong in ["-1", "NaN", "inf", "much"] {
            assert!(parse_threshold(wrong).is_err(), "{wrong}");
        }
    }
}
