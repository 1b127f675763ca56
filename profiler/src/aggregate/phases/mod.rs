//! What kind of work one process does when, so that windows stand for the time in which the same
//! was done.
//!
//! Windows come at random moments, so of a kind of work that is done for a tenth of the time they
//! show a tenth, give or take. But which kind is done is known at all times, from samples of where
//! the process is while it runs. So the windows of each kind can be made to weigh as much as it
//! lasted (post-stratification).

mod kind;
mod kinds;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use foldhash::HashMap;

pub(super) use self::kind::Shown;
use self::{
    kind::{Compared, Kind, Showing},
    kinds::{Kinds, ratio},
};
use super::windows::{Comparison, Correction, Window};
use crate::profile::{Frame, ProcessKey, Reckoned, StackId, StackTable};

/// Time is divided into slices that are so long, each of which counts for one kind of work.
const SLICE: Duration = Duration::from_millis(100);

/// After so many more, all of what belongs to a slice has come.
const SETTLED: u64 = 5;

/// Samples that are wanted to tell the kind; if there are fewer in a slice, those of up to so many
/// neighbours on one side are looked at, too.
const WANTED: usize = 4;
const NEIGHBOURS: usize = 3;

/// The kind is the innermost function that so large a part of the samples is in.
const MOST: f64 = 0.75;

/// Comparisons of windows come so many slices late at most.
const REMEMBERED: usize = 1000;

/// What kind of work one process does when.
#[derive(Debug, Default)]
pub(super) struct Phases {
    /// The slices that are not settled yet, without gaps.
    recent: VecDeque<Slice>,
    /// The number of the first of them.
    first: u64,
    /// Whether all objects are seen now, so that windows stand for nothing.
    sees_all: bool,
    /// Stacks of functions, which are the kinds.
    functions: StackTable,
    /// The kinds of stacks of frames.
    kinds_of: HashMap<StackId, StackId>,
    /// The functions that the last slices were in, for their neighbours.
    settled: VecDeque<Vec<StackId>>,
    kinds: Kinds,
    /// The kinds of the slices that were settled of late, the last one first.
    lately: VecDeque<StackId>,
    /// What windows showed in the last of these.
    showing: Showing,
}

/// A piece of time.
#[derive(Clone, Debug, Default)]
struct Slice {
    sees_all: bool,
    samples: Vec<StackId>,
    /// How many of them are of times without a window.
    undisturbed: u64,
    windows: Showing,
    compared: Compared,
}

impl Phases {
    /// The process was seen at a stack while it ran, in a window or not.
    pub(super) fn sampled(&mut self, time: Duration, stack: StackId, is_in_window: bool) {
        if let Some(slice) = self.slice(time) {
            slice.samples.push(stack);
            slice.undisturbed += u64::from(!is_in_window);
        }
    }

    /// From now on all objects are seen, or windows show samples.
    pub(super) fn see_all(&mut self, sees_all: bool) {
        self.sees_all = sees_all;
    }

    /// A window has closed at this time.
    pub(super) fn looked(&mut self, window: Window, at: Duration, correction: Correction) {
        if let Some(slice) = self.slice(window.from) {
            let lasted = window.until.min(at).saturating_sub(window.from);
            slice.windows.count += 1;
            slice.windows.lasted += lasted.as_secs_f64();
            slice.windows.busy += lasted.as_secs_f64() * correction.busy;
            slice.windows.stood += window.stands_for().as_secs_f64();
        }
    }

    /// A window showed an object.
    pub(super) fn saw(&mut self, time: Duration, stack: StackId, shown: Shown) {
        if let Some(slice) = self.slice(time) {
            slice.windows.shown.entry(stack).or_default().add(shown);
        }
    }

    /// It is known how much slower the process was in a window.
    pub(super) fn compare(&mut self, comparison: &Comparison) {
        let compared = Compared::from(comparison);
        let number = number_of(comparison.time);
        if let Some(ago) = self.first.checked_sub(number + 1) {
            let place = usize::try_from(ago).unwrap_or(usize::MAX);
            if let Some(kind) = self.lately.get(place) {
                self.kinds.compare(*kind, compared);
            }
        } else if let Some(slice) = self.slice(comparison.time) {
            slice.compared.add(compared);
        }
    }

    /// The slice of a time, unless it is settled. The first one is that of the first call.
    fn slice(&mut self, time: Duration) -> Option<&mut Slice> {
        let number = number_of(time);
        if self.recent.is_empty() && self.lately.is_empty() {
            self.first = number;
        }
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        if self.recent.len() <= place {
            let empty = Slice {
                sees_all: self.sees_all,
                ..Slice::default()
            };
            self.recent.resize(place + 1, empty);
        }
        self.recent.get_mut(place)
    }

    /// Finds out of which kind the slices are that are over.
    pub(super) fn settle(&mut self, now: Duration, stacks: &StackTable) {
        if !self.lately.is_empty() || !self.recent.is_empty() {
            // Also if nothing happened in them.
            let _current: Option<&mut Slice> = self.slice(now);
        }
        self.settle_before(number_of(now).saturating_sub(SETTLED), stacks);
    }

