//! By what amounts are divided, so that two recordings can be compared.

use super::{Incomparable, Recording, obstacle::NAMES};
use crate::classify::Activity;

/// By what amounts are divided.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Per {
    /// By seconds.
    #[default]
    Second,
    /// By how much traffic there was.
    Request,
}

impl Per {
    /// The stable name, as it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Request => "request",
        }
    }
}

/// What amounts are divided by, and how many of it each recording has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// What was asked for.
    pub per: Per,
    /// What a unit is: `second`, `connection`, `MB received` or `message`.
    pub name: &'static str,
    /// How many units there are before and after.
    pub counts: [f64; 2],
}

impl Unit {
    pub(super) fn of(per: Per, recordings: [&Recording<'_>; 2]) -> Result<Self, Incomparable> {
        if per == Per::Second {
            let seconds = recordings.map(|it| it.findings.duration.as_secs_f64());
            return Ok(Self {
                per,
                name: "second",
                counts: seconds.map(|it| it.max(1e-9)),
            });
        }
        let signals = recordings.map(|it| it.verdicts.activity);
        for (which, signal) in NAMES.into_iter().zip(signals) {
            if signal == Activity::ProcessorTime {
                return Err(Incomparable::NoRequests { which });
            }
        }
        let [before, after] = signals;
        if before != after {
            let [before, after] = signals.map(Activity::describe);
            return Err(Incomparable::Requests { before, after });
        }
        let Some((each, name)) = before.yardstick() else {
            return Err(Incomparable::NoRequests { which: NAMES[0] });
        };
        let counts = recordings.map(|it| it.verdicts.traffic.count.unwrap_or(0.0) / each);
        for (which, count) in NAMES.into_iter().zip(counts) {
            if count <= 0.0 {
                return Err(Incomparable::NoRequests { which });
            }
        }
        Ok(Self { per, name, counts })
    }

    /// How many times as many units came per second after.
    pub(super) fn pace(&self, recordings: [&Recording<'_>; 2]) -> f64 {
        let rate =
            |side: usize| self.counts[side] / recordings[side].findings.duration.as_secs_f64();
        let pace = rate(1) / rate(0);
        if pace.is_finite() && pace > 0.0 {
            pace
        } else {
            1.0
        }
    }
}
