//! Two recordings, before and after: what a change of a program changed in its memory.
//!
//! It matches processes by their roles and lines across edits, and says of each line what became
//! of it and how sure that is. `docs/estimation.md` has the reasoning.

mod align;
mod change;
mod files;
mod obstacle;
mod places;
mod quantile;
mod role;
#[cfg(test)]
mod tests;
mod unit;

pub use change::{Change, Doubt, Outcome, Rate};
pub use obstacle::{Incomparable, command};
pub use role::{Role, plain_command};
pub use unit::{Per, Unit};

use std::{
    collections::{BTreeMap, HashMap},
    panic::resume_unwind,
    thread,
};

use self::{change::Yardstick, places::Matches, role::Roles};
use crate::{
    aggregate::{Findings, Flow, Flows, LineSpread, Spread, Tallies},
    classify::Verdicts,
    profile::{Frame, FrameId, Recorded},
};

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'a> {
    /// What was recorded, or the part of it that is compared.
    pub tallies: &'a Tallies<'a>,
    /// What it says in numbers.
    pub findings: &'a Findings,
    /// What is thought of that.
    pub verdicts: &'a Verdicts,
    /// What its command is called where a sentence names it.
    pub called: &'a str,
}

impl<'a> Recording<'a> {
    const fn recorded(&self) -> &'a Recorded {
        self.tallies.recorded()
    }
}

/// What became of a recording's memory in another.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// All processes together.
    pub total: Changes,
    /// The roles, each with its sums.
    pub roles: Vec<(Role, Changes)>,
    /// The lines, those that changed most first.
    pub lines: Vec<LineChange>,
    /// Files that have another path after.
    pub renamed: Vec<(String, String)>,
    /// Which frame of the recording after a frame of that before is.
    pub same: HashMap<FrameId, FrameId>,
    /// By how much more was allocated after at most lines; `None` if there are too few to tell.
    pub pace: Option<f64>,
    /// What a person should know before believing it, a sentence each.
    pub warnings: Vec<String>,
    /// By what all amounts are divided.
    pub unit: Unit,
}

/// The changes of all metrics, in bytes per unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Changes {
    /// Allocated and not freed.
    pub retained: Change,
    /// Allocated, freed or not.
    pub allocated: Change,
    /// Address space got and still held.
    pub mapped: Change,
    /// Growth of the resident size; `None` for lines.
    pub resident: Option<Change>,
}

impl Changes {
    /// The one that tells most of memory: what is retained, unless only mappings changed.
    pub fn main(&self) -> &Change {
        let tells =
            |change: &Change| matches!(change.outcome, Outcome::Improved | Outcome::Regressed);
        if !tells(&self.retained) && tells(&self.mapped) {
            &self.mapped
        } else {
            &self.retained
        }
    }
}

/// What became of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It is where it was.
    Same,
    /// It has another number.
    Moved,
    /// Its file has another path.
    Renamed,
    /// It was not seen before.
    New,
    /// It is not seen any more.
    Vanished,
}

impl Fate {
    /// All fates.
    pub const ALL: [Self; 5] = [
        Self::Same,
        Self::Moved,
        Self::Renamed,
        Self::New,
        Self::Vanished,
    ];

    /// The stable name, as it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Moved => "moved",
            Self::Renamed => "renamed",
            Self::New => "new",
            Self::Vanished => "vanished",
        }
    }
}

/// A line of a role before and after.
#[derive(Clone, Debug)]
pub struct LineChange {
    /// The number of its role.
    pub role: usize,
    /// What became of it.
    pub fate: Fate,
    /// Where it was.
    pub before: Option<Frame>,
    /// Where it is.
    pub after: Option<Frame>,
    /// What it got.
    pub changes: Changes,
}

/// So many bytes in a whole recording are nothing.
const LEAST_BYTES: f64 = 65_536.0;

/// A pace is told by so many lines at least, each of so many observations.
const PACED_LINES: usize = 3;
const PACED_SAMPLES: u64 = 30;

/// Compares two recordings by what they did per second.
pub fn compare(before: &Recording<'_>, after: &Recording<'_>) -> Result<Comparison, Incomparable> {
    compare_per(Per::Second, before, after)
}

