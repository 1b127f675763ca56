//! What a recording says about processes: one by one, and all together.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Course, Estimate, GroupFinding, Moment, ProcessFinding, estimate::as_float, selection::Part,
    slope::theil_sen,
};
use crate::profile::{Census, ProcessKey, ProcessRecord, SocketCensus};

/// Growth up to this much is noise, of which no share can be explained.
const NOISE: u64 = 1 << 20;

/// Censuses that lie no further apart belong to one round through all processes.
const ROUND: Duration = Duration::from_millis(500);

/// What the sites of a process amount to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// Bytes allocated and not freed.
    pub(super) retained: Estimate,
    /// Bytes of address space got and still held.
    pub(super) mapped: u64,
}

/// The finding about one process.
pub(super) fn process_finding(
    (key, record): (ProcessKey, &ProcessRecord),
    censuses: &[&Census],
    held: Held,
    course: Course,
) -> ProcessFinding {
    let sizes: Vec<_> = censuses.iter().map(|one| (one.time, one.rss)).collect();
    let size = Sizes::new(&sizes);
    let last_known =
        |of: fn(&Census) -> Option<u64>| censuses.iter().rev().find_map(|census| of(census));
    ProcessFinding {
        key,
        pid: record.pid,
        inner_pid: record.inner_pid,
        parent: record.parent,
        command: record.command.clone(),
        python: record.python.clone(),
        started: record.started,
        ended: record.ended,
        rss_start: size.start,
        rss_end: size.end,
        rss_peak: size.peak,
        uss_end: last_known(|census| census.uss),
        pss_end: last_known(|census| census.pss),
        growth_per_second: size.slope,
        retained: held.retained,
        explained_growth_percent: size.explained(held.retained),
        live_mappings: held.mapped,
        allocator: None,
        sharing: None,
        course,
    }
}

/// A process of which nothing is known, for tests.
#[cfg(test)]
pub(crate) fn bare_process(pid: u32) -> ProcessFinding {
    let record = ProcessRecord {
        pid: crate::units::Pid(pid),
        inner_pid: None,
        parent: crate::units::Pid(1),
        command: "gunicorn: worker".to_owned(),
        python: None,
        started: Duration::ZERO,
        ended: None,
    };
    process_finding(
        (ProcessKey(0), &record),
        &[],
        Held::default(),
        Course::default(),
    )
}

/// How a size went.
#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    start: Option<u64>,
    end: Option<u64>,
    peak: Option<u64>,
    slope: f64,
}

impl Sizes {
    fn new(sizes: &[(Duration, u64)]) -> Self {
        let points: Vec<_> = (sizes.iter())
            .map(|(time, size)| (time.as_secs_f64(), as_float(*size)))
            .collect();
        Self {
            start: sizes.first().map(|(_, size)| *size),
            end: sizes.last().map(|(_, size)| *size),
            peak: sizes.iter().map(|(_, size)| *size).max(),
            slope: theil_sen(&points),
        }
    }

    /// How much of the growth is retained by sites, in percent. What was freed before and is used
    /// again explains growth too, so there may be more than there was growth: that is all of it.
    fn explained(&self, retained: Estimate) -> Option<f64> {
        let growth = self.end?.checked_sub(self.start?)?;
        let share = 100.0 * as_float(retained.estimate) / as_float(growth.max(1));
        (growth > NOISE).then_some(share.min(100.0))
    }
}

/// The finding about all processes.
pub(super) fn group_finding(part: &Part<'_>, rounds: &[Round], held: Estimate) -> GroupFinding {
    let sizes: Vec<_> = rounds.iter().map(|round| (round.time, round.rss)).collect();
    let size = Sizes::new(&sizes);
    GroupFinding {
        process_count: part.processes().count(),
        rss_start: size.start,
        rss_end: size.end,
        rss_peak: size.peak,
        pss_end: rounds.last().and_then(|round| round.pss),
        growth_per_second: size.slope,
        explained_growth_percent: size.explained(held),
    }
}

/// All processes at about one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    /// When, from the start of the recording.
    pub time: Duration,
    /// How many ran.
    pub processes: usize,
    /// The sum of their resident bytes, in which shared pages count for each of their users.
    pub rss: u64,
    /// The same with shared pages divided by their users, so that the sum counts each once; `None`
    /// unless it is known of all of them.
    pub pss: Option<u64>,
    /// What has come to all of them until then, those that have ended included, since the start of
    /// the part; and what those that run have open.
    pub sockets: SocketCensus,
}

