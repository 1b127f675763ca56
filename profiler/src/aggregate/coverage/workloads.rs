//! Programs of several kinds, each with numbers that its seed decides.

use super::{
    program::{Life, Line, Program, Pulse},
    random::Random,
};
use crate::profile::SizeClass;

/// How long recordings are, in seconds.
pub(super) const SECONDS: u64 = 30;
const END: f64 = 30.0;

/// Objects per second of a busy program.
const BUSY: f64 = 2500.0;

/// The first of so many size classes that are used.
const CLASSES: u64 = 4;

fn class(random: &mut Random) -> SizeClass {
    let number = random.whole(2, 2 + CLASSES);
    SizeClass::new(u32::try_from(number).unwrap()).unwrap()
}

fn line(random: &mut Random, rate: f64, life: Life) -> Line {
    Line {
        size_class: class(random),
        rate,
        pulse: Pulse::Always,
        life,
        // Some types are those of several lines.
        kind: random.whole(1, 6),
        is_distinct: random.chance(0.5),
    }
}

/// Lines that keep nothing for long: most of what a program does.
fn transients(random: &mut Random, rate: f64) -> Vec<Line> {
    let count = random.whole(2, 4);
    let mut lines: Vec<Line> = (0..count)
        .map(|_| {
            let share = random.between(0.3, 1.0);
            let depth = usize::try_from(random.whole(1, 20)).unwrap();
            line(random, share, Life::Drop(depth))
        })
        .collect();
    let sum: f64 = lines.iter().map(|line| line.rate).sum();
    for line in &mut lines {
        line.rate *= rate / sum;
    }
    lines
}

/// Lines that keep what they get, or that for a while.
fn keepers(random: &mut Random, rate: f64) -> Vec<Line> {
    let keeps = (0..random.whole(1, 3))
        .map(|_| Life::Keep)
        .collect::<Vec<_>>();
    let medium = Life::Medium(random.log_between(0.05, 2.0));
    keeps
        .into_iter()
        .chain([medium])
        .map(|life| {
            let rate = rate * random.log_between(0.2, 1.0);
            line(random, rate, life)
        })
        .collect()
}

fn program(random: &mut Random, threads: Vec<Vec<Line>>) -> Program {
    Program {
        threads,
        is_waiting: false,
        hit: random.log_between(0.3, 3.0) / BUSY,
        misjudged: 0.02 * random.normal(),
    }
}

/// A plain leak beside transients.
pub(super) fn leak(random: &mut Random) -> Program {
    let mut lines = transients(random, BUSY);
    let rate = BUSY * random.log_between(0.02, 0.1);
    lines.push(line(random, rate, Life::Keep));
    program(random, vec![lines])
}

/// Phases of different length, in which the same lines do more or less.
pub(super) fn phases(random: &mut Random) -> Program {
    let mut lines = transients(random, BUSY);
    lines.extend(keepers(random, 0.1 * BUSY));
    let mut ends: Vec<f64> = (0..random.whole(1, 4))
        .map(|_| END * random.unit())
        .collect();
    ends.push(END);
    ends.sort_by(f64::total_cmp);
    for line in &mut lines {
        let mut from = 0.0;
        let times = ends.iter().map(|end| {
            let keeps = matches!(line.life, Life::Keep);
            let factor = if random.chance(0.3) && !keeps {
                0.0
            } else {
                random.log_between(if keeps { 0.2 } else { 0.05 }, 1.5)
            };
            (std::mem::replace(&mut from, *end), *end, factor)
        });
        line.pulse = Pulse::Times(times.collect());
    }
    program(random, vec![lines])
}

/// Bursts at any time, of a service that waits for work otherwise.
pub(super) fn bursts(random: &mut Random) -> Program {
    let mut lines = transients(random, 0.5 * BUSY);
    lines.extend(keepers(random, 0.05 * BUSY));
    let mut bursting = transients(random, BUSY);
    bursting.extend(keepers(random, 0.2 * BUSY));
    let (pause, length) = (random.between(0.3, 1.5), random.log_between(0.05, 0.5));
    let (mut times, mut time) = (Vec::new(), 0.0);
    while time < END {
        time += random.exponential(pause);
        let end = time + length * random.between(0.5, 1.5);
        times.push((time, end, 1.0));
        time = end;
    }
    for line in &mut bursting {
        line.pulse = Pulse::Times(times.clone());
    }
    lines.append(&mut bursting);
    Program {
        is_waiting: true,
        ..program(random, vec![lines])
    }
}

/// Threads that take turns and do different things.
pub(super) fn threads(random: &mut Random) -> Program {
    let count = random.whole(3, 6);
    let threads = (0..count).map(|_| {
        let rate = BUSY * random.log_between(0.1, 1.0);
        let mut lines = transients(random, rate);
        lines.extend(keepers(random, 0.1 * rate));
        lines
    });
    let threads = threads.collect();
    program(random, threads)
}

/// Work that comes at regular times.
pub(super) fn periodic(random: &mut Random) -> Program {
    let period = random.log_between(0.02, 3.0);
    recurring(random, period)
}

/// The same about as often as windows come.
pub(super) fn in_step(random: &mut Random) -> Program {
    let period = random.between(0.2, 0.8);
    recurring(random, period)
}

fn recurring(random: &mut Random, period: f64) -> Program {
    let mut lines = transients(random, 0.5 * BUSY);
    lines.extend(keepers(random, 0.05 * BUSY));
    let mut regular = transients(random, BUSY);
    regular.extend(keepers(random, 0.1 * BUSY));
    let (part, first) = (random.between(0.1, 0.5), period * random.unit());
    for line in &mut regular {
        line.pulse = Pulse::Periodic {
            period,
            part,
            first,
        };
    }
    lines.append(&mut regular);
    Program {
        is_waiting: true,
        ..program(random, vec![lines])
    }
}

/// Caches that drop old entries for new ones, some of which were there before.
pub(super) fn caches(random: &mut Random) -> Program {
    let mut lines = transients(random, BUSY);
    for _ in 0..random.whole(1, 2) {
        let rate = BUSY * random.log_between(0.01, 0.1);
        // It is turned over partly, or several times.
        let capacity = rate * END * random.log_between(0.2, 4.0);
        let capacity = (1..100_000).find(|it| f64::from(*it) >= capacity);
        let capacity = usize::try_from(capacity.unwrap()).unwrap();
        lines.push(line(random, rate, Life::Cache(capacity)));
    }
    if random.chance(0.5) {
        let rate = BUSY * random.log_between(0.01, 0.05);
        lines.push(line(random, rate, Life::Keep));
    }
    program(random, vec![lines])
}
