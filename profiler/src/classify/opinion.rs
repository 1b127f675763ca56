//! The pattern of one process, by its series alone.

use super::{
    Activity, Pattern,
    signals::Signals,
    statistics::{
        Peaks, Point, Shape, Trend, count, floors, median, noise, peaks, rising_floor, step, trend,
        without_open_peaks,
    },
    thresholds as limit,
    traffic::{self, Rhythm},
};

/// What is thought of one process, and the numbers behind it.
#[derive(Clone, Debug, Default)]
pub(super) struct Opinion {
    /// The pattern.
    pub(super) pattern: Option<Pattern>,
    /// How sure that is, 0 to 1.
    pub(super) confidence: f64,
    /// The parts of a mixture, with their shares.
    pub(super) parts: Vec<(Pattern, f64)>,
    /// How many more seconds to record, if too little is known.
    pub(super) longer: f64,
    /// The numbers.
    pub(super) measures: Measures,
}

/// What was measured of a process's series: seconds and bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Measures {
    /// How long.
    pub(super) seconds: f64,
    /// The floor at the start.
    pub(super) start: f64,
    /// The floor at the end.
    pub(super) end: f64,
    /// From how many bytes on growth matters.
    pub(super) matters: f64,
    /// The slope.
    pub(super) trend: Trend,
    /// What rises and comes back.
    pub(super) peaks: Peaks,
    /// How the floor rose, if it did.
    pub(super) shape: Option<Shape>,
    /// When it rose in a single step, and by how much, if it did.
    pub(super) step: Option<Point>,
    /// Whether nothing came to it, all the time.
    pub(super) is_idle: bool,
    /// What stands for traffic.
    pub(super) activity: Activity,
    /// How much of that came to it, if that is counted.
    pub(super) came: Option<f64>,
    /// Whether activity changes too fast to compare growth with it.
    pub(super) is_uneven: bool,
    /// How growth goes with activity, if that has phases.
    pub(super) rhythm: Option<Rhythm>,
    /// How much of what was live is freed, without the size following.
    pub(super) freed: f64,
    /// Bytes that the allocator holds and does not use.
    pub(super) unused: f64,
    /// By how much more than at the start.
    pub(super) more_unused: f64,
    /// The part of what is left that is from the first half.
    pub(super) old_share: Option<f64>,
}

impl Measures {
    fn of(signals: &Signals) -> Self {
        let size = &signals.size;
        let first = size.first().map_or(0.0, |it| it.1);
        let peaks = peaks(size, limit::PEAK.max(limit::PEAK_SHARE * first));
        let has_peaks = peaks.count > 0 && peaks.share <= limit::PEAK_TIME;
        let closed = if has_peaks {
            without_open_peaks(size, peaks.height)
        } else {
            size
        };
        let base = if has_peaks {
            rising_floor(closed)
        } else {
            closed.to_vec()
        };
        let floor = floors(&base, (base.len() / 5).clamp(3, 24));
        let ends = floor.len().div_ceil(8);
        let level = |it: &[(f64, f64)]| median(&it.iter().map(|it| it.1).collect::<Vec<_>>());
        let start = level(&floor[..ends]);
        let end = level(&floor[floor.len() - ends..]);
        let noise = noise(&base);
        let matters = limit::MATTERS
            .max(limit::MATTERS_SHARE * start)
            .max(limit::MATTERS_NOISE * noise);
        let rhythm = traffic::rhythm(size, &signals.phases);
        let shape = Shape::of(&base, noise);
        let live_shape = live_shape(signals, end - start);
        Self {
            seconds: signals.seconds(),
            start,
            end,
            matters,
            trend: trend(&base).unwrap_or_default(),
            peaks,
            shape: match (shape, live_shape) {
                // Allocators grow in steps, objects do not: they tell sooner what goes on.
                (Some(shape), Some(live)) => Some(straighter(shape, live)),
                (shape, _) => shape,
            },
            step: step(&base, limit::STEP).filter(|(_, height)| *height > matters),
            is_idle: signals.is_idle,
            activity: signals.activity(),
            came: signals.came_in_all(),
            is_uneven: signals.is_uneven && rhythm.is_none(),
            rhythm,
            freed: freed(signals, start, end),
            unused: signals.unused.unwrap_or(0.0),
            more_unused: signals.more_unused.unwrap_or(0.0),
            old_share: signals.old_share,
        }
    }

    /// How much larger the floor became.
    pub(super) fn rise(&self) -> f64 {
        self.end - self.start
    }

