//! All processes that are followed: found, met as children, measured, and let go.

mod arrivals;
mod records;

use std::{
    collections::HashMap,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use profiler_common::loss::Loss;
use rustix::param::page_size;

use self::arrivals::Starting;
use super::{
    Options,
    causes::Legacy,
    cgroups::CgroupWatch,
    channel::{Outcome, Shift, timing},
    clock::Clock,
    cost::CostModel,
    followed::Followed,
    limits::Limits,
    reference::Looks,
    threads::ThreadWatch,
    traffic::Sight,
};
use crate::{
    aggregate::Books,
    probe::{Links, Probe, ProbeError},
    process::{
        heap::{self, HeapBlock, Liveness},
        identity::Identity,
        memory::Memory,
    },
    profile::{CgroupCensus, Interval, Lifecycle, Losses, ProcessRecord, Remains},
    source::{Planner, SiteClass, Translator},
    units::Pid,
};

/// Of so many processes only one is slowed down by a window at a time, so that a service does not
/// answer slowly as a whole. More at once would wait for one another for too long.
const PROCESSES_IN_TURN: usize = 8;

/// How long it may take in one round to look for causes, and in the last one.
const LOOKS: Duration = Duration::from_millis(250);
const LAST_LOOKS: Duration = Duration::from_secs(2);

/// All processes that are followed.
pub(super) struct Tracker {
    pub(super) probe: Probe,
    pub(super) translator: Translator,
    pub(super) books: Books,
    pub(super) records: Vec<ProcessRecord>,
    pub(super) losses: Losses,
    pub(super) notes: Vec<String>,
    threads: ThreadWatch,
    lifecycles: Vec<Lifecycle>,
    planner: Planner,
    followed: HashMap<Pid, Followed>,
    starting: Vec<Starting>,
    detaching: Vec<JoinHandle<()>>,
    model: CostModel,
    limits: Limits,
    cgroups: CgroupWatch,
    children: bool,
    is_exact: bool,
    holds_probes: bool,
    return_probes_are_safe: Option<bool>,
    clock: Clock,
    looks: Looks,
    legacy: Legacy,
}

impl Tracker {
    pub(super) fn new(
        probe: Probe,
        model: CostModel,
        (options, sight): (&Options, Sight),
        clock: Clock,
    ) -> Self {
        let timing = timing(probe.has_multi_links());
        let mut planner = Planner::default();
        if !probe.has_multi_links() {
            planner = planner.with_single_links();
        }
        if options.exact {
            planner = planner.following_everything();
        }
        if options.leave_out_sites {
            planner = planner.with_sites_left_out();
        }
        let books = Books::new(page_size() as u64);
        let (limits, books) = if options.exact {
            (Limits::none(timing, sight), books.with_all_stacks())
        } else {
            let limits = Limits::of_budget(options.max_overhead_percent, timing, sight);
            (limits, books)
        };
        Self {
            probe,
            translator: Translator::default(),
            books,
            records: Vec::new(),
            losses: Losses::default(),
            notes: Vec::new(),
            threads: ThreadWatch::default(),
            lifecycles: Vec::new(),
            planner,
            followed: HashMap::new(),
            starting: Vec::new(),
            detaching: Vec::new(),
            model,
            limits,
            cgroups: CgroupWatch::new(),
            children: options.children,
            is_exact: options.exact,
            holds_probes: false,
            return_probes_are_safe: None,
            clock,
            looks: Looks::default(),
            legacy: Legacy::default(),
        }
    }

    fn pay_for(&mut self, pid: Pid, now: Duration) {
        let windows = self.followed.values().filter(|it| it.has_window()).count();
        let is_full = windows >= self.followed.len().div_ceil(PROCESSES_IN_TURN);
        let Some(followed) = self.followed.get_mut(&pid) else {
            return;
        };
        followed.let_others_go_first(is_full);
        let (means, key) = (self.looks.means(self.clock, self.model), followed.key);
        let Outcome {
            shifts,
            closed,
            unneeded,
            errors,
            urgency,
            looked,
        } = followed.pay(&mut self.probe, now, means);
        self.looks.note(looked, self.clock.now());
        self.detach_later(closed);
        drop(urgency);
        self.detach_later(unneeded);
        let Some(followed) = self.followed.get_mut(&pid) else {
            return;
        };
        for (class, shift) in shifts {
            tracing::debug!("process {pid}, {class:?}: {shift:?}, by the books of {now:?}");
            match shift {
                Shift::Opened(window) => self.books.open_window(key, class, window),
                Shift::Compared(comparison) => self.books.compare(key, &comparison),
                Shift::Closed { at, correction } => {
                    self.books.close_window(key, class, at, correction);
                    if class == SiteClass::Objects {
                        look_at_objects(&mut self.books, followed, now);
                    }
                }
            }
        }
        let notes = followed.take_notes();
        self.notes
            .extend(notes.iter().map(|note| format!("process {pid}: {note}")));
        for error in errors {
            self.report_unattached(pid, &error);
        }
    }

    fn report_unattached(&mut self, pid: Pid, error: &ProbeError) {
        // A process that ended in the meantime needs no probe.
        if Identity::read(pid).is_ok() {
            self.losses.add(Loss::ProbeNotAttached, 1);
            tracing::warn!("process {pid}: {error}");
        }
    }

    /// Books costs, and opens or closes probes so that they stay within their limits. Whether more
    /// has come than could be taken in yet.
    pub(super) fn pay(&mut self, now: Duration, is_behind: bool) {
        if self.holds_probes {
            return;
        }
        let pids: Vec<Pid> = self.followed.keys().copied().collect();
        for pid in pids {
            if let Some(followed) = self.followed.get_mut(&pid) {
                followed.hold_back(is_behind && !self.is_exact);
            }
            self.pay_for(pid, now);
        }
    }

    /// Whether everything is followed, whatever it costs.
    pub(super) const fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Takes in what is held back until the windows close that are open.
    pub(super) fn settle(&mut self, now: Duration) {
        for followed in self.followed.values_mut() {
            self.books.settle(followed.key, now);
            look_at_objects(&mut self.books, followed, Duration::MAX);
        }
    }

    /// What the probes show comes faster than it can be taken in: from now on they show less.
    pub(super) fn relieve(&mut self) {
        self.followed.values_mut().for_each(Followed::relieve);
    }

    /// How many times slower the processes run with their probes open, at worst, by what was seen
    /// so far; `None` if they did too little to tell.
    pub(super) fn slowdown(&self) -> Option<f64> {
        let factors = self.followed.values().filter_map(Followed::slowdown);
        factors.max_by(f64::total_cmp)
    }

    /// How soon to pay again.
    pub(super) fn check_within(&self) -> Option<Duration> {
        self.followed.values().map(Followed::check_within).min()
    }

    /// Reads the pools that were opened while recording, and the blocks of which it is not known
    /// whether they still live.
    pub(super) fn look_into_heaps(&mut self) {
        let now = self.clock.now();
        for followed in self.followed.values_mut() {
            look_at_objects(&mut self.books, followed, now);
            let Some(plan) = &followed.plan else { continue };
            if let Some(pools) = &plan.pools {
                self.books.observe_pools(followed.key, |addresses| {
                    let headers = pools.read_pool_headers(&plan.memory, addresses);
                    headers
                        .into_iter()
                        .map(|header| Some((header?.count, header?.size_class)))
                        .collect()
                });
            }
            if followed.has_sampled_blocks() && plan.glibc_heap {
                self.books
                    .bury_blocks(followed.key, |blocks| dead_blocks(&plan.memory, blocks));
            }
        }
    }

    /// What is known only at the end.
    pub(super) fn remains(&mut self, end: Duration) -> Remains {
        Remains {
            survivors: self.books.survivors(end),
            reckoned: self.books.reckon(self.translator.stacks()),
            threads: self.threads.threads(),
        }
    }

    /// How large the processes are.
    pub(super) fn census(&mut self, time: Duration, is_last: bool) -> Vec<crate::profile::Census> {
        let mut gone = Vec::new();
        let mut censuses = Vec::new();
        for (pid, followed) in &mut self.followed {
            match followed.census(&mut self.probe, time, is_last) {
                Some(census) => censuses.push(census),
                None => gone.push(*pid),
            }
        }
        // The record of its end may still be in the ring, or was lost; it cannot be both.
        for pid in gone {
            self.exited(pid, time);
        }
        censuses.sort_by_key(|census| census.process);
        censuses
    }

    /// What tells causes apart, of the processes of which it is time to look.
    pub(super) fn look_for_causes(&mut self, interval: &mut Interval, is_last: bool) {
        let (time, start) = (interval.end, Instant::now());
        for followed in self.followed.values_mut() {
            // Those that are left out are due in the next round.
            if start.elapsed() > if is_last { LAST_LOOKS } else { LOOKS } {
                break;
            }
            let (allocators, sharing) = followed.look_for_causes(time, is_last);
            interval.allocators.extend(allocators);
            interval.sharings.extend(sharing);
        }
        interval.allocators.sort_by_key(|it| it.process);
        interval.sharings.sort_by_key(|it| it.process);
    }

    /// What the control groups of the processes use.
    pub(super) fn cgroups(&self, time: Duration) -> Vec<CgroupCensus> {
        self.cgroups.censuses(self.followed.keys().copied(), time)
    }

    /// What became of processes since the last call.
    pub(super) fn take_lifecycles(&mut self) -> Vec<Lifecycle> {
        std::mem::take(&mut self.lifecycles)
    }

    /// How many processes are followed now.
    pub(super) fn process_count(&self) -> usize {
        self.followed.len()
    }

    /// The processes of which `is_sampled` holds, in order.
    pub(super) fn sampled(&self, is_sampled: impl Fn(&Followed) -> bool) -> Vec<Pid> {
        let mut sampled: Vec<Pid> = self
            .followed
            .iter()
            .filter(|(_, followed)| is_sampled(followed))
            .map(|(pid, _)| *pid)
            .collect();
        sampled.sort_unstable();
        sampled
    }

    /// Detaches where nobody has to wait for it.
    pub(super) fn detach_later(&mut self, links: Links) {
        self.detaching.retain(|thread| !thread.is_finished());
        self.detaching.append(&mut links.begin_to_detach());
    }

    /// Takes all probes away and waits until they are gone.
    pub(super) fn detach_all(mut self, host: Links) {
        let mut links = host;
        for followed in self.followed.values_mut() {
            links.append(followed.take_links());
        }
        links.detach();
        for thread in self.detaching {
            // A thread that only drops links has nothing to say.
            let _finished: thread::Result<()> = thread.join();
        }
    }
}

/// Looks at the small objects of a process whose time has come.
fn look_at_objects(books: &mut Books, followed: &mut Followed, now: Duration) {
    let Some(plan) = &mut followed.plan else {
        return;
    };
    if let Some(fates) = &mut plan.fates {
        let memory = &plan.memory;
        books.observe_objects(followed.key, now, |blocks| fates.fates(memory, blocks));
    }
}

/// Which blocks glibc does not count as handed out any more.
fn dead_blocks(memory: &Memory, blocks: &[(u64, u64)]) -> Vec<bool> {
    let blocks: Vec<HeapBlock> = blocks
        .iter()
        .map(|(address, size)| HeapBlock {
            address: *address,
            size: *size,
        })
        .collect();
    let liveness = heap::liveness(memory, &blocks);
    liveness
        .into_iter()
        .map(|liveness| liveness == Liveness::Dead)
        .collect()
}
