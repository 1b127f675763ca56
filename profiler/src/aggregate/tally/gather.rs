//! Adding up a part of a recording.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    Held, Kept, Tally,
    known::{anchor_all, cap},
};
use crate::{
    aggregate::{
        ages::Ages,
        doubt::Doubt,
        estimate::as_float,
        groups::{Groups, WindowKind},
        observation::Observation,
        selection::Part,
    },
    profile::{Census, Counters, Metered, ProcessKey, StackId},
};

/// What is told apart.
type Key = (ProcessKey, StackId, Metered);

/// What was summed up so far for one process, stack and meter.
#[derive(Default)]
struct Gathered {
    counters: Counters,
    by_group: Vec<(u32, Counters)>,
}

impl Gathered {
    /// What is held, by what was got and given back. What was got before the part may be given
    /// back in it; that is not less than nothing.
    fn kept(&self) -> Kept {
        let Counters {
            bytes_in,
            bytes_out,
            count_in,
            count_out,
            ..
        } = self.counters;
        let by_group = self.by_group.iter().map(|(group, counters)| {
            let bytes = as_float(counters.bytes_in) - as_float(counters.bytes_out);
            let count = as_float(counters.count_in) - as_float(counters.count_out);
            (*group, [bytes, count])
        });
        Kept {
            bytes: bytes_in.saturating_sub(bytes_out),
            count: count_in.saturating_sub(count_out),
            ages: Ages::default(),
            by_group: by_group.collect(),
        }
    }
}

/// Adds up a part of a recording, in the order of process, stack and meter. `observations` are by
/// the number of the process.
pub(in crate::aggregate) fn tally(
    part: &Part<'_>,
    observations: &[Observation],
    censuses: &[Vec<&Census>],
) -> Vec<Tally> {
    let groups = Groups::new(part);
    let mut kept = survivors(part, &groups);
    let sums = gather(part, observations, &groups);
    let mut doubts = BTreeMap::<_, Rc<[Doubt]>>::new();
    let mut doubts_of = |process, meter| {
        let windows = (process, WindowKind::of(meter));
        let found = doubts.entry(windows);
        Rc::clone(found.or_insert_with(|| groups.doubts(process, meter)))
    };
    let mut tallies: Vec<Tally> = (sums.into_iter())
        .map(|((process, stack, meter), gathered)| Tally {
            process,
            stack,
            meter,
            kept: match &mut kept {
                Some(kept) if is_followed(meter) => {
                    kept.remove(&(process, stack, meter)).unwrap_or_default()
                }
                _ => gathered.kept(),
            },
            counters: gathered.counters,
            by_group: gathered.by_group,
            groups: groups.count(process, meter),
            doubts: doubts_of(process, meter),
            held: Held::AsSeen,
            pool_scale: if meter == Metered::SampledPool {
                observations[process.0 as usize].pool_scale()
            } else {
                1.0
            },
        })
        .collect();
    anchor_all(&mut tallies, part, censuses);
    cap(&mut tallies, censuses);
    tallies
}

fn gather(
    part: &Part<'_>,
    observations: &[Observation],
    groups: &Groups,
) -> BTreeMap<Key, Gathered> {
    let mut sums = BTreeMap::<_, Gathered>::new();
    for (number, interval) in part.intervals.iter().enumerate() {
        for change in &interval.changes {
            // What was copied is among the pages.
            // Small objects that were seen one by one are not counted by their pools as well.
            let is_pool = matches!(change.meter, Metered::Pool | Metered::SampledPool);
            let is_double = is_pool && observations[change.process.0 as usize].has_objects();
            let is_page = matches!(change.meter, Metered::Copied(_));
            if is_double || is_page || !part.has(change.process) {
                continue;
            }
            let key = (change.process, change.stack, change.meter);
            let gathered = sums.entry(key).or_default();
            gathered.counters.add(change.counters);
            if let Some(group) = groups.of(change.process, change.meter, number) {
                gathered.by_group.push((group, change.counters));
            }
        }
    }
    sums
}

/// Whether blocks or objects are followed one by one, so that it is known when they were got.
pub(in crate::aggregate) const fn is_followed(meter: Metered) -> bool {
    matches!(
        meter,
        Metered::Block | Metered::SampledBlock | Metered::Object(_) | Metered::SampledObject(_)
    )
}

/// What is held at the end, by when it was got, if the part reaches to the end and that is known.
fn survivors(part: &Part<'_>, groups: &Groups) -> Option<BTreeMap<Key, Kept>> {
    let mut kept = BTreeMap::<_, Kept>::new();
    for survivor in part.survivors()? {
        let key = (survivor.process, survivor.stack, survivor.meter);
        let kept = kept.entry(key).or_default();
        kept.bytes = kept.bytes.saturating_add(survivor.bytes);
        kept.count = kept.count.saturating_add(survivor.count);
        kept.ages.add_born(part, survivor.born, survivor.bytes);
        let interval = part.interval_of(survivor.born);
        if let Some(group) = groups.near(survivor.process, survivor.meter, interval) {
            let sums = [survivor.bytes, survivor.count].map(as_float);
            kept.by_group.push((group, sums));
        }
    }
    Some(kept)
}