/// Compares two recordings by what they did per unit.
pub fn compare_per(
    per: Per,
    before: &Recording<'_>,
    after: &Recording<'_>,
) -> Result<Comparison, Incomparable> {
    let recordings = [before, after];
    let recorded = recordings.map(Recording::recorded);
    let roles = Roles::of(recorded, recordings.map(|it| it.tallies.selection().pid));
    let spread_of = |side: usize| recordings[side].tallies.spread(&roles.of[side]);
    let spreads = both(|| spread_of(0), || spread_of(1));
    let spreads = spreads.each_ref();
    let matches = Matches::of(recorded, spreads);
    obstacle::refuse(recordings, &matches)?;
    let pairs = paired(spreads, &matches);
    let unit = Unit::of(per, recordings)?;
    // What more traffic explains is explained when amounts are divided by it.
    let explained = match per {
        Per::Second => 1.0,
        Per::Request => unit.pace(recordings),
    };
    let pace = pace(&pairs, spreads).map(|pace| pace / explained);
    let tenfold = obstacle::tenfold(recordings).map(|pace| pace / explained);
    let paces: Vec<f64> = [pace, tenfold].into_iter().flatten().collect();
    let judge = Judge::new(spreads, unit.counts, &pairs, &paces);
    let role_changes = |(number, role): (usize, Role)| {
        let flows = spreads.map(|it| it.roles.get(number).copied().unwrap_or_default());
        (role, judge.changes(flows, true))
    };
    let mut lines: Vec<LineChange> = (pairs.iter())
        .map(|(key, lines)| line_change(*key, *lines, recorded, &judge))
        .collect();
    lines.sort_by_cached_key(order);
    Ok(Comparison {
        total: judge.changes(spreads.map(|it| it.total), true),
        roles: roles
            .roles
            .into_iter()
            .enumerate()
            .map(role_changes)
            .collect(),
        lines,
        renamed: matches.renamed,
        same: matches.after,
        pace,
        warnings: obstacle::warnings(recordings, spreads),
        unit,
    })
}

/// Does something for both recordings at the same time.
pub fn both<T: Send>(before: impl FnOnce() -> T, after: impl FnOnce() -> T + Send) -> [T; 2] {
    thread::scope(|scope| {
        let after = scope.spawn(after);
        let before = before();
        [
            before,
            after.join().unwrap_or_else(|panic| resume_unwind(panic)),
        ]
    })
}

/// Role, and the frame before or else after.
type Key = (usize, Option<FrameId>, Option<FrameId>);
/// A line before and after.
type Pair<'a> = [Option<&'a LineSpread>; 2];

/// Puts the lines of two recordings together.
fn paired<'a>(spreads: [&'a Spread; 2], matches: &Matches) -> BTreeMap<Key, Pair<'a>> {
    let mut pairs = BTreeMap::<Key, Pair<'a>>::new();
    for line in &spreads[0].lines {
        let after = line
            .frame
            .and_then(|frame| matches.after.get(&frame).copied());
        pairs.entry((line.role, line.frame, after)).or_default()[0] = Some(line);
    }
    for line in &spreads[1].lines {
        let before = line
            .frame
            .and_then(|frame| matches.before.get(&frame).copied());
        pairs.entry((line.role, before, line.frame)).or_default()[1] = Some(line);
    }
    pairs
}

/// By how much more most lines allocated per second after.
fn pace(pairs: &BTreeMap<Key, Pair<'_>>, spreads: [&Spread; 2]) -> Option<f64> {
    let is_known = |line: &LineSpread| {
        let Flow { estimate, scatter } = line.flows.allocated;
        let off = float(estimate.high.saturating_sub(estimate.low)) / 4.0;
        line.samples >= PACED_SAMPLES && off.hypot(scatter) < 0.1 * float(estimate.estimate)
    };
    let mut ratios: Vec<f64> = (pairs.values())
        .filter_map(|[before, after]| Some([(*before)?, (*after)?]))
        .filter(|pair| pair.iter().all(|line| is_known(line)))
        .map(|pair| {
            let [before, after] = [0, 1].map(|side| {
                let bytes = float(pair[side].flows.allocated.estimate.estimate);
                bytes / spreads[side].duration.as_secs_f64()
            });
            after / before
        })
        .filter(|ratio| ratio.is_finite() && *ratio > 0.0)
        .collect();
    if ratios.len() < PACED_LINES {
        return None;
    }
    ratios.sort_by(f64::total_cmp);
    Some(f64::midpoint(
        ratios[(ratios.len() - 1) / 2],
        ratios[ratios.len() / 2],
    ))
}

