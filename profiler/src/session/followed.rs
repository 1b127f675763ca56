//! One process that is followed: its probes, what they cost, and how large it is.

use std::{
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use super::{
    causes::Causes,
    channel::{Channel, Means, Outcome, Shift},
    clock::Clock,
    close_hits::CloseHits,
    elders::ElderWatch,
    gauge::Gauge,
    ledger::{CostLedger, Reading},
    limits::Limits,
    pace::Pace,
    self_test::{Failure, SelfTest},
    traffic::SocketWatch,
};
use crate::{
    probe::{Busy, HandedOut, Happening, Links, Passed, Probe, Record},
    process::{census::Figures, identity::Identity},
    profile::{Census, ClassCensus, ProcessKey},
    python::{
        mimalloc::MimallocCensus,
        pools::{PoolCensus, Pools},
    },
    source::{Plan, SiteClass},
};

/// How often Python's heap is read.
const CENSUS_PERIOD: Duration = Duration::from_secs(1);

/// How often the page tables are walked for what is shared: whoever maps memory waits meanwhile.
const DEEP_PERIOD: Duration = Duration::from_secs(5);

/// Processor time that tells how busy a process is.
const TELLING: Duration = Duration::from_millis(2);

/// A process that is followed.
pub(super) struct Followed {
    pub(super) key: ProcessKey,
    pub(super) identity: Identity,
    /// How it is measured; `None` while it runs no Python that is known.
    pub(super) plan: Option<Plan>,
    pools: Channel,
    blocks: Channel,
    objects: Channel,
    /// Whether no probe may be opened that is hit very often.
    is_held_back: bool,
    awaits_turn: bool,
    gauge: Gauge,
    block_hits: CloseHits,
    ledger: CostLedger,
    self_test: SelfTest,
    /// What was read when a brief window was over, until it is booked.
    read_ahead: Option<Reading>,
    elders: Option<ElderWatch>,
    sockets: SocketWatch,
    deep: Pace,
    heap: Pace,
    pub(super) last_deep: Figures,
    last_heap: Option<PoolCensus>,
    last_mimalloc: Option<MimallocCensus>,
    pub(super) causes: Causes,
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
            objects: Channel::new(SiteClass::Objects, limits.objects, limits.timing)
                .expecting_many_hits(),
            is_held_back: false,
            awaits_turn: false,
            gauge: Gauge::default(),
            block_hits: CloseHits::default(),
            ledger: CostLedger::default(),
            self_test: SelfTest::default(),
            read_ahead: None,
            elders: None,
            sockets: SocketWatch::new(limits.sight),
            deep: Pace::new(DEEP_PERIOD),
            heap: Pace::new(CENSUS_PERIOD),
            last_deep: Figures::default(),
            last_heap: None,
            last_mimalloc: None,
            causes: Causes::default(),
        }
    }

    /// It runs another program now.
    pub(super) fn forget_plan(&mut self) {
        self.plan = None;
        self.elders = None;
        self.self_test = SelfTest::default();
        self.objects.forget_places();
        self.causes = Causes::default();
    }

    /// Takes the probes away, and returns them for whoever has the time to wait.
    pub(super) fn take_links(&mut self) -> Links {
        let mut links = self.pools.take_links();
        links.append(self.blocks.take_links());
        links.append(self.objects.take_links());
        links
    }

    /// Books what measuring has cost since the last call, and opens or closes probes so that they
    /// stay within their limits.
    pub(super) fn pay(&mut self, probe: &mut Probe, now: Duration, means: Means) -> Outcome {
        // What a brief window showed has to be taken in before it is booked.
        if self.read_ahead.is_some() && self.is_held_back {
            return Outcome::default();
        }
        let pid = self.identity.pid;
        let failed = self.self_test.judge(probe.lost_records());
        let reading = self.read_ahead.take();
        let Some(reading) = reading.or_else(|| Reading::of(pid, probe, now)) else {
            return Outcome::default();
        };
        let mut outcome = self.pay_once(probe, (reading, means), &[]);
        if let Some(failure) = failed {
            outcome.closed.append(self.fall_back(failure));
        }
        let opened: Vec<SiteClass> = outcome
            .shifts
            .iter()
            .filter(|(_, shift)| matches!(shift, Shift::Opened(_)))
            .map(|(class, _)| *class)
            .collect();
        for (class, shift) in &outcome.shifts {
            if let (SiteClass::Objects, Shift::Closed { at, .. }) = (class, shift) {
                self.self_test.closed(*at);
            }
        }
        if opened.contains(&SiteClass::Objects) {
            self.gauge.reset();
            if self.objects.opens_all() {
                self.self_test.opened(means.clock.now());
            }
        }
        // Opening takes a while, in which the target goes on; that is no part of a window.
        if !opened.is_empty()
            && let Some(reading) = Reading::of(pid, probe, means.clock.now())
        {
            outcome.append(self.pay_once(probe, (reading, means), &opened));
        }
        self.wait_for_brief_windows(&opened, (probe, means.clock), &mut outcome);
        outcome
    }

    /// Of the windows that have just opened, waits for the ends of those that are brief, and takes
    /// their probes away. What they have shown and cost is booked when the records have been taken
    /// in.
    #[expect(
        clippy::disallowed_methods,
        reason = "a window is a time and nothing else"
    )]
    fn wait_for_brief_windows(
        &mut self,
        opened: &[SiteClass],
        (probe, clock): (&Probe, Clock),
        outcome: &mut Outcome,
    ) {
        let start = clock.now();
        let mut brief: Vec<(Duration, &mut Channel)> = [&mut self.objects, &mut self.blocks]
            .into_iter()
            .filter(|channel| opened.contains(&channel.class()))
            .filter_map(|channel| Some((channel.brief_length()?, channel)))
            .collect();
        brief.sort_by_key(|(length, _)| *length);
        // First those that are hit.
        let mut links = Links::default();
        for (length, channel) in brief {
            thread::sleep((start + length).saturating_sub(clock.now()));
            let end = clock.now();
            if channel.class() == SiteClass::Objects {
                self.self_test.closed(end);
            }
            self.read_ahead = Reading::of(self.identity.pid, probe, end);
            links.append(channel.take_links_of_window());
        }
        links.append(std::mem::take(&mut outcome.closed));
        outcome.closed = links;
    }

    fn pay_once(
        &mut self,
        probe: &mut Probe,
        (reading, means): (Reading, Means),
        just_opened: &[SiteClass],
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(plan) = &self.plan else {
            return outcome;
        };
        let now = reading.at;
        let dearness = self.objects.dearness();
        let hits = (&mut self.gauge, &mut self.block_hits);
        let (costs, busy) = (self.ledger).book(&reading.counters, (means.model, dearness), hits);
        let (own, cpu) = self.ledger.time_passed(&reading, costs);
        let opening = if just_opened.contains(&SiteClass::Objects) {
            self.objects.price_of_opening()
        } else {
            Duration::ZERO
        };
        self.ledger.cost += opening;
        let target = (self.identity.pid, plan);
        let passed = |cost| Passed {
            own,
            cpu,
            cost,
            besides: Duration::ZERO,
            busy: Busy::default(),
        };
        let of_objects = Passed {
            besides: costs.besides + opening,
            busy: busy.objects,
            ..passed(costs.objects + costs.counted)
        };
        let of_blocks = Passed {
            busy: busy.blocks,
            ..passed(costs.blocks)
        };
        for (channel, passed) in [
            (&mut self.pools, passed(costs.pools)),
            (&mut self.blocks, of_blocks),
            (&mut self.objects, of_objects),
        ] {
            if self.is_held_back && channel.has_many_hits() && !channel.is_open() {
                continue;
            }
            if self.awaits_turn && channel.has_many_hits() && !channel.is_open() {
                channel.postpone(passed);
                continue;
            }
            if just_opened.contains(&channel.class()) {
                channel.opened(now, passed);
            } else {
                outcome.append(channel.pay(probe, target, (now, passed), means));
            }
        }
        outcome
    }

    /// Its probes miss small objects: looks at pools instead. Returns the links of the old probes.
    fn fall_back(&mut self, failure: Failure) -> Links {
        let Some(plan) = &mut self.plan else {
            return Links::default();
        };
        plan.fall_back(failure.missed, failure.counted);
        self.objects.take_links()
    }

    /// What a person should know about how it is measured, once.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        let plan = self.plan.as_mut();
        plan.map(|plan| std::mem::take(&mut plan.notes))
            .unwrap_or_default()
    }

    /// Looks up on which sockets it listens, before anything is received through them.
    pub(super) fn look_for_listeners(&mut self, probe: &mut Probe) {
        let pid = self.identity.pid;
        self.sockets.look_for_listeners(probe, pid, Instant::now());
    }

    /// A probe was hit. Returns for how many hits this one stands because of its place.
    pub(super) fn hit(&mut self, record: &Record, time: Duration) -> u32 {
        match &record.what {
            Happening::ObjectTaken(object) => self.hit_object(record, time, object),
            Happening::BlockAllocated { .. } | Happening::BlockFreed { .. } => {
                self.block_hits.hit(record.tid, record.time_ns);
                1
            }
            _ => 1,
        }
    }

    fn hit_object(&mut self, record: &Record, time: Duration, object: &HandedOut) -> u32 {
        let plan = self.plan.as_ref();
        if let Some(count) = object.pool_count
            && let Some(pools) = plan.and_then(|plan| plan.pools.as_ref())
        {
            let pool = object.address & !(pools.pool_size() - 1);
            self.self_test.saw(time, pool, count);
        }
        self.gauge
            .hit(record.tid, record.time_ns, object.stack.is_some());
        self.objects.saw(record.tid, object.place, time)
    }

    /// Whether to wait with probes that are hit very often, since more has come already than could
    /// be taken in.
    pub(super) const fn hold_back(&mut self, is_behind: bool) {
        self.is_held_back = is_behind;
    }

    /// Whether others have their windows just now, so that this process waits with its own.
    pub(super) const fn let_others_go_first(&mut self, awaits_turn: bool) {
        self.awaits_turn = awaits_turn;
    }

    /// Whether it has a window now in which its small objects are seen.
    pub(super) fn has_window(&self) -> bool {
        self.objects.has_window()
    }

    /// What the probes show comes faster than it can be taken in: from now on they show less.
    pub(super) fn relieve(&mut self) {
        self.objects.relieve();
    }

    /// How many times slower it runs, by what probes have cost it so far and what it did for
    /// itself; `None` if it did too little to tell.
    pub(super) fn slowdown(&self) -> Option<f64> {
        let did = self.ledger.own_cpu;
        let factor = (did + self.ledger.cost).as_secs_f64() / did.as_secs_f64();
        (did + self.ledger.cost >= TELLING).then_some(factor)
    }

    /// How soon to pay again.
    pub(super) fn check_within(&self) -> Duration {
        if self.read_ahead.is_some() {
            return Duration::ZERO;
        }
        [&self.pools, &self.blocks, &self.objects]
            .map(Channel::check_within)
            .into_iter()
            .min()
            .unwrap_or_default()
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

    /// How large the process is now; `None` if it is gone. What is looked at rarely is looked at
    /// if this is the last time.
    pub(super) fn census(
        &mut self,
        probe: &mut Probe,
        time: Duration,
        is_last: bool,
    ) -> Option<Census> {
        let pid = self.identity.pid;
        let now = Instant::now();
        let shallow = Figures::read(pid, false).ok()?;
        let sockets = self.sockets.census(probe, pid, now);
        if is_last {
            self.deep = Pace::new(DEEP_PERIOD);
        }
        if let Some(Ok(figures)) = self.deep.run(now, || Figures::read(pid, true)) {
            self.last_deep = figures;
        }
        self.read_heap(now);
        let size_classes = self.look_at_elders(time, is_last).unwrap_or_default();
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
            sockets,
            pymalloc_live: live,
            size_classes,
            pymalloc_arenas: reserved,
            probe_runs: self.ledger.runs,
            probe_cost: self.ledger.cost,
            blocks_observed: self.blocks.open_time(self.plan.as_ref(), time),
            pools_observed: self.pools.open_time(self.plan.as_ref(), time),
            objects_observed: self.objects.open_time(self.plan.as_ref(), time),
            object_windows: self.objects.windows(self.plan.as_ref()),
        })
    }

    /// How many small blocks there are now, and were there before, if it is time to count them.
    fn look_at_elders(&mut self, now: Duration, is_last: bool) -> Option<Vec<ClassCensus>> {
        let plan = self.plan.as_mut()?;
        let (heap, fates) = (plan.heap()?, plan.fates.as_mut()?);
        if self.elders.is_none() {
            self.elders = ElderWatch::start(&heap, fates, &plan.memory, now).ok();
        }
        let elders = self.elders.as_mut()?;
        let is_due = is_last || elders.is_due(now);
        is_due.then(|| elders.look(&heap, fates, &plan.memory, now).ok())?
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
        let plan = self.plan.as_ref().filter(|plan| plan.mimalloc.is_none())?;
        Some((Rc::clone(plan.pools.as_ref()?), plan.memory.clone()))
    }
}
