//! When the probes of one class of sites are open, so that what they cost stays below a limit.
//!
//! The work of the target pays: it earns a share of its processor time, and open probes spend
//! it. Where the probes cost less than that they stay open for always. Where they cost more they
//! open in windows. Time is divided into periods, and each period has one window at a random
//! place in it. How long the period and the window are, and so with which probability any moment
//! is observed, is decided before the period begins, from what happened before it. That is what
//! makes samples unbiased however the target works: what a window shows stands for so many times
//! as much ([`Window::weight`]), and no burst of the target can make its own window shorter, or
//! its own weight larger. What a window has cost too much makes the next period longer.

mod average;
mod geometry;
mod period;
mod random;
mod terms;

use std::time::Duration;

use self::{
    average::{Average, Lesson},
    geometry::{anywhere, log_between, slowing, spacing},
    period::Period,
};
pub use self::{
    random::Random,
    terms::{Busy, Order, Passed, Timing, Window},
};

/// Seconds of one busy processor that can be saved up: a tenth of [`SPAN`].
const BURST: f64 = 1.0;
/// Seconds of one busy processor that are there at the start: little, because nobody knows yet
/// how busy the target is.
const START: f64 = 0.5;
/// Over so many seconds the cost keeps to the limit, but for a tenth of it.
const SPAN: f64 = 10.0;
/// A window takes so many times less than the burst, if it may be long enough then …
const WINDOWS_IN_BURST: f64 = 1.8;
/// … or where windows come in pairs: the more there are, the less is left to chance …
const PAIRED_WINDOWS_IN_BURST: f64 = 16.0;
/// … and never lasts longer than this, or than what fits into the ring …
const LONGEST: f64 = 0.5;
const LONGEST_OF_MANY_HITS: f64 = 0.005;
/// Where a period is hardly longer than its window, the probes might as well stay open.
const HARDLY: f64 = 1.02;
/// Windows that are so dear that two of them do not fit into a span lie around the middle of their
/// periods, in so large a part of it.
const DEAR_JITTER: f64 = 0.3;
/// A target that works so many times as much as the period was planned for ends it: the window
/// that is still to come, if it is, is planned anew.
const BUSIER: f64 = 1.5;
/// Less work than that is as good as none, in processors.
const LEAST_WORK: f64 = 0.01;
/// Probes that turn out dear when they have just opened stay open for so long, to show something …
const MIN_WINDOW: Duration = Duration::from_millis(100);
/// … but close at once where they cost so many times what they may.
const DEAR: f64 = 5.0;
/// A window closes early only where it costs so many times what was expected.
const SURPRISE: f64 = 2.0;
/// How long the highest price is remembered, in seconds.
const PEAK_MEMORY: f64 = 60.0;
/// What is lost around a window is the average of about so many of them.
const LOSSES: f64 = 8.0;
/// How long the price of a window is remembered, in seconds of open windows.
const COST_MEMORY: f64 = 0.05;
/// How long it is remembered how busy the target is, in seconds.
const WORK_MEMORY: f64 = 2.0;
/// How long it is remembered how busy it is while nothing slows it down, in seconds. What it does
/// in a window is compared with that, so it must not be of another phase.
const PACE_MEMORY: f64 = 0.4;
/// Where it has less than one part in so many, what it would have done without probes is uncertain.
const CROWDED: f64 = 2.0;
/// How soon to look at a window that has just opened or is nearly spent …
const SOON: Duration = Duration::from_millis(2);
/// … and at one that is not.
const LATER: Duration = Duration::from_millis(100);

/// Where probes are dear, so large a part of what a period spends is earned in it: the rest may
/// have been saved before.
const EARNED: f64 = 0.5;

/// The windows of a pair are at least so many times as far apart as one takes.
const LAG: f64 = 1.2;

/// So large a part of the limit is left when what the probes show comes too fast.
const RELIEF: f64 = 0.6;

/// The limit of probes that may cost whatever they cost.
pub const UNLIMITED: f64 = 1e9;

