//! A simulated target pays for its probes.

use std::ops::Range;

use proptest::prelude::*;

use super::*;

const LIMIT: f64 = 0.01;
const TIMING: Timing = Timing {
    closing: 0.05,
    briefest: 0.03,
};
/// How long a look can come too late, in milliseconds.
const LATE: u32 = 5;

/// What the target does for a while.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// The processors that it keeps busy.
    work: f64,
    /// What open probes cost, per processor time of the target.
    rate: f64,
}

const fn busy(rate: f64) -> Load {
    Load { work: 1.0, rate }
}

/// When the next look comes if it is not asked for, in milliseconds.
type Looks = Range<u32>;
const IRREGULAR: Looks = 50..100;

/// What a run came to, by the millisecond, in seconds since its start.
struct Run {
    work: Vec<f64>,
    cost: Vec<f64>,
    throttle: Throttle,
    /// When windows opened, in milliseconds.
    opened: Vec<u32>,
    /// For how much work each millisecond stands, by what was seen.
    estimate: Vec<f64>,
}

/// Plays a target whose load is a function of the millisecond. Opening takes 1 ms,
/// closing as long as the throttle thinks, and breakpoints cost as long as they may be there.
fn run(millis: u32, looks: Looks, is_heeding: bool, load: impl Fn(u32) -> Load) -> Run {
    play(
        Throttle::new(LIMIT, TIMING),
        millis,
        (looks, is_heeding),
        load,
    )
}

/// The same with a throttle of one's own.
fn play(
    mut throttle: Throttle,
    millis: u32,
    (looks, is_heeding): (Looks, bool),
    load: impl Fn(u32) -> Load,
) -> Run {
    let (mut work, mut cost, mut estimate) = (vec![0.0], vec![0.0], Vec::new());
    let (mut seen, mut next, mut costly, mut opened) = (0, 0, 0..0, Vec::new());
    let (mut counting, mut weight, mut begun) = (0..0, 1.0, 0);
    let mut random: u64 = 88_172_645_463_325_252;
    let closing = Duration::from_secs_f64(throttle.timing.closing).as_millis();
    let closing = u32::try_from(closing).unwrap();
    for now in 0..millis {
        if now == next {
            let at = Duration::from_millis(now.into());
            let since =
                |sums: &[f64]| Duration::from_secs_f64(sums[now as usize] - sums[seen as usize]);
            let passed = Passed {
                own: since(&work),
                cpu: since(&work) + since(&cost),
                cost: since(&cost),
                besides: Duration::ZERO,
                busy: Busy::default(),
            };
            match throttle.observe(at, passed) {
                Order::Open(window) => {
                    costly = now + 1..u32::MAX;
                    opened.push(now);
                    throttle.opened(at, Passed::default());
                    let millis = |length: Duration| u32::try_from(length.as_millis()).unwrap();
                    counting = now + 1..window.length.map_or(u32::MAX, |it| now + 1 + millis(it));
                    weight = window.weight;
                    begun = now as usize;
                }
                Order::Close { correction } => {
                    let seen = estimate[begun..].iter_mut();
                    seen.for_each(|it| *it *= weight * correction);
                    costly.end = now + closing;
                    counting.end = counting.end.min(now);
                }
                Order::Keep => {}
            }
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let chance = u32::try_from(random >> 33).unwrap();
            let asked = u32::try_from(throttle.check_within().as_millis()).unwrap();
            let own = looks.start + chance % (looks.end - looks.start);
            let asked = if is_heeding {
                asked + chance % LATE
            } else {
                own
            };
            (seen, next) = (now, now + own.min(asked));
        }
        let load = load(now);
        let rate = if costly.contains(&now) {
            load.rate
        } else {
            0.0
        };
        // Open probes make the target slower, unless it has time to spare.
        let done = load.work.min(load.work.max(1.0) / (1.0 + rate));
        let counted = counting.contains(&now).then_some(done / 1000.0);
        estimate.push(counted.unwrap_or_default());
        work.push(work[now as usize] + done / 1000.0);
        cost.push(cost[now as usize] + done * rate / 1000.0);
    }
    Run {
        work,
        cost,
        throttle,
        opened,
        estimate,
    }
}

