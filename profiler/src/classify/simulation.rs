//! Thousands of made-up services, noisy and seeded: what is said of them, and how often rightly.

use std::{collections::BTreeMap, time::Duration};

use super::{Activity, Pattern, activity::Came, opinion::opinion, signals::Signals};
use crate::{
    aggregate::{Course, Moment},
    profile::SocketCensus,
};

const MIB: f64 = 1_048_576.0;

/// Numbers that look random, the same for the same seed.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits are enough")]
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        (high - low).mul_add(self.unit(), low)
    }

    /// About normal: the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// One second of a service: bytes that are live, bytes that are resident above that, cores, and how
/// busy it is with requests, 0 to 1.
struct Second {
    live: f64,
    kept: f64,
    cores: f64,
    load: f64,
}

/// When a service is busy: a fraction of each cycle.
#[derive(Clone, Copy)]
struct Beat {
    period: f64,
    busy: f64,
    shift: f64,
}

impl Beat {
    /// Two to four cycles in `seconds`.
    fn draw(dice: &mut Dice, seconds: f64) -> Self {
        Self {
            period: seconds / dice.between(2.0, 3.5),
            busy: dice.between(0.35, 0.65),
            shift: dice.unit(),
        }
    }

    fn is_busy(&self, time: f64) -> bool {
        (time / self.period + self.shift).fract() < self.busy
    }
}

/// Cores, and requests as a part of the most, when a service is busy and when it is not.
const BUSY: (f64, f64) = (0.4, 1.0);
const QUIET: (f64, f64) = (0.004, 0.0);

/// A service of a pattern, second by second.
fn service(pattern: Pattern, seconds: u32, dice: &mut Dice) -> Vec<Second> {
    let span = f64::from(seconds);
    let rate = dice.between(0.1, 2.0) * MIB;
    let steady_cores = dice.between(0.02, 0.9);
    let beat = Beat::draw(dice, span);
    let has_beat = dice.unit() < 0.3;
    let amount = dice.between(16.0, 200.0) * MIB;
    let constant = span * dice.between(0.04, 0.18);
    let (from, until) = (
        dice.between(0.12, 0.3) * span,
        dice.between(0.4, 0.6) * span,
    );
    let gap = dice.between(0.1, 0.25) * span;
    // Dice of its own, so that sizes are the same with and without traffic.
    let dice_of_load = &mut Dice::new(dice.0);
    let is_never_asked = dice_of_load.unit() < 0.3;
    let (mut live, mut wander) = (0.0, 0.0);
    let mut all = Vec::new();
    for second in 0..seconds {
        let time = f64::from(second);
        // Cores, and requests.
        let in_beat = if beat.is_busy(time) { BUSY } else { QUIET };
        let even = steady_cores * dice.between(0.7, 1.3);
        let burst = (from..until).contains(&time);
        let (mut kept, mut work) = (0.0, (even, dice_of_load.between(0.8, 1.2)));
        wander = 0.9_f64.mul_add(wander, dice.normal() * 0.03 * MIB);
        match pattern {
            Pattern::Steady if has_beat => work = in_beat,
            Pattern::Steady => {}
            Pattern::RetainedGrowth => live += rate * dice.between(0.4, 1.6),
            Pattern::CacheFill => live = amount * (1.0 - (-time / constant).exp()),
            Pattern::TrafficGrowth => {
                work = in_beat;
                live += if beat.is_busy(time) {
                    1.6 * rate * dice.between(0.4, 1.6)
                } else {
                    0.0
                };
            }
            Pattern::IdleGrowth => {
                work = (in_beat.0, if is_never_asked { 0.0 } else { in_beat.1 });
                live += rate * dice.between(0.5, 1.5);
            }
            Pattern::PayloadSpikes => {
                let place = (time + 0.3 * gap) % gap;
                kept = if place < (0.35 * gap).max(1.5) {
                    amount
                } else {
                    0.0
                };
                kept *= dice.between(0.6, 1.0);
            }
            Pattern::IdleRetention | Pattern::AllocatorRetention => {
                work = if burst { BUSY } else { QUIET };
                let full = ((time - from) / (until - from) * 4.0).clamp(0.0, 1.0) * amount;
                let stays = pattern == Pattern::IdleRetention || time < until;
                live = if stays { full } else { 0.1 * full };
                kept = full - live;
            }
            _ => {
                let place = (time + 0.3 * gap) % gap;
                live += rate.max(0.5 * MIB);
                kept = if place < 0.3 * gap {
                    1.2 * rate.max(0.5 * MIB) * span
                } else {
                    0.0
                };
            }
        }
        kept += wander;
        all.push(Second {
            live,
            kept,
            cores: work.0,
            load: work.1,
        });
    }
    all
}

/// How many requests come in a second of which so many are to be expected.
fn arrivals(expected: f64, dice: &mut Dice) -> u64 {
    let (mut count, mut left) = (0, expected);
    while left > 0.0 {
        left += dice.unit().max(1e-12).ln();
        count += u64::from(left > 0.0);
    }
    count
}

