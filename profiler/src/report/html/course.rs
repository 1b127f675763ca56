//! How memory went over time: all processes on each other, and each alone.

use std::cmp::Reverse;

use maud::{Markup, html};
use plotters::style::RGBColor;

use super::{
    chart::{Chart, END, OTHER, SERIES, START, Unit},
    series::{Event, Point, Span, events, line, resampled, summed, thinned},
    summary::command,
    traffic::Traffic,
};
use crate::{
    aggregate::{Moment, ProcessFinding},
    profile::LifecycleKind,
    report::{Subject, numbers::grouped},
    units::{Bytes, human_duration},
};

/// So many processes have a colour of their own.
const COLORED: usize = SERIES.len() - 1;
/// So many events are marked, and listed.
const MOST_EVENTS: usize = 200;

/// Charts for wide and for narrow screens, and that of traffic below each.
const WIDE: (u32, u32) = (1040, 300);
const NARROW: (u32, u32) = (420, 260);
const SMALL: (u32, u32) = (500, 190);
pub(super) const LOW: u32 = 90;

/// A process, or several, in the chart of all.
struct Track<'a> {
    color: usize,
    process: Option<&'a ProcessFinding>,
    size: Vec<Point>,
}

/// The chart of all processes, with traffic and events.
pub(super) fn section(subject: &Subject<'_>) -> Markup {
    html! {
        section #course aria-labelledby="course-title" {
            h2 #course-title { "Memory over time" }
            @match Span::of(subject) {
                Some(span) => (charts(subject, span)),
                None => p.note { "Nothing tells how large it was, more than once." },
            }
        }
    }
}

fn charts(subject: &Subject<'_>, span: Span) -> Markup {
    let tracks = tracks(subject, span);
    let events = events(subject, span);
    let marks = marks(&events);
    let areas = |size| Chart {
        size,
        span,
        unit: Unit::Bytes,
        areas: (tracks.iter())
            .map(|track| (SERIES[track.color], track.size.as_slice()))
            .collect(),
        lines: Vec::new(),
        marks: &marks,
    };
    let traffic = Traffic::of_tree(subject, span);
    html! {
        figure.chart role="group" aria-label=(description(subject)) {
            figcaption { "Resident memory" @if tracks.len() > 1 {
                ", one process on the other; pages that they share count for each of them" } }
            div.for-wide { (areas(WIDE).draw()) }
            div.for-narrow { (areas(NARROW).draw()) }
            (traffic.caption())
            div.for-wide { (traffic.draw((WIDE.0, LOW), span, &marks)) }
            div.for-narrow { (traffic.draw((NARROW.0, LOW), span, &marks)) }
        }
        (legend(&tracks, &events))
        (list(subject, &events))
    }
}

/// What a person who cannot see the chart is told.
fn description(subject: &Subject<'_>) -> String {
    let group = &subject.findings.group;
    match (group.rss_start, group.rss_end) {
        (Some(start), Some(end)) => format!(
            "Resident memory of all processes went from {} to {} in {}",
            Bytes(start),
            Bytes(end),
            human_duration(subject.findings.duration),
        ),
        _ => "Resident memory of all processes".to_owned(),
    }
}

/// The largest processes each alone, and all others as one.
fn tracks<'a>(subject: &Subject<'a>, span: Span) -> Vec<Track<'a>> {
    let processes = &subject.findings.processes;
    let mut ranked: Vec<usize> = (0..processes.len()).collect();
    let peak = |index: &usize| processes[*index].rss_peak;
    ranked.sort_by_key(|index| Reverse(peak(index)));
    let (own, others) = ranked.split_at(ranked.len().min(COLORED));
    let mut own = own.to_vec();
    own.sort_unstable();
    let size = |process: &ProcessFinding| {
        let points = line(&process.course.moments, resident);
        resampled(&points, span.of_process(process), span)
    };
    let mut tracks: Vec<Track<'_>> = (own.iter().enumerate())
        .map(|(color, index)| Track {
            color,
            process: Some(&processes[*index]),
            size: size(&processes[*index]),
        })
        .collect();
    if !others.is_empty() {
        tracks.push(Track {
            color: COLORED,
            process: None,
            size: summed(others.iter().map(|index| size(&processes[*index])), span),
        });
    }
    tracks
}

