//! A recording of a simulated program: the clock and the program are simulated, and all that
//! decides, counts and estimates is real.

use std::{collections::VecDeque, ops::Range, time::Duration};

use profiler_common::sampling::PROBABILITIES;

use super::{
    heap::Heap,
    program::{Program, Running},
    random::Random,
};
use crate::{
    aggregate::{Books, Correction, Elders, Window, test_data},
    probe::{Busy, Order, Passed, Throttle, Timing},
    profile::{Census, ProcessKey, Recorded, StackId, own_time},
    source::{Event, SiteClass, What},
};

const KEY: ProcessKey = ProcessKey(0);

/// The program runs that long before anybody looks at anything else, in microseconds.
const STEP: u64 = 1000;

/// Threads take turns that often, as they do with a global interpreter lock: windows are longer
/// than real ones, and so are turns.
const TURN: u64 = 20_000;

/// The kernel's clocks go by ticks.
const TICK: u64 = 4000;

/// Probes are really gone so long after they were told to.
const CLOSING: u64 = 200;

/// A look comes late by up to so much.
const LATE: f64 = 200.0;

/// Hits of a thread that come so soon after one another tell that it was busy in between.
const CLOSE: u64 = 2000;

/// What the probes may cost.
const LIMIT: f64 = 0.04;

const TIMING: Timing = Timing {
    closing: 0.002,
    briefest: 0.0005,
};

/// How busy a program that waits for work is kept by the work that its lines get on average.
const LOAD: f64 = 0.5;

/// A recording and the truth.
pub(super) struct Played {
    pub(super) recorded: Recorded,
    /// Retained and allocated bytes, by line.
    pub(super) truth: Vec<(u64, u64)>,
}

/// The name of the line with this number.
pub(super) fn name(line: usize) -> String {
    format!("line{line}")
}

/// Records a program for so many seconds.
pub(super) fn play(program: &Program, seconds: u64, random: Random) -> Played {
    let mut recorder = Recorder::new(program, random);
    for second in 0..seconds {
        for step in 0..1_000_000 / STEP {
            recorder.step(second * 1_000_000 + step * STEP);
        }
        recorder.end_interval((second + 1) * 1_000_000, second + 1 == seconds);
    }
    recorder.finish(seconds)
}

struct Thread {
    lines: Vec<(usize, Running)>,
    /// What it has done of its own, in seconds.
    progress: f64,
    /// The lines whose turn it is, if it waits for work.
    queue: VecDeque<usize>,
    /// Objects per second by line and in all, as they are in this step.
    rates: Vec<f64>,
    rate: f64,
    last_hit: Option<u64>,
}

impl Thread {
    /// The line that gets the next object.
    fn pick(&self, random: &mut Random) -> usize {
        let mut chance = random.unit() * self.rate;
        let place = self.rates.iter().position(|rate| {
            chance -= rate;
            chance < 0.0
        });
        place.unwrap_or_default()
    }
}

struct Recorder<'a> {
    program: &'a Program,
    random: Random,
    heap: Heap,
    threads: Vec<Thread>,
    stacks: Vec<StackId>,
    books: Books,
    throttle: Throttle,
    elders: Elders,
    next_elders: u64,
    recorded: Recorded,
    interval_start: u64,
    /// What the last step took too long, in microseconds.
    overrun: f64,
    /// What one object takes where the program waits for work, in seconds.
    service: f64,
    probed: Range<u64>,
    next_look: u64,
    last_look: u64,
    /// Processor time, in microseconds, and hits.
    cpu: f64,
    hits: u64,
    seen: (u64, u64),
    busy: Busy,
    cost: Duration,
}

