//! What the control groups of the processes use.

use std::{collections::BTreeSet, time::Duration};

use crate::{process::cgroup::Hierarchies, profile::CgroupCensus, units::Pid};

/// So many groups are looked at: all processes of a service are in one as a rule.
const MOST_GROUPS: usize = 16;

/// Looks at control groups.
#[derive(Debug)]
pub(super) struct CgroupWatch(Hierarchies);

impl CgroupWatch {
    pub(super) fn new() -> Self {
        Self(Hierarchies::find())
    }

    /// What the groups of these processes use, each group once.
    pub(super) fn censuses(
        &self,
        pids: impl Iterator<Item = Pid>,
        time: Duration,
    ) -> Vec<CgroupCensus> {
        let groups: BTreeSet<String> = pids
            .filter_map(|pid| Hierarchies::groups(pid).ok())
            .collect();
        let usages = groups.iter().take(MOST_GROUPS);
        let usages = usages.filter_map(|groups| self.0.usage(groups));
        let mut censuses: Vec<CgroupCensus> = usages
            .map(|usage| CgroupCensus {
                path: usage.path,
                time,
                current: usage.current,
                reclaimable: usage.reclaimable,
                limit: usage.limit,
                high: usage.high,
            })
            .collect();
        censuses.sort_by(|one, other| one.path.cmp(&other.path));
        censuses.dedup_by(|one, other| one.path == other.path);
        censuses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_one_group_have_one_census() {
        let own = Pid(std::process::id());
        let watch = CgroupWatch::new();
        let time = Duration::from_secs(3);
        let one = watch.censuses([own].into_iter(), time);
        let twice = watch.censuses([own, own].into_iter(), time);
        assert_eq!(one.len(), twice.len());
        assert!(one.iter().all(|census| census.time == time));
    }
}