    fn has_trend(&self) -> bool {
        self.trend.low > 0.0 || self.trend.z > limit::SURE_Z
    }

    fn is_growing(&self) -> bool {
        let rise = self.rise();
        let is_sure = rise >= limit::SURE_RISE * self.matters;
        rise >= self.matters && (is_sure || self.has_trend() && !self.turns_over())
    }

    /// Whether what is left is young: that is no leak, even if its size varies a little.
    fn turns_over(&self) -> bool {
        self.old_share.is_some_and(|it| it <= limit::YOUNG)
    }

    fn has_peaks(&self) -> bool {
        self.peaks.count > 0 && self.peaks.share <= limit::PEAK_TIME
    }

    /// Whether peaks come again and again, and the floor below them rose with the first ones only.
    fn has_settled_below_peaks(&self) -> bool {
        let is_level = self.shape.is_some_and(|it| it.rest >= limit::LEVEL_REST);
        self.has_peaks() && self.peaks.count > 1 && self.peaks.height >= self.rise() && is_level
    }

    /// How far a rise is above what matters: half at the limit, one at four times that.
    fn margin(&self) -> f64 {
        (self.rise() / self.matters / 8.0 + 0.5).clamp(0.5, 1.0)
    }
}

/// The form of what is live, if that is most of what grew.
fn live_shape(signals: &Signals, rise: f64) -> Option<Shape> {
    let (first, last) = (signals.live.first()?, signals.live.last()?);
    let is_most = last.1 - first.1 >= 0.6 * rise && rise > 0.0;
    let shape = || Shape::of(&signals.live, noise(&signals.live));
    is_most.then(shape).flatten()
}

/// Of two forms of one growth, the one that is straight, or rests less.
fn straighter(one: Shape, other: Shape) -> Shape {
    if !is_straight(&one) && (is_straight(&other) || other.rest < one.rest) {
        other
    } else {
        one
    }
}

/// Whether growth goes straight on.
fn is_straight(shape: &Shape) -> bool {
    let is_curved = shape.gain >= limit::CURVED && shape.late < limit::STRAIGHT_LATE;
    shape.rest < limit::STRAIGHT_REST && shape.late >= limit::STRAIGHT_LATE && !is_curved
}

/// How much of what was live at its peak is freed at the end, if the size did not follow.
fn freed(signals: &Signals, start: f64, end: f64) -> f64 {
    let sizes: Vec<f64> = signals.size.iter().map(|it| it.1).collect();
    let top = super::statistics::quantile(&sizes, 0.97);
    let has_kept = end - start >= limit::KEPT * (top - start) && end > start;
    let (Some(first), Some(last)) = (signals.live.first(), signals.live.last()) else {
        return 0.0;
    };
    let lives: Vec<f64> = signals.live.iter().map(|it| it.1).collect();
    let most = super::statistics::quantile(&lives, 0.97);
    let (rose, fell) = (most - first.1, most - last.1);
    let is_most = fell >= limit::FREED * rose && fell >= limit::FREED * (end - start);
    if has_kept && is_most && fell >= limit::FREED_BYTES {
        fell
    } else {
        0.0
    }
}

/// What is thought of a process.
pub(super) fn opinion(signals: &Signals) -> Opinion {
    let seconds = signals.seconds();
    if signals.size.len() < limit::FEWEST_MOMENTS || seconds < limit::FEWEST_SECONDS {
        let measures = Measures {
            seconds,
            start: signals.size.first().map_or(0.0, |it| it.1),
            end: signals.size.last().map_or(0.0, |it| it.1),
            ..Measures::default()
        };
        return undecided(measures, limit::ENOUGH_SECONDS - seconds);
    }
    let measures = Measures::of(signals);
    if measures.is_growing() {
        growing(measures)
    } else {
        level(measures)
    }
}

