//! Verdicts in words: a sentence to act on, and numbers that a person can check.

use std::time::Duration;

use super::{
    Pattern, Verdict, advice::next_steps, amount::of_traffic, causes, group::GroupOpinion,
    opinion::Measures, opinion::Opinion, signals::float, thresholds::MIB,
};
use crate::{
    aggregate::{Findings, ProcessFinding, Site},
    units::{Bytes, Pid, human_duration},
};

/// One process, and what is thought of it.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    findings: &'a Findings,
    process: &'a ProcessFinding,
    opinion: &'a Opinion,
}

impl<'a> Case<'a> {
    pub(super) const fn new(
        findings: &'a Findings,
        process: &'a ProcessFinding,
        opinion: &'a Opinion,
    ) -> Self {
        Self {
            findings,
            process,
            opinion,
        }
    }
}

/// The verdict on one process.
pub(super) fn of_process(case: &Case<'_>) -> Verdict {
    let Case {
        findings,
        process,
        opinion,
    } = *case;
    let pattern = opinion.pattern.unwrap_or(Pattern::Undecided);
    let site = heaviest(findings, pattern, Some(process.pid));
    let mut evidence = of_measures(pattern, &opinion.measures);
    evidence.extend(of_site(pattern, site, process));
    evidence.extend(of_allocators(pattern, process));
    let who = format!("process {}", process.pid);
    let known = of_causes(pattern, findings, &[process]);
    Verdict {
        pattern,
        confidence: opinion.confidence,
        summary: summary(pattern, &who, &opinion.measures, site) + &place(pattern, process),
        evidence,
        next_steps: steps(pattern, site, (&process.command, known), opinion.longer),
        parts: opinion.parts.clone(),
        record_longer: longer(pattern, opinion.longer),
    }
}

/// The verdict on all of them.
pub(super) fn of_group(findings: &Findings, opinions: &[Opinion], group: &GroupOpinion) -> Verdict {
    let pattern = group.pattern.unwrap_or(Pattern::Undecided);
    let first = group.concerned.first().copied();
    let Some(((process, opinion), count)) = first
        .and_then(|it| findings.processes.get(it).zip(opinions.get(it)))
        .zip(Some(group.concerned.len()))
    else {
        return nothing_known(group);
    };
    let is_one = count == 1;
    let site = heaviest(findings, pattern, is_one.then_some(process.pid));
    let who = match (findings.processes.len(), is_one) {
        (1, _) => format!("process {}", process.pid),
        (all, true) => format!("process {}, one of {all},", process.pid),
        (all, false) => format!("process {} and {} others of {all}", process.pid, count - 1),
    };
    let mut evidence = of_fleet(pattern, findings, group);
    evidence.extend(shares(&group.parts));
    let is_single = !matches!(
        pattern,
        Pattern::WorkerDuplication | Pattern::WorkerCountStep
    );
    if is_single {
        evidence.extend(of_measures(pattern, &opinion.measures));
        evidence.extend(of_site(pattern, site, process));
        evidence.extend(of_allocators(pattern, process));
        evidence.extend(siblings(findings, opinions, group));
    }
    let concerned = group.concerned.iter();
    let concerned: Vec<_> = concerned
        .filter_map(|it| findings.processes.get(*it))
        .collect();
    let known = if is_single {
        of_causes(pattern, findings, &[process])
    } else {
        of_causes(pattern, findings, &concerned)
    };
    let summary = match pattern {
        Pattern::WorkerDuplication | Pattern::WorkerCountStep => {
            evidence.first().cloned().unwrap_or_default()
        }
        _ => summary(pattern, &who, &opinion.measures, site) + &place(pattern, process),
    };
    Verdict {
        pattern,
        confidence: group.confidence,
        summary,
        evidence,
        next_steps: steps(pattern, site, (&process.command, known), group.longer),
        parts: group.parts.clone(),
        record_longer: longer(pattern, group.longer),
    }
}

