//! From stacks to sites: the lines of Python that got memory.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Metric, Site, Totals,
    ages::Ages,
    estimate::{Sum, as_float},
    selection::Part,
    tally::Tally,
};
use crate::{
    profile::{Frame, FrameId, Recorded, StackId, StackTable},
    units::Pid,
};

/// The name of the site of events without any stack.
const NOWHERE: &str = "<unknown>";

/// The sums of all metrics.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    retained: Sum,
    allocated: Sum,
    allocations: Sum,
    resident: Sum,
    mapped: Sum,
    ages: Ages,
}

impl Sums {
    /// Adds what a process did at a stack.
    pub(super) fn add(&mut self, tally: &Tally) {
        tally.add_to(&mut self.retained, Metric::Retained);
        tally.add_to(&mut self.allocated, Metric::Allocated);
        tally.add_to(&mut self.allocations, Metric::Allocations);
        tally.add_to(&mut self.resident, Metric::Resident);
        tally.add_to(&mut self.mapped, Metric::Mapped);
        tally.add_ages_to(&mut self.ages);
    }

    /// Adds all that another process did, or others of which nothing was added yet.
    pub(super) fn add_process(&mut self, other: &Self) {
        self.retained.add_process(&other.retained);
        self.allocated.add_process(&other.allocated);
        self.allocations.add_process(&other.allocations);
        self.resident.add_process(&other.resident);
        self.mapped.add_process(&other.mapped);
        self.ages.add(&other.ages, 1.0);
    }

    /// When what is retained was got.
    pub(super) const fn ages(&self) -> &Ages {
        &self.ages
    }

    /// What they amount to.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            retained: self.retained.estimate(),
            allocated: self.allocated.estimate(),
            allocations: self.allocations.estimate(),
            resident: self.resident.estimate().estimate,
            mapped: self.mapped.estimate().estimate,
        }
    }
}

/// A site while it is added up.
#[derive(Debug, Default)]
struct Gathered {
    sums: Sums,
    samples: u64,
    pids: BTreeSet<Pid>,
    /// Retained and allocated bytes by stack.
    stacks: BTreeMap<StackId, (u64, u64)>,
}

impl Gathered {
    fn add(&mut self, tally: &Tally, pid: Pid) {
        self.sums.add(tally);
        self.samples = self.samples.saturating_add(tally.counters.samples);
        self.pids.insert(pid);
        let (retained, allocated) = self.stacks.entry(tally.stack).or_default();
        *retained = retained.saturating_add(tally.value(Metric::Retained));
        *allocated = allocated.saturating_add(tally.value(Metric::Allocated));
    }

    fn heaviest_stack(&self) -> StackId {
        let weight = |(stack, weight): &(&StackId, &(u64, u64))| (**weight, Reverse(**stack));
        let heaviest = self.stacks.iter().max_by_key(weight);
        heaviest.map_or(StackId::ROOT, |(stack, _)| *stack)
    }

    fn site(self, frame: Frame, part: &Part<'_>, total: u64) -> Site {
        let Totals {
            retained,
            allocated,
            allocations,
            resident,
            mapped,
        } = self.sums.totals();
        let bytes = as_float(retained.estimate);
        Site {
            function: frame.function,
            file: frame.file,
            line: frame.line,
            stack: self.heaviest_stack(),
            pids: self.pids.into_iter().collect(),
            samples: self.samples,
            retained,
            allocated,
            allocations,
            resident,
            mapped,
            retained_by_age: self.sums.ages.in_time(part),
            growth_per_second: ratio(bytes, part.duration().as_secs_f64()),
            share_of_growth_percent: ratio(100.0 * bytes, as_float(total)),
        }
    }
}

/// A quotient, or zero where there is nothing to divide by.
fn ratio(dividend: f64, divisor: f64) -> f64 {
    if divisor > 0.0 {
        dividend / divisor
    } else {
        0.0
    }
}

/// Groups stacks into sites, those that retain most first. `total` is what all retain.
pub(super) fn sites(
    recorded: &Recorded,
    tallies: &[Tally],
    part: &Part<'_>,
    total: u64,
) -> Vec<Site> {
    let mut frames = vec![None; recorded.stacks.stack_count()];
    let mut gathered = BTreeMap::<Option<FrameId>, Gathered>::new();
    for tally in tallies {
        let frame = *frames[tally.stack.0 as usize]
            .get_or_insert_with(|| frame_of_site(&recorded.stacks, tally.stack));
        let pid = recorded.process(tally.process).pid;
        gathered.entry(frame).or_default().add(tally, pid);
    }
    let mut sites: Vec<_> = (gathered.into_iter())
        .map(|(id, site)| {
            let frame = id.map_or_else(
                || Frame::pseudo(NOWHERE),
                |id| recorded.stacks.frame(id).clone(),
            );
            site.site(frame, part, total)
        })
        .filter(is_something)
        .collect();
    sites.sort_by(|one, other| order(one).cmp(&order(other)));
    sites
}

/// The innermost frame that is Python; otherwise the innermost one.
pub(super) fn frame_of_site(stacks: &StackTable, stack: StackId) -> Option<FrameId> {
    let is_python = |id: &FrameId| !stacks.frame(*id).is_pseudo();
    let innermost = || stacks.frames_of(stack).next();
    stacks.frames_of(stack).find(is_python).or_else(innermost)
}

/// In a part of a recording a stack may have done nothing but give back.
fn is_something(site: &Site) -> bool {
    let sums = [
        site.allocated.high,
        site.allocations.high,
        site.resident,
        site.mapped,
    ];
    sums.iter().any(|sum| *sum > 0)
}

fn order(site: &Site) -> impl Ord + '_ {
    let weight = (site.retained.estimate, site.allocated.estimate);
    (Reverse(weight), &site.function, &site.file, site.line)
}
