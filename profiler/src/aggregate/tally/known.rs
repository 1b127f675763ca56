//! What is known of what is held apart from what windows showed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{Held, Tally};
use crate::{
    aggregate::{Metric, anchor::Anchor, estimate::as_float, selection::Part, series::Series},
    profile::{Census, ClassCensus, Metered, ProcessKey},
};

/// Counts that are older than that at the end of a part do not tell of it.
const FRESH: Duration = Duration::from_millis(1500);

/// Scales what is held of each size class to what is known of it. That is known from the start
/// of a process, or of the recording, and not from any time in between.
pub(super) fn anchor_all(tallies: &mut [Tally], part: &Part<'_>, censuses: &[Vec<&Census>]) {
    if !part.start.is_zero() {
        return;
    }
    let mut seen = BTreeMap::<_, (Series, f64)>::new();
    for tally in tallies.iter() {
        let (Metered::Object(class) | Metered::SampledObject(class)) = tally.meter else {
            continue;
        };
        let (series, exact) = (seen.entry((tally.process, class)))
            .or_insert_with(|| (Series::new(tally.groups), 0.0));
        if tally.meter.is_sampled() {
            for (group, [bytes, _]) in &tally.kept.by_group {
                series.add(*group, *bytes);
            }
        } else {
            *exact += as_float(tally.kept.bytes);
        }
    }
    let anchors: BTreeMap<_, _> = seen
        .into_iter()
        .filter_map(|((process, class), (series, exact))| {
            let counts = last_counts(part, process, censuses)?;
            let counts = *counts.get(class.index())?;
            let anchor = Anchor::new(series, exact, (class, counts))?;
            Some(((process, class), Arc::new(anchor)))
        })
        .collect();
    for tally in tallies {
        if let Metered::SampledObject(class) = tally.meter
            && let Some(anchor) = anchors.get(&(tally.process, class))
        {
            tally.held = Held::Anchored(Arc::clone(anchor));
        }
    }
}

/// The counts of the size classes at the end of a part, if there are any of about that time.
fn last_counts<'a>(
    part: &Part<'_>,
    process: ProcessKey,
    censuses: &[Vec<&'a Census>],
) -> Option<&'a [ClassCensus]> {
    let all = &censuses[process.0 as usize];
    let end = all.last()?.time.min(part.end);
    let counted = all.iter().rev().find(|it| !it.size_classes.is_empty())?;
    (end.saturating_sub(counted.time) <= FRESH).then_some(&counted.size_classes)
}

/// No process holds more than what it has in memory and in swap. Samples can say so by chance.
pub(super) fn cap(tallies: &mut [Tally], censuses: &[Vec<&Census>]) {
    let mut estimated = HashMap::<ProcessKey, u64>::new();
    let is_guess =
        |tally: &&mut Tally| tally.meter.is_sampled() && matches!(tally.held, Held::AsSeen);
    for tally in tallies.iter_mut().filter(is_guess) {
        let sum = estimated.entry(tally.process).or_default();
        *sum = sum.saturating_add(tally.value(Metric::Retained));
    }
    for tally in tallies.iter_mut().filter(is_guess) {
        let size = (censuses[tally.process.0 as usize].last())
            .map(|last| last.rss.saturating_add(last.swap.unwrap_or_default()));
        let sum = estimated[&tally.process];
        if let Some(size) = size.filter(|size| (1..sum).contains(size)) {
            tally.held = Held::Capped(as_float(size) / as_float(sum));
        }
    }
}