/// What a recording of it would say. Where it tells traffic, processor time often tells another
/// story: a service may work for itself, or wait while it is busy.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made-up sizes"
)]
fn course(pattern: Pattern, seconds: u32, seed: u64) -> Course {
    let dice = &mut Dice::new(seed);
    let base = dice.between(20.0, 300.0) * MIB;
    let noise = dice.between(0.0, 0.15) * MIB;
    let tells_live = dice.unit() < 0.8 || pattern == Pattern::AllocatorRetention;
    let mut cpu = Duration::from_secs(20);
    let asked = &mut Dice::new(seed ^ 0x5eed_0f7a);
    let tells_traffic = asked.unit() < 0.5;
    let misleads = tells_traffic && asked.unit() < 0.5;
    let most = 3.0 * 60_f64.powf(asked.unit());
    let cores = asked.between(0.02, 0.4);
    let mut accepts = 0;
    let moments = (0..)
        .zip(service(pattern, seconds, dice))
        .map(|(number, second)| {
            let used = if misleads {
                cores * asked.between(0.7, 1.3)
            } else {
                second.cores.max(0.0)
            };
            cpu += Duration::from_secs_f64(used);
            accepts += arrivals(most * second.load, asked);
            let rss = noise.mul_add(dice.normal(), base + second.live + second.kept);
            Moment {
                time: Duration::from_secs(number) + Duration::from_secs_f64(dice.unit() * 0.05),
                rss: (rss / 4096.0) as u64 * 4096,
                small: tells_live.then_some((0.5_f64.mul_add(base, 0.7 * second.live)) as u64),
                reserved: tells_live.then_some((0.55_f64.mul_add(base, 0.7 * second.live)) as u64),
                large: 0.3 * second.live,
                cpu,
                sockets: SocketCensus {
                    listeners: Some(1),
                    accepts: tells_traffic.then_some(accepts),
                    ..SocketCensus::default()
                },
                ..Moment::default()
            }
        });
    Course {
        moments: moments.collect(),
        left: Vec::new(),
    }
}

const SIMULATED: [Pattern; 9] = [
    Pattern::Steady,
    Pattern::RetainedGrowth,
    Pattern::TrafficGrowth,
    Pattern::CacheFill,
    Pattern::PayloadSpikes,
    Pattern::IdleGrowth,
    Pattern::IdleRetention,
    Pattern::AllocatorRetention,
    Pattern::Mixed,
];

/// How often which pattern was said, and how surely.
#[derive(Debug, Default)]
struct Confusion {
    said: BTreeMap<(Pattern, Pattern), u32>,
    /// What was said with at least 0.9: rightly, and in all.
    sure: (u32, u32),
}

impl Confusion {
    fn of(seconds: u32, services: u64) -> Self {
        let mut confusion = Self::default();
        for pattern in SIMULATED {
            for seed in 0..services {
                let course = course(pattern, seconds, seed);
                let came = Came::of(Activity::Connections, &course, &[]);
                let found = opinion(&Signals::of(&course, came));
                let said = found.pattern.unwrap_or(Pattern::Undecided);
                *confusion.said.entry((pattern, said)).or_default() += 1;
                if found.confidence >= 0.9 {
                    confusion.sure.0 += u32::from(said == pattern);
                    confusion.sure.1 += 1;
                }
            }
        }
        confusion
    }

    fn count(&self, is_counted: impl Fn(Pattern, Pattern) -> bool) -> u32 {
        let counted = self
            .said
            .iter()
            .filter(|((is, said), _)| is_counted(*is, *said));
        counted.map(|(_, count)| count).sum()
    }

    /// In percent of all.
    fn right(&self) -> f64 {
        100.0 * f64::from(self.count(|is, said| is == said)) / f64::from(self.count(|_, _| true))
    }

    fn wrong(&self) -> f64 {
        let wrong = self.count(|is, said| is != said && said != Pattern::Undecided);
        100.0 * f64::from(wrong) / f64::from(self.count(|_, _| true))
    }

    /// Steady services of which was said that they grow without end.
    fn slandered(&self) -> u32 {
        let leaks = [
            Pattern::RetainedGrowth,
            Pattern::TrafficGrowth,
            Pattern::IdleGrowth,
            Pattern::Mixed,
        ];
        self.count(|is, said| is == Pattern::Steady && leaks.contains(&said))
    }

    #[track_caller]
    fn check(&self, right: f64, wrong: f64) {
        let rows = self.said.iter().map(|((is, said), count)| {
            format!("{} said to be {}: {count}\n", is.name(), said.name())
        });
        let table: String = rows.collect();
        assert_eq!(self.slandered(), 0, "{table}");
        assert!(self.right() >= right, "{:.1}% right\n{table}", self.right());
        assert!(self.wrong() <= wrong, "{:.1}% wrong\n{table}", self.wrong());
        let (right, all) = (f64::from(self.sure.0), f64::from(self.sure.1));
        assert!(
            right >= 0.9 * all,
            "{:?} of the sure ones\n{table}",
            self.sure
        );
    }
}

#[test]
fn nearly_all_are_told_after_two_minutes() {
    Confusion::of(120, 400).check(95.0, 3.0);
}

#[test]
fn most_are_told_after_three_quarters_of_a_minute() {
    Confusion::of(45, 400).check(85.0, 5.0);
}

#[test]
fn little_is_said_wrongly_after_a_quarter_of_a_minute() {
    Confusion::of(15, 200).check(50.0, 20.0);
}
