//! Which windows count as one when estimates are compared with one another: those of an interval.

use std::{collections::HashMap, sync::Arc};

use super::{doubt::Doubt, selection::Part};
use crate::profile::{Census, Metered, ProcessKey};

/// The groups of windows of all processes.
///
/// An interval in which nothing was open shows nothing, so it is no group: where windows are
/// rarer than intervals, there would be empty ones between them.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_windows: HashMap<(ProcessKey, WindowKind), Numbers>,
    /// How far the windows of small objects may be wrong in an interval.
    doubts: HashMap<(ProcessKey, usize), Doubt>,
}

/// The numbers of intervals that are groups, ascending.
#[derive(Debug, Default)]
pub(super) struct Numbers(Vec<usize>);

/// There are none where nothing was sampled.
static NO_NUMBERS: Numbers = Numbers(Vec::new());

impl Numbers {
    fn add(&mut self, interval: usize) {
        if self.0.last() != Some(&interval) {
            self.0.push(interval);
        }
    }

    /// The group of an interval.
    pub(super) fn find(&self, interval: usize) -> Option<u32> {
        let place = self.0.binary_search(&interval).ok()?;
        u32::try_from(place).ok()
    }

    /// The group that is nearest to an interval.
    pub(super) fn nearest(&self, interval: usize) -> Option<u32> {
        let place = self.0.partition_point(|number| *number < interval);
        u32::try_from(place.min(self.0.len().checked_sub(1)?)).ok()
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

/// What windows are for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum WindowKind {
    /// Blocks over 512 bytes.
    Blocks,
    /// Pools.
    Pools,
    /// Small objects.
    Objects,
}

impl WindowKind {
    /// The windows that a meter rests on; `None` if it does not sample.
    pub(super) const fn of(meter: Metered) -> Option<Self> {
        match meter {
            Metered::SampledBlock => Some(Self::Blocks),
            Metered::SampledPool => Some(Self::Pools),
            Metered::SampledObject(_) => Some(Self::Objects),
            _ => None,
        }
    }
}

/// How long the probes of a kind had been open.
type OpenTime = HashMap<(ProcessKey, WindowKind), std::time::Duration>;

impl Groups {
    /// Finds the groups of a part.
    pub(super) fn new(part: &Part<'_>) -> Self {
        let mut groups = Self::default();
        let mut open = OpenTime::new();
        let mut last = HashMap::<ProcessKey, &Census>::new();
        for (number, interval) in part.intervals.iter().enumerate() {
            for census in &interval.censuses {
                if let Some(before) = last.insert(census.process, census) {
                    let doubt = Doubt::between(before, census);
                    groups.doubts.insert((census.process, number), doubt);
                }
                for (kind, time) in [
                    (WindowKind::Blocks, census.blocks_observed),
                    (WindowKind::Pools, census.pools_observed),
                    (WindowKind::Objects, census.objects_observed),
                ] {
                    let windows = (census.process, kind);
                    if open.insert(windows, time) != Some(time) {
                        groups.by_windows.entry(windows).or_default().add(number);
                    }
                }
            }
            for change in &interval.changes {
                if let Some(kind) = WindowKind::of(change.meter) {
                    let windows = (change.process, kind);
                    groups.by_windows.entry(windows).or_default().add(number);
                }
            }
        }
        groups
    }

    /// The groups of a process; none if this meter does not sample.
    pub(super) fn of(&self, process: ProcessKey, meter: Metered) -> &Numbers {
        let kind = WindowKind::of(meter);
        let numbers = kind.and_then(|kind| self.by_windows.get(&(process, kind)));
        numbers.unwrap_or(&NO_NUMBERS)
    }

    /// How far each group of a process may be wrong, if this meter counts small objects in windows.
    pub(super) fn doubts(&self, process: ProcessKey, meter: Metered) -> Arc<[Doubt]> {
        let is_objects = WindowKind::of(meter) == Some(WindowKind::Objects);
        let numbers = (self.of(process, meter).0.iter()).filter(|_| is_objects);
        numbers
            .map(|number| self.doubts.get(&(process, *number)).copied())
            .map(Option::unwrap_or_default)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Selection, test_data::*},
        *,
    };

    #[test]
    fn intervals_without_a_window_are_no_groups() {
        let mut recorded = recorded(6);
        let stack = stack(&mut recorded, &["leak"]);
        let open = [1, 1, 2, 2, 3, 3].map(std::time::Duration::from_millis);
        for (interval, open) in recorded.intervals.iter_mut().zip(open) {
            interval.censuses[0].blocks_observed = open;
        }
        let bytes = counters(1000, 0);
        change(&mut recorded, 5, stack, Metered::SampledBlock, bytes);
        let groups = Groups::new(&Part::new(&recorded, &Selection::default()));
        let of_blocks = groups.of(ProcessKey(0), Metered::SampledBlock);
        let of = |interval| of_blocks.find(interval);
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(of),
            [Some(0), None, Some(1), None, Some(2), Some(3)]
        );
        assert_eq!(of_blocks.count(), 4);
        assert_eq!(
            [1, 5, 9].map(|it| of_blocks.nearest(it)),
            [Some(1), Some(3), Some(3)]
        );
        let of_exact = groups.of(ProcessKey(0), Metered::Block);
        assert_eq!((of_exact.find(0), of_exact.nearest(0)), (None, None));
    }
}