impl<'a> Recorder<'a> {
    fn new(program: &'a Program, random: Random) -> Self {
        let mut recorded = test_data::recorded(0);
        let mut heap = Heap::new();
        let (mut threads, mut stacks) = (Vec::new(), Vec::new());
        let mut rates = 0.0;
        for lines in &program.threads {
            let mut running = Vec::new();
            for line in lines {
                let number = stacks.len();
                stacks.push(test_data::stack(&mut recorded, &[&name(number)]));
                rates += line.rate * line.pulse.mean();
                running.push((number, Running::new(line.clone())));
            }
            threads.push(Thread {
                lines: running,
                progress: 0.0,
                queue: VecDeque::new(),
                rates: Vec::new(),
                rate: 0.0,
                last_hit: None,
            });
        }
        for thread in &mut threads {
            for (_, line) in &mut thread.lines {
                line.fill(&mut heap);
            }
        }
        let elders = Elders::new(heap.samples().into_iter(), |pool| heap.living(pool));
        let mut books = Books::new(4096);
        books.open(KEY, None, Duration::ZERO);
        Self {
            program,
            random,
            heap,
            threads,
            stacks,
            books,
            throttle: Throttle::new(LIMIT, TIMING).expecting(0.9),
            elders,
            next_elders: 1_000_000,
            recorded,
            interval_start: 0,
            overrun: 0.0,
            service: LOAD / rates,
            probed: 0..0,
            next_look: 0,
            last_look: 0,
            cpu: 0.0,
            hits: 0,
            seen: (0, 0),
            busy: Busy::default(),
            cost: Duration::ZERO,
        }
    }

    fn step(&mut self, now: u64) {
        if now >= self.next_look {
            self.look(now);
        }
        let count = self.threads.len() as u64;
        for thread in &mut self.threads {
            // Rates are those of a program with a processor for each thread.
            let time = if self.program.is_waiting {
                seconds(now)
            } else {
                thread.progress * micros_of(count)
            };
            let rates = thread.lines.iter().map(|(_, line)| line.rate(time));
            thread.rates.clear();
            thread.rates.extend(rates);
            thread.rate = thread.rates.iter().sum();
        }
        if self.program.is_waiting {
            self.arrive();
        }
        let mut turn = usize::try_from(now / TURN % count).unwrap();
        let (mut spent, step) = (self.overrun, micros_of(STEP));
        self.overrun = 0.0;
        while spent < step {
            if self.program.is_waiting && self.threads[turn].queue.is_empty() {
                // Whoever waits lets another one run.
                let Some(next) = self.threads.iter().position(|it| !it.queue.is_empty()) else {
                    self.cpu += spent;
                    return;
                };
                turn = next;
            }
            spent += self.work(turn, (now, spent), step - spent);
        }
        // What is beyond the step belongs to the next one.
        self.cpu += step;
        self.overrun = spent - step;
    }

    /// What comes to be done in a step.
    fn arrive(&mut self) {
        for thread in &mut self.threads {
            let mut left = thread.rate * seconds(STEP);
            loop {
                left -= self.random.exponential(1.0);
                if left <= 0.0 {
                    break;
                }
                thread.queue.push_back(thread.pick(&mut self.random));
            }
        }
    }

    /// A thread gets one object, or works for a while without. Returns the microseconds.
    fn work(&mut self, turn: usize, (now, spent): (u64, f64), left: f64) -> f64 {
        let count = micros_of(self.threads.len() as u64);
        let thread = &mut self.threads[turn];
        let wall = seconds(now) + spent / 1e6;
        let (place, own, time) = if self.program.is_waiting {
            let place = thread.queue.pop_front().unwrap_or_default();
            (place, self.service, wall)
        } else {
            let total = thread.rate * count;
            if total * left / 1e6 < 1e-3 {
                thread.progress += left / 1e6;
                return left;
            }
            let place = thread.pick(&mut self.random);
            (place, 1.0 / total, thread.progress * count)
        };
        thread.progress += own;
        let (number, line) = &mut thread.lines[place];
        line.bury(&mut self.heap, time);
        let address = line.get(&mut self.heap, &mut self.random, time);
        let size_class = line.line.size_class;
        let at = now + whole(spent);
        if !self.probed.contains(&at) {
            return own * 1e6;
        }
        let is_drawn = self.random.chance(PROBABILITIES[size_class.index()]);
        self.hits += 1;
        if let Some(last) = thread.last_hit.replace(at)
            && at - last <= CLOSE
        {
            self.busy.time += Duration::from_micros(at - last);
            let cost = self.program.hit * (1.0 + self.program.misjudged);
            self.busy.cost += Duration::from_secs_f64(cost);
        }
        self.books.apply(&Event {
            process: KEY,
            time: Duration::from_micros(at),
            what: What::ObjectTaken {
                address,
                size: size_class.bytes(),
                stack: is_drawn.then_some(self.stacks[*number]),
                times: 1,
            },
        });
        (own + self.program.hit) * 1e6
    }