/// Adds up the sizes of the processes that ran at a moment, each as last measured.
pub(super) fn rounds(part: &Part<'_>, courses: &[Course]) -> Vec<Round> {
    let mut all: Vec<_> = part
        .processes()
        .flat_map(|(key, record)| {
            let moments = courses[key.0 as usize].moments.iter();
            moments.map(move |moment| (key, moment, record.ended))
        })
        .collect();
    all.sort_by_key(|(key, moment, _)| (moment.time, *key));
    let mut rounds = Vec::new();
    let mut running: BTreeMap<ProcessKey, Running> = BTreeMap::new();
    let mut gone = SocketCensus::default();
    let mut rest = all.as_slice();
    while let Some((_, first, _)) = rest.first() {
        let start = first.time;
        let length = rest.partition_point(|(_, moment, _)| moment.time <= start + ROUND);
        let (round, later) = rest.split_at(length);
        for (key, moment, ended) in round {
            let now = Running::new(moment, *ended, running.get(key));
            running.insert(*key, now);
        }
        running.retain(|_, one| {
            let stays = one.ended.is_none_or(|ended| ended >= start);
            if !stays {
                let came = SocketCensus {
                    descriptors: None,
                    listeners: None,
                    ..one.sockets
                };
                gone = sum(gone, came);
            }
            stays
        });
        rounds.push(Round {
            time: start,
            processes: running.len(),
            rss: running
                .values()
                .map(|one| one.rss)
                .fold(0, u64::saturating_add),
            pss: (running.values().map(|one| one.pss))
                .try_fold(0, |sum: u64, pss| Some(sum.saturating_add(pss?))),
            sockets: running.values().map(|one| one.sockets).fold(gone, sum),
        });
        rest = later;
    }
    rounds
}

/// Adds up; what is known of one of two is known.
fn sum(one: SocketCensus, other: SocketCensus) -> SocketCensus {
    let add = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    };
    SocketCensus {
        descriptors: add(one.descriptors, other.descriptors),
        listeners: add(one.listeners, other.listeners),
        accepts: add(one.accepts, other.accepts),
        receives: add(one.receives, other.receives),
        received_bytes: add(one.received_bytes, other.received_bytes),
        messages: add(one.messages, other.messages),
    }
}

/// A process as it was last measured.
#[derive(Clone, Copy, Debug)]
struct Running {
    rss: u64,
    pss: Option<u64>,
    sockets: SocketCensus,
    ended: Option<Duration>,
}

impl Running {
    fn new(moment: &Moment, ended: Option<Duration>, before: Option<&Self>) -> Self {
        Self {
            rss: moment.rss,
            pss: moment.pss.or_else(|| before?.pss),
            sockets: moment.sockets,
            ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Findings, Selection, findings, test_data::*},
        *,
    };
    use crate::profile::{Metered, Recorded};

    const MIB: u64 = 1 << 20;

    fn all(recorded: &Recorded) -> Findings {
        findings(recorded, &Selection::default())
    }

    /// Ten seconds in which the process grows by 2 MiB each.
    fn growing() -> Recorded {
        let mut recorded = recorded(10);
        for (second, interval) in (0..).zip(&mut recorded.intervals) {
            interval.censuses[0].rss = (100 + 2 * second) * MIB;
        }
        recorded
    }

    /// Adds a census of another process.
    fn census(recorded: &mut Recorded, second: usize, process: u32, rss: u64) {
        let interval = &mut recorded.intervals[second];
        interval.censuses.push(Census {
            process: ProcessKey(process),
            time: interval.end + Duration::from_millis(3),
            rss,
            pss: Some(rss / 2),
            ..Census::default()
        });
    }

    #[test]
    fn sizes_and_slope_come_from_the_censuses() {
        let mut recorded = growing();
        recorded.intervals[4].censuses[0].rss = 900 * MIB;
        recorded.intervals[8].censuses[0].uss = Some(5);
        let process = &all(&recorded).processes[0];
        let sizes = [process.rss_start, process.rss_end, process.rss_peak];
        assert_eq!(sizes, [100, 118, 900].map(|size| Some(size * MIB)));
        assert_eq!((process.uss_end, process.pss_end), (Some(5), None));
        let slope = process.growth_per_second / as_float(MIB);
        assert!((slope - 2.0).abs() < 1e-6, "{slope}");
    }

