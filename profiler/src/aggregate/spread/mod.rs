//! How what lines got is spread over the time of a recording, so that two recordings can be
//! compared: an interval tells how well a number was measured, and its scatter how much it would
//! differ if the same program had run once more.

mod course;

use std::{collections::BTreeMap, time::Duration};

use self::course::{Course, Slices};
use super::{
    Estimate, Metric,
    estimate::as_float,
    observation::Observation,
    selection::Part,
    sites::{Sums, frame_of_site},
    tally::{Tallies, Tally, is_followed},
};
use crate::profile::{Census, FrameId, Metered, ProcessKey, Recorded, StackId};

/// What the lines of a recording, or of a part of it, got.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    /// The lines, by role and frame.
    pub lines: Vec<LineSpread>,
    /// The sums of each role, by its number.
    pub roles: Vec<Flows>,
    /// The sums of all roles.
    pub total: Flows,
    /// In how many slices of time the scatter was looked at.
    pub slices: u32,
    /// How long the part is.
    pub duration: Duration,
}

/// What a line got in the processes of a role.
#[derive(Clone, Debug, PartialEq)]
pub struct LineSpread {
    /// The number of the role.
    pub role: usize,
    /// The innermost Python frame, or the innermost at all; `None` without any stack.
    pub frame: Option<FrameId>,
    /// How much.
    pub flows: Flows,
    /// How many allocations that was.
    pub allocations: u64,
    /// How many observations this rests on.
    pub samples: u64,
}

/// What was got, by metric.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flows {
    /// Bytes allocated and not freed.
    pub retained: Flow,
    /// Bytes allocated, freed or not.
    pub allocated: Flow,
    /// Bytes of address space got and still held.
    pub mapped: Flow,
    /// By how many bytes the resident size grew; of lines it is not known, and zero.
    pub resident: Growth,
}

/// A sum over a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// The sum, and how well it was measured.
    pub estimate: Estimate,
    /// One standard deviation of what the sum would be in another run, as far as that can be
    /// seen in how slices of time differ.
    pub scatter: f64,
}

/// A difference over a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    /// The difference; negative if it shrank.
    pub bytes: f64,
    /// As in [`Flow`].
    pub scatter: f64,
}

impl Tallies<'_> {
    /// Adds up what the lines of each role got. `roles` has the number of its role for each
    /// process, by the number of the process; those without one are left out.
    pub fn spread(&self, roles: &[Option<usize>]) -> Spread {
        let role_count = roles.iter().flatten().max().map_or(0, |last| last + 1);
        let mut gathering = Gathering {
            part: self.part,
            recorded: self.recorded,
            roles,
            slices: Slices::of(&self.part),
            places: vec![vec![None; self.recorded.stacks.stack_count()]; role_count],
            numbers: BTreeMap::new(),
            lines: Vec::new(),
            sums: vec![Gathered::default(); role_count],
        };
        for tally in &self.all {
            gathering.add(tally);
        }
        gathering.follow(&self.observations);
        gathering.finish(&self.censuses)
    }
}

/// How many standard deviations the interval of an estimate reaches to either side.
const REACH: f64 = 1.96;

/// Whether a meter rests on so short windows that slices differ by them alone.
const fn is_small_sample(meter: Metered) -> bool {
    matches!(meter, Metered::SampledPool | Metered::SampledObject(_))
}

/// What is added up for a line, a role or all.
#[derive(Clone, Debug, Default)]
struct Gathered {
    sums: Sums,
    samples: u64,
    /// What of the retained bytes is small and estimated from windows.
    sampled: u64,
    /// Whether larger blocks were seen in windows, for a while at least.
    has_windows: bool,
    retained: Course,
    allocated: Course,
    mapped: Course,
    resident: Course,
    /// Of the small retained bytes that are estimated: when they were got.
    recent: Course,
}

impl Gathered {
    /// Adds what the processes of another role got.
    fn add_role(&mut self, role: &Self) {
        self.sums.add_process(&role.sums);
        self.samples = self.samples.saturating_add(role.samples);
        self.sampled = self.sampled.saturating_add(role.sampled);
        self.has_windows |= role.has_windows;
        for (course, of_role) in [
            (&mut self.retained, &role.retained),
            (&mut self.allocated, &role.allocated),
            (&mut self.mapped, &role.mapped),
            (&mut self.resident, &role.resident),
            (&mut self.recent, &role.recent),
        ] {
            course.add_all(of_role);
        }
    }

    fn flows(&self, slices: Slices) -> Flows {
        let totals = self.sums.totals();
        // What was got last may only be in use for the moment.
        let in_flight = self.recent.excess(slices) * as_float(self.sampled);
        let flow = |estimate: Estimate, course: &Course, more: f64| {
            // How windows differ is in the estimate's own interval already.
            let known = if self.has_windows {
                as_float(estimate.high.saturating_sub(estimate.low)) / (2.0 * REACH)
            } else {
                0.0
            };
            let variance = course.scatter(slices).powi(2) - known.powi(2);
            Flow {
                estimate,
                scatter: variance.max(0.0).sqrt().hypot(more),
            }
        };
        Flows {
            retained: flow(totals.retained, &self.retained, in_flight),
            allocated: flow(totals.allocated, &self.allocated, 0.0),
            mapped: flow(Estimate::exact(totals.mapped), &self.mapped, 0.0),
            resident: Growth {
                bytes: self.resident.sum(),
                scatter: self.resident.scatter(slices),
            },
        }
    }
}

