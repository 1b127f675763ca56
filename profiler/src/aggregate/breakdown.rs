//! Findings taken apart: what stacks weigh by each metric, and the sites of each process.

use super::{
    Metric, Site,
    sites::sites,
    tally::{Tallies, Tally},
};
use crate::{
    profile::{ProcessKey, StackId},
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

impl Tallies<'_> {
    /// Takes them apart.
    pub fn breakdown(&self) -> Breakdown {
        let weights = Metric::ALL.map(|metric| (metric, self.weights(metric)));
        let is_one = self.part.processes().count() <= 1;
        // They are in the order of processes.
        let by_process = self.all.chunk_by(|one, other| one.process == other.process);
        let processes = by_process.filter(|_| !is_one).map(|tallies| {
            let key = tallies[0].process;
            ProcessSites {
                key,
                pid: self.recorded.process(key).pid,
                sites: sites(self.recorded, tallies, &self.part, weights_sum(tallies)),
            }
        });
        Breakdown {
            processes: processes.collect(),
            weights: weights.into(),
        }
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
        super::{Selection, findings, test_data::*, weigh},
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
        let alone = Tallies::of(&recorded, &selection).breakdown();
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
        let split = Tallies::of(&recorded, &selection).breakdown();
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