/// Decides for one process when the probes of one class of sites are open.
#[derive(Clone, Debug)]
pub struct Throttle {
    limit: f64,
    /// Windows are no longer, in seconds.
    longest: f64,
    /// Whether windows come in pairs.
    has_pairs: bool,
    timing: Timing,
    /// Seconds that the probes may cost now; below zero, what they have cost too much.
    balance: f64,
    /// What open probes cost per second.
    spending: Average,
    /// The most that was of late, to choose windows that need not close early.
    peak: f64,
    /// What a window costs besides, while its probes are being opened and closed.
    lost: Average,
    /// The processors that the target keeps busy.
    work: Average,
    /// The same without any probes open, by the time on processors alone.
    pace: Average,
    state: State,
    last: Option<Duration>,
    open_before: Duration,
    windows: u64,
    is_sampling: bool,
    is_crowded: bool,
    random: Random,
    /// What the first windows cost, as long as there is nothing but an expectation besides.
    lesson: Option<Lesson>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing happens before the next period begins.
    Resting {
        until: Duration,
        /// How busy the target was when that was decided.
        work: f64,
    },
    /// A window of the period is still to come.
    Waiting {
        period: Period,
        second: Option<Period>,
    },
    /// The probes are open, as long as that is affordable (without a period) or for a window.
    Open {
        opened: Duration,
        /// What the target did since.
        passed: Passed,
        period: Option<Period>,
        second: Option<Period>,
    },
}

impl Throttle {
    /// A throttle that lets the probes cost `limit` of the target's processor time: 0.01 for 1 %.
    /// With zero it never opens, with [`UNLIMITED`] it never closes.
    pub fn new(limit: f64, timing: Timing) -> Self {
        let limit = if limit > 0.0 {
            limit.min(UNLIMITED)
        } else {
            0.0
        };
        Self {
            limit,
            longest: LONGEST,
            has_pairs: false,
            timing,
            balance: limit * START,
            spending: Average::default(),
            peak: 0.0,
            lost: Average::default(),
            work: Average::default(),
            pace: Average::default(),
            state: State::Resting {
                until: Duration::ZERO,
                work: f64::INFINITY,
            },
            last: None,
            open_before: Duration::ZERO,
            windows: 0,
            is_sampling: false,
            is_crowded: false,
            random: Random::default(),
            lesson: None,
        }
    }

    /// A throttle for probes of which it is known that they cost about so much when they are open,
    /// in processors. It opens in windows from the start, unless they turn out cheap; and in pairs
    /// of windows, any time apart, which show what becomes within that time of what one shows.
    #[must_use]
    pub fn expecting(mut self, price: f64) -> Self {
        self.spending = Average::of(price, COST_MEMORY);
        self.peak = price;
        self.longest = LONGEST_OF_MANY_HITS;
        self.has_pairs = true;
        self.work.add(1.0, 1.0, 0.0);
        self.lesson = Some(Lesson::default());
        self
    }

    /// Takes in what happened since the last call, and says what to do now. The first call opens,
    /// if nothing is known yet. The sooner the calls come after one another, the finer the limit
    /// is kept: see [`Self::check_within`].
    pub fn observe(&mut self, now: Duration, passed: Passed) -> Order {
        let last = self.last.unwrap_or(now);
        let now = now.max(last);
        self.last = Some(now);
        let elapsed = now.saturating_sub(last).as_secs_f64();
        self.book(elapsed, passed);
        self.book_open(elapsed, passed);
        match self.state {
            _ if self.limit <= 0.0 => Order::Keep,
            State::Resting { until, .. } if now >= until => self.begin(until, now),
            State::Resting { work, .. } if self.is_busier(work) => self.begin(now, now),
            State::Waiting { period, .. } if self.is_busier(period.work) => self.begin(now, now),
            State::Waiting { period, second } if now >= period.opens => {
                self.open(now, Some(period), second)
            }
            State::Open { .. } if self.is_over(now) => self.close(now),
            _ => Order::Keep,
        }
    }

    /// The probes that were told to open are open now, after so much has passed.
    pub fn opened(&mut self, now: Duration, passed: Passed) {
        let last = self.last.unwrap_or(now);
        let now = now.max(last);
        self.last = Some(now);
        self.book(now.saturating_sub(last).as_secs_f64(), passed);
        let least = self.timing.briefest;
        self.lost.add_usual(passed.spent(), least, 1.0 / LOSSES);
        if let State::Open { opened, .. } = &mut self.state {
            *opened = now;
        }
    }

    /// What the probes show comes faster than it can be taken in: from now on they show less.
    pub fn relieve(&mut self) {
        if self.limit < UNLIMITED {
            self.limit *= RELIEF;
            self.balance = self.balance.min(0.0);
        }
    }

    /// Whether the probes are open, or were told to open.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Whether the probes were ever closed, so that what they saw is a sample in time.
    pub const fn is_sampling(&self) -> bool {
        self.is_sampling
    }

