//! What was measured, how much it grew, and what is thought of that.

use super::sites::{frame_of, places};
use crate::{
    aggregate::{Estimate, Site, Totals},
    report::{
        Subject,
        numbers::{change, percent, slope, uncertainty},
        plain::{printable, shorten, width},
        screen::{COLUMNS, Line, Look, ROOM, Screen, Worth},
    },
    units::{Bytes, human_duration},
};

/// Below this, a change of the resident size is noise.
const NOISE: u64 = 1 << 20;

/// What was measured, how long, and when.
pub(super) fn heading(screen: &mut Screen, subject: &Subject<'_>) {
    let facts = &subject.recorded.facts;
    let duration = human_duration(subject.findings.duration);
    let when = format!("  {duration}, from {}", printable(&facts.started_at));
    let target = shorten(
        &printable(&facts.target),
        COLUMNS.saturating_sub(width(&when)),
    );
    let line = Line::new(Look::Bold, target).and(Look::Plain, when);
    screen.line(Worth::Result, line);
    // The heading stands out by itself: this is the first empty line to go.
    screen.line(Worth::Detail, Line::default());
}

/// How large the processes were and are, all together.
pub(super) fn resident(screen: &mut Screen, subject: &Subject<'_>) {
    let group = &subject.findings.group;
    let (Some(start), Some(end)) = (group.rss_start, group.rss_end) else {
        let text = "not known: nothing told how large it was";
        screen.labelled(Worth::Result, "resident", Line::new(Look::Plain, text));
        return;
    };
    let mut more = Vec::new();
    more.extend(slope(group.growth_per_second).filter(|_| start.abs_diff(end) >= NOISE));
    let peak = group
        .rss_peak
        .filter(|peak| *peak > end.saturating_add(end / 20));
    more.extend(peak.map(|peak| format!("peak {}", Bytes(peak))));
    let shared = group.pss_end.filter(|_| group.process_count > 1);
    more.extend(shared.map(|pss| format!("PSS {}", Bytes(pss))));
    let mut line = Line::new(Look::Plain, format!("{} → {}  ", Bytes(start), Bytes(end)))
        .and(look_of_growth(start, end), change(start, end));
    if !more.is_empty() {
        line = line.and(Look::Plain, format!("  ({})", more.join(", ")));
    }
    screen.labelled(Worth::Result, "resident", line);
}

fn grew(start: u64, end: u64) -> bool {
    end.saturating_sub(start) >= NOISE
}

/// Growth that matters stands out.
pub(super) fn look_of_growth(start: u64, end: u64) -> Look {
    if grew(start, end) {
        Look::Warning
    } else {
        Look::Good
    }
}

/// What was allocated and not freed, in all.
pub(super) fn retained(screen: &mut Screen, subject: &Subject<'_>) {
    let findings = subject.findings;
    let line = if findings.totals.retained.estimate > 0 {
        let explained = findings.group.explained_growth_percent;
        held(findings.totals.retained, explained)
    } else {
        nothing_held(&findings.totals)
    };
    screen.labelled(Worth::Result, "retained", line);
}

fn held(retained: Estimate, explained_percent: Option<f64>) -> Line {
    let bytes = Bytes(retained.estimate);
    let value = match uncertainty(retained) {
        Some(uncertainty) => format!("{bytes} {uncertainty}"),
        None => bytes.to_string(),
    };
    let line = Line::new(Look::Bold, value).and(Look::Plain, "  allocated, not freed");
    let Some(percent) = explained_percent else {
        return line;
    };
    let look = if percent < 50.0 {
        Look::Warning
    } else {
        Look::Plain
    };
    line.and(look, format!("; explains {percent:.0}% of the growth"))
}

fn nothing_held(totals: &Totals) -> Line {
    let (at_most, allocated) = (totals.retained.high, totals.allocated.estimate);
    if at_most > 0 {
        let at_most = Bytes(at_most);
        Line::new(
            Look::Plain,
            format!("nothing was seen to stay; at most {at_most}"),
        )
    } else if allocated > 0 {
        let all = Bytes(allocated);
        let text = format!("nothing: all of the {all} allocated while recording was freed");
        Line::new(Look::Good, text)
    } else {
        Line::new(
            Look::Plain,
            "nothing: no allocation was seen while recording",
        )
    }
}

/// What grew and is not explained by blocks: address space, or else the pages that were touched.
pub(super) fn unexplained(screen: &mut Screen, subject: &Subject<'_>) {
    let (totals, group) = (&subject.findings.totals, &subject.findings.group);
    let is_unexplained = |bytes: u64| bytes >= NOISE && totals.retained.estimate < bytes / 2;
    // Pages are counted when they are touched, and not when they are given back: without growth
    // they mean nothing.
    let growth = group.rss_end.zip(group.rss_start);
    let growth = growth.map_or(0, |(end, start)| end.saturating_sub(start));
    if is_unexplained(totals.mapped) {
        heaviest(screen, subject, "mapped", "of new mappings", |site| {
            site.mapped
        });
    } else if is_unexplained(growth) && totals.resident > 0 {
        heaviest(screen, subject, "touched", "of fresh pages", |site| {
            site.resident
        });
    }
}

/// The site that has most of something.
fn heaviest(
    screen: &mut Screen,
    subject: &Subject<'_>,
    label: &str,
    what: &str,
    metric: fn(&Site) -> u64,
) {
    let sites = &subject.findings.sites;
    let total = sites.iter().map(metric).fold(0, u64::saturating_add);
    // Of the largest, `max_by_key` takes the last: in reverse, that is the first in rank.
    let Some(site) = sites.iter().rev().max_by_key(|site| metric(site)) else {
        return;
    };
    let text = format!("{} {what}, {} at ", Bytes(total), Bytes(metric(site)));
    let room = ROOM.saturating_sub(width(&text));
    let place = places(subject).label_within(&frame_of(site), room);
    screen.labelled(
        Worth::Result,
        label,
        Line::new(Look::Warning, text + &place),
    );
}

/// The pattern in a sentence to act on, and what to do about it.
pub(super) fn verdict(screen: &mut Screen, subject: &Subject<'_>) {
    let verdict = &subject.verdicts.group;
    let sure = (verdict.confidence > 0.0)
        .then(|| format!("  ({} sure)", percent(verdict.confidence * 100.0)));
    let line =
        Line::new(Look::Bold, verdict.pattern.name()).and(Look::Plain, sure.unwrap_or_default());
    screen.labelled(Worth::Result, "pattern", line);
    screen.sentence(Worth::Result, "", &printable(&verdict.summary));
    for (index, step) in verdict.next_steps.iter().enumerate() {
        let (worth, label) = match index {
            0 => (Worth::Advice, "next"),
            _ => (Worth::Detail, ""),
        };
        screen.sentence(worth, label, &printable(step));
    }
}