const TEN_SECONDS: usize = 10_000;

impl Run {
    fn cost_share(&self) -> f64 {
        self.cost.last().unwrap() / self.work.last().unwrap()
    }

    /// Work and cost of any ten seconds after the first ten seconds.
    fn ten_seconds(&self) -> impl Iterator<Item = (f64, f64)> {
        let sum = |sums: &[f64], start: usize| sums[start + TEN_SECONDS] - sums[start];
        let starts = (10_000..self.cost.len() - TEN_SECONDS).step_by(10);
        starts.map(move |start| (sum(&self.work, start), sum(&self.cost, start)))
    }

    fn open_time(&self, seconds: u64) -> Duration {
        self.throttle.open_time(Duration::from_secs(seconds))
    }
}

#[track_caller]
fn check_ten_seconds(run: &Run) {
    for (work, cost) in run.ten_seconds() {
        assert!(cost <= 1.12 * LIMIT * work, "{cost} s for {work} s of work");
    }
}

#[test]
fn probes_that_cost_less_than_the_limit_stay_open() {
    for rate in [0.0, 0.001, 0.009] {
        let run = run(60_000, IRREGULAR, true, |_| busy(rate));
        assert!(run.throttle.is_open() && !run.throttle.is_sampling());
        assert_eq!(run.opened, [0]);
        assert!(run.open_time(60) >= Duration::from_millis(59_999));
    }
}

#[test]
fn probes_that_cost_more_open_in_windows_that_the_limit_pays_for() {
    for (rate, observed) in [
        (0.02, 0.4),
        (0.05, 0.11),
        (0.5, 4e-3),
        (1.0, 2e-3),
        (3.0, 5e-4),
    ] {
        let run = run(300_000, IRREGULAR, true, |_| busy(rate));
        check_ten_seconds(&run);
        assert!(run.cost[60_000] <= 1.02 * LIMIT * (60.0 + BURST), "{rate}");
        assert!(run.throttle.is_sampling());
        assert!(run.opened[1] < 70_000, "{rate}");
        let seen = run.open_time(300).as_secs_f64() / 300.0;
        assert!(seen >= observed, "{seen} of the time at {rate}");
    }
}

#[test]
fn who_looks_late_pays_with_fewer_windows() {
    for rate in [0.05, 0.5, 3.0] {
        let run = run(300_000, IRREGULAR, false, |_| busy(rate));
        assert!(run.cost_share() <= 1.02 * LIMIT, "{rate}");
        assert!(run.opened.len() > 1);
    }
}

#[test]
fn a_rate_that_jumps_a_hundredfold_is_stopped_in_time() {
    let jump = |now| busy(if now < 40_000 { 0.005 } else { 0.5 });
    let run = run(120_000, IRREGULAR, true, jump);
    check_ten_seconds(&run);
    assert!(run.throttle.is_sampling());
    assert_eq!(run.opened[0], 0);
    assert!(run.opened[1] > 40_000);
}

#[test]
fn a_target_that_turns_cheap_gets_its_probes_back_for_good() {
    let calm = |now| busy(if now < 60_000 { 0.5 } else { 0.005 });
    let run = run(120_000, IRREGULAR, true, calm);
    assert!(run.throttle.is_open() && run.throttle.is_sampling());
    let last = *run.opened.last().unwrap();
    assert!(last < 75_000, "{last} ms");
}

#[test]
fn an_idle_target_is_watched_and_costs_nothing() {
    let idle = Load {
        work: 0.0,
        rate: 3.0,
    };
    let run = run(60_000, IRREGULAR, true, |_| idle);
    assert!(run.throttle.is_open() && !run.throttle.is_sampling());
    assert!(run.open_time(60) >= Duration::from_millis(59_999));
}