    /// Whether probes took most of the time of a window, so that it is uncertain for how much it
    /// stands what was seen in it.
    pub const fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    /// For how long the probes have been open, as far as what they saw counts.
    pub fn open_time(&self, now: Duration) -> Duration {
        self.open_before.saturating_add(self.open_now(now))
    }

    /// How often the probes were opened.
    pub const fn windows(&self) -> u64 {
        self.windows
    }

    fn open_now(&self, now: Duration) -> Duration {
        let State::Open { opened, period, .. } = self.state else {
            return Duration::ZERO;
        };
        let open = now.saturating_sub(opened);
        period.map_or(open, |period| open.min(period.length))
    }

    /// How soon the next call should come. Where windows are dear, all that is lost by coming
    /// later is earned back by opening less often.
    pub fn check_within(&self) -> Duration {
        let last = self.last.unwrap_or_default();
        let until = |time: Duration| time.saturating_sub(last);
        let due = match self.state {
            State::Resting { until: end, .. } => until(end),
            State::Waiting { period, .. } => until(period.opens),
            State::Open { opened, period, .. } => {
                let end = period.map_or(LATER, |period| until(opened + period.length));
                // What a window costs shows only in it: the younger it is, the sooner to look.
                end.min(self.affordable())
                    .min(last.saturating_sub(opened).max(SOON))
            }
        };
        due.clamp(SOON, LATER)
    }

    /// For how long the probes can stay open, as things are going.
    fn affordable(&self) -> Duration {
        let loss = self.price_of(1.0) - self.limit * self.work.value();
        if loss <= 0.0 {
            return LATER;
        }
        let left = (self.balance - self.price_of(self.timing.closing)) / loss;
        Duration::from_secs_f64(left.clamp(0.0, LATER.as_secs_f64()))
    }

    fn book(&mut self, elapsed: f64, passed: Passed) {
        let [work, cpu] = [passed.own, passed.cpu].map(|duration| duration.as_secs_f64());
        let cost = passed.spent();
        self.work.add(work, elapsed, elapsed / WORK_MEMORY);
        if !self.is_open() {
            let own = (cpu - cost).max(0.0);
            self.pace.add(own, elapsed, elapsed / PACE_MEMORY);
            self.lost.add(cost, 0.0, 0.0);
        }
        let most = self.burst().max(self.balance);
        self.balance = (self.balance + self.limit * work - cost).min(most);
    }

    /// What happened while probes were open, if they are. What happens while they are written is no
    /// part of it: that takes a while, and costs little in it.
    fn book_open(&mut self, elapsed: f64, passed: Passed) {
        if let State::Open { passed: so_far, .. } = &mut self.state {
            *so_far += passed;
            (self.spending).add(passed.spent(), elapsed, elapsed / COST_MEMORY);
        }
        self.peak = (self.peak * (-elapsed / PEAK_MEMORY).exp()).max(self.spending.value());
    }

    /// Whether the target is much busier than it was. Ending a period for it leaves what is past as
    /// probable as it was, and what is to come gets a new probability, so samples stay unbiased.
    fn is_busier(&self, than: f64) -> bool {
        self.work.value() > BUSIER * than.max(LEAST_WORK)
    }

    /// Whether the open probes have to close.
    fn is_over(&self, now: Duration) -> bool {
        let State::Open {
            opened,
            passed,
            period,
            ..
        } = self.state
        else {
            return false;
        };
        let (work, cost) = (passed.own.as_secs_f64(), passed.spent());
        let age = now.saturating_sub(opened);
        if let Some(period) = period {
            return age >= period.length || cost > period.price;
        }
        // What closing will cost is spent already.
        let is_spent = self.balance <= self.price_of(self.timing.closing);
        let is_dear = cost > DEAR * self.limit * work;
        is_spent && (age >= MIN_WINDOW || is_dear)
    }

    fn open(&mut self, now: Duration, period: Option<Period>, second: Option<Period>) -> Order {
        self.windows += 1;
        self.state = State::Open {
            opened: now,
            passed: Passed::default(),
            period,
            second,
        };
        Order::Open(Window {
            length: period.map(|period| period.length),
            weight: period.map_or(1.0, |period| period.weight),
        })
    }