/// Judges changes of flows.
struct Judge {
    yardstick: Yardstick,
    /// How many units there are before and after.
    units: [f64; 2],
    /// The larger sum of all lines, by metric.
    all: [f64; 4],
}

impl Judge {
    fn new(
        spreads: [&Spread; 2],
        units: [f64; 2],
        pairs: &BTreeMap<Key, Pair<'_>>,
        paces: &[f64],
    ) -> Self {
        let least = LEAST_BYTES / units[0].min(units[1]).max(1.0);
        let rates = [0, 1].map(|side| Rates::of(&spreads[side].total, units[side]));
        let all = [0, 1, 2, 3].map(|metric| {
            let [before, after] = rates.each_ref().map(|rates| rates.0[metric].estimate.abs());
            before.max(after)
        });
        // Only what could matter is one more chance to be wrong.
        let could_matter = |pair: &Pair<'_>| {
            pair.iter().enumerate().any(|(side, line)| {
                let rates = line.map(|line| Rates::of(&line.flows, units[side]));
                rates.is_some_and(|rates| {
                    (rates.0.iter().zip(all)).any(|(rate, all)| rate.high > least.max(all / 100.0))
                })
            })
        };
        let changes = 4 + 3 * pairs.values().filter(|pair| could_matter(pair)).count();
        let slices = spreads.map(|spread| spread.slices);
        let paces = paces.iter().map(|pace| 1.0 / pace).collect();
        Self {
            yardstick: Yardstick::new(changes, slices, least, paces),
            units,
            all,
        }
    }

    fn changes(&self, flows: [Flows; 2], with_resident: bool) -> Changes {
        let rates = [0, 1].map(|side| Rates::of(&flows[side], self.units[side]));
        let change = |metric: usize| {
            let [before, after] = rates.each_ref().map(|rates| rates.0[metric]);
            self.yardstick.change(before, after, self.all[metric])
        };
        Changes {
            retained: change(0),
            allocated: change(1),
            mapped: change(2),
            resident: with_resident.then(|| change(3)),
        }
    }
}

/// The rates of retained, allocated, mapped and resident bytes.
struct Rates([Rate; 4]);

impl Rates {
    fn of(flows: &Flows, units: f64) -> Self {
        let rate = |flow: Flow| Rate {
            estimate: float(flow.estimate.estimate) / units,
            low: float(flow.estimate.low) / units,
            high: float(flow.estimate.high) / units,
            scatter: flow.scatter / units,
        };
        let growth = flows.resident.bytes / units;
        let resident = Rate {
            estimate: growth,
            low: growth,
            high: growth,
            scatter: flows.resident.scatter / units,
        };
        Self([
            rate(flows.retained),
            rate(flows.allocated),
            rate(flows.mapped),
            resident,
        ])
    }
}

fn line_change(
    (role, before, after): Key,
    lines: Pair<'_>,
    recorded: [&Recorded; 2],
    judge: &Judge,
) -> LineChange {
    let frame = |side: usize, id: Option<FrameId>| {
        id.map(|id: FrameId| recorded[side].stacks.frame(id).clone())
    };
    let (before, after) = (frame(0, before), frame(1, after));
    let fate = match (&before, &after) {
        (None, Some(_)) => Fate::New,
        (Some(_), None) => Fate::Vanished,
        (Some(one), Some(other)) if one.file != other.file => Fate::Renamed,
        (Some(one), Some(other)) if one.line != other.line => Fate::Moved,
        _ => Fate::Same,
    };
    let flows = lines.map(|line| line.map(|line| line.flows).unwrap_or_default());
    LineChange {
        role,
        fate,
        before,
        after,
        changes: judge.changes(flows, false),
    }
}

/// What is told before what is not, and more before less.
fn order(line: &LineChange) -> impl Ord + use<> {
    let main = line.changes.main();
    let rank = match main.outcome {
        Outcome::Improved | Outcome::Regressed => 0,
        Outcome::CannotTell => 1,
        Outcome::Unchanged => 2,
    };
    let weight = main.before.estimate.max(main.after.estimate);
    let weight = std::cmp::Reverse([main.difference.abs().to_bits(), weight.to_bits()]);
    let frame = line.before.clone().or_else(|| line.after.clone());
    (rank, weight, frame, line.role)
}

#[expect(clippy::cast_precision_loss, reason = "rates do not have 53 bits")]
const fn float(value: u64) -> f64 {
    value as f64
}
