//! The kinds of work that one process does, and what is reckoned from them.

use std::collections::BTreeMap;

use super::{
    SLICE,
    kind::{Compared, Kind, Showing},
};
use crate::{
    aggregate::estimate::{as_float, rounded},
    profile::{ProcessKey, Reckoned, StackId, StackTable},
};

/// No more kinds are told apart; what is beyond them is of no kind.
const MAX_KINDS: usize = 1024;

/// A kind stands for itself if it has so large a part of the time, …
const LEAST_PART: f64 = 0.005;
/// … so many windows saw it, …
const LEAST_WINDOWS: u32 = 2;
/// … and it lasts for so many slices once it has begun. Else it is one of what its caller does.
const LEAST_RUN: f64 = 2.0;

/// Hits that comparisons must rest on, to tell anything of a process.
const KNOWN_HITS: f64 = 20.0;

/// The kinds of work that one process does: each is a stack of functions.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    all: BTreeMap<StackId, Kind>,
    /// How often a kind came after another one, or after itself.
    turns: BTreeMap<(StackId, StackId), u64>,
    last: Option<StackId>,
}

impl Kinds {
    /// The next slice is of this kind.
    pub(super) fn count(&mut self, kind: StackId, slice: Kind) {
        let has_room = self.all.len() < MAX_KINDS || self.all.contains_key(&kind);
        let kind = if has_room { kind } else { StackId::ROOT };
        self.all.entry(kind).or_default().append(slice);
        let before = self.last.replace(kind).unwrap_or(kind);
        *self.turns.entry((before, kind)).or_default() += 1;
    }

    /// Windows showed this of a kind.
    pub(super) fn show(&mut self, kind: StackId, showing: Showing) {
        let kind = if self.all.contains_key(&kind) {
            kind
        } else {
            StackId::ROOT
        };
        self.all.entry(kind).or_default().windows.append(showing);
    }

    /// It is known how much slower the process was in a window of this kind.
    pub(super) fn compare(&mut self, kind: StackId, compared: Compared) {
        if let Some(kind) = self.all.get_mut(&kind) {
            kind.compared.add(compared);
        }
    }

    /// What each stack got, by what windows showed, how much slower the process was in them, and
    /// how long the kinds of work lasted. Nothing if there is nothing to be reckoned.
    pub(super) fn reckon(mut self, process: ProcessKey, functions: &StackTable) -> Vec<Reckoned> {
        self.join(functions);
        let time = SLICE.as_secs_f64() * as_float(self.slices());
        // What no window saw is taken to be as the rest.
        self.all.retain(|_, kind| kind.windows.stood > 0.0);
        let mut compared = Compared::default();
        for kind in self.all.values_mut() {
            compared.add(kind.settle());
        }
        let slowing = compared.slowing().filter(|_| compared.hits >= KNOWN_HITS);
        if self.all.len() < 2 && slowing.is_none() {
            return Vec::new();
        }
        let seen = self.slices();
        let mut sums = BTreeMap::<StackId, (f64, f64)>::new();
        for kind in self.all.values() {
            let weight = ratio(kind.slices, seen) * time / kind.windows.stood;
            let slowing = kind.slowing(slowing);
            for (stack, of_stack) in &kind.windows.shown {
                let (shown, reckoned) = sums.entry(*stack).or_default();
                *shown += of_stack.counted;
                *reckoned += weight * of_stack.natural(slowing);
            }
        }
        let sums = sums.into_iter().map(|(stack, (shown, reckoned))| Reckoned {
            process,
            stack,
            shown: rounded(shown),
            reckoned: rounded(reckoned),
        });
        sums.filter(|it| it.shown > 0).collect()
    }

    /// How long all kinds lasted together, in slices.
    fn slices(&self) -> u64 {
        self.all.values().map(|kind| kind.slices).sum()
    }

    /// Joins kinds that cannot stand for themselves with what their callers do, innermost first.
    fn join(&mut self, functions: &StackTable) {
        let all = self.slices();
        let mut waiting: Vec<(usize, StackId)> = (self.all.keys())
            .map(|kind| (functions.frames_of(*kind).count(), *kind))
            .collect();
        while let Some(place) = (0..waiting.len()).max_by_key(|place| waiting[*place]) {
            let (depth, kind) = waiting.swap_remove(place);
            let Some((_, caller)) = functions.innermost(kind) else {
                continue;
            };
            if self.stands(kind, all) {
                continue;
            }
            let joined = self.all.remove(&kind).unwrap_or_default();
            if !self.all.contains_key(&caller) {
                waiting.push((depth - 1, caller));
            }
            self.all.entry(caller).or_default().append(joined);
            let of = |it| if it == kind { caller } else { it };
            let turns: Vec<_> = (self.turns)
                .extract_if(.., |(from, to), _| *from == kind || *to == kind)
                .collect();
            for ((from, to), times) in turns {
                *self.turns.entry((of(from), of(to))).or_default() += times;
            }
        }
    }

    /// Whether a kind can stand for itself.
    fn stands(&self, kind: StackId, all: u64) -> bool {
        let Some(Kind {
            slices, windows, ..
        }) = self.all.get(&kind)
        else {
            return false;
        };
        let stays = self.turns.get(&(kind, kind)).copied().unwrap_or_default();
        let runs = slices.saturating_sub(stays).max(1);
        windows.count >= LEAST_WINDOWS
            && windows.stood > 0.0
            && ratio(*slices, all) >= LEAST_PART
            && ratio(*slices, runs) >= LEAST_RUN
    }
}

pub(super) fn ratio(part: u64, all: u64) -> f64 {
    as_float(part) / as_float(all)
}
