//! How a process went: its sizes from moment to moment, and what is left by when it was got.

use std::{collections::BTreeMap, time::Duration};

use super::{Aged, estimate::as_float, selection::Part};
use crate::profile::{Census, Metered, ProcessKey, SocketCensus};

/// The course of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Its sizes, in the order of time.
    pub moments: Vec<Moment>,
    /// What its lines retain, by when it was got. Empty if nothing tells.
    pub left: Vec<Aged>,
}

/// A process at one moment. What the kernel did not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// When, from the start of the recording.
    pub time: Duration,
    /// Resident bytes.
    pub rss: u64,
    /// Resident bytes, shared ones divided by their users.
    pub pss: Option<u64>,
    /// Resident bytes that it shares with nobody.
    pub uss: Option<u64>,
    /// Anonymous resident bytes.
    pub anonymous: Option<u64>,
    /// Bytes swapped out.
    pub swap: Option<u64>,
    /// Bytes in small blocks that Python's allocator has handed out.
    pub small: Option<u64>,
    /// Bytes that Python's allocator holds for small blocks.
    pub reserved: Option<u64>,
    /// Bytes in larger blocks got since the start of the part, less those given back.
    pub large: f64,
    /// Processor time used since it started, without that of probes.
    pub cpu: Duration,
    /// How many threads it has.
    pub threads: u32,
    /// What it has open, and what has come to it since the start of the part.
    pub sockets: SocketCensus,
}

impl Course {
    /// What has come to it in all, and what it had open at the end.
    pub fn sockets(&self) -> SocketCensus {
        let last = self.moments.last();
        last.map(|moment| moment.sockets).unwrap_or_default()
    }
}

/// The courses of all processes, by the number of their keys.
pub(super) fn courses(part: &Part<'_>, censuses: &[Vec<&Census>]) -> Vec<Course> {
    let large = net_of_large(part);
    (ProcessKeys::default().zip(censuses))
        .map(|(key, censuses)| Course {
            moments: moments(censuses, large.get(&key), part.start),
            left: Vec::new(),
        })
        .collect()
}

/// All keys, from the first on.
#[derive(Default)]
struct ProcessKeys(u32);

impl Iterator for ProcessKeys {
    type Item = ProcessKey;

    fn next(&mut self) -> Option<ProcessKey> {
        let key = ProcessKey(self.0);
        self.0 = self.0.checked_add(1)?;
        Some(key)
    }
}

fn moments(
    censuses: &[&Census],
    large: Option<&Vec<(Duration, f64)>>,
    start: Duration,
) -> Vec<Moment> {
    // What came before the part is none of it; what came before the first census of a process that
    // was met later is.
    let first = censuses.first().filter(|it| it.time <= start);
    let before = first.map(|census| census.sockets).unwrap_or_default();
    (censuses.iter())
        .map(|census| Moment {
            sockets: since(before, census.sockets),
            ..moment(census, large_at(large, census.time))
        })
        .collect()
}

/// What has come since an earlier time.
fn since(earlier: SocketCensus, now: SocketCensus) -> SocketCensus {
    let more = |earlier: Option<u64>, now: Option<u64>| {
        now.map(|now| now.saturating_sub(earlier.unwrap_or(0)))
    };
    SocketCensus {
        accepts: more(earlier.accepts, now.accepts),
        receives: more(earlier.receives, now.receives),
        received_bytes: more(earlier.received_bytes, now.received_bytes),
        messages: more(earlier.messages, now.messages),
        ..now
    }
}

fn moment(census: &Census, large: f64) -> Moment {
    Moment {
        time: census.time,
        rss: census.rss,
        pss: census.pss,
        uss: census.uss,
        anonymous: census.anonymous,
        swap: census.swap,
        small: census.pymalloc_live,
        reserved: census.pymalloc_arenas,
        large,
        cpu: census.cpu.saturating_sub(census.probe_cost),
        threads: census.threads,
        sockets: census.sockets,
    }
}

/// What the larger blocks of each process come to at the end of each interval that changes them.
fn net_of_large(part: &Part<'_>) -> BTreeMap<ProcessKey, Vec<(Duration, f64)>> {
    let mut sums: BTreeMap<ProcessKey, Vec<(Duration, f64)>> = BTreeMap::new();
    for interval in part.intervals {
        for change in &interval.changes {
            if !matches!(change.meter, Metered::Block | Metered::SampledBlock) {
                continue;
            }
            let counters = change.counters;
            let by = as_float(counters.bytes_in) - as_float(counters.bytes_out);
            let sums = sums.entry(change.process).or_default();
            match sums.last_mut() {
                Some((end, sum)) if *end == interval.end => *sum += by,
                Some((_, sum)) => {
                    let sum = *sum + by;
                    sums.push((interval.end, sum));
                }
                None => sums.push((interval.end, by)),
            }
        }
    }
    sums
}

/// The sum as it was last known.
fn large_at(sums: Option<&Vec<(Duration, f64)>>, time: Duration) -> f64 {
    let Some(sums) = sums else { return 0.0 };
    let known = sums.partition_point(|(end, _)| *end <= time);
    known.checked_sub(1).map_or(0.0, |last| sums[last].1)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Findings, Selection, findings, test_data::*},
        *,
    };
    use crate::profile::Recorded;

    fn all(recorded: &Recorded) -> Findings {
        findings(recorded, &Selection::default())
    }

    #[test]
    fn larger_blocks_add_up_over_time() {
        let mut recorded = recorded(10);
        let line = stack(&mut recorded, &["line"]);
        change(&mut recorded, 1, line, Metered::Block, counters(9000, 0));
        change(&mut recorded, 6, line, Metered::Block, counters(0, 4000));
        change(&mut recorded, 7, line, Metered::Mapping, counters(9000, 0));
        let course = all(&recorded).processes.remove(0).course;
        let large: Vec<f64> = course.moments.iter().map(|it| it.large).collect();
        let expected = [0.0, 9e3, 9e3, 9e3, 9e3, 9e3, 5e3, 5e3, 5e3, 5e3];
        let is_expected = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
        assert!(large.iter().zip(&expected).all(is_expected));
    }

    #[test]
    fn what_came_before_a_part_is_none_of_it() {
        let mut recorded = recorded(10);
        for (second, interval) in (1..).zip(&mut recorded.intervals) {
            interval.censuses[0].sockets = SocketCensus {
                descriptors: Some(5),
                accepts: Some(10 * second),
                ..SocketCensus::default()
            };
        }
        let of = |from| {
            let selection = Selection {
                from,
                ..Selection::default()
            };
            let found = findings(&recorded, &selection);
            let course = &found.processes[0].course;
            (
                course.sockets(),
                found.rounds.last().unwrap().sockets.accepts,
            )
        };
        let (all, together) = of(None);
        assert_eq!((all.accepts, together), (Some(100), Some(100)));
        let (late, together) = of(Some(Duration::from_secs(4)));
        assert_eq!((late.accepts, together), (Some(60), Some(60)));
        assert_eq!((late.descriptors, late.receives), (Some(5), None));
    }

    #[test]
    fn probes_are_none_of_its_activity() {
        let mut recorded = recorded(2);
        let census = &mut recorded.intervals[1].censuses[0];
        census.cpu = Duration::from_secs(1);
        census.probe_cost = Duration::from_millis(300);
        let course = all(&recorded).processes.remove(0).course;
        assert_eq!(course.moments[1].cpu, Duration::from_millis(700));
    }
}