    fn settle_before(&mut self, end: u64, stacks: &StackTable) {
        while self.first < end
            && let Some(slice) = self.recent.pop_front()
        {
            self.first += 1;
            let samples = self.all_functions_of(&slice.samples, stacks);
            self.settled.push_back(samples);
            if self.settled.len() > NEIGHBOURS + 1 {
                self.settled.pop_front();
            }
            let kind = self.kind(stacks);
            self.show(Some(kind));
            if !slice.sees_all {
                let counted = Kind {
                    slices: 1,
                    samples: slice.undisturbed,
                    undisturbed: (SLICE.as_secs_f64() - slice.windows.lasted).max(0.0),
                    compared: slice.compared,
                    ..Kind::default()
                };
                self.kinds.count(kind, counted);
                for stack in slice.windows.shown.keys() {
                    self.functions_of(*stack, stacks);
                }
                self.showing = slice.windows;
            }
            self.lately.push_front(kind);
            self.lately.truncate(REMEMBERED);
        }
    }

    /// Enters what windows showed in the slice that was settled last, now that the kind of the next
    /// one is known. Between two kinds a slice has a bit of both, and windows that show the other
    /// one are of that.
    fn show(&mut self, next: Option<StackId>) {
        let showing = std::mem::take(&mut self.showing);
        let mut lately = self.lately.iter().copied();
        let Some(own) = lately.next() else {
            return;
        };
        let shown: Vec<(StackId, f64)> = (showing.shown.iter())
            .filter_map(|(stack, shown)| Some((*self.kinds_of.get(stack)?, shown.plain)))
            .collect();
        let is_shown = |kind: &StackId| is_mostly_in(*kind, &shown, &self.functions);
        let kind = [Some(own), lately.next(), next]
            .into_iter()
            .flatten()
            .find(is_shown);
        self.kinds.show(kind.unwrap_or(own), showing);
    }

    /// The kind of the slice that was settled last.
    fn kind(&mut self, stacks: &StackTable) -> StackId {
        let own = self.settled.back().cloned().unwrap_or_default();
        if own.len() >= WANTED {
            return common(&own, &self.functions);
        }
        let earlier = self.settled.iter().rev().skip(1).cloned().collect();
        let later: Vec<Vec<StackId>> = (self.recent.iter().take(NEIGHBOURS))
            .map(|slice| slice.samples.clone())
            .collect();
        let later = (later.into_iter())
            .map(|slice| self.all_functions_of(&slice, stacks))
            .collect();
        // Where one kind ends and another begins, one side tells more than the other.
        let sides: [Vec<Vec<StackId>>; 2] = [earlier, later];
        let told = sides.map(|side| self.kind_beside(&own, &side));
        told.into_iter()
            .max()
            .map_or(StackId::ROOT, |(_, _, kind)| kind)
    }

    /// The kind of a slice with few samples by those that come before or after it: how deep it is,
    /// and how many of these it took to tell.
    fn kind_beside(&self, own: &[StackId], neighbours: &[Vec<StackId>]) -> (usize, usize, StackId) {
        let (mut samples, mut number) = (own.to_vec(), 0);
        for neighbour in neighbours {
            if samples.len() >= WANTED {
                break;
            }
            samples.extend(neighbour);
            number += 1;
        }
        let kind = common(&samples, &self.functions);
        (self.functions.frames_of(kind).count(), number, kind)
    }

    fn all_functions_of(&mut self, slice: &[StackId], stacks: &StackTable) -> Vec<StackId> {
        let each = slice.iter();
        each.map(|stack| self.functions_of(*stack, stacks))
            .collect()
    }

    /// The functions of a stack.
    fn functions_of(&mut self, stack: StackId, stacks: &StackTable) -> StackId {
        if let Some(kind) = self.kinds_of.get(&stack) {
            return *kind;
        }
        let Some((frame, caller)) = stacks.innermost(stack) else {
            return StackId::ROOT;
        };
        let caller = self.functions_of(caller, stacks);
        let function = Frame {
            line: 0,
            ..stacks.frame(frame).clone()
        };
        let function = self.functions.intern_frame(&function);
        let kind = self.functions.intern_call(caller, function);
        self.kinds_of.insert(stack, kind);
        kind
    }

    /// What each stack got: see [`Kinds::reckon`].
    pub(super) fn reckon(mut self, process: ProcessKey, stacks: &StackTable) -> Vec<Reckoned> {
        self.settle_before(u64::MAX, stacks);
        self.show(None);
        self.kinds.reckon(process, &self.functions)
    }
}

/// Whether most of something, of which each function of a list has a part, is in a function.
fn is_mostly_in(kind: StackId, parts: &[(StackId, f64)], functions: &StackTable) -> bool {
    let is_in = |stack: StackId| {
        let callers =
            std::iter::successors(Some(stack), |stack| Some(functions.innermost(*stack)?.1));
        callers.into_iter().any(|caller| caller == kind)
    };
    let all: f64 = parts.iter().map(|(_, part)| part).sum();
    let inside = parts.iter().filter(|(stack, _)| is_in(*stack));
    inside.map(|(_, part)| part).sum::<f64>() >= MOST * all
}

/// The innermost function that most samples are in, with its callers.
fn common(samples: &[StackId], functions: &StackTable) -> StackId {
    let mut inside = BTreeMap::<StackId, u64>::new();
    for sample in samples {
        let mut stack = *sample;
        while let Some((_, caller)) = functions.innermost(stack) {
            *inside.entry(stack).or_default() += 1;
            stack = caller;
        }
    }
    let most = inside.into_iter().filter(|(_, times)| {
        let all = u64::try_from(samples.len()).unwrap_or(u64::MAX);
        ratio(*times, all) >= MOST
    });
    // Callers have smaller numbers, and no two functions beside each other have that many.
    most.map(|(stack, _)| stack).max().unwrap_or(StackId::ROOT)
}

fn number_of(time: Duration) -> u64 {
    let number = time.as_millis() / SLICE.as_millis();
    u64::try_from(number).unwrap_or(u64::MAX)
}