#[test]
fn a_target_that_wakes_up_is_soon_looked_at() {
    let wakes = |now| Load {
        work: if (1000..100_000).contains(&now) {
            0.0
        } else {
            1.0
        },
        rate: 0.3,
    };
    let run = run(120_000, IRREGULAR, true, wakes);
    let awake = |opened: &&u32| (100_000..110_000).contains(*opened);
    assert!(run.opened.iter().filter(awake).count() > 1);
}

/// What the windows make of the work of a target that is busy now and then, over many runs.
fn mean_estimate(loads: impl Fn(u32) -> Load) -> f64 {
    let runs = 100;
    let estimates = (0..runs).map(|number| {
        // Each run begins at another moment of the same pattern.
        let run = run(120_000, IRREGULAR, true, |now| loads(now + number * 1777));
        run.estimate.iter().sum::<f64>() / run.work.last().unwrap()
    });
    estimates.sum::<f64>() / f64::from(runs)
}

#[test]
fn what_windows_show_stands_for_the_whole() {
    let burst = |every: u32, lasts: u32, rate| {
        move |now: u32| Load {
            work: if now % every < lasts { 1.0 } else { 0.05 },
            rate,
        }
    };
    let steady = mean_estimate(|_| busy(0.3));
    let short = mean_estimate(burst(1100, 90, 0.3));
    // Dearer windows lie around the middle of long periods, and bursts may hide from them.
    let long = mean_estimate(burst(13_000, 4000, 0.2));
    let phases = mean_estimate(|now| busy(if now / 10_000 % 2 == 0 { 0.02 } else { 0.8 }));
    for (name, ratio) in [
        ("steady", steady),
        ("short bursts", short),
        ("long bursts", long),
        ("phases", phases),
    ] {
        assert!((0.75..1.25).contains(&ratio), "{name}: {ratio}");
    }
}

#[test]
fn pairs_of_windows_stand_for_the_whole_as_well() {
    let timing = Timing {
        closing: 0.005,
        briefest: 0.005,
    };
    for rate in [0.3, 0.9] {
        let load = |now: u32| Load {
            work: if (now / 7000).is_multiple_of(2) {
                1.0
            } else {
                0.4
            },
            rate,
        };
        let (mut seen, mut worked, mut gaps) = (0.0, 0.0, Vec::new());
        for number in 0..20 {
            let throttle = Throttle::new(LIMIT, timing).expecting(rate);
            let run = play(throttle, 120_000, (IRREGULAR, true), |now| {
                load(now + number * 777)
            });
            for (work, cost) in run.ten_seconds() {
                // Where it turns quiet, two pairs were planned for a busy one.
                let pairs = 0.05 * rate.min(1.0);
                assert!(
                    cost <= 1.12 * LIMIT * work + pairs,
                    "{cost} s for {work} s of work"
                );
            }
            seen += run.estimate.iter().sum::<f64>();
            worked += run.work.last().unwrap();
            gaps.extend(run.opened.windows(2).map(|pair| pair[1] - pair[0]));
        }
        assert!((0.8..1.2).contains(&(seen / worked)), "{}", seen / worked);
        let near = gaps.iter().filter(|gap| (10..100).contains(*gap)).count();
        assert!(near * 20 > gaps.len(), "{near} of {}", gaps.len());
    }
}

#[test]
fn work_at_regular_times_does_not_hide_between_the_windows() {
    let run = run(300_000, 50..51, true, |_| busy(0.1));
    for eighth in 0..8 {
        let is_met = |opened: &u32| opened % 1000 / 125 == eighth;
        assert!(run.opened.iter().any(is_met), "{eighth}");
    }
}

#[test]
fn without_a_budget_the_probes_stay_closed() {
    for limit in [0.0, -1.0, f64::NAN] {
        let mut throttle = Throttle::new(limit, TIMING);
        let (now, work) = (Duration::from_secs(1), Duration::from_secs(1));
        let passed = Passed {
            own: work,
            cpu: work,
            ..Passed::default()
        };
        assert_eq!(throttle.observe(now, passed), Order::Keep);
    }
}

