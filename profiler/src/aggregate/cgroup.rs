//! How much room the control group of the processes has left, and for how long that is enough.

use std::{collections::BTreeMap, time::Duration};

use super::{estimate::as_float, selection::Part, slope::theil_sen};
use crate::profile::CgroupCensus;

/// Growth up to this much, in the time that is looked at, is noise.
const NOISE: f64 = 1_048_576.0;

/// Growth must be so many times the usual distance from a straight line.
const ABOVE_SCATTER: f64 = 3.0;

/// Fewer moments than this tell no slope.
const FEWEST: usize = 6;

/// Nobody can tell what will be in more time than this.
const LONGEST: f64 = 30.0 * 24.0 * 3600.0;

/// The control group that limits the processes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupFinding {
    /// What it used at the end.
    pub last: CgroupCensus,
    /// How fast what would not go away by itself grew lately, in bytes per second.
    pub growth_per_second: f64,
    /// When that reaches the limit, if it goes on; `None` if there is no limit, or no growth.
    pub time_left: Option<Duration>,
    /// When it used how many bytes that would not go away by themselves.
    pub course: Vec<(Duration, u64)>,
}

/// The control group that matters most: of those with a limit the one that is full first, or
/// else the one that uses most.
pub(super) fn cgroup_finding(part: &Part<'_>) -> Option<CgroupFinding> {
    let mut by_path: BTreeMap<&str, Vec<&CgroupCensus>> = BTreeMap::new();
    for census in part.intervals.iter().flat_map(|it| &it.cgroups) {
        by_path.entry(&census.path).or_default().push(census);
    }
    let found = by_path
        .into_values()
        .filter_map(|censuses| of_one(&censuses));
    found.min_by_key(|it| {
        let room = it
            .last
            .limit
            .map(|limit| limit.saturating_sub(it.last.needed()));
        (
            it.time_left.unwrap_or(Duration::MAX),
            room.unwrap_or(u64::MAX),
            u64::MAX - it.last.current,
        )
    })
}

fn of_one(censuses: &[&CgroupCensus]) -> Option<CgroupFinding> {
    let last = (*censuses.last()?).clone();
    let course: Vec<_> = (censuses.iter())
        .map(|census| (census.time, census.needed()))
        .collect();
    let slope = present_slope(&course);
    let time_left = last.limit.filter(|_| slope > 0.0).map(|limit| {
        let room = as_float(limit.saturating_sub(last.needed()));
        room / slope
    });
    Some(CgroupFinding {
        growth_per_second: slope,
        time_left: time_left
            .filter(|seconds| *seconds <= LONGEST)
            .map(Duration::from_secs_f64),
        course,
        last,
    })
}

/// How fast it grew in the later half, per second; zero if that is noise.
fn present_slope(course: &[(Duration, u64)]) -> f64 {
    let half = &course[course.len() / 2..];
    let lately = if half.len() < FEWEST { course } else { half };
    if lately.len() < FEWEST {
        return 0.0;
    }
    let points: Vec<_> = (lately.iter())
        .map(|(time, bytes)| (time.as_secs_f64(), as_float(*bytes)))
        .collect();
    let slope = theil_sen(&points);
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 0.0;
    };
    let mut off: Vec<f64> = (points.iter())
        .map(|(time, bytes)| bytes - slope * (time - first.0))
        .collect();
    off.sort_by(f64::total_cmp);
    let scatter = off[off.len() * 3 / 4] - off[off.len() / 4];
    let growth = slope * (last.0 - first.0);
    if growth > NOISE && growth > ABOVE_SCATTER * scatter {
        slope
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Selection, findings, test_data::recorded},
        *,
    };
    use crate::profile::Recorded;

    const MIB: u64 = 1 << 20;

    /// A minute in which a group with a limit of 512 MiB uses so much.
    fn found(used: impl Fn(u64) -> u64) -> CgroupFinding {
        let mut recorded = recorded(60);
        for (second, interval) in (0..).zip(&mut recorded.intervals) {
            interval.cgroups = vec![CgroupCensus {
                path: "/web".to_owned(),
                time: interval.end,
                current: used(second) + 50 * MIB,
                reclaimable: 50 * MIB,
                limit: Some(512 * MIB),
                high: None,
            }];
        }
        findings(&recorded, &Selection::default()).cgroup.unwrap()
    }

    #[test]
    fn steady_growth_reaches_the_limit_when_it_says() {
        let found = found(|second| (153 + second) * MIB);
        let left = found.time_left.unwrap().as_secs_f64();
        assert!((left - 300.0).abs() < 2.0, "{left}");
        assert_eq!(found.last.needed(), 212 * MIB);
    }

    #[test]
    fn only_the_present_slope_counts() {
        let found = found(|second| 100 * MIB + second.min(20) * 10 * MIB);
        assert_eq!(found.time_left, None);
        assert!(found.growth_per_second.abs() < 1e-9);
    }

    #[test]
    fn noise_is_no_growth() {
        let found = found(|second| (100 + second * 7919 % 40) * MIB);
        assert_eq!(found.time_left, None, "{}", found.growth_per_second);
    }

    #[test]
    fn the_group_that_is_full_first_is_told() {
        let mut recorded = recorded(20);
        for (second, interval) in (0..).zip(&mut recorded.intervals) {
            let census = |path: &str, current, limit| CgroupCensus {
                path: path.to_owned(),
                time: interval.end,
                current,
                limit,
                ..CgroupCensus::default()
            };
            interval.cgroups = vec![
                census("/a", 900 * MIB, None),
                census("/b", 90 * MIB, Some(100 * MIB)),
                census("/c", (100 + second) * MIB, Some(1000 * MIB)),
            ];
        }
        let path = |recorded: &Recorded| {
            let found = findings(recorded, &Selection::default()).cgroup;
            found.map(|it| it.last.path)
        };
        assert_eq!(path(&recorded).as_deref(), Some("/c"));
        for interval in &mut recorded.intervals {
            interval.cgroups.pop();
        }
        assert_eq!(path(&recorded).as_deref(), Some("/b"));
        for interval in &mut recorded.intervals {
            interval.cgroups.clear();
        }
        assert_eq!(path(&recorded), None);
    }
}
