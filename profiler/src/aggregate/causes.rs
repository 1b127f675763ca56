//! What tells causes apart: what allocators keep, and what forked processes share no longer, and
//! why.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{selection::Part, sites::frame_of_site};
use crate::{
    profile::{
        AllocatorCensus, CopyCause, Frame, Interval, LifecycleKind, Metered, ProcessKey, Recorded,
        SharingCensus,
    },
    units::Pid,
};

/// What the allocators of a process held: when they were looked at first, and last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AllocatorFinding {
    /// At the start of the part, or soon after.
    pub start: AllocatorCensus,
    /// At its end, or shortly before.
    pub end: AllocatorCensus,
}

/// What a forked process shares with the one that forked it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SharingFinding {
    /// The one that forked it.
    pub parent: Pid,
    /// Bytes that it had copied by the start of the part, or when it was looked at first.
    pub copied_start: u64,
    /// Bytes that it shares at the end.
    pub shared: u64,
    /// Bytes that it has copied by then.
    pub copied: u64,
    /// Bytes that it got since the fork.
    pub own: u64,
    /// What was copied in the part by what made it so, by a sample, the most first.
    pub causes: Vec<(CopyCause, u64)>,
}

impl SharingFinding {
    /// Bytes that it got by the fork.
    pub const fn inherited(&self) -> u64 {
        self.shared.saturating_add(self.copied)
    }

    /// Bytes that it costs besides what it shares.
    pub const fn private(&self) -> u64 {
        self.copied.saturating_add(self.own)
    }
}

/// A line that made forked processes copy what they shared, by writing there in one way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CopySite {
    /// What was written.
    pub cause: CopyCause,
    /// The line.
    pub frame: Frame,
    /// Bytes of the pages that were copied, by a sample.
    pub bytes: u64,
    /// How many observations that rests on.
    pub samples: u64,
    /// The processes.
    pub pids: Vec<Pid>,
}

/// What the allocators of a process held; `None` if nothing tells.
pub(super) fn allocators(part: &Part<'_>, process: ProcessKey) -> Option<AllocatorFinding> {
    let looks = looks(part, |interval| &interval.allocators);
    let looks = looks.filter(|it| it.process == process);
    let (start, end) = ends(part, looks, |it| it.time)?;
    Some(AllocatorFinding {
        start: *start,
        end: *end,
    })
}

/// What a process shares with the one that forked it; `None` if none did, or nothing tells.
pub(super) fn sharing(part: &Part<'_>, process: ProcessKey) -> Option<SharingFinding> {
    let looks = looks(part, |interval| &interval.sharings);
    let looks = looks.filter(|it: &&SharingCensus| it.process == process);
    let (start, end) = ends(part, looks, |it| it.time)?;
    let mut causes: Vec<(CopyCause, u64)> = CopyCause::ALL.map(|cause| (cause, 0)).to_vec();
    for change in part.intervals.iter().flat_map(|it| &it.changes) {
        if let Metered::Copied(cause) = change.meter
            && change.process == process
            && let Some((_, sum)) = causes.iter_mut().find(|it| it.0 == cause)
        {
            *sum = sum.saturating_add(change.counters.bytes_in);
        }
    }
    causes.retain(|(_, bytes)| *bytes > 0);
    causes.sort_by_key(|(cause, bytes)| (Reverse(*bytes), *cause));
    // At the fork nothing is copied yet, and the first look comes later.
    let lifecycles = part.intervals.iter().flat_map(|it| &it.lifecycles);
    let is_forked_here = lifecycles
        .filter(|it| it.process == process)
        .any(|it| it.kind == LifecycleKind::Forked);
    Some(SharingFinding {
        parent: end.parent,
        copied_start: if is_forked_here { 0 } else { start.copied },
        shared: end.shared,
        copied: end.copied,
        own: end.own,
        causes,
    })
}

/// All looks up to the end of a part.
fn looks<'a, T: 'a>(
    part: &Part<'a>,
    of: impl Fn(&'a Interval) -> &'a [T],
) -> impl Iterator<Item = &'a T> {
    part.until_end().flat_map(of)
}

/// Of looks in the order of time the one that tells of the start of a part, and the last.
fn ends<'a, T>(
    part: &Part<'_>,
    looks: impl Iterator<Item = &'a T>,
    time: impl Fn(&T) -> Duration,
) -> Option<(&'a T, &'a T)> {
    let mut ends: Option<(&T, &T)> = None;
    for look in looks {
        ends = Some(match ends {
            Some((start, _)) if time(look) > part.start => (start, look),
            _ => (look, look),
        });
    }
    ends
}

