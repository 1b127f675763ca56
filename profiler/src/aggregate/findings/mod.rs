//! What a recording says about memory: by line of Python, by process, and for all together.

use std::time::Duration;

use super::{
    Aged, AllocatorFinding, CopySite, Course, Estimate, Selection, SharingFinding,
    causes::{allocators, copy_sites, sharing},
    cgroup::{CgroupFinding, cgroup_finding},
    course::courses,
    observation::Observation,
    processes::{Held, Round, group_finding, process_finding, rounds},
    selection::Part,
    sites::{Sums, sites},
    tally::{Tallies, observations},
};
use crate::{
    profile::{Losses, ProcessKey, Recorded, StackId, TrafficChoice},
    units::Pid,
};

/// All that a report says in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The lines that got memory, those that retain most first.
    pub sites: Vec<Site>,
    /// The processes, in the order in which they were met.
    pub processes: Vec<ProcessFinding>,
    /// The lines that made forked processes copy what they shared, those first that did most.
    pub copies: Vec<CopySite>,
    /// All processes together.
    pub group: GroupFinding,
    /// All processes together from moment to moment.
    pub rounds: Vec<Round>,
    /// The control group that limits them; `None` if none is known.
    pub cgroup: Option<CgroupFinding>,
    /// What was asked to stand for traffic.
    pub traffic: TrafficChoice,
    /// The sums over all sites.
    pub totals: Totals,
    /// What was not measured.
    pub losses: Losses,
    /// For which part of the processes' time blocks over 512 bytes were observed: 0 to 1.
    pub blocks_observed_fraction: f64,
    /// The same for small objects; `None` if they were not observed one by one.
    pub objects_observed_fraction: Option<f64>,
    /// How many windows that were, in all processes.
    pub object_windows: u64,
    /// The share of the processes' time that probes took, in percent; `None` if nothing tells.
    pub measured_overhead_percent: Option<f64>,
    /// How long the selected part of the recording is.
    pub duration: Duration,
}

impl Findings {
    /// For which part of the processes' time all that is observed was: 0 to 1.
    pub fn observed_fraction(&self) -> f64 {
        let objects = self.objects_observed_fraction.unwrap_or(1.0);
        self.blocks_observed_fraction.min(objects)
    }
}

/// The sums over all sites, by metric.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Bytes allocated and not freed.
    pub retained: Estimate,
    /// Bytes allocated, freed or not.
    pub allocated: Estimate,
    /// How many allocations.
    pub allocations: Estimate,
    /// Bytes of fresh pages touched.
    pub resident: u64,
    /// Bytes of address space got and still held.
    pub mapped: u64,
}

/// A line of Python that got memory: the innermost Python frame of its stacks, or the innermost
/// frame at all where a stack has no Python in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The qualified name of the function.
    pub function: String,
    /// The file; empty if this is not Python code.
    pub file: String,
    /// The line, counted from one; zero if it has none.
    pub line: u32,
    /// The heaviest of its stacks: by what they retain, then by what they allocated.
    pub stack: StackId,
    /// The processes it ran in, in ascending order.
    pub pids: Vec<Pid>,
    /// How many observations this rests on.
    pub samples: u64,
    /// Bytes allocated and not freed.
    pub retained: Estimate,
    /// Bytes allocated, freed or not.
    pub allocated: Estimate,
    /// How many allocations.
    pub allocations: Estimate,
    /// Bytes of fresh pages touched.
    pub resident: u64,
    /// Bytes of address space got and still held.
    pub mapped: u64,
    /// What it retains, by when it was got: by quarters of the selected part, the oldest first.
    /// Empty if nothing tells.
    pub retained_by_age: Vec<Aged>,
    /// Retained bytes per second of the selected part.
    pub growth_per_second: f64,
    /// Its share in what all sites retain, in percent.
    pub share_of_growth_percent: f64,
}