/// The sums while they are made.
struct Gathering<'a> {
    part: Part<'a>,
    recorded: &'a Recorded,
    roles: &'a [Option<usize>],
    slices: Slices,
    /// By role, and then by stack: the number of its line, once it was looked up.
    places: Vec<Vec<Option<usize>>>,
    numbers: BTreeMap<(usize, Option<FrameId>), usize>,
    lines: Vec<Gathered>,
    sums: Vec<Gathered>,
}

impl Gathering<'_> {
    /// Does something to the line and to the role.
    fn each(&mut self, process: ProcessKey, stack: StackId, change: impl Fn(&mut Gathered)) {
        let Some(Some(role)) = self.roles.get(process.0 as usize).copied() else {
            return;
        };
        let place = self.places[role][stack.0 as usize];
        let line = place.unwrap_or_else(|| self.line_of(role, stack));
        change(&mut self.lines[line]);
        change(&mut self.sums[role]);
    }

    /// The number of the line that a stack counts for.
    fn line_of(&mut self, role: usize, stack: StackId) -> usize {
        let frame = frame_of_site(&self.recorded.stacks, stack);
        let next = self.lines.len();
        let number = *self.numbers.entry((role, frame)).or_insert(next);
        if number == next {
            self.lines.push(Gathered::default());
        }
        self.places[role][stack.0 as usize] = Some(number);
        number
    }

    fn add(&mut self, tally: &Tally) {
        let retained = tally.value(Metric::Retained);
        self.each(tally.process, tally.stack, |gathered| {
            gathered.sums.add(tally);
            let samples = gathered.samples.saturating_add(tally.counters.samples);
            gathered.samples = samples;
            gathered.has_windows |= tally.meter() == Metered::SampledBlock;
            if is_small_sample(tally.meter()) {
                gathered.sampled = gathered.sampled.saturating_add(retained);
            }
        });
    }

    /// Looks when it was that memory was got.
    fn follow(&mut self, observations: &[Observation]) {
        let (part, slices) = (self.part, self.slices);
        let has_survivors = part.survivors().is_some();
        for interval in part.intervals {
            let when = slices.place(interval.start, interval.end);
            for change in &interval.changes {
                let is_pool = matches!(change.meter, Metered::Pool | Metered::SampledPool);
                let is_double = is_pool && observations[change.process.0 as usize].has_objects();
                if is_double || !part.has(change.process) || is_page(change.meter) {
                    continue;
                }
                let [got, gone] =
                    [change.counters.bytes_in, change.counters.bytes_out].map(as_float);
                let meter = change.meter;
                self.each(change.process, change.stack, |gathered| {
                    if meter == Metered::Mapping {
                        gathered.mapped.add(when, got - gone);
                        return;
                    }
                    if !is_small_sample(meter) {
                        gathered.allocated.add(when, got);
                    }
                    if !(has_survivors && is_followed(meter)) {
                        gathered.keep(meter, |course| course.add(when, got - gone));
                    }
                });
            }
        }
        // They are told by the middles of short times.
        let grain = slices.grain() / 2;
        for survivor in part.survivors().into_iter().flatten() {
            let when = slices.place(survivor.born.saturating_sub(grain), survivor.born + grain);
            let bytes = as_float(survivor.bytes);
            self.each(survivor.process, survivor.stack, |gathered| {
                if is_followed(survivor.meter) {
                    gathered.keep(survivor.meter, |course| course.add(when, bytes));
                }
            });
        }
    }

    fn finish(mut self, censuses: &[Vec<&Census>]) -> Spread {
        let slices = self.slices;
        for (censuses, role) in censuses.iter().zip(self.roles) {
            let Some(role) = *role else { continue };
            for pair in censuses.windows(2) {
                let [from, to] = [pair[0].rss, pair[1].rss].map(as_float);
                let when = slices.place(pair[0].time, pair[1].time);
                self.sums[role].resident.add(when, to - from);
            }
        }
        let mut total = Gathered::default();
        for role in &self.sums {
            total.add_role(role);
        }
        let line = |((role, frame), number): (_, usize)| {
            let gathered = &self.lines[number];
            LineSpread {
                role,
                frame,
                flows: gathered.flows(slices),
                allocations: gathered.sums.totals().allocations.estimate,
                samples: gathered.samples,
            }
        };
        Spread {
            lines: self.numbers.into_iter().map(line).collect(),
            roles: self.sums.iter().map(|sum| sum.flows(slices)).collect(),
            total: total.flows(slices),
            slices: slices.count(),
            duration: self.part.duration(),
        }
    }
}

impl Gathered {
    /// Changes the course of what is retained: as it was counted, or as it is estimated.
    fn keep(&mut self, meter: Metered, change: impl Fn(&mut Course)) {
        change(if is_small_sample(meter) {
            &mut self.recent
        } else {
            &mut self.retained
        });
    }
}

/// Whether it counts pages, which is no amount that is held.
const fn is_page(meter: Metered) -> bool {
    matches!(meter, Metered::Page | Metered::Copied(_))
}

#[cfg(test)]
mod tests;
