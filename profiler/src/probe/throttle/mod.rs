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

use std::time::Duration;

/// Seconds of one busy processor that can be saved up: a tenth of [`SPAN`].
const BURST: f64 = 3.0;
/// Seconds of one busy processor that are there at the start: little, because nobody knows yet
/// how busy the target is.
const START: f64 = 1.0;
/// Over so many seconds the cost keeps to the limit, but for a tenth of it.
const SPAN: f64 = 30.0;
/// A window takes so many times less than the burst, if it may be long enough then …
const WINDOWS_IN_BURST: f64 = 1.8;
/// … and never lasts longer than this …
const LONGEST: f64 = 0.5;
/// Where a period is hardly longer than its window, the probes might as well stay open.
const HARDLY: f64 = 1.02;
/// Windows that are so dear that two of them do not fit into a span lie around the middle of their
/// periods, in so large a part of it.
const DEAR_JITTER: f64 = 0.3;
/// No period is longer, however little the target works.
const LONGEST_PERIOD: f64 = 600.0;
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
/// How long the price of a window is remembered, in seconds of open windows.
const COST_MEMORY: f64 = 0.1;
/// How long it is remembered how busy the target is, in seconds.
const WORK_MEMORY: f64 = 2.0;
/// The target has at least so small a part of a window for itself.
const LEAST_PROGRESS: f64 = 0.02;
/// Where it has less than one part in so many, what it would have done without probes is uncertain.
const CROWDED: f64 = 2.0;
/// No quotient is higher than this; what seems to be is an error of a clock.
const MAX_AVERAGE: f64 = 10_000.0;
/// How soon to look at a window that has just opened or is nearly spent …
const SOON: Duration = Duration::from_millis(2);
/// … and at one that is not.
const LATER: Duration = Duration::from_millis(100);

/// What is to be done with the probes now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Leave them as they are.
    Keep,
    /// Open them, and say when they are open: [`Throttle::opened`].
    Open(Window),
    /// Close them. So many times as much as by the weight of the window alone stands what was seen
    /// in it, because the probes slowed the target down, or because it is closed early.
    Close {
        /// How many times.
        correction: f64,
    },
}

/// How long it takes to open and close probes, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Closing takes so long, and the breakpoints may cost all the while.
    pub closing: f64,
    /// No window is shorter: with a shorter one, more would be spent in closing it.
    pub briefest: f64,
}

/// For how long probes are open, and what that stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// For how long what they see counts; `None` as long as it is affordable.
    pub length: Option<Duration>,
    /// For how many events one that is seen stands: one, if nothing is left out.
    pub weight: f64,
}

/// Decides for one process when the probes of one class of sites are open.
#[derive(Clone, Debug)]
pub struct Throttle {
    limit: f64,
    timing: Timing,
    /// Seconds that the probes may cost now; below zero, what they have cost too much.
    balance: f64,
    /// What open probes cost per second.
    spending: Average,
    /// The most that was of late, to choose windows that need not close early.
    peak: f64,
    /// The processors that the target keeps busy.
    work: Average,
    state: State,
    last: Option<Duration>,
    open_before: Duration,
    is_sampling: bool,
    is_crowded: bool,
    random: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing happens before the next period begins.
    Resting {
        until: Duration,
        /// How busy the target was when that was decided.
        work: f64,
    },
    /// The window of the period is still to come.
    Waiting { period: Period },
    /// The probes are open, as long as that is affordable (without a period) or for a window.
    Open {
        opened: Duration,
        work: f64,
        cost: f64,
        period: Option<Period>,
    },
}

/// A period and its window, as they were decided at its beginning.
#[derive(Clone, Copy, Debug)]
struct Period {
    opens: Duration,
    length: Duration,
    end: Duration,
    weight: f64,
    /// How busy the target was when it was planned.
    work: f64,
    /// What the window may cost.
    price: f64,
}

/// A quotient of two sums that forget.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    sum: f64,
    per: f64,
}