fn nothing_known(group: &GroupOpinion) -> Verdict {
    Verdict {
        pattern: Pattern::Undecided,
        confidence: 0.0,
        summary: "nothing tells how large the processes were".to_owned(),
        evidence: vec!["nothing tells how large the processes were".to_owned()],
        next_steps: steps(Pattern::Undecided, None, ("", Vec::new()), group.longer),
        parts: Vec::new(),
        record_longer: longer(Pattern::Undecided, group.longer),
    }
}

fn longer(pattern: Pattern, seconds: f64) -> Option<Duration> {
    let seconds = seconds.clamp(0.0, 3600.0).ceil();
    (pattern == Pattern::Undecided).then(|| Duration::from_secs_f64(seconds))
}

/// What to do; `known` is what follows from measured causes, and takes the place of what helps in
/// general.
fn steps(
    pattern: Pattern,
    site: Option<&Site>,
    (command, known): (&str, Vec<String>),
    more: f64,
) -> Vec<String> {
    let name = site.map(name);
    let mut steps = if known.is_empty() {
        next_steps(pattern, name.as_deref(), command)
    } else {
        known
    };
    let more = longer(pattern, more).map(|more| {
        let more = human_duration(more);
        format!("record for {more} longer, through busy and quiet times if there are both")
    });
    steps.extend(more);
    steps
}

/// What allocators keep, if that is the pattern.
fn of_allocators(pattern: Pattern, process: &ProcessFinding) -> Vec<String> {
    let found = process.allocator.as_ref();
    let found = found.filter(|_| pattern == Pattern::AllocatorRetention);
    found
        .map(|it| causes::of_allocators(&it.end))
        .unwrap_or_default()
}

/// Where most of what allocators keep is, if that is the pattern.
fn place(pattern: Pattern, process: &ProcessFinding) -> String {
    let found = process.allocator.as_ref();
    let found = found.filter(|_| pattern == Pattern::AllocatorRetention);
    let places = found.map(|it| causes::places(&it.end)).unwrap_or_default();
    match places.as_slice() {
        [] => String::new(),
        [(_, only)] => format!(", {only}"),
        [(_, most), ..] => format!(", most of it {most}"),
    }
}

/// What follows from measured causes.
fn of_causes(pattern: Pattern, findings: &Findings, them: &[&ProcessFinding]) -> Vec<String> {
    match pattern {
        Pattern::AllocatorRetention => {
            let first = them.first().and_then(|it| it.allocator.as_ref());
            first
                .map(|it| causes::allocator_steps(&it.end))
                .unwrap_or_default()
        }
        Pattern::WorkerDuplication | Pattern::WorkerCountStep => {
            causes::sharing_steps(them, &findings.copies)
        }
        _ => Vec::new(),
    }
}

/// The site that matters most to a pattern.
fn heaviest(findings: &Findings, pattern: Pattern, pid: Option<Pid>) -> Option<&Site> {
    let of_process = |site: &&Site| pid.is_none_or(|pid| site.pids.contains(&pid));
    let mut sites = findings.sites.iter().filter(of_process);
    match pattern {
        Pattern::PayloadSpikes | Pattern::AllocatorRetention => {
            let most = sites.max_by_key(|it| it.allocated.estimate)?;
            (most.allocated.estimate > 0).then_some(most)
        }
        Pattern::Steady => None,
        _ => sites.next().filter(|it| it.retained.estimate > 0),
    }
}

/// `function (file:line)`.
fn name(site: &Site) -> String {
    if site.file.is_empty() {
        site.function.clone()
    } else {
        format!("{} ({}:{})", site.function, site.file, site.line)
    }
}

/// A number of bytes that was calculated with.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "three digits are printed, and casts of floats saturate"
)]
pub(super) fn size(bytes: f64) -> Bytes {
    Bytes(bytes.abs().round() as u64)
}

