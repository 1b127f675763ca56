//! One process that is followed: its probes, what they cost, and how large it is.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    channel::{Channel, Outcome},
    clock::Clock,
    cost::{CostModel, Costs},
    pace::Pace,
};
use crate::{
    probe::{Links, Probe, ProcessCounters, Timing},
    process::{census::Figures, identity::Identity},
    profile::{Census, ProcessKey, own_time},
    python::{
        mimalloc::MimallocCensus,
        pools::{PoolCensus, Pools},
    },
    source::{Plan, SiteClass},
    units::Pid,
};

/// How often sizes are read.
const CENSUS_PERIOD: Duration = Duration::from_secs(1);

/// Which part of the target's time each kind of probe may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    blocks: f64,
    pools: f64,
    timing: Timing,
}

impl Limits {
    /// Divides the budget. Blocks over 512 bytes get half of it, 1 % by default. What is left by
    /// both is for tracepoints and page faults, which are always on.
    pub(super) fn of_budget(percent: f64, timing: Timing) -> Self {
        let budget = percent / 100.0;
        Self {
            blocks: budget * 0.5,
            pools: budget * 0.35,
            timing,
        }
    }
}

/// A process that is followed.
pub(super) struct Followed {
    pub(super) key: ProcessKey,
    pub(super) identity: Identity,
    /// How it is measured; `None` while it runs no Python that is known.
    pub(super) plan: Option<Plan>,
    pools: Channel,
    blocks: Channel,
    ledger: CostLedger,
    deep: Pace,
    heap: Pace,
    last_deep: Figures,
    last_heap: Option<PoolCensus>,
    last_mimalloc: Option<MimallocCensus>,
}

/// What has been spent on a process so far.
#[derive(Default)]
struct CostLedger {
    last: ProcessCounters,
    cost: Duration,
    runs: u64,
    cpu: Duration,
    paid_until: Duration,
}

impl Followed {
    /// A process of which nothing is known yet but that it is there.
    pub(super) fn new(key: ProcessKey, identity: Identity, limits: Limits) -> Self {
        Self {
            key,
            identity,
            plan: None,
            pools: Channel::new(SiteClass::Pools, limits.pools, limits.timing),
            blocks: Channel::new(SiteClass::Blocks, limits.blocks, limits.timing),
            ledger: CostLedger::default(),
            deep: Pace::new(CENSUS_PERIOD),
            heap: Pace::new(CENSUS_PERIOD),
            last_deep: Figures::default(),
            last_heap: None,
            last_mimalloc: None,
        }
    }

    /// Takes the probes away, and returns them for whoever has the time to wait.
    pub(super) fn take_links(&mut self) -> Links {
        let mut links = self.pools.take_links();
        links.append(self.blocks.take_links());
        links
    }

    /// Books what measuring has cost since the last call, and opens or closes probes so that they
    /// stay within their limits.
    pub(super) fn pay(
        &mut self,
        probe: &mut Probe,
        model: CostModel,
        now: Duration,
        clock: Clock,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let (Some(plan), Some(counters)) = (&self.plan, probe.counters(self.identity.pid)) else {
            return outcome;
        };
        let costs = self.ledger.book(&counters, model);
        let passed = self.ledger.time_passed(self.identity.pid, now, costs);
        let target = (self.identity.pid, plan);
        for (channel, cost) in [
            (&mut self.pools, costs.pools),
            (&mut self.blocks, costs.blocks),
        ] {
            outcome.append(channel.pay(probe, target, (now, passed, cost), clock));
        }
        outcome
    }

    /// How soon to pay again.
    pub(super) fn check_within(&self) -> Duration {
        self.pools.check_within().min(self.blocks.check_within())
    }

    /// Whether blocks over 512 bytes are observed only part of the time.
    pub(super) fn has_sampled_blocks(&self) -> bool {
        self.blocks.is_sampled()
    }

    /// Whether probes took most of the time of windows.
    pub(super) fn has_crowded_windows(&self) -> bool {
        self.blocks.is_crowded() || self.pools.is_crowded()
    }

    /// Whether pools are observed only part of the time.
    pub(super) fn has_sampled_pools(&self) -> bool {
        self.pools.is_sampled()
    }

    /// How large the process is now; `None` if it is gone.
    pub(super) fn census(&mut self, time: Duration) -> Option<Census> {
        let pid = self.identity.pid;
        let now = Instant::now();
        let shallow = Figures::read(pid, false).ok()?;
        if let Some(Ok(figures)) = self.deep.run(now, || Figures::read(pid, true)) {
            self.last_deep = figures;
        }
        self.read_heap(now);
        let deep = &self.last_deep;
        let pymalloc = self.last_heap.as_ref();
        let pymalloc = pymalloc.map(|heap| (heap.live_bytes, heap.arena_bytes));
        let mimalloc = self.last_mimalloc.as_ref();
        let mimalloc = mimalloc.map(|heap| (heap.live_bytes, heap.segment_bytes));
        let (live, reserved) = mimalloc.or(pymalloc).unzip();
        Some(Census {
            process: self.key,
            time,
            rss: shallow.rss,
            pss: deep.pss,
            uss: deep.uss,
            anonymous: deep.anonymous,
            swap: deep.swap,
            threads: shallow.threads,
            cpu: shallow.cpu,
            pymalloc_live: live,
            pymalloc_arenas: reserved,
            probe_runs: self.ledger.runs,
            probe_cost: self.ledger.cost,
            blocks_observed: self.blocks.open_time(self.plan.as_ref(), time),
            pools_observed: self.pools.open_time(self.plan.as_ref(), time),
        })
    }

    fn read_heap(&mut self, now: Instant) {
        let plan = self.plan.as_ref();
        if let Some((mimalloc, plan)) = plan.and_then(|plan| Some((plan.mimalloc?, plan))) {
            let memory = &plan.memory;
            if let Some(Ok(heap)) = self.heap.run(now, || mimalloc.census(memory)) {
                self.last_mimalloc = Some(heap);
            }
            return;
        }
        let Some((pools, memory)) = self.heap_reader() else {
            return;
        };
        if let Some(Ok(heap)) = self.heap.run(now, || pools.census(&memory)) {
            self.last_heap = Some(heap);
        }
    }

    fn heap_reader(&self) -> Option<(Rc<Pools>, crate::process::memory::Memory)> {
        let plan = self.plan.as_ref()?;
        Some((Rc::clone(plan.pools.as_ref()?), plan.memory.clone()))
    }
}

impl CostLedger {
    /// Books the difference to the last counts, and returns what it cost.
    fn book(&mut self, counters: &ProcessCounters, model: CostModel) -> Costs {
        let costs = model.since(&self.last, counters);
        self.last = *counters;
        self.cost += costs.total();
        self.runs = [counters.kernel, counters.blocks, counters.pools]
            .into_iter()
            .map(|runs| runs.count)
            .sum();
        costs
    }

    /// The time that the process had for itself since the last call.
    fn time_passed(&mut self, pid: Pid, now: Duration, costs: Costs) -> Duration {
        let cpu = Figures::read(pid, false).map_or(self.cpu, |figures| figures.cpu);
        let spent = if self.cpu.is_zero() {
            Duration::ZERO
        } else {
            cpu.saturating_sub(self.cpu)
        };
        let passed = now.saturating_sub(self.paid_until);
        self.cpu = cpu;
        self.paid_until = now;
        own_time(spent, passed).saturating_sub(costs.total())
    }
}
