//! Findings taken apart: what stacks weigh by each metric, and the sites of each process.

use std::collections::BTreeMap;

use super::{
    Metric, Selection, Site,
    selection::Part,
    sites::sites,
    tally::{Tally, observations, tally, weights},
};
use crate::{
    profile::{ProcessKey, Recorded, StackId},
    units::Pid,
};

/// What a page shows beside the findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Breakdown {
    /// What stacks weigh, for each metric.
    pub weights: Vec<(Metric, Vec<(StackId, u64)>)>,
    /// The sites of each process alone; empty unless there are several processes.
    pub processes: Vec<ProcessSites>,
}

/// The sites of one process.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessSites {
    /// The process.
    pub key: ProcessKey,
    /// Its id.
    pub pid: Pid,
    /// Its sites, those that retain most first.
    pub sites: Vec<Site>,
}

/// Takes a recording, or a part of it, apart. It adds up once for all metrics.
pub fn breakdown(recorded: &Recorded, selection: &Selection) -> Breakdown {
    let part = Part::new(recorded, selection);
    let censuses = part.censuses();
    let observations = observations(&part, recorded, &censuses);
    let tallies = tally(&part, &observations, &censuses);
    let weights = Metric::ALL.map(|metric| (metric, weights(&tallies, metric)));
    let mut by_process = BTreeMap::<ProcessKey, Vec<Tally>>::new();
    if part.processes().count() > 1 {
        for tally in tallies {
            by_process.entry(tally.process).or_default().push(tally);
        }
    }
    let processes = by_process.into_iter().map(|(key, tallies)| {
        let retained = weights_sum(&tallies);
        ProcessSites {
            key,
            pid: recorded.process(key).pid,
            sites: sites(recorded, &tallies, &part, retained),
        }
    });
    Breakdown {
        processes: processes.collect(),
        weights: weights.into(),
    }
}

/// What a process retains.
fn weights_sum(tallies: &[Tally]) -> u64 {
    let values = tallies.iter().map(|tally| tally.value(Metric::Retained));
    values.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{findings, test_data::*, weigh},
        *,
    };
    use crate::profile::{Change, Metered};

    #[test]
    fn parts_add_up_to_the_whole() {
        let mut recorded = recorded(10);
        let (one, other) = (
            stack(&mut recorded, &["one"]),
            stack(&mut recorded, &["other"]),
        );
        change(&mut recorded, 1, one, Metered::Block, counters(9000, 0));
        change(&mut recorded, 2, other, Metered::Mapping, counters(500, 0));
        let selection = Selection::default();
        let alone = breakdown(&recorded, &selection);
        assert_eq!(alone.processes, []);
        for (metric, weights) in &alone.weights {
            assert_eq!(
                *weights,
                weigh(&recorded, &selection, *metric),
                "{metric:?}"
            );
        }
        recorded.processes.push(record(200));
        let ours = recorded.intervals[1].changes[0];
        recorded.intervals[3].changes.push(Change {
            process: ProcessKey(1),
            ..ours
        });
        let split = breakdown(&recorded, &selection);
        let whole = findings(&recorded, &selection);
        assert_eq!(split.processes.len(), 2);
        assert_eq!(split.processes[1].pid, Pid(200));
        assert_eq!(split.processes[1].sites.len(), 1);
        let retained =
            |sites: &[Site]| -> u64 { sites.iter().map(|it| it.retained.estimate).sum() };
        let parts: u64 = (split.processes.iter()).map(|it| retained(&it.sites)).sum();
        assert_eq!((parts, retained(&whole.sites)), (18_000, 18_000));
    }
}