fn seconds(seconds: f64) -> String {
    human_duration(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
}

fn per_minute(rate: f64) -> String {
    let sign = if rate < 0.0 { "-" } else { "" };
    format!("{sign}{}/min", size(rate * 60.0))
}

/// One sentence that a person can act on.
fn summary(pattern: Pattern, who: &str, it: &Measures, site: Option<&Site>) -> String {
    let at = site.map_or(String::new(), |site| {
        format!(", most of it at {}", name(site))
    });
    let rise = size(it.rise());
    match pattern {
        Pattern::Steady => format!("{who} is steady at {}", size(it.end)),
        Pattern::RetainedGrowth => {
            let rate = per_minute(it.trend.slope);
            format!("{who} keeps growing by {rate} and gives nothing back{at}")
        }
        Pattern::TrafficGrowth => {
            format!("{who} grew by {rise} while it was busy, and keeps it when it rests{at}")
        }
        Pattern::CacheFill => format!("{who} grew by {rise} and levelled off{at}"),
        Pattern::PayloadSpikes => format!(
            "{who} rises by {} with single pieces of work, and comes back to {}",
            size(it.peaks.height),
            size(it.end)
        ),
        Pattern::IdleGrowth => format!("{who} grows even while it has nothing to do{at}"),
        Pattern::IdleRetention => {
            format!("{who} still holds the {rise} that it got while it was busy{at}")
        }
        Pattern::AllocatorRetention => format!(
            "{who} has freed {} that its allocator keeps from the system",
            size(it.freed.max(it.unused))
        ),
        Pattern::Mixed => format!("{who} grew by {rise} for several reasons at once{at}"),
        Pattern::WorkerDuplication | Pattern::WorkerCountStep => format!("{who} is one of many"),
        Pattern::Undecided => format!(
            "{who} went from {} to {} in {}, which is too little to tell why",
            size(it.start),
            size(it.end),
            seconds(it.seconds)
        ),
    }
}

/// The numbers behind a pattern.
fn of_measures(pattern: Pattern, it: &Measures) -> Vec<String> {
    let sign = if it.rise() < 0.0 { '-' } else { '+' };
    let mut evidence = vec![format!(
        "its floor went from {} to {} in {} ({sign}{}; {} or more would matter)",
        size(it.start),
        size(it.end),
        seconds(it.seconds),
        size(it.rise()),
        size(it.matters),
    )];
    let trend = it.trend;
    evidence.push(format!(
        "the slope is {} (95% interval: {:.2} to {:.2})",
        per_minute(trend.slope),
        trend.low * 60.0 / MIB,
        trend.high * 60.0 / MIB,
    ));
    if let Some(rhythm) = &it.rhythm {
        evidence.push(format!(
            "by {} it was quiet for {} and grew {} then; busy for {}, growing {}",
            it.activity.describe(),
            seconds(rhythm.quiet_seconds),
            per_minute(rhythm.quiet_rate),
            seconds(rhythm.busy_seconds),
            per_minute(rhythm.busy_rate),
        ));
    }
    evidence.extend(of_traffic(pattern, it));
    let is_growth = matches!(pattern, Pattern::RetainedGrowth | Pattern::CacheFill);
    if let Some(shape) = it.shape.filter(|_| is_growth && it.rhythm.is_none()) {
        evidence.push(format!(
            "by {} it had no quiet phases; in the last third it grew {:.0}% as fast as in the \
             first",
            it.activity.describe(),
            100.0 * shape.late.max(0.0)
        ));
        if pattern == Pattern::CacheFill {
            evidence.push(format!(
                "for the last {:.0}% of the time it was near its level; what was missing fell to \
                 a third every {}",
                100.0 * shape.rest,
                seconds(shape.time_constant)
            ));
        }
    }
    evidence.extend(it.step.filter(|_| is_growth).map(|(time, height)| {
        format!(
            "it rose in a single step of {} at {}",
            size(height),
            seconds(time)
        )
    }));
    if it.peaks.count > 0 {
        evidence.push(format!(
            "it rose above that {} times, by {}, for {:.0}% of the time, and came back",
            it.peaks.count,
            size(it.peaks.height),
            100.0 * it.peaks.share,
        ));
    }
    evidence.extend(of_heap(pattern, it));
    evidence
}

/// What Python's own books say.
fn of_heap(pattern: Pattern, it: &Measures) -> Vec<String> {
    let mut evidence = Vec::new();
    if it.freed > 0.0 {
        evidence.push(format!(
            "{} of what Python had allocated was freed, and the size did not follow",
            size(it.freed)
        ));
    }
    if pattern == Pattern::AllocatorRetention && it.unused > 0.0 {
        evidence.push(format!(
            "allocators hold {} more than they have handed out",
            size(it.unused)
        ));
    }
    let is_growth = !matches!(pattern, Pattern::Steady | Pattern::PayloadSpikes);
    evidence.extend(it.old_share.filter(|_| is_growth).map(|old| {
        format!(
            "of what was got while recording and is left, {:.0}% is from its first half",
            100.0 * old
        )
    }));
    evidence
}

fn of_site(pattern: Pattern, site: Option<&Site>, process: &ProcessFinding) -> Vec<String> {
    let mut evidence = Vec::new();
    let explained = process.explained_growth_percent;
    evidence.extend(
        explained
            .filter(|_| pattern != Pattern::Steady)
            .map(|it| format!("what its lines retain explains {it:.0}% of its growth")),
    );
    evidence.extend(site.map(|site| match pattern {
        Pattern::PayloadSpikes | Pattern::AllocatorRetention => format!(
            "{} allocated {}, more than any other line",
            name(site),
            Bytes(site.allocated.estimate)
        ),
        _ => format!(
            "{} retains {}, {:.0}% of what all lines retain",
            name(site),
            Bytes(site.retained.estimate),
            site.share_of_growth_percent
        ),
    }));
    evidence
}

fn shares(parts: &[(Pattern, f64)]) -> Option<String> {
    let names: Vec<String> = (parts.iter())
        .map(|(pattern, share)| format!("{:.0}% {}", 100.0 * share, pattern.name()))
        .collect();
    (!names.is_empty()).then(|| format!("the parts are {}", names.join(", ")))
}

/// What a fleet of workers costs, and a further one.
fn of_fleet(pattern: Pattern, findings: &Findings, group: &GroupOpinion) -> Vec<String> {
    let count = group.concerned.len();
    let of_all = |of: fn(&ProcessFinding) -> Option<u64>| -> f64 {
        let processes = group.concerned.iter().map(|it| &findings.processes[*it]);
        processes.filter_map(of).map(float).sum()
    };
    let (private, resident) = (of_all(|it| it.uss_end), of_all(|it| it.rss_end));
    let each = private / float(count.max(1) as u64);
    let concerned = group.concerned.iter().map(|it| &findings.processes[*it]);
    let shared = causes::of_sharing(&concerned.collect::<Vec<_>>(), &findings.copies);
    match pattern {
        Pattern::WorkerDuplication => [
            vec![
                format!(
                    "{count} workers are steady, but each has {} of its own, {} in all",
                    size(each),
                    size(private)
                ),
                format!(
                    "{:.0}% of what is resident in them is private; the rest is shared",
                    100.0 * private / resident.max(1.0)
                ),
                format!("a further worker would cost about {}", size(each)),
            ],
            shared,
        ]
        .concat(),
        Pattern::WorkerCountStep | Pattern::Mixed if !group.started.0.is_empty() => {
            let (started, bytes) = (group.started.0.len(), group.started.1);
            let first = group.started.0.first().map(|it| &findings.processes[*it]);
            let when = first.map_or(Duration::ZERO, |it| it.started);
            let step = format!(
                "{started} processes that started from {} on added {}, about {} each",
                human_duration(when),
                size(bytes),
                size(bytes / float(started.max(1) as u64))
            );
            [vec![step], shared].concat()
        }
        _ => Vec::new(),
    }
}

/// How those went that are not concerned.
fn siblings(findings: &Findings, opinions: &[Opinion], group: &GroupOpinion) -> Option<String> {
    let others = (0..findings.processes.len()).filter(|it| !group.concerned.contains(it));
    let changes: Vec<f64> = others
        .map(|it| opinions[it].measures.rise() / opinions[it].measures.start.max(1.0))
        .collect();
    let most = changes.iter().map(|it| it.abs()).fold(0.0, f64::max);
    (!changes.is_empty()).then(|| {
        let count = changes.len();
        format!(
            "{count} other processes changed by at most {:.1}%",
            100.0 * most
        )
    })
}