impl Throttle {
    /// A throttle that lets the probes cost `limit` of the target's processor time: 0.01 for 1 %.
    /// With zero it never opens.
    pub fn new(limit: f64, timing: Timing) -> Self {
        let limit = if limit > 0.0 { limit.min(1.0) } else { 0.0 };
        Self {
            limit,
            timing,
            balance: limit * START,
            spending: Average::default(),
            peak: 0.0,
            work: Average::default(),
            state: State::Resting {
                until: Duration::ZERO,
                work: f64::INFINITY,
            },
            last: None,
            open_before: Duration::ZERO,
            is_sampling: false,
            is_crowded: false,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Takes in what happened since the last call, and says what to do now.
    ///
    /// `target_cpu` is the target's own processor time, without that of the probes, and `cost`
    /// theirs, whether they are open or still closing. The first call opens. The sooner the
    /// calls come after one another, the finer the limit is kept: see [`Self::check_within`].
    pub fn observe(&mut self, now: Duration, target_cpu: Duration, cost: Duration) -> Order {
        let last = self.last.unwrap_or(now);
        let now = now.max(last);
        self.last = Some(now);
        let elapsed = now.saturating_sub(last).as_secs_f64();
        self.book(elapsed, target_cpu.as_secs_f64(), cost.as_secs_f64());
        match self.state {
            _ if self.limit <= 0.0 => Order::Keep,
            State::Resting { until, .. } if now >= until => self.begin(until, now),
            State::Resting { work, .. } if self.is_busier(work) => self.begin(now, now),
            State::Waiting { period } if self.is_busier(period.work) => self.begin(now, now),
            State::Waiting { period } if now >= period.opens => self.open(now, Some(period)),
            State::Open { .. } if self.is_over(now) => self.close(now),
            _ => Order::Keep,
        }
    }

    /// The probes that were told to open are open now.
    pub fn opened(&mut self, now: Duration) {
        if let State::Open { opened, .. } = &mut self.state {
            *opened = now.max(*opened);
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
            State::Waiting { period } => until(period.opens),
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

    fn book(&mut self, elapsed: f64, work: f64, cost: f64) {
        self.work.add(work, elapsed, elapsed / WORK_MEMORY);
        if let State::Open {
            work: worked,
            cost: spent,
            ..
        } = &mut self.state
        {
            *worked += work;
            *spent += cost;
            self.spending.add(cost, elapsed, elapsed / COST_MEMORY);
        }
        self.peak = (self.peak * (-elapsed / PEAK_MEMORY).exp()).max(self.spending.value());
        let most = self.burst().max(self.balance);
        self.balance = (self.balance + self.limit * work - cost).min(most);
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
            work,
            cost,
            period,
        } = self.state
        else {
            return false;
        };
        let age = now.saturating_sub(opened);
        if let Some(period) = period {
            return age >= period.length || cost > period.price;
        }
        // What closing will cost is spent already.
        let is_spent = self.balance <= self.price_of(self.timing.closing);
        let is_dear = cost > DEAR * self.limit * work;
        is_spent && (age >= MIN_WINDOW || is_dear)
    }

    fn open(&mut self, now: Duration, period: Option<Period>) -> Order {
        self.state = State::Open {
            opened: now,
            work: 0.0,
            cost: 0.0,
            period,
        };
        Order::Open(Window {
            length: period.map(|period| period.length),
            weight: period.map_or(1.0, |period| period.weight),
        })
    }

    fn close(&mut self, now: Duration) -> Order {
        self.open_before = self.open_time(now);
        self.is_sampling = true;
        let (until, work, correction) = match self.state {
            State::Open {
                opened,
                cost,
                period: Some(period),
                ..
            } => {
                let age = now.saturating_sub(opened).as_secs_f64();
                // A look may come at any time, also when nothing has happened yet.
                let age = age.max(SOON.as_secs_f64());
                let early = period.length.as_secs_f64() / age;
                let slowing = slowing(age, cost, self.work.value());
                self.is_crowded |= slowing > CROWDED;
                (period.end, period.work, early.max(1.0) * slowing)
            }
            _ => (now, f64::INFINITY, 1.0),
        };
        self.state = State::Resting { until, work };
        Order::Close { correction }
    }

    /// Begins a period where the last one ended, or opens for as long as that is affordable.
    fn begin(&mut self, last_end: Duration, now: Duration) -> Order {
        // Looks come a little late. Time that belonged to no period would stand for nothing.
        let is_late = now.saturating_sub(last_end) > LATER;
        let start = if is_late { now } else { last_end };
        let wanted = self.burst() / WINDOWS_IN_BURST;
        let length =
            (wanted / self.peak - self.timing.closing).clamp(self.timing.briefest, LONGEST);
        let price = self.price_of(length + self.timing.closing);
        let earning = self.limit * self.work.value();
        let (span, is_anywhere) = spacing(price, price - self.balance, earning);
        if span <= length * HARDLY {
            return self.open(now, None);
        }
        let chance = self.draw(now);
        let (from, to, probability) = if is_anywhere {
            anywhere(length, span, chance)
        } else {
            let from = (span - length) * (0.5 + (chance - 0.5) * DEAR_JITTER);
            (from, from + length, length / span)
        };
        let period = Period {
            opens: start + Duration::from_secs_f64(from),
            length: Duration::from_secs_f64(to - from),
            end: start + Duration::from_secs_f64(span),
            weight: 1.0 / probability,
            work: self.work.value(),
            price: (SURPRISE * price).max(self.burst()),
        };
        self.state = State::Waiting { period };
        Order::Keep
    }

    const fn burst(&self) -> f64 {
        self.limit * BURST
    }

    /// What so many seconds cost with the probes open, as far as is known.
    fn price_of(&self, seconds: f64) -> f64 {
        self.spending.value() * seconds
    }

    /// A number from 0 to 1, by xorshift. The time keeps the processes of one tree apart.
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
    fn draw(&mut self, now: Duration) -> f64 {
        let mut bits = self.random ^ u64::from(now.subsec_nanos());
        bits = bits.max(1);
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        self.random = bits;
        (bits >> 32) as f64 / f64::from(u32::MAX)
    }
}

/// How long a period is, in seconds, whose window costs `price` and which has to earn `needed`,
/// and whether the window may lie anywhere in it.
///
/// Windows at the ends of neighbouring periods are close together, so a span can hold two more
/// than it pays for, and looks that come late make them longer. Those that are dear need more
/// room, or a place around the middle.
fn spacing(price: f64, needed: f64, earning: f64) -> (f64, bool) {
    if needed <= 0.0 {
        return (0.0, true);
    }
    if earning <= 0.0 {
        return (LONGEST_PERIOD, true);
    }
    let bare = needed / earning;
    let share = price / (earning * SPAN);
    let left = 1.0 - 2.5 * share;
    let roomy = if left > 0.0 {
        bare * left.recip().max(1.0)
    } else {
        f64::INFINITY
    };
    let middle = bare.max(SPAN) / (1.0 - DEAR_JITTER);
    (roomy.min(middle).min(LONGEST_PERIOD), roomy <= middle)
}

/// How many times as much the target would have done in a window without the probes. Whoever
/// allocates holds the interpreter's lock, so what probes take is taken from one processor, or
/// from all that the target keeps busy.
fn slowing(age: f64, cost: f64, work: f64) -> f64 {
    let spent = cost / age;
    let taken = spent / work.max(1.0);
    1.0 / (1.0 - taken).max(LEAST_PROGRESS)
}

/// Where a window begins and ends in its period, and how probable it is that any moment lies in
/// it. So that moments at the ends are no less probable, the window may hang over at either side,
/// and what hangs over is cut off.
fn anywhere(length: f64, span: f64, chance: f64) -> (f64, f64, f64) {
    let from = (span + length) * chance - length;
    (
        from.max(0.0),
        (from + length).min(span),
        length / (span + length),
    )
}

impl Average {
    fn add(&mut self, sum: f64, per: f64, forget: f64) {
        let keep = (-forget).exp();
        self.sum = self.sum * keep + sum;
        self.per = self.per * keep + per;
    }

    fn value(self) -> f64 {
        if self.sum > 0.0 {
            (self.sum / self.per).min(MAX_AVERAGE)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests;
