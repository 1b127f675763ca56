//! When the probes of big blocks are open, so that what they cost stays below a limit.
//!
//! The work of the target pays: it earns a share of its processor time, and open probes spend
//! it. Where the probes cost less than that they stay open for always. Where they cost more they
//! open in windows, each paid for before it opens. What was spent too much is earned back first,
//! by work and not by waiting, so that the average holds however long it takes.

use std::time::Duration;

/// Seconds of one busy processor that can be saved up: a tenth of [`SPAN`].
const BURST: f64 = 3.0;
/// Over so many seconds the cost keeps to the limit, but for a tenth of it.
const SPAN: f64 = 30.0;
/// Closing takes so long, and the breakpoints may cost all the while.
const CLOSING: f64 = 0.05;
/// Windows are to last from here on, if they are paid for …
const SHORTEST: f64 = 0.35;
/// … to so many times as much, by chance, so that no periodic work hides between them: half a
/// second, give or take 30 %.
const SPREAD: f64 = 1.3 / 0.7;
/// Where that is more than the burst pays, they last at least so long, which is most of the way
/// to where more of it is spent in the window than in closing it.
const BRIEFEST: f64 = 0.03;
/// A window that turns out dearer than expected shows something only if it lasts …
const MIN_WINDOW: Duration = Duration::from_millis(100);
/// … but closes at once where it costs so many times what it may.
const DEAR: f64 = 5.0;
/// How long the price of a window is remembered, in seconds of open windows.
const COST_MEMORY: f64 = 0.2;
/// How long it is remembered how busy the target is, in seconds.
const WORK_MEMORY: f64 = 2.0;
/// No quotient is higher than this; what seems to be is an error of a clock.
const MAX_AVERAGE: f64 = 10_000.0;
/// How soon to look at a window that has just opened or is nearly spent …
const SOON: Duration = Duration::from_millis(10);
/// … and at one that is not.
const LATER: Duration = Duration::from_millis(100);

/// What is to be done with the probes now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Leave them as they are.
    Keep,
    /// Open them.
    Open,
    /// Close them.
    Close,
}

/// Decides for one process when the probes of big blocks are open.
#[derive(Clone, Debug)]
pub struct Throttle {
    limit: f64,
    /// Seconds that the probes may cost now; below zero, what they have cost too much.
    balance: f64,
    /// What the open probes cost, per processor time of the target.
    rate: Average,
    /// The processors that the target keeps busy.
    work: Average,
    window: Option<Window>,
    last: Option<Duration>,
    open_before: Duration,
    is_sampling: bool,
    /// How much longer than at least to save for the next window.
    stretch: f64,
    random: u64,
}

/// The window that is open.
#[derive(Clone, Copy, Debug)]
struct Window {
    opened: Duration,
    work: f64,
    cost: f64,
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
    pub fn new(limit: f64) -> Self {
        let limit = if limit > 0.0 { limit.min(1.0) } else { 0.0 };
        Self {
            limit,
            balance: limit * BURST,
            rate: Average::default(),
            work: Average::default(),
            window: None,
            last: None,
            open_before: Duration::ZERO,
            is_sampling: false,
            stretch: 1.0,
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
        let (work, cost) = (target_cpu.as_secs_f64(), cost.as_secs_f64());
        self.work.add(work, elapsed, elapsed / WORK_MEMORY);
        if let Some(window) = &mut self.window {
            window.work += work;
            window.cost += cost;
            self.rate.add(cost, work, elapsed / COST_MEMORY);
        }
        let gain = self.limit * work - cost;
        match self.window {
            Some(window) => self.keep_or_close(now, gain, window),
            None => self.keep_or_open(now, gain),
        }
    }

    /// Whether the probes are open, or were told to open.
    pub const fn is_open(&self) -> bool {
        self.window.is_some()
    }

    /// Whether the probes were ever closed, so that what they saw is a sample in time.
    pub const fn is_sampling(&self) -> bool {
        self.is_sampling
    }

    /// For how long the probes have been open, from order to order.
    pub fn open_time(&self, now: Duration) -> Duration {
        let open = self.window.map(|window| now.saturating_sub(window.opened));
        self.open_before + open.unwrap_or_default()
    }

    /// How soon the next call should come. Where windows are dear, all that is lost by coming
    /// later is earned back by opening less often.
    pub fn check_within(&self) -> Duration {
        let (Some(window), Some(last)) = (self.window, self.last) else {
            return LATER;
        };
        // What a window costs shows only in it: the younger it is, the sooner to look.
        let age = last.saturating_sub(window.opened);
        let loss = self.price_of(1.0) - self.limit * self.work.value();
        let left = (self.balance - self.price_of(CLOSING)) / loss;
        let later = LATER.as_secs_f64();
        let left = if loss > 0.0 {
            left.clamp(0.0, later)
        } else {
            later
        };
        Duration::from_secs_f64(left).min(age).clamp(SOON, LATER)
    }

    fn keep_or_close(&mut self, now: Duration, gain: f64, window: Window) -> Order {
        let most = self.burst().max(self.balance);
        self.balance = (self.balance + gain).min(most);
        let age = now.saturating_sub(window.opened);
        let is_dear = window.cost > DEAR * self.limit * window.work;
        // What closing will cost is spent already.
        let is_spent = self.balance <= self.price_of(CLOSING);
        if !is_spent || (age < MIN_WINDOW && !is_dear) {
            return Order::Keep;
        }
        self.window = None;
        self.open_before += age;
        self.is_sampling = true;
        self.stretch = 1.0 + (SPREAD - 1.0) * self.draw(now);
        Order::Close
    }

    fn keep_or_open(&mut self, now: Duration, gain: f64) -> Order {
        let price = self.price();
        let needed = price * self.spacing(price).max(self.stretch);
        self.balance = (self.balance + gain).min(self.burst().max(needed));
        if self.limit <= 0.0 || self.balance < needed {
            return Order::Keep;
        }
        // What was saved to keep windows apart is not for spending.
        self.balance = self.balance.min(self.burst().max(price));
        self.window = Some(Window {
            opened: now,
            work: 0.0,
            cost: 0.0,
        });
        Order::Open
    }

    const fn burst(&self) -> f64 {
        self.limit * BURST
    }

    /// What so many seconds cost with the probes open, as far as is known.
    fn price_of(&self, seconds: f64) -> f64 {
        self.rate.value() * self.work.value() * seconds
    }

    /// What the next window will cost at least.
    fn price(&self) -> f64 {
        let shortest = self.price_of(SHORTEST).min(self.burst() / SPREAD);
        shortest.max(self.price_of(BRIEFEST + CLOSING))
    }

    /// How many times its price a window must earn before it opens.
    ///
    /// A span can hold the windows at both of its ends, one more than it pays for. Those that
    /// are dearer than the burst need more room between them, at most a whole span.
    fn spacing(&self, price: f64) -> f64 {
        let earned = self.limit * SPAN * self.work.value();
        if price <= 0.0 || earned <= 0.0 {
            return 1.0;
        }
        let share = price / earned;
        let left = 1.0 + BURST / SPAN - share;
        let whole = share.recip();
        let apart = if left > 0.0 {
            left.recip().min(whole)
        } else {
            whole
        };
        apart.max(1.0)
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