/// What the target does for some seconds; rates of every magnitude up to 300 %.
fn loads() -> impl Strategy<Value = Vec<(u32, Load)>> {
    let load = (0.0..4.0, -9.0..1.1).prop_map(|(work, rate): (f64, f64)| Load {
        work,
        rate: rate.exp(),
    });
    proptest::collection::vec((1..20_u32, load), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nobody can know a jump before it has cost something: a late look and the closing.
    #[test]
    fn only_what_comes_as_a_surprise_breaks_the_limit(loads in loads(), is_heeding: bool) {
        let plan: Vec<Load> = loads.iter()
            .flat_map(|(seconds, load)| std::iter::repeat_n(*load, *seconds as usize))
            .chain([busy(0.0); 40])
            .collect();
        let millis = u32::try_from(plan.len()).unwrap() * 1000;
        let run = run(millis, IRREGULAR, is_heeding, |now| plan[now as usize / 1000]);
        let dearest = plan.iter().map(|load| load.work * load.rate).fold(0.0, f64::max);
        let surprise = dearest * (0.1 + TIMING.closing);
        // The target can have turned busier since the rate was seen.
        let most = |of: fn(&Load) -> f64| plan.iter().map(of).fold(0.0, f64::max);
        let brief = TIMING.briefest + TIMING.closing;
        let price = most(|load| load.work) * most(|load| load.rate) * brief;
        let saved = price.max(LIMIT * BURST);
        let whole = (*run.work.last().unwrap(), *run.cost.last().unwrap());
        for (work, cost) in run.ten_seconds().chain([whole]) {
            let allowed = LIMIT * work + saved + surprise;
            prop_assert!(cost <= allowed, "{} of {}", cost, allowed);
        }
    }

    #[test]
    fn any_clock_is_survived(
        limit: f64,
        calls in proptest::collection::vec(any::<(Duration, Duration, Duration)>(), 0..50),
    ) {
        let mut throttle = Throttle::new(limit, TIMING);
        for (now, own, cost) in calls {
            let was_open = throttle.is_open();
            let passed = Passed { own, cpu: own, cost, ..Passed::default() };
            let is_open = match throttle.observe(now, passed) {
                Order::Keep => was_open,
                Order::Open(window) => {
                    prop_assert!(!was_open && window.weight >= 1.0);
                    throttle.opened(now, Passed::default());
                    true
                }
                Order::Close { correction } => {
                    prop_assert!(was_open && correction >= 1.0);
                    false
                }
            };
            prop_assert_eq!(throttle.is_open(), is_open);
            prop_assert!((SOON..=LATER).contains(&throttle.check_within()));
            prop_assert!(throttle.open_time(now) <= Duration::MAX);
        }
    }
}

const SHORT: Timing = Timing {
    closing: 0.002,
    briefest: 0.001,
};

#[test]
fn probes_that_are_dear_open_in_windows_from_the_first_on() {
    let mut throttle = Throttle::new(LIMIT, SHORT).expecting(0.9);
    let mut order = throttle.observe(Duration::ZERO, Passed::default());
    let mut now = Duration::ZERO;
    while !matches!(order, Order::Open(_)) {
        now += Duration::from_millis(2);
        let own = Duration::from_millis(2);
        order = throttle.observe(
            now,
            Passed {
                own,
                cpu: own,
                ..Passed::default()
            },
        );
    }
    let Order::Open(window) = order else {
        unreachable!()
    };
    assert!(window.length.is_some(), "{window:?}");
}

#[test]
fn probes_that_turn_out_cheap_stay_open_after_a_few_windows() {
    let throttle = Throttle::new(LIMIT, SHORT).expecting(0.9);
    let run = play(throttle, 20_000, (IRREGULAR, true), |_| busy(0.000_1));
    assert!(run.opened.len() <= 5, "{:?}", run.opened);
    assert!(run.throttle.is_open());
    assert!(run.opened.last().unwrap() < &5_000, "{:?}", run.opened);
}