/// Events that are worth a mark: what was there from the beginning is none.
fn marks(events: &[Event]) -> Vec<(RGBColor, f64)> {
    let told = events
        .iter()
        .filter(|event| event.kind != LifecycleKind::Attached);
    let marks = told.map(|event| (color(event.kind), event.time));
    marks.take(MOST_EVENTS).collect()
}

const fn color(kind: LifecycleKind) -> RGBColor {
    match kind {
        LifecycleKind::Attached | LifecycleKind::Forked => START,
        LifecycleKind::Execed => OTHER,
        LifecycleKind::Exited => END,
    }
}

fn legend(tracks: &[Track<'_>], events: &[Event]) -> Markup {
    let has = |kind| events.iter().any(|event| event.kind == kind);
    html! {
        ul.legend {
            @for track in tracks {
                li {
                    span.swatch.{ "c" (track.color) } {}
                    @match track.process {
                        Some(process) => { (process.pid) " " (command(&process.command)) }
                        None => "all others"
                    }
                }
            }
            @if has(LifecycleKind::Forked) { li { span.mark.start {} "a process starts" } }
            @if has(LifecycleKind::Execed) { li { span.mark.other {} "it runs another program" } }
            @if has(LifecycleKind::Exited) { li { span.mark.end {} "a process ends" } }
        }
    }
}

/// The events in words.
fn list(subject: &Subject<'_>, events: &[Event]) -> Markup {
    html! {
        @if !events.is_empty() {
            details {
                summary { (grouped(events.len() as u64)) " events" }
                ol.events {
                    @for event in events.iter().take(MOST_EVENTS) {
                        li {
                            time { (format!("{:.1} s", event.time)) } " "
                            (subject.recorded.process(event.process).pid) " "
                            (became(event.kind))
                        }
                    }
                    @if events.len() > MOST_EVENTS {
                        li { (grouped((events.len() - MOST_EVENTS) as u64)) " more" }
                    }
                }
            }
        }
    }
}

const fn became(kind: LifecycleKind) -> &'static str {
    match kind {
        LifecycleKind::Attached => "is followed from here on",
        LifecycleKind::Forked => "was forked",
        LifecycleKind::Execed => "runs another program",
        LifecycleKind::Exited => "ended",
    }
}

/// What is resident; of a process that has just ended nothing is, and that is no size.
fn resident(moment: &Moment) -> Option<u64> {
    Some(moment.rss).filter(|rss| *rss > 0)
}

/// A line of a process's chart: what it is, and how a moment tells it.
type Told = (&'static str, fn(&Moment) -> Option<u64>);

const LINES: [Told; 4] = [
    ("resident", resident),
    ("held by Python's allocator", |moment| moment.reserved),
    ("in use in small blocks", |moment| moment.small),
    ("private", |moment| moment.uss),
];

/// The chart of one process.
pub(super) fn of_process(subject: &Subject<'_>, process: &ProcessFinding) -> Markup {
    let Some(span) = Span::of(subject) else {
        return html! {};
    };
    let moments = process.course.moments.as_slice();
    let lines = LINES.map(|(_, of)| thinned(line(moments, of)));
    let lines: Vec<(usize, Vec<Point>)> = (lines.into_iter().enumerate())
        .filter(|(_, points)| points.len() > 1)
        .collect();
    let events: Vec<Event> = (events(subject, span).into_iter())
        .filter(|event| event.process == process.key)
        .collect();
    let marks = marks(&events);
    let size = Chart {
        size: SMALL,
        span,
        unit: Unit::Bytes,
        areas: Vec::new(),
        lines: (lines.iter())
            .map(|(color, points)| (SERIES[*color], points.as_slice()))
            .collect(),
        marks: &marks,
    };
    let traffic = Traffic::of_process(subject, process, span);
    html! {
        @if moments.len() > 1 {
            figure.chart role="group" aria-label=(of_single(process)) {
                (size.draw())
                (traffic.caption())
                (traffic.draw((SMALL.0, LOW), span, &marks))
            }
            ul.legend {
                @for (color, _) in &lines {
                    li { span.swatch.{ "c" (color) } {} (LINES[*color].0) }
                }
            }
        }
    }
}

fn of_single(process: &ProcessFinding) -> String {
    let sizes = || process.course.moments.iter().map(|moment| moment.rss);
    let bytes = |size: Option<u64>| Bytes(size.unwrap_or(0));
    format!(
        "Resident memory of process {}: least {}, most {}",
        process.pid,
        bytes(sizes().min()),
        bytes(sizes().max()),
    )
}
