//! Adding up a part of a recording.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Held, Kept, Tally,
    known::{anchor_all, cap},
    lasting::Lasting,
};
use crate::{
    aggregate::{
        ages::Ages,
        doubt::Doubt,
        estimate::as_float,
        groups::{Groups, Numbers, WindowKind},
        observation::Observation,
        selection::Part,
    },
    profile::{Census, Change, Counters, Metered, ProcessKey, StackId, Survivor},
};

/// What is told apart.
type Key = (ProcessKey, StackId, Metered);

/// What was summed up for one process, stack and meter.
struct Gathered {
    counters: Counters,
    by_group: Vec<(u32, Counters)>,
}

impl Gathered {
    /// Sums up changes of the same process, stack and meter.
    fn of(changes: &[Placed<'_>], groups: &Numbers) -> Self {
        let mut counters = Counters::default();
        for change in changes {
            counters.add(*change.counters);
        }
        let group = |change: &Placed<'_>| Some((groups.find(change.interval)?, *change.counters));
        Self {
            counters,
            by_group: changes.iter().filter_map(group).collect(),
        }
    }

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
    let lasting = Lasting::new(part.reckoned());
    let mut kept = survivors(part, &groups).map(|it| it.into_iter().peekable());
    let changes = changes(part, observations);
    let mut doubts = BTreeMap::<_, Arc<[Doubt]>>::new();
    let mut doubts_of = |process, meter| {
        let windows = (process, WindowKind::of(meter));
        let found = doubts.entry(windows);
        Arc::clone(found.or_insert_with(|| groups.doubts(process, meter)))
    };
    let mut tallies: Vec<Tally> = (changes.chunk_by(|one, other| one.key == other.key))
        .map(|changes| {
            let key @ (process, stack, meter) = changes[0].key;
            let of_process = groups.of(process, meter);
            let gathered = Gathered::of(changes, of_process);
            let kept = match &mut kept {
                Some(kept) if is_followed(meter) => {
                    while kept.next_if(|(other, _)| *other < key).is_some() {}
                    let kept = kept.next_if(|(other, _)| *other == key);
                    kept.map(|(_, kept)| kept).unwrap_or_default()
                }
                _ => gathered.kept(),
            };
            Tally {
                process,
                stack,
                meter,
                kept,
                counters: gathered.counters,
                by_group: gathered.by_group,
                groups: of_process.count(),
                doubts: doubts_of(process, meter),
                held: Held::AsSeen,
                lasting: match meter {
                    Metered::SampledObject(_) => lasting.of(process, stack),
                    _ => 1.0,
                },
                pool_scale: if meter == Metered::SampledPool {
                    observations[process.0 as usize].pool_scale()
                } else {
                    1.0
                },
            }
        })
        .collect();
    anchor_all(&mut tallies, part, censuses);
    cap(&mut tallies, censuses);
    tallies
}

/// What changed, and in which interval.
struct Placed<'a> {
    key: Key,
    interval: usize,
    counters: &'a Counters,
}

/// What is added up, in the order of process, stack and meter, and for each of them in the order
/// of time.
fn changes<'a>(part: &Part<'a>, observations: &[Observation]) -> Vec<Placed<'a>> {
    let is_wanted = |change: &&Change| {
        // Small objects that were seen one by one are not counted by their pools as well.
        let is_pool = matches!(change.meter, Metered::Pool | Metered::SampledPool);
        let is_double = is_pool && observations[change.process.0 as usize].has_objects();
        // What was copied is among the pages.
        let is_page = matches!(change.meter, Metered::Copied(_));
        !is_double && !is_page && part.has(change.process)
    };
    let mut changes = Vec::new();
    for (number, interval) in part.intervals.iter().enumerate() {
        let wanted = interval.changes.iter().filter(is_wanted);
        changes.extend(wanted.map(|change| Placed {
            key: (change.process, change.stack, change.meter),
            interval: number,
            counters: &change.counters,
        }));
    }
    // Each interval is in this order already, which makes it several times as fast as a map.
    changes.sort_by_key(|it| it.key);
    changes
}

/// Whether blocks or objects are followed one by one, so that it is known when they were got.
pub(in crate::aggregate) const fn is_followed(meter: Metered) -> bool {
    matches!(
        meter,
        Metered::Block | Metered::SampledBlock | Metered::Object(_) | Metered::SampledObject(_)
    )
}

/// What is held at the end, by when it was got, if the part reaches to the end and that is known;
/// in the order of keys.
fn survivors(part: &Part<'_>, groups: &Groups) -> Option<Vec<(Key, Kept)>> {
    let key = |survivor: &Survivor| (survivor.process, survivor.stack, survivor.meter);
    let mut survivors: Vec<_> = part.survivors()?.collect();
    survivors.sort_by_key(|survivor| key(survivor));
    let alike = survivors.chunk_by(|one, other| key(one) == key(other));
    let kept = alike.map(|survivors| (key(survivors[0]), kept(part, groups, survivors)));
    Some(kept.collect())
}

/// What is held of one process, stack and meter.
fn kept(part: &Part<'_>, groups: &Groups, survivors: &[&Survivor]) -> Kept {
    let mut kept = Kept::default();
    for survivor in survivors {
        kept.bytes = kept.bytes.saturating_add(survivor.bytes);
        kept.count = kept.count.saturating_add(survivor.count);
        kept.ages.add_born(part, survivor.born, survivor.bytes);
        let interval = part.interval_of(survivor.born);
        let groups = groups.of(survivor.process, survivor.meter);
        if let Some(group) = groups.nearest(interval) {
            let sums = [survivor.bytes, survivor.count].map(as_float);
            kept.by_group.push((group, sums));
        }
    }
    kept
}