/// Of a process whose floor does not rise.
fn level(measures: Measures) -> Opinion {
    let size = measures.end.max(1.0);
    let rise = measures.rise();
    if measures.has_peaks() {
        let sure = (0.1 * count(measures.peaks.count))
            .mul_add(1.0, 0.75)
            .min(1.0);
        return decided(Pattern::PayloadSpikes, sure, measures);
    }
    if measures.unused >= limit::UNUSED_BYTES && measures.unused >= limit::UNUSED_SHARE * size {
        return decided(Pattern::AllocatorRetention, 0.95, measures);
    }
    let creeps = rise >= measures.matters / 3.0
        && measures.trend.low > 0.0
        && (measures.shape).is_some_and(|it| it.rest < limit::STRAIGHT_REST);
    let is_hint = !measures.turns_over() && (rise >= measures.matters || creeps);
    if is_hint {
        let needed = measures.seconds * (limit::SURE_RISE * measures.matters / rise).min(4.0);
        let longer = needed - measures.seconds;
        return undecided(measures, longer);
    }
    let sure = if measures.peaks.share > limit::PEAK_TIME {
        0.7
    } else {
        1.0
    };
    decided(Pattern::Steady, sure, measures)
}

/// Of a process whose floor rises.
fn growing(measures: Measures) -> Opinion {
    let (rise, margin) = (measures.rise(), measures.margin());
    // What allocators say of themselves is measured, and leaves nothing to the form of the growth.
    if measures.has_settled_below_peaks() {
        // What allocators keep is what the peaks have left to them.
        return decided(Pattern::PayloadSpikes, 0.9 * margin.max(0.8), measures);
    }
    let is_kept = measures.more_unused >= (limit::KEPT * rise).max(limit::FREED_BYTES);
    if is_kept || measures.freed > 0.0 {
        return decided(Pattern::AllocatorRetention, margin.max(0.8), measures);
    }
    let high = measures.peaks.height >= limit::PEAK_TO_RISE * rise;
    let pattern = match &measures.rhythm {
        Some(rhythm) => traffic::pattern(rhythm, &measures),
        None => by_shape(&measures).map(|found| while_idle(found, &measures)),
    };
    let Some((pattern, sure)) = pattern else {
        let longer = measures.seconds.max(20.0);
        return undecided(measures, longer);
    };
    if measures.has_peaks() && measures.peaks.count > 1 && high {
        let whole = rise + measures.peaks.height;
        let parts = vec![
            (pattern, rise / whole),
            (Pattern::PayloadSpikes, measures.peaks.height / whole),
        ];
        return mixed(parts, 0.85 * sure * margin, measures);
    }
    if pattern == Pattern::Mixed {
        // What goes on in quiet phases goes on in busy ones, too.
        let quiet_rate = measures.rhythm.as_ref().map_or(0.0, |it| it.quiet_rate);
        let idle = (quiet_rate * measures.seconds / rise).clamp(0.0, 1.0);
        let parts = vec![
            (Pattern::IdleGrowth, idle),
            (Pattern::TrafficGrowth, 1.0 - idle),
        ];
        return mixed(parts, sure * margin, measures);
    }
    decided(pattern, sure * margin, measures)
}

/// What goes straight on while nothing comes does so for reasons of its own.
fn while_idle((pattern, sure): (Pattern, f64), measures: &Measures) -> (Pattern, f64) {
    if measures.is_idle && pattern == Pattern::RetainedGrowth {
        (Pattern::IdleGrowth, sure)
    } else {
        (pattern, sure)
    }
}

/// By the form of the growth alone; nothing if it might be one or the other.
fn by_shape(measures: &Measures) -> Option<(Pattern, f64)> {
    let shape = measures.shape?;
    if measures.is_uneven && measures.seconds < limit::UNEVEN_SECONDS {
        return None;
    }
    let is_level = shape.late <= limit::LEVEL_LATE;
    if shape.rest >= limit::LEVEL_REST && is_level {
        let sure = (shape.rest - limit::LEVEL_REST).mul_add(1.0, 0.9).min(1.0);
        return Some((Pattern::CacheFill, sure));
    }
    // What is left of a leak is as old as it is young; what turns over is young.
    let is_kept = !measures.turns_over();
    (is_straight(&shape) && measures.has_trend())
        .then_some((Pattern::RetainedGrowth, if is_kept { 1.0 } else { 0.8 }))
}

fn decided(pattern: Pattern, sure: f64, measures: Measures) -> Opinion {
    Opinion {
        pattern: Some(pattern),
        confidence: sure * limit::sure_after(measures.seconds),
        measures,
        ..Opinion::default()
    }
}

fn mixed(parts: Vec<(Pattern, f64)>, sure: f64, measures: Measures) -> Opinion {
    Opinion {
        parts,
        ..decided(Pattern::Mixed, sure, measures)
    }
}

fn undecided(measures: Measures, longer: f64) -> Opinion {
    Opinion {
        longer: longer.clamp(10.0, 600.0),
        measures,
        ..Opinion::default()
    }
}