/// The lines that made processes copy what they shared, those first that did most.
pub(super) fn copy_sites(part: &Part<'_>, recorded: &Recorded) -> Vec<CopySite> {
    let mut sums: BTreeMap<_, (u64, u64, BTreeSet<Pid>)> = BTreeMap::new();
    for change in part.intervals.iter().flat_map(|it| &it.changes) {
        let Metered::Copied(cause) = change.meter else {
            continue;
        };
        if !part.has(change.process) {
            continue;
        }
        let frame = frame_of_site(&recorded.stacks, change.stack);
        let (bytes, samples, pids) = sums.entry((frame, cause)).or_default();
        *bytes = bytes.saturating_add(change.counters.bytes_in);
        *samples = samples.saturating_add(change.counters.samples);
        pids.insert(recorded.process(change.process).pid);
    }
    let mut sites: Vec<CopySite> = (sums.into_iter())
        .map(|((frame, cause), (bytes, samples, pids))| CopySite {
            cause,
            frame: frame.map_or_else(
                || Frame::pseudo("<unknown>"),
                |id| recorded.stacks.frame(id).clone(),
            ),
            bytes,
            samples,
            pids: pids.into_iter().collect(),
        })
        .collect();
    sites.sort_by_key(|it| Reverse(it.bytes));
    sites
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Findings, Selection, findings, test_data::*},
        *,
    };
    use crate::profile::{Lifecycle, PythonHeap};

    const MIB: u64 = 1 << 20;

    /// Ten seconds in which a process copies 1 MiB in each, of 100 that it got.
    fn copying() -> Recorded {
        let mut recorded = recorded(10);
        for (second, interval) in (0..).zip(&mut recorded.intervals) {
            interval.sharings.push(SharingCensus {
                process: ProcessKey(0),
                time: interval.end,
                parent: Pid(7),
                shared: (100 - second) * MIB,
                copied: second * MIB,
                own: 5,
            });
        }
        let [reads, collects] = ["reads", "collects"].map(|it| stack(&mut recorded, &[it]));
        let by_references = Metered::Copied(CopyCause::References);
        let by_collector = Metered::Copied(CopyCause::Collector);
        change(&mut recorded, 1, reads, by_references, counters(9000, 0));
        change(&mut recorded, 3, collects, by_collector, counters(5000, 0));
        change(&mut recorded, 7, reads, by_references, counters(2000, 0));
        recorded
    }

    fn part(recorded: &Recorded, from: u64, to: u64) -> Findings {
        let selection = Selection {
            pid: None,
            from: Some(Duration::from_secs(from)),
            to: Some(Duration::from_secs(to)),
        };
        findings(recorded, &selection)
    }

    #[test]
    fn what_was_copied_is_told_by_cause_and_line() {
        let found = findings(&copying(), &Selection::default());
        let sharing = found.processes[0].sharing.clone().unwrap();
        assert_eq!(sharing.inherited(), 100 * MIB);
        assert_eq!(sharing.private(), 9 * MIB + 5);
        assert_eq!((sharing.parent, sharing.copied_start), (Pid(7), 0));
        let causes = [
            (CopyCause::References, 11_000),
            (CopyCause::Collector, 5000),
        ];
        assert_eq!(sharing.causes, causes);
        let lines: Vec<_> = (found.copies.iter())
            .map(|it| (it.frame.function.as_str(), it.cause, it.bytes))
            .collect();
        let expected = [
            ("reads", CopyCause::References, 11_000),
            ("collects", CopyCause::Collector, 5000),
        ];
        assert_eq!(lines, expected);
        // It is no memory that these lines retain.
        assert!(found.sites.is_empty() && found.totals.resident == 0);
    }

    #[test]
    fn a_process_that_was_forked_meanwhile_had_copied_nothing_before() {
        let mut recorded = copying();
        recorded.intervals[4].lifecycles.push(Lifecycle {
            process: ProcessKey(0),
            time: Duration::from_secs(4),
            kind: LifecycleKind::Forked,
        });
        let started_in = |from| {
            let found = part(&recorded, from, 8);
            found.processes[0].sharing.clone().unwrap().copied_start
        };
        assert_eq!((started_in(3), started_in(6)), (0, 5 * MIB));
    }

    #[test]
    fn a_part_starts_with_what_was_seen_last_before_it() {
        let found = part(&copying(), 4, 8);
        let sharing = found.processes[0].sharing.clone().unwrap();
        assert_eq!((sharing.copied_start, sharing.copied), (3 * MIB, 7 * MIB));
        assert_eq!(sharing.causes, [(CopyCause::References, 2000)]);
    }

    #[test]
    fn allocators_are_known_from_looks_now_and_then() {
        let mut recorded = recorded(10);
        assert_eq!(part(&recorded, 0, 9).processes[0].allocator, None);
        for (second, live) in [(0, 50), (5, 70)] {
            let interval = &mut recorded.intervals[second];
            interval.allocators.push(AllocatorCensus {
                time: interval.end,
                python: Some(PythonHeap {
                    resident: 100,
                    live,
                    ..PythonHeap::default()
                }),
                ..AllocatorCensus::default()
            });
        }
        let kept = |from, to| {
            let found = part(&recorded, from, to).processes[0].allocator.unwrap();
            (found.start.kept(), found.end.kept())
        };
        assert_eq!(kept(0, 10), (50, 30));
        assert_eq!(kept(2, 5), (50, 50));
        assert_eq!(kept(7, 10), (30, 30));
    }
}
