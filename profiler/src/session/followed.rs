//! One process that is followed: its probes, what they cost, and how large it is.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use super::{cost::CostModel, pace::Pace};
use crate::{
    probe::{Links, Order, Probe, ProbeError, ProcessCounters, Throttle},
    process::{census::Figures, identity::Identity},
    profile::{Census, ProcessKey},
    python::pools::{PoolCensus, Pools},
    source::{Plan, SiteClass},
    units::Pid,
};

/// Which part of the target's processor time the probes of blocks over 512 bytes may take.
const BLOCK_LIMIT: f64 = 0.01;

/// How often sizes are read.
const CENSUS_PERIOD: Duration = Duration::from_secs(1);

/// A process that is followed.
pub(super) struct Followed {
    pub(super) key: ProcessKey,
    pub(super) identity: Identity,
    /// How it is measured; `None` while it runs no Python that is known.
    pub(super) plan: Option<Plan>,
    pools: Links,
    blocks: Links,
    throttle: Throttle,
    ledger: CostLedger,
    deep: Pace,
    heap: Pace,
    last_deep: Figures,
    last_heap: Option<PoolCensus>,
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
    pub(super) fn new(key: ProcessKey, identity: Identity) -> Self {
        Self {
            key,
            identity,
            plan: None,
            pools: Links::default(),
            blocks: Links::default(),
            throttle: Throttle::new(BLOCK_LIMIT),
            ledger: CostLedger::default(),
            deep: Pace::new(CENSUS_PERIOD),
            heap: Pace::new(CENSUS_PERIOD),
            last_deep: Figures::default(),
            last_heap: None,
        }
    }

    /// Attaches the probes of a plan. What cannot be attached comes back as an error, the rest
    /// stays in place.
    pub(super) fn measure(&mut self, probe: &mut Probe, plan: Plan) -> Vec<ProbeError> {
        let mut errors = Vec::new();
        self.plan = Some(plan);
        for class in [SiteClass::Pools, SiteClass::Blocks] {
            errors.extend(self.open(probe, class).err());
        }
        errors
    }

    /// Takes the probes away, and returns them for whoever has the time to wait.
    pub(super) fn take_links(&mut self) -> Links {
        let mut links = std::mem::take(&mut self.pools);
        links.append(std::mem::take(&mut self.blocks));
        links
    }

    fn open(&mut self, probe: &mut Probe, class: SiteClass) -> Result<(), ProbeError> {
        let Some(plan) = &self.plan else {
            return Ok(());
        };
        let mut opened = Links::default();
        for planned in plan.sites.iter().filter(|planned| planned.class == class) {
            let pid = self.identity.pid;
            opened.append(probe.attach_sites(
                planned.program,
                pid,
                &planned.path(),
                &planned.sites,
            )?);
        }
        match class {
            SiteClass::Pools => self.pools.append(opened),
            SiteClass::Blocks => self.blocks.append(opened),
        }
        Ok(())
    }

    /// Books what measuring has cost since the last call, and opens or closes the probes of large
    /// blocks so that they stay within their limit. Links that were closed come back.
    pub(super) fn pay(
        &mut self,
        probe: &mut Probe,
        model: CostModel,
        now: Duration,
    ) -> (Links, Option<ProbeError>) {
        let Some(cost) = self.ledger.book(probe.counters(self.identity.pid), model) else {
            return (Links::default(), None);
        };
        let used = self.ledger.time_used(self.identity.pid, now);
        match self.throttle.observe(now, used, cost) {
            Order::Keep => (Links::default(), None),
            Order::Close => (std::mem::take(&mut self.blocks), None),
            Order::Open => (Links::default(), self.open(probe, SiteClass::Blocks).err()),
        }
    }

    /// Whether blocks over 512 bytes are observed only part of the time.
    pub(super) fn is_sampled(&self) -> bool {
        self.throttle.is_sampling()
    }

    /// Whether blocks over 512 bytes are observed at all.
    pub(super) fn has_block_sites(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            plan.sites
                .iter()
                .any(|planned| planned.class == SiteClass::Blocks)
        })
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
            pymalloc_live: self.last_heap.as_ref().map(|heap| heap.live_bytes),
            pymalloc_arenas: self.last_heap.as_ref().map(|heap| heap.arena_bytes),
            probe_runs: self.ledger.runs,
            probe_cost: self.ledger.cost,
            blocks_observed: self.observed(time),
        })
    }

    fn observed(&self, time: Duration) -> Duration {
        if self.has_block_sites() {
            self.throttle.open_time(time)
        } else {
            Duration::ZERO
        }
    }

    fn read_heap(&mut self, now: Instant) {
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
    /// Books the difference to the last counts and returns what it cost; `None` if the kernel half
    /// does not know the process any more.
    fn book(&mut self, counters: Option<ProcessCounters>, model: CostModel) -> Option<Duration> {
        let counters = counters?;
        let delta = ProcessCounters {
            hits: counters.hits.saturating_sub(self.last.hits),
            runs: counters.runs.saturating_sub(self.last.runs),
            handlers: counters.handlers.saturating_sub(self.last.handlers),
        };
        self.last = counters;
        let cost = model.of(&delta);
        self.cost += cost;
        self.runs += delta.hits + delta.runs;
        Some(cost)
    }

    /// The time that the process had since the last call: what it spent on processors, or what the
    /// clock says if that is more, because a process that waits is not slowed down by much.
    fn time_used(&mut self, pid: Pid, now: Duration) -> Duration {
        let cpu = Figures::read(pid, false).map_or(self.cpu, |figures| figures.cpu);
        let spent = cpu.saturating_sub(self.cpu);
        let passed = now.saturating_sub(self.paid_until);
        self.cpu = cpu;
        self.paid_until = now;
        spent.max(passed)
    }
}