    fn close(&mut self, now: Duration) -> Order {
        self.open_before = self.open_time(now);
        self.is_sampling = true;
        let mut next = None;
        let (until, work, correction) = match self.state {
            State::Open {
                opened,
                passed,
                period: Some(period),
                second,
                ..
            } => {
                next = second;
                let age = now.saturating_sub(opened).as_secs_f64();
                self.learn(passed.spent(), age);
                // A look may come at any time, also when nothing has happened yet.
                let age = age.max(SOON.min(period.length).as_secs_f64());
                let early = period.length.as_secs_f64() / age;
                let slowing = slowing(passed, age, self.pace.known());
                self.is_crowded |= slowing > CROWDED;
                (period.end, period.work, early.max(1.0) * slowing)
            }
            _ => (now, f64::INFINITY, 1.0),
        };
        self.state = match next {
            Some(period) => State::Waiting {
                period,
                second: None,
            },
            None => State::Resting { until, work },
        };
        Order::Close { correction }
    }

    /// A window cost so much. The first ones say more than what was expected before them.
    fn learn(&mut self, cost: f64, age: f64) {
        if let Some(price) = self.lesson.as_mut().and_then(|it| it.learn(cost, age)) {
            self.spending = Average::of(price, COST_MEMORY);
            self.peak = price;
            self.lesson = None;
        }
    }

    /// What a period has to earn whose windows cost `price`. Savings alone are no reason to open
    /// probes for as long as that is affordable: those that are dear would use them up at once.
    fn needed(&self, price: f64, earning: f64) -> f64 {
        let needed = price - self.balance;
        if self.has_pairs && self.spending.value() > earning {
            return needed.max(EARNED * price);
        }
        needed
    }

    /// Begins a period where the last one ended, or opens for as long as that is affordable.
    fn begin(&mut self, last_end: Duration, now: Duration) -> Order {
        // Looks come a little late. Time that belonged to no period would stand for nothing.
        let is_late = now.saturating_sub(last_end) > LATER;
        let start = if is_late { now } else { last_end };
        let length = self.length();
        let each = self.price_of(length) + self.price_around();
        let windows = if self.has_pairs { 2.0 } else { 1.0 };
        let price = windows * each;
        let earning = self.limit * self.work.value();
        let (span, is_anywhere) = spacing(price, self.needed(price, earning), earning);
        if span <= windows * length * HARDLY {
            return self.open(now, None, None);
        }
        let (chance, apart) = (self.random.draw(now), self.random.draw(now));
        let place = |chance: f64| {
            if is_anywhere {
                anywhere(length, span, chance)
            } else {
                let from = (span - length) * (0.5 + (chance - 0.5) * DEAR_JITTER);
                (from, from + length, length / span)
            }
        };
        let period = |(from, to, probability): (f64, f64, f64)| Period {
            opens: start + Duration::from_secs_f64(from),
            length: Duration::from_secs_f64(to - from),
            end: start + Duration::from_secs_f64(span),
            weight: 1.0 / probability,
            work: self.work.value(),
            price: (SURPRISE * each).max(self.burst()),
        };
        let first = period(place(chance));
        let shortest = LAG * (length + self.timing.closing);
        self.state = if self.has_pairs && is_anywhere && 2.0 * shortest < span {
            let lag = log_between(shortest, span / 2.0, apart);
            let second = period(place((chance + lag / (span + length)).fract()));
            let [period, second] = Period::pair(first, second);
            State::Waiting {
                period,
                second: Some(second),
            }
        } else {
            State::Waiting {
                period: first,
                second: None,
            }
        };
        Order::Keep
    }

    /// How long windows are: those that come in pairs as short as they may be without losing more
    /// around them than in them.
    fn length(&self) -> f64 {
        let Timing { closing, briefest } = self.timing;
        let wanted = if self.has_pairs {
            let around = self.price_around();
            (self.burst() / PAIRED_WINDOWS_IN_BURST - around).max(around) / self.peak
        } else {
            self.burst() / WINDOWS_IN_BURST / self.peak - closing
        };
        wanted.clamp(briefest, self.longest.max(briefest))
    }

    /// What a window costs besides, while its probes are opened and closed.
    fn price_around(&self) -> f64 {
        let known = self.lost.known().filter(|_| self.has_pairs);
        known.unwrap_or_else(|| self.price_of(self.timing.closing))
    }

    const fn burst(&self) -> f64 {
        self.limit * BURST
    }

    /// What so many seconds cost with the probes open, as far as is known.
    fn price_of(&self, seconds: f64) -> f64 {
        self.spending.value() * seconds
    }
}

#[cfg(test)]
mod tests;