    /// Looks what the probes have cost, and opens or closes them.
    fn look(&mut self, now: u64) {
        let at = Duration::from_micros(now);
        let clock = whole(self.cpu) / TICK * TICK;
        let (hits, cpu) = (self.hits - self.seen.0, clock - self.seen.1);
        self.seen = (self.hits, clock);
        let judged = self.program.hit * (1.0 + self.program.misjudged);
        let cost = Duration::from_secs_f64(judged).mul_f64(micros_of(hits));
        self.cost += cost;
        let cpu = Duration::from_micros(cpu);
        let elapsed = Duration::from_micros(now - self.last_look);
        self.last_look = now;
        let passed = Passed {
            own: own_time(cpu, elapsed).saturating_sub(cost),
            cpu,
            cost,
            besides: Duration::ZERO,
            busy: std::mem::take(&mut self.busy),
        };
        match self.throttle.observe(at, passed) {
            Order::Keep => {}
            Order::Open(window) => {
                self.probed = now..u64::MAX;
                self.throttle.opened(at, Passed::default());
                self.threads.iter_mut().for_each(|it| it.last_hit = None);
                let window = Window {
                    from: at,
                    until: window.length.map_or(Duration::MAX, |length| at + length),
                    weight: window.weight,
                };
                self.books.open_window(KEY, SiteClass::Objects, window);
            }
            Order::Close { correction } => {
                self.probed.end = now + CLOSING;
                self.books
                    .close_window(KEY, SiteClass::Objects, at, Correction::of(correction));
                self.observe_objects(at);
            }
        }
        let asked = self.throttle.check_within().as_micros();
        let late = whole(self.random.unit() * LATE);
        self.next_look = now + u64::try_from(asked).unwrap() + late;
    }

    fn observe_objects(&mut self, now: Duration) {
        let heap = &self.heap;
        self.books
            .observe_objects(KEY, now, |blocks| heap.fates(blocks));
    }

    fn end_interval(&mut self, now: u64, is_last: bool) {
        let at = Duration::from_micros(now);
        if is_last {
            self.books.settle(KEY, at);
        }
        self.observe_objects(if is_last { Duration::MAX } else { at });
        let is_due = is_last || now >= self.next_elders;
        let size_classes = if is_due {
            self.next_elders = now + 1_000_000.max(now / 8);
            self.elders.look(|blocks| self.heap.fates(blocks));
            self.elders.census(&self.heap.live())
        } else {
            Vec::new()
        };
        let start = Duration::from_micros(self.interval_start);
        let mut interval = self.books.take_interval(start, at);
        self.interval_start = now;
        interval.censuses.push(Census {
            process: KEY,
            time: at,
            rss: 1 << 40,
            cpu: Duration::from_micros(whole(self.cpu)),
            size_classes,
            probe_cost: self.cost,
            objects_observed: self.throttle.open_time(at),
            object_windows: self.throttle.windows(),
            ..Census::default()
        });
        self.recorded.intervals.push(interval);
    }

    fn finish(mut self, seconds: u64) -> Played {
        let duration = Duration::from_secs(seconds);
        self.recorded.facts.duration = duration;
        self.recorded.survivors = self.books.survivors(duration);
        let lines = self.threads.into_iter().flat_map(|thread| thread.lines);
        let truth = lines.map(|(_, line)| (line.retained(), line.allocated()));
        Played {
            recorded: self.recorded,
            truth: truth.collect(),
        }
    }
}

fn seconds(micros: u64) -> f64 {
    micros_of(micros) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "times are short")]
const fn micros_of(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are positive and short"
)]
const fn whole(number: f64) -> u64 {
    number as u64
}