    #[test]
    fn a_process_that_was_never_measured_has_no_size() {
        let mut recorded = recorded(3);
        recorded.processes.push(record(200));
        let process = &all(&recorded).processes[1];
        assert_eq!((process.rss_start, process.rss_end), (None, None));
        assert!(process.growth_per_second.abs() < 1e-9);
        assert_eq!(process.explained_growth_percent, None);
    }

    #[test]
    fn sites_explain_at_most_all_of_the_growth() {
        let mut recorded = growing();
        let leak = stack(&mut recorded, &["leak"]);
        change(&mut recorded, 1, leak, Metered::Block, counters(9 * MIB, 0));
        let half = all(&recorded).processes[0].explained_growth_percent;
        assert_eq!(half, Some(50.0));
        assert_eq!(all(&recorded).group.explained_growth_percent, Some(50.0));
        change(
            &mut recorded,
            2,
            leak,
            Metered::Block,
            counters(90 * MIB, 0),
        );
        let capped = all(&recorded).processes[0].explained_growth_percent;
        assert_eq!(capped, Some(100.0));
    }

    #[test]
    fn growth_within_the_noise_is_not_explained() {
        let mut recorded = recorded(10);
        recorded.intervals[9].censuses[0].rss += MIB;
        assert_eq!(all(&recorded).processes[0].explained_growth_percent, None);
        recorded.intervals[9].censuses[0].rss = 0;
        assert_eq!(all(&recorded).processes[0].explained_growth_percent, None);
    }

    #[test]
    fn the_group_adds_up_those_that_run_at_the_same_moment() {
        let mut recorded = growing();
        recorded.processes.extend([record(200), record(300)]);
        recorded.processes[1].ended = Some(Duration::from_millis(5500));
        for second in 0..5 {
            census(&mut recorded, second, 1, 50 * MIB);
        }
        for second in 7..10 {
            census(&mut recorded, second, 2, 10 * MIB);
        }
        for interval in &mut recorded.intervals {
            interval.censuses[0].pss = Some(MIB);
        }
        let group = all(&recorded).group;
        assert_eq!(group.process_count, 3);
        let sizes = [group.rss_start, group.rss_end, group.rss_peak];
        assert_eq!(sizes, [150, 128, 158].map(|size| Some(size * MIB)));
        assert_eq!(group.pss_end, Some(6 * MIB));
    }

    #[test]
    fn what_came_to_those_that_ended_still_counts() {
        let mut recorded = growing();
        recorded.processes.push(record(200));
        recorded.processes[1].ended = Some(Duration::from_millis(5500));
        census(&mut recorded, 4, 1, MIB);
        recorded.intervals[4].censuses[1].sockets.accepts = Some(30);
        for (second, interval) in (1..).zip(&mut recorded.intervals) {
            interval.censuses[0].sockets.accepts = Some(second);
            interval.censuses[0].sockets.descriptors = Some(6);
        }
        let rounds = all(&recorded).rounds;
        let accepts: Vec<_> = rounds.iter().map(|it| it.sockets.accepts).collect();
        assert_eq!((accepts[0], accepts[9]), (Some(1), Some(40)));
        let counts: Vec<_> = rounds.iter().map(|it| it.processes).collect();
        assert_eq!(counts, [1, 1, 1, 1, 2, 1, 1, 1, 1, 1]);
        assert_eq!(rounds[9].sockets.descriptors, Some(6));
    }

    #[test]
    fn the_group_knows_no_sum_of_which_a_part_is_unknown() {
        let mut recorded = growing();
        recorded.processes.push(record(200));
        census(&mut recorded, 9, 1, 50 * MIB);
        assert_eq!(all(&recorded).group.pss_end, None);
    }

    #[test]
    fn a_group_that_ended_is_as_large_as_it_was_last() {
        let mut recorded = growing();
        recorded.processes[0].ended = Some(Duration::from_millis(10_200));
        assert_eq!(all(&recorded).group.rss_end, Some(118 * MIB));
    }

    #[test]
    fn processes_that_ran_at_another_time_are_left_out() {
        let mut recorded = growing();
        recorded.processes.push(record(200));
        recorded.processes[0].ended = Some(Duration::from_secs(3));
        recorded.processes[1].started = Duration::from_secs(6);
        let pids = |from, to| {
            let selection = Selection {
                pid: None,
                from: Some(Duration::from_secs(from)),
                to: Some(Duration::from_secs(to)),
            };
            let found = findings(&recorded, &selection).processes;
            found
                .iter()
                .map(|process| process.pid.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(pids(0, 4), [100]);
        assert_eq!(pids(5, 9), [200]);
        assert_eq!(pids(2, 8), [100, 200]);
    }
}