/// What is found out about one process. Sizes are `None` where no census tells them.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessFinding {
    /// Its position in the recording.
    pub key: ProcessKey,
    /// Its id, as the initial pid namespace numbers it.
    pub pid: Pid,
    /// Its id in its own pid namespace, if that is another one.
    pub inner_pid: Option<Pid>,
    /// Its parent.
    pub parent: Pid,
    /// Its command line.
    pub command: String,
    /// The version of its CPython.
    pub python: Option<String>,
    /// When it was first seen, from the start of the recording.
    pub started: Duration,
    /// When it ended, if it did.
    pub ended: Option<Duration>,
    /// Resident bytes at the start of the selected part, or when it was first seen.
    pub rss_start: Option<u64>,
    /// Resident bytes at the end of the selected part, or when it was last seen.
    pub rss_end: Option<u64>,
    /// The most resident bytes in between.
    pub rss_peak: Option<u64>,
    /// Resident bytes that it shares with nobody, as last known.
    pub uss_end: Option<u64>,
    /// Resident bytes, shared ones divided by their users, as last known.
    pub pss_end: Option<u64>,
    /// The slope of its resident bytes, per second.
    pub growth_per_second: f64,
    /// Bytes its sites allocated and did not free.
    pub retained: Estimate,
    /// How much of its growth the sites explain, in percent, at most 100; `None` unless it grew by
    /// more than a MiB.
    pub explained_growth_percent: Option<f64>,
    /// Bytes of address space got while recording and still held.
    pub live_mappings: u64,
    /// What its allocators held; `None` if nothing tells.
    pub allocator: Option<AllocatorFinding>,
    /// What it shares with the process that forked it; `None` if none did, or nothing tells.
    pub sharing: Option<SharingFinding>,
    /// How it went.
    pub course: Course,
}

/// What is found out about all processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupFinding {
    /// How many processes there were.
    pub process_count: usize,
    /// Resident bytes at the start, of the processes that ran then.
    pub rss_start: Option<u64>,
    /// Resident bytes at the end, of the processes that ran then.
    pub rss_end: Option<u64>,
    /// The most resident bytes in between.
    pub rss_peak: Option<u64>,
    /// Resident bytes at the end, shared ones divided by their users.
    pub pss_end: Option<u64>,
    /// The slope of the sum of resident bytes, per second.
    pub growth_per_second: f64,
    /// How much of the growth the sites explain, in percent, at most 100; `None` unless it grew by
    /// more than a MiB.
    pub explained_growth_percent: Option<f64>,
}

/// Says what a recording, or a part of it, holds.
pub fn findings(recorded: &Recorded, selection: &Selection) -> Findings {
    Tallies::of(recorded, selection).findings()
}

impl Tallies<'_> {
    /// Says what they hold.
    pub fn findings(&self) -> Findings {
        let Self {
            recorded,
            part,
            censuses,
            ..
        } = self;
        let mut sums_by_process = vec![Sums::default(); censuses.len()];
        for tally in &self.all {
            sums_by_process[tally.process.0 as usize].add(tally);
        }
        let mut sums = Sums::default();
        for of_process in &sums_by_process {
            sums.add_process(of_process);
        }
        let totals = sums.totals();
        let courses = courses(part, censuses);
        let processes = part.processes().map(|(key, record)| {
            let sums = &sums_by_process[key.0 as usize];
            let totals = sums.totals();
            let held = Held {
                retained: totals.retained,
                mapped: totals.mapped,
            };
            let mut course = courses[key.0 as usize].clone();
            course.left = sums.ages().in_time(part);
            ProcessFinding {
                allocator: allocators(part, key),
                sharing: sharing(part, key),
                ..process_finding((key, record), &censuses[key.0 as usize], held, course)
            }
        });
        let rounds = rounds(part, &courses);
        Findings {
            sites: sites(recorded, &self.all, part, totals.retained.estimate),
            processes: processes.collect(),
            copies: copy_sites(part, recorded),
            group: group_finding(part, &rounds, totals.retained),
            rounds,
            cgroup: cgroup_finding(part),
            traffic: recorded.facts.traffic,
            totals,
            ..of_measuring(part, &self.observations)
        }
    }
}

/// How it was measured, and not what was found: how long, what was lost, what it cost. That takes
/// a small part of the time.
pub fn conditions(recorded: &Recorded, selection: &Selection) -> Findings {
    let part = Part::new(recorded, selection);
    let observations = observations(&part, recorded, &part.censuses());
    of_measuring(&part, &observations)
}

fn of_measuring(part: &Part<'_>, observations: &[Observation]) -> Findings {
    let mut observation = Observation::default();
    for (key, _) in part.processes() {
        observation.add(observations[key.0 as usize]);
    }
    let mut losses = Losses::default();
    for interval in part.intervals {
        losses.merge(&interval.losses);
    }
    Findings {
        losses,
        blocks_observed_fraction: observation.block_fraction(),
        objects_observed_fraction: observation.object_fraction(),
        object_windows: observation.object_windows,
        measured_overhead_percent: observation.overhead_percent(),
        duration: part.duration(),
        ..Findings::default()
    }
}

#[cfg(test)]
mod tests;
