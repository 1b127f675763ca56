//! What a throttle is told, and what it tells.

use std::{ops::AddAssign, time::Duration};

/// What is to be done with the probes now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Leave them as they are.
    Keep,
    /// Open them, and say when they are open: [`super::Throttle::opened`].
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

/// What the target did since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Passed {
    /// The time that counts as its own, of which the probes may have their share.
    pub own: Duration,
    /// The processor time that it used, probes and all.
    pub cpu: Duration,
    /// What the probes of this class took of it, whether they are open or still closing.
    pub cost: Duration,
    /// What they took besides, by what is known of former windows.
    pub besides: Duration,
    /// When it was surely on a processor. That is finer than the processor time.
    pub busy: Busy,
}

impl Passed {
    /// All that the probes took, in seconds.
    pub(super) fn spent(&self) -> f64 {
        self.cost.saturating_add(self.besides).as_secs_f64()
    }
}

impl AddAssign for Passed {
    fn add_assign(&mut self, more: Self) {
        self.own = self.own.saturating_add(more.own);
        self.cpu = self.cpu.saturating_add(more.cpu);
        self.cost = self.cost.saturating_add(more.cost);
        self.besides = self.besides.saturating_add(more.besides);
        self.busy += more.busy;
    }
}

/// A time in which a target was on processors without a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Busy {
    /// How long.
    pub time: Duration,
    /// What the probes took of it.
    pub cost: Duration,
    /// How often they were hit.
    pub hits: u32,
}

impl AddAssign for Busy {
    fn add_assign(&mut self, more: Self) {
        self.time = self.time.saturating_add(more.time);
        self.cost = self.cost.saturating_add(more.cost);
        self.hits = self.hits.saturating_add(more.hits);
    }
}

/// For how long probes are open, and what that stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// For how long what they see counts; `None` as long as it is affordable.
    pub length: Option<Duration>,
    /// For how many events one that is seen stands: one, if nothing is left out.
    pub weight: f64,
}
