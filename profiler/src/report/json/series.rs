//! How processes, all of them together, and their control group went: columns of the same length.

use serde::Serialize;

use super::{rounded, seconds};
use crate::{
    aggregate::{CgroupFinding, Moment, Round},
    profile::SocketCensus,
};

/// A series has at most about so many moments: of as many stretches of time those with the most
/// resident bytes, besides the first and the last.
const MOST_MOMENTS: usize = 240;

/// What a process did from moment to moment.
#[derive(Serialize)]
pub(super) struct Series {
    time: Vec<f64>,
    rss: Vec<u64>,
    pss: Vec<Option<u64>>,
    uss: Vec<Option<u64>>,
    anonymous: Vec<Option<u64>>,
    swap: Vec<Option<u64>>,
    live: Vec<Option<u64>>,
    cpu: Vec<f64>,
    threads: Vec<u32>,
    #[serde(flatten)]
    sockets: Sockets,
}

/// What was open, and what had come through sockets by then.
#[derive(Serialize)]
struct Sockets {
    descriptors: Vec<Option<u64>>,
    accepts: Vec<Option<u64>>,
    receives: Vec<Option<u64>>,
    received_bytes: Vec<Option<u64>>,
    messages: Vec<Option<u64>>,
}

impl Sockets {
    fn of(all: &[SocketCensus]) -> Self {
        let column = |of: fn(&SocketCensus) -> Option<u64>| all.iter().map(of).collect();
        Self {
            descriptors: column(|it| it.descriptors),
            accepts: column(|it| it.accepts),
            receives: column(|it| it.receives),
            received_bytes: column(|it| it.received_bytes),
            messages: column(|it| it.messages),
        }
    }
}

impl Series {
    pub(super) fn of(moments: &[Moment]) -> Self {
        let moments = thinned(moments, |moment| moment.rss);
        let bytes = |of: fn(&Moment) -> Option<u64>| moments.iter().map(of).collect();
        let sockets: Vec<_> = moments.iter().map(|it| it.sockets).collect();
        Self {
            time: moments.iter().map(|it| seconds(it.time)).collect(),
            rss: moments.iter().map(|it| it.rss).collect(),
            pss: bytes(|it| it.pss),
            uss: bytes(|it| it.uss),
            anonymous: bytes(|it| it.anonymous),
            swap: bytes(|it| it.swap),
            live: bytes(live),
            cpu: moments.iter().map(|it| seconds(it.cpu)).collect(),
            threads: moments.iter().map(|it| it.threads).collect(),
            sockets: Sockets::of(&sockets),
        }
    }
}

/// Bytes in small blocks, and what larger ones have come to since the start.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an estimate in bytes, and casts of floats saturate"
)]
fn live(moment: &Moment) -> Option<u64> {
    Some((moment.small? as f64 + moment.large).max(0.0) as u64)
}

/// All processes together from moment to moment.
#[derive(Serialize)]
pub(super) struct Tree {
    time: Vec<f64>,
    process_count: Vec<usize>,
    rss: Vec<u64>,
    pss: Vec<Option<u64>>,
    #[serde(flatten)]
    sockets: Sockets,
}

impl Tree {
    pub(super) fn of(rounds: &[Round]) -> Self {
        let rounds = thinned(rounds, |round| round.rss);
        let sockets: Vec<_> = rounds.iter().map(|it| it.sockets).collect();
        Self {
            time: rounds.iter().map(|it| seconds(it.time)).collect(),
            process_count: rounds.iter().map(|it| it.processes).collect(),
            rss: rounds.iter().map(|it| it.rss).collect(),
            pss: rounds.iter().map(|it| it.pss).collect(),
            sockets: Sockets::of(&sockets),
        }
    }
}

/// The control group that limits the processes.
#[derive(Serialize)]
pub(super) struct Cgroup<'a> {
    path: &'a str,
    current: u64,
    reclaimable: u64,
    limit: Option<u64>,
    high: Option<u64>,
    growth_per_second: f64,
    time_left: Option<f64>,
    series: CgroupSeries,
}

/// What it needed from moment to moment.
#[derive(Serialize)]
struct CgroupSeries {
    time: Vec<f64>,
    needed: Vec<u64>,
}

impl<'a> Cgroup<'a> {
    pub(super) fn of(found: &'a CgroupFinding) -> Self {
        let course = thinned(&found.course, |(_, needed)| *needed);
        let last = &found.last;
        Self {
            path: &last.path,
            current: last.current,
            reclaimable: last.reclaimable,
            limit: last.limit,
            high: last.high,
            growth_per_second: rounded(found.growth_per_second),
            time_left: found.time_left.map(seconds),
            series: CgroupSeries {
                time: course.iter().map(|(time, _)| seconds(*time)).collect(),
                needed: course.iter().map(|(_, needed)| *needed).collect(),
            },
        }
    }
}

/// Of long series the moments that matter.
fn thinned<T: Copy>(all: &[T], size: impl Fn(&T) -> u64) -> Vec<T> {
    if all.len() <= MOST_MOMENTS {
        return all.to_vec();
    }
    let stretches = MOST_MOMENTS - 2;
    let inner = &all[1..all.len() - 1];
    let most = (0..stretches).filter_map(|number| {
        let (from, until) = (
            inner.len() * number / stretches,
            inner.len() * (number + 1) / stretches,
        );
        inner[from..until].iter().max_by_key(|it| size(it)).copied()
    });
    let ends = [all[0], all[all.len() - 1]];
    let (first, last) = (std::iter::once(ends[0]), std::iter::once(ends[1]));
    first.chain(most).chain(last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_series_keep_their_ends_and_peaks() {
        let all: Vec<u64> = (0..1000)
            .map(|it| if it == 777 { 1 << 40 } else { it })
            .collect();
        let thin = thinned(&all, |it| *it);
        assert_eq!((thin.len(), thin[0], thin[239]), (MOST_MOMENTS, 0, 999));
        assert!(thin.contains(&(1 << 40)));
        assert_eq!(thinned(&all[..240], |it| *it), &all[..240]);
    }
}
