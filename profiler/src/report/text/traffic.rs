//! How much traffic there was, and how much room the control group has left.

use std::time::Duration;

use super::chart::{COLUMNS, rate_bars};
use crate::{
    aggregate::{CgroupFinding, Round},
    classify::Activity,
    report::{
        Subject,
        plain::printable,
        screen::{Line, Look, Screen, Worth},
    },
    units::{Bytes, human_duration},
};

/// Below this part of the room left, or with less time than this, the limit is a result.
const NEAR_SECONDS: u64 = 24 * 3600;
const NEAR_PART: u64 = 10;

/// The limit of the control group, and when it is reached.
pub(super) fn limit(screen: &mut Screen, subject: &Subject<'_>) {
    let Some(cgroup) = &subject.findings.cgroup else {
        return;
    };
    let Some(limit) = cgroup.last.limit else {
        return;
    };
    let full = full_in(cgroup).map_or_else(String::new, |full| format!(": {full}"));
    let text = format!(
        "{} of cgroup {}, {} used{full}",
        Bytes(limit),
        printable(&cgroup.last.path),
        Bytes(cgroup.last.needed())
    );
    let worth = if is_near(cgroup, limit) {
        Worth::Result
    } else {
        Worth::Advice
    };
    screen.sentence(worth, "limit", &text);
}

/// When the control group is full, if it goes on.
pub(in crate::report) fn full_in(cgroup: &CgroupFinding) -> Option<String> {
    let left = cgroup.time_left?;
    Some(format!("at this slope full in {}", human_duration(left)))
}

/// Whether the limit is so near that it is a result.
pub(in crate::report) fn is_near(cgroup: &CgroupFinding, limit: u64) -> bool {
    let is_soon = |left: Duration| left.as_secs() < NEAR_SECONDS;
    let room = limit.saturating_sub(cgroup.last.needed());
    cgroup.time_left.is_some_and(is_soon) || room < limit / NEAR_PART
}

/// What stood for traffic, and its course below that of the size.
pub(super) fn traffic(screen: &mut Screen, subject: &Subject<'_>) {
    let verdicts = subject.verdicts;
    let is_counted = verdicts.traffic.count.is_some();
    let mut line = Line::default();
    let counts = counts(verdicts.activity, &subject.findings.rounds);
    let has_chart = counts.first() < counts.last();
    if has_chart {
        line = Line::new(Look::Plain, rate_bars(&counts, COLUMNS) + "  ");
    }
    let text = match rate(subject).filter(|_| has_chart) {
        Some(rate) => rate,
        None => printable(&verdicts.traffic.text),
    };
    let line = line.and(if has_chart { Look::Dim } else { Look::Plain }, text);
    let worth = if is_counted {
        Worth::Advice
    } else {
        Worth::Detail
    };
    screen.labelled(worth, "traffic", line);
}

/// How much came per second, as short as it fits beside a chart.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "three digits are printed, and casts of floats saturate"
)]
fn rate(subject: &Subject<'_>) -> Option<String> {
    let rate = subject.verdicts.traffic.per_second?;
    Some(match subject.verdicts.activity {
        Activity::ReceivedBytes => format!("{}/s received", Bytes(rate.round() as u64)),
        activity => format!("{rate:.1} {}s/s", activity.unit()),
    })
}

/// How much had come by each moment.
fn counts(activity: Activity, rounds: &[Round]) -> Vec<u64> {
    let counted = |round: &Round| activity.counted(&round.sockets);
    rounds.iter().filter_map(counted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        profile::{CgroupCensus, SocketCensus},
        report::{
            sample::{MIB, Sample},
            text::{TextOptions, text},
        },
    };

    fn printed(sample: &Sample) -> String {
        text(&sample.subject(), &TextOptions::default())
    }

    #[test]
    fn the_limit_is_told_with_the_time_that_is_left() {
        let mut sample = Sample::leak();
        sample.findings.cgroup = Some(CgroupFinding {
            last: CgroupCensus {
                path: "/app.slice".to_owned(),
                current: 212 * MIB,
                reclaimable: 12 * MIB,
                limit: Some(512 * MIB),
                ..CgroupCensus::default()
            },
            time_left: Some(Duration::from_mins(200)),
            ..CgroupFinding::default()
        });
        let shown = printed(&sample);
        let expected = "512 MiB of cgroup /app.slice, 200 MiB used: at this slope full in";
        assert!(shown.contains(expected), "{shown}");
        assert!(shown.contains("3 h 20 min"), "{shown}");
        sample.findings.cgroup.as_mut().unwrap().last.limit = None;
        assert!(!printed(&sample).contains("cgroup"));
    }

    #[test]
    fn traffic_is_drawn_below_the_size() {
        let mut sample = Sample::leak();
        sample.findings.rounds = (0..30)
            .map(|second| Round {
                time: Duration::from_secs(second),
                sockets: SocketCensus {
                    accepts: Some(second.min(15) * 10),
                    ..SocketCensus::default()
                },
                ..Round::default()
            })
            .collect();
        let shown = printed(&sample.summed());
        let expected = "  5.0 connections/s";
        let line = shown.lines().find(|line| line.contains(expected));
        let line = line.unwrap_or_else(|| panic!("{shown}"));
        assert!(line.contains("████▁▁▁▁"), "{shown}");
    }

    #[test]
    fn what_stood_for_traffic_is_said_if_none_was_counted() {
        let shown = printed(&Sample::quiet());
        assert!(shown.contains("processor time stands for it"), "{shown}");
    }
}
