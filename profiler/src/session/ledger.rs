//! What has been spent on a process, and what it did meanwhile.

use std::time::Duration;

use super::{
    close_hits::CloseHits,
    cost::{CostModel, Costs},
    gauge::Gauge,
};
use crate::{
    probe::{Busy, Probe, ProcessCounters},
    process::census::processor_time,
    profile::own_time,
    units::Pid,
};

/// What the kernel tells of a process at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) at: Duration,
    pub(super) counters: ProcessCounters,
    /// `None` if it is gone.
    cpu: Option<Duration>,
}

impl Reading {
    /// `None` if the kernel half does not follow it.
    pub(super) fn of(pid: Pid, probe: &Probe, at: Duration) -> Option<Self> {
        Some(Self {
            at,
            counters: probe.counters(pid)?,
            cpu: processor_time(pid),
        })
    }
}

/// What has been spent on a process so far.
#[derive(Default)]
pub(super) struct CostLedger {
    last: ProcessCounters,
    pub(super) cost: Duration,
    pub(super) runs: u64,
    pub(super) cpu: Duration,
    /// Processor time that it used while it was followed, but for that of the probes.
    pub(super) own_cpu: Duration,
    paid_until: Duration,
}

/// When a process was surely busy, by the probes that showed it.
pub(super) struct Busys {
    pub(super) objects: Busy,
    pub(super) blocks: Busy,
}

impl CostLedger {
    /// Books the difference to the last counts, and returns what it cost, and when the process was
    /// surely busy. The gauge knows better than the model what a hit of an object's probe costs.
    pub(super) fn book(
        &mut self,
        counters: &ProcessCounters,
        (model, dearness): (CostModel, f64),
        (gauge, blocks): (&mut Gauge, &mut CloseHits),
    ) -> (Costs, Busys) {
        let mut costs = model.since(&self.last, counters);
        let (last, now) = (self.last.objects, counters.objects);
        let hits = now.count.saturating_sub(last.count);
        let handlers = now.handlers.saturating_sub(last.handlers);
        let mut busy = Busys {
            objects: Busy::default(),
            blocks: blocks.busy(costs.blocks),
        };
        if let Ok(hits @ 1..) = u32::try_from(hits) {
            let hit = gauge.cost(hits, handlers, costs.objects / hits);
            costs.objects = hit * hits;
            costs.besides = costs.objects.mul_f64((dearness - 1.0).max(0.0));
            busy.objects = gauge.busy(costs.objects);
        }
        self.last = *counters;
        self.cost += costs.total();
        let runs = [
            counters.kernel,
            counters.blocks,
            counters.pools,
            counters.objects,
            counters.counted,
        ];
        self.runs = runs.into_iter().map(|runs| runs.count).sum();
        (costs, busy)
    }

    /// The time that the process had for itself since the last call, and the processor time that
    /// it used.
    pub(super) fn time_passed(&mut self, reading: &Reading, costs: Costs) -> (Duration, Duration) {
        let cpu = reading.cpu.unwrap_or(self.cpu);
        let spent = if self.cpu.is_zero() {
            Duration::ZERO
        } else {
            cpu.saturating_sub(self.cpu)
        };
        let passed = reading.at.saturating_sub(self.paid_until);
        self.cpu = cpu;
        self.own_cpu += spent.saturating_sub(costs.total());
        self.paid_until = reading.at;
        (own_time(spent, passed).saturating_sub(costs.total()), spent)
    }
}
