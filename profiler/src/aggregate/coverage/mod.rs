//! How often intervals cover the truth: recordings of simulated programs, of which it is known.
//!
//! Objects are rarer than real ones and hits dearer, by the same factor, so that a minute is
//! played in milliseconds. `HEAPTIDE_SIMULATIONS` sets how many programs of each kind are played.

mod heap;
mod program;
mod random;
mod recorder;
mod workloads;

use std::thread;

use self::{
    program::Program,
    random::Random,
    recorder::{Played, name, play},
    workloads::SECONDS,
};
use super::{Estimate, Findings, Selection, findings};

/// How many programs of each kind are played.
const RUNS: u64 = 100;

/// Lines that make up less of the sum are not looked at.
const LEAST_SHARE: f64 = 0.02;

/// So many of a hundred intervals have to cover the truth, of all programs …
const LEAST_COVERED: f64 = 93.0;

/// … and of each kind. They are meant to be 95: bursts and periodic work fall short of that, as
/// docs/estimation.md says.
const LEAST_OF_KIND: f64 = 90.0;

/// A kind of programs, and how one of it is made.
type Kind = (&'static str, fn(&mut Random) -> Program);

const KINDS: [Kind; 7] = [
    ("leak", workloads::leak),
    ("phases", workloads::phases),
    ("threads", workloads::threads),
    ("caches", workloads::caches),
    ("periodic", workloads::periodic),
    ("in step", workloads::in_step),
    ("bursts", workloads::bursts),
];

/// How intervals of one metric compare with the truth.
#[derive(Default)]
struct Score {
    intervals: u32,
    /// Those that end below it, and those that begin above.
    low: u32,
    high: u32,
    errors: Vec<f64>,
    widths: Vec<f64>,
}

impl Score {
    fn add(&mut self, estimate: Estimate, truth: u64) {
        self.intervals += 1;
        self.low += u32::from(estimate.high < truth);
        self.high += u32::from(estimate.low > truth);
        let [found, low, high, truth] =
            [estimate.estimate, estimate.low, estimate.high, truth].map(as_float);
        self.errors.push((found - truth) / truth);
        self.widths.push((high - low) / 2.0 / truth);
    }

    fn merge(&mut self, other: Self) {
        self.intervals += other.intervals;
        self.low += other.low;
        self.high += other.high;
        self.errors.extend(other.errors);
        self.widths.extend(other.widths);
    }

    /// In percent.
    fn covered(&self) -> f64 {
        100.0 - 100.0 * f64::from(self.low + self.high) / f64::from(self.intervals)
    }

    fn line(&mut self, what: &str) -> String {
        let mut sizes: Vec<f64> = self.errors.iter().map(|it| it.abs()).collect();
        let mean = 100.0 * self.errors.iter().sum::<f64>() / f64::from(self.intervals);
        format!(
            "{what:24} {:6} {:7.1} % {:6} {:6} {mean:8.1} % {:7.1} % {:7.1} %",
            self.intervals,
            self.covered(),
            self.low,
            self.high,
            100.0 * median(&mut sizes),
            100.0 * median(&mut self.widths),
        )
    }
}

fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// How recordings of the programs of a kind compare with the truth: what they retain, and what
/// they allocate.
fn scores((_, make): Kind) -> [Score; 2] {
    let runs = std::env::var("HEAPTIDE_SIMULATIONS").ok();
    let runs = runs.and_then(|it| it.parse().ok()).unwrap_or(RUNS);
    let mut scores = [Score::default(), Score::default()];
    let [retained, allocated] = &mut scores;
    for seed in 0..runs {
        let mut random = Random::new(seed + 1);
        let program = make(&mut random);
        let Played { recorded, truth } = play(&program, SECONDS, random);
        let found = findings(&recorded, &Selection::default());
        compare(&found, &truth, |it| it.0, |it| it.retained, retained);
        compare(&found, &truth, |it| it.1, |it| it.allocated, allocated);
    }
    scores
}

fn compare(
    found: &Findings,
    truth: &[(u64, u64)],
    of_truth: fn(&(u64, u64)) -> u64,
    of_site: fn(&super::Site) -> Estimate,
    score: &mut Score,
) {
    let total: u64 = truth.iter().map(of_truth).sum();
    for (number, truth) in truth.iter().map(of_truth).enumerate() {
        if as_float(truth) < LEAST_SHARE * as_float(total) || truth == 0 {
            continue;
        }
        let site = found.sites.iter().find(|it| it.function == name(number));
        score.add(site.map(of_site).unwrap_or_default(), truth);
    }
}

use super::estimate::as_float;

#[test]
fn intervals_cover_the_truth() {
    let scores = thread::scope(|scope| {
        KINDS
            .map(|kind| scope.spawn(move || scores(kind)))
            .map(|scores| scores.join().unwrap())
    });
    let head = "intervals covered   below  above  mean error  error  width";
    println!("{:24} {head}", "");
    let mut all = [Score::default(), Score::default()];
    for ((kind, _), scores) in KINDS.iter().zip(scores) {
        for ((metric, mut score), all) in ["retained", "allocated"].iter().zip(scores).zip(&mut all)
        {
            println!("{}", score.line(&format!("{kind}: {metric}")));
            let covered = score.covered();
            assert!(covered >= LEAST_OF_KIND, "{kind}, {metric}: {covered} %");
            all.merge(score);
        }
    }
    for (metric, mut score) in ["retained", "allocated"].iter().zip(all) {
        println!("{}", score.line(&format!("all: {metric}")));
        assert!(
            score.covered() >= LEAST_COVERED,
            "{metric}: {} %",
            score.covered()
        );
    }
}
