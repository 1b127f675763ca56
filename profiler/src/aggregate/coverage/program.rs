//! Simulated programs: lines that get objects at some rate, and keep them for a while.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::{heap::Heap, random::Random};
use crate::{profile::SizeClass, python::fates::Identity};

/// What a line does with what it gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Life {
    /// It drops it when it has got so many more.
    Drop(usize),
    /// It keeps it.
    Keep,
    /// It drops it after some seconds, that long on average.
    Medium(f64),
    /// It keeps so many, and drops the oldest for a new one.
    Cache(usize),
}

/// When a line gets anything at all, by the seconds since the start.
#[derive(Clone, Debug)]
pub(super) enum Pulse {
    /// Always.
    Always,
    /// From one time to another, so many times its rate.
    Times(Vec<(f64, f64, f64)>),
    /// For a part of each period.
    Periodic { period: f64, part: f64, first: f64 },
}

impl Pulse {
    /// The factor on average, over about ten seconds.
    pub(super) fn mean(&self) -> f64 {
        let times = (0..1000_u32).map(|number| self.factor(f64::from(number) / 100.0));
        times.sum::<f64>() / 1000.0
    }

    fn factor(&self, time: f64) -> f64 {
        match self {
            Self::Always => 1.0,
            Self::Times(times) => {
                let holds = |(from, to, _): &&(f64, f64, f64)| (*from..*to).contains(&time);
                times
                    .iter()
                    .filter(holds)
                    .map(|(_, _, factor)| factor)
                    .sum()
            }
            Self::Periodic {
                period,
                part,
                first,
            } => {
                let is_on = ((time + first) / period).fract() < *part;
                f64::from(u8::from(is_on))
            }
        }
    }
}

/// A line of a program.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) size_class: SizeClass,
    /// Objects per second, when it gets any.
    pub(super) rate: f64,
    pub(super) pulse: Pulse,
    pub(super) life: Life,
    /// The type of its objects, and whether each can be told from the others.
    pub(super) kind: u64,
    pub(super) is_distinct: bool,
}

/// A program: its lines by thread.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) threads: Vec<Vec<Line>>,
    /// Whether it has to wait for work, which comes by the clock; otherwise it is always busy, and
    /// does the same whatever slows it down, only later.
    pub(super) is_waiting: bool,
    /// What a hit costs, in seconds.
    pub(super) hit: f64,
    /// By which part that is misjudged.
    pub(super) misjudged: f64,
}

/// A line while the program runs.
pub(super) struct Running {
    pub(super) line: Line,
    held: VecDeque<u64>,
    /// What dies when, in microseconds.
    dying: BinaryHeap<Reverse<(u64, u64)>>,
    next: u64,
    /// Since the start of the recording.
    pub(super) got: u64,
    /// How many are held that it had before.
    old: usize,
}

impl Running {
    pub(super) fn new(line: Line) -> Self {
        Self {
            line,
            held: VecDeque::new(),
            dying: BinaryHeap::new(),
            next: 0,
            got: 0,
            old: 0,
        }
    }

    /// How many objects per second it gets at a time.
    pub(super) fn rate(&self, time: f64) -> f64 {
        self.line.rate * self.line.pulse.factor(time)
    }

    /// Fills what is full when the recording begins.
    pub(super) fn fill(&mut self, heap: &mut Heap) {
        if let Life::Cache(capacity) = self.line.life {
            for _ in 0..capacity {
                let address = heap.take(self.line.size_class, self.identity());
                self.held.push_back(address);
            }
            self.old = capacity;
        }
    }

    /// Gets an object.
    pub(super) fn get(&mut self, heap: &mut Heap, random: &mut Random, time: f64) -> u64 {
        let address = heap.take(self.line.size_class, self.identity());
        self.got += 1;
        match self.line.life {
            Life::Keep => self.held.push_back(address),
            Life::Drop(most) | Life::Cache(most) => {
                self.held.push_back(address);
                if self.held.len() > most
                    && let Some(oldest) = self.held.pop_front()
                {
                    self.old = self.old.saturating_sub(1);
                    heap.give_back(oldest);
                }
            }
            Life::Medium(mean) => {
                let dies = time + random.exponential(mean);
                self.dying.push(Reverse((micros(dies), address)));
            }
        }
        address
    }

    /// Drops what lives no longer.
    pub(super) fn bury(&mut self, heap: &mut Heap, time: f64) {
        let now = micros(time);
        while let Some(Reverse((dies, address))) = self.dying.peek().copied()
            && dies <= now
        {
            self.dying.pop();
            heap.give_back(address);
        }
    }

    /// The bytes that it holds and got since the recording began.
    pub(super) fn retained(&self) -> u64 {
        let count = self.held.len() - self.old + self.dying.len();
        count as u64 * self.line.size_class.bytes()
    }

    /// The bytes that it got since then.
    pub(super) fn allocated(&self) -> u64 {
        self.got * self.line.size_class.bytes()
    }

    fn identity(&mut self) -> Identity {
        self.next += 1;
        let value = if self.line.is_distinct { self.next } else { 0 };
        Identity::new(self.line.kind << 4, [value, value])
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are positive and short"
)]
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}
