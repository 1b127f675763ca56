//! Traffic over time, below the chart of memory: what was counted, or what stands for it.

use std::time::Duration;

use maud::{Markup, html};
use plotters::style::RGBColor;

use super::{
    chart::{Chart, SERIES, Unit},
    series::{Point, Span, float, processors, rates, resampled, summed},
};
use crate::{
    aggregate::ProcessFinding,
    classify::Activity,
    profile::{SocketCensus, TrafficChoice},
    report::{Subject, numbers::grouped, plain::printable},
    units::Bytes,
};

/// What is said of traffic, and drawn if there was any.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    text: String,
    drawn: Option<(Unit, Vec<Point>)>,
}

impl Traffic {
    /// That of all processes together.
    pub(super) fn of_tree(subject: &Subject<'_>, span: Span) -> Self {
        let activity = subject.verdicts.activity;
        if activity == Activity::ProcessorTime {
            let used = subject.findings.processes.iter();
            let used = used.map(|process| processor_time(process, span));
            return Self::of_processors(subject, summed(used, span));
        }
        let rounds = &subject.findings.rounds;
        let sockets = rounds.last().map(|round| round.sockets);
        if came(activity, sockets).is_none() {
            return Self::said(format!("Traffic: no {}, all the time", activity.describe()));
        }
        let counts = counts(activity, rounds.iter().map(|it| (it.time, it.sockets)));
        let amount = printable(&subject.verdicts.traffic.text);
        Self::counted(activity, &amount, &counts, span)
    }

    /// That of one process.
    pub(super) fn of_process(subject: &Subject<'_>, process: &ProcessFinding, span: Span) -> Self {
        let activity = subject.verdicts.activity;
        if activity == Activity::ProcessorTime {
            return Self::of_processors(subject, processor_time(process, span));
        }
        let sockets = process.course.sockets();
        let Some(came) = came(activity, Some(sockets)) else {
            return Self::said(nothing(activity, &sockets).to_owned());
        };
        let moments = process.course.moments.iter();
        let counts = counts(activity, moments.map(|it| (it.time, it.sockets)));
        Self::counted(activity, &amount(activity, came), &counts, span)
    }

    fn counted(activity: Activity, amount: &str, counts: &[Point], span: Span) -> Self {
        let unit = match activity {
            Activity::ReceivedBytes => Unit::BytesPerSecond,
            _ => Unit::PerSecond,
        };
        Self {
            text: format!("Traffic: {} per second; {amount}", activity.describe()),
            drawn: Some((unit, rates(counts, span))),
        }
    }

    /// The fallback.
    fn of_processors(subject: &Subject<'_>, used: Vec<Point>) -> Self {
        let why = match subject.findings.traffic {
            TrafficChoice::None => "no traffic was counted, as asked",
            _ => "no traffic was counted",
        };
        if !used.iter().any(|it| it.1 > 0.0) {
            return Self::said(format!("Traffic: {why}, and no processor time was used"));
        }
        Self {
            text: format!("Processor time, in processors kept busy: {why}, so it stands for it"),
            drawn: Some((Unit::Processors, used)),
        }
    }

    const fn said(text: String) -> Self {
        Self { text, drawn: None }
    }

    /// What it is, or that there was none.
    pub(super) fn caption(&self) -> Markup {
        html! { p.axis { (self.text) } }
    }

    /// The chart, at the same times as that of memory; nothing if there was no traffic.
    pub(super) fn draw(&self, size: (u32, u32), span: Span, marks: &[(RGBColor, f64)]) -> Markup {
        let Some((unit, points)) = &self.drawn else {
            return html! {};
        };
        let chart = Chart {
            size,
            span,
            unit: *unit,
            areas: vec![(SERIES[SERIES.len() - 1], points)],
            lines: Vec::new(),
            marks,
        };
        chart.draw()
    }
}

fn processor_time(process: &ProcessFinding, span: Span) -> Vec<Point> {
    let used = processors(&process.course.moments);
    resampled(&used, span.of_process(process), span)
}

/// How much had come by each moment at which that is known.
fn counts(
    activity: Activity,
    moments: impl Iterator<Item = (Duration, SocketCensus)>,
) -> Vec<Point> {
    let known = moments.filter_map(|(time, sockets)| {
        let count = activity.counted(&sockets)?;
        Some((time.as_secs_f64(), float(count)))
    });
    known.collect()
}

/// How much came in all; nothing if none did, or if nobody counted.
fn came(activity: Activity, last: Option<SocketCensus>) -> Option<u64> {
    activity.counted(&last?).filter(|count| *count > 0)
}

fn amount(activity: Activity, count: u64) -> String {
    match activity {
        Activity::ReceivedBytes => format!("{} in all", Bytes(count)),
        _ => format!("{} in all", grouped(count)),
    }
}

/// Why nothing is drawn of a process. Verdicts take one that waits for nothing itself to live of
/// what the others get.
fn nothing(activity: Activity, last: &SocketCensus) -> &'static str {
    match (activity.counted(last), last.listeners) {
        (None, _) => "Traffic: what came to this process was not counted",
        (Some(_), Some(1..)) => "Traffic: nothing came to this process",
        (Some(_), _) => {
            "Traffic: nothing came to this process itself; what came to the others stands for it"
        }
    }
}
