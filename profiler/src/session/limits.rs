//! Which part of the target's time may go into measuring, and what is counted at all.

use super::traffic::Sight;
use crate::probe::{Timing, UNLIMITED};

/// Which part of the target's time each kind of probe may take, and what else is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) blocks: f64,
    pub(super) pools: f64,
    pub(super) objects: f64,
    pub(super) timing: Timing,
    pub(super) sight: Sight,
}

impl Limits {
    /// Divides the budget. What is left is for tracepoints, page faults and clocks, which are
    /// always on, and for what windows cost besides: the target finds its caches cold.
    pub(super) fn of_budget(percent: f64, timing: Timing, sight: Sight) -> Self {
        let budget = percent / 100.0;
        Self {
            blocks: budget * 0.2,
            pools: budget * 0.1,
            objects: budget * 0.55,
            timing,
            sight,
        }
    }

    /// No limits at all.
    pub(super) const fn none(timing: Timing, sight: Sight) -> Self {
        Self {
            blocks: UNLIMITED,
            pools: UNLIMITED,
            objects: UNLIMITED,
            timing,
            sight,
        }
    }
}
