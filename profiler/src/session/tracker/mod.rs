//! All processes that are followed: found, met as children, measured, and let go.

mod arrivals;

use std::{
    collections::HashMap,
    thread::{self, JoinHandle},
    time::Duration,
};

use profiler_common::loss::Loss;
use rustix::param::page_size;

use self::arrivals::{Starting, heap_end};
use super::{
    Options,
    channel::{Shift, timing},
    clock::Clock,
    cost::CostModel,
    followed::{Followed, Limits},
};
use crate::{
    aggregate::Books,
    probe::{Happening, Links, Probe, ProbeError, Record},
    process::{
        heap::{self, HeapBlock, Liveness},
        identity::Identity,
        memory::Memory,
    },
    profile::{Lifecycle, LifecycleKind, Losses, ProcessRecord},
    source::{Planner, Translator},
    units::Pid,
};

/// All processes that are followed.
pub(super) struct Tracker {
    pub(super) probe: Probe,
    pub(super) translator: Translator,
    pub(super) books: Books,
    pub(super) records: Vec<ProcessRecord>,
    pub(super) losses: Losses,
    pub(super) notes: Vec<String>,
    lifecycles: Vec<Lifecycle>,
    planner: Planner,
    followed: HashMap<Pid, Followed>,
    starting: Vec<Starting>,
    detaching: Vec<JoinHandle<()>>,
    model: CostModel,
    limits: Limits,
    children: bool,
    return_probes_are_safe: Option<bool>,
    clock: Clock,
}

impl Tracker {
    pub(super) fn new(probe: Probe, model: CostModel, options: &Options, clock: Clock) -> Self {
        let timing = timing(probe.has_multi_links());
        let limits = Limits::of_budget(options.max_overhead_percent, timing);
        Self {
            probe,
            translator: Translator::default(),
            books: Books::new(page_size() as u64),
            records: Vec::new(),
            losses: Losses::default(),
            notes: Vec::new(),
            lifecycles: Vec::new(),
            planner: Planner::default(),
            followed: HashMap::new(),
            starting: Vec::new(),
            detaching: Vec::new(),
            model,
            limits,
            children: options.children,
            return_probes_are_safe: None,
            clock,
        }
    }

    fn pay_for(&mut self, pid: Pid, now: Duration) {
        let Some(followed) = self.followed.get_mut(&pid) else {
            return;
        };
        let key = followed.key;
        let outcome = followed.pay(&mut self.probe, self.model, now, self.clock);
        for (class, shift) in outcome.shifts {
            match shift {
                Shift::Opened(window) => self.books.open_window(key, class, window),
                Shift::Closed { at, correction } => {
                    self.books.close_window(key, class, at, correction);
                }
            }
        }
        self.detach_later(outcome.closed);
        for error in outcome.errors {
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

    /// Takes in one record of the kernel half.
    pub(super) fn take(&mut self, record: &Record) {
        let time = self.time_of(record);
        match record.what {
            Happening::Forked { child } => self.forked(record.pid, child, time),
            Happening::Execed => self.execed(record.pid, time),
            Happening::Exited => self.exited(record.pid, time),
            _ => {
                if let Some(event) = self.translator.translate(record, time) {
                    self.books.apply(&event);
                }
            }
        }
    }

    fn time_of(&self, record: &Record) -> Duration {
        self.clock.at(record.time_ns)
    }

    fn forked(&mut self, parent: Pid, child: Pid, time: Duration) {
        if self.followed.contains_key(&child) {
            return;
        }
        if !self.children {
            self.probe.forget(child);
            return;
        }
        let identity = Identity::read(child).unwrap_or_else(|_ended| self.child_of(parent, child));
        let key = self.meet(identity, LifecycleKind::Forked, time);
        let inherited = self
            .followed
            .get(&parent)
            .and_then(|followed| Some((followed.key, followed.plan.as_ref()?.for_child(child))));
        let Some((parent_key, plan)) = inherited else {
            return;
        };
        self.translator.inherit(parent_key, key);
        self.records[key.0 as usize].python = Some(plan.interpreter.version.to_string());
        self.books.open(key, heap_end(child));
        self.trace(child, key, &plan);
        self.open_probes(child, plan, time);
        self.losses.add(Loss::ProbesLate, 1);
        tracing::info!("process {child} is measured as process {parent} is");
    }

    /// What a child looks like that ended before anything could be read about it: its parent.
    fn child_of(&self, parent: Pid, child: Pid) -> Identity {
        let known = self
            .followed
            .get(&parent)
            .map(|followed| followed.identity.clone());
        Identity {
            pid: child,
            parent,
            ..known.unwrap_or_else(|| Identity::unknown(child))
        }
    }

    fn execed(&mut self, pid: Pid, time: Duration) {
        let Some(followed) = self.followed.get_mut(&pid) else {
            return;
        };
        let key = followed.key;
        let links = followed.take_links();
        followed.plan = None;
        self.lifecycles.push(Lifecycle {
            process: key,
            time,
            kind: LifecycleKind::Execed,
        });
        if let Ok(identity) = Identity::read(pid) {
            self.records[key.0 as usize]
                .command
                .clone_from(&identity.command);
            followed.identity = identity;
        }
        self.records[key.0 as usize].python = None;
        self.detach_later(links);
        self.translator.forget_code(key);
        self.books.close(key);
        let eagerly = self
            .starting
            .iter()
            .any(|starting| starting.pid == pid && starting.eagerly);
        self.starting.retain(|starting| starting.pid != pid);
        if eagerly {
            self.measure_before_python(pid, key);
        }
        self.starting.push(Starting::new(pid, eagerly));
    }

    fn exited(&mut self, pid: Pid, time: Duration) {
        let Some(mut followed) = self.followed.remove(&pid) else {
            return;
        };
        self.records[followed.key.0 as usize].ended = Some(time);
        self.books.settle(followed.key, time);
        let exited = Lifecycle {
            process: followed.key,
            time,
            kind: LifecycleKind::Exited,
        };
        self.lifecycles.push(exited);
        self.starting.retain(|starting| starting.pid != pid);
        self.detach_later(followed.take_links());
    }

    /// Books costs, and opens or closes probes so that they stay within their limits.
    pub(super) fn pay(&mut self, now: Duration) {
        let pids: Vec<Pid> = self.followed.keys().copied().collect();
        for pid in pids {
            self.pay_for(pid, now);
        }
    }

    /// Takes in what is held back until the windows close that are open.
    pub(super) fn settle(&mut self, now: Duration) {
        for followed in self.followed.values() {
            self.books.settle(followed.key, now);
        }
    }

    /// How soon to pay again.
    pub(super) fn check_within(&self) -> Option<Duration> {
        self.followed.values().map(Followed::check_within).min()
    }

    /// Reads the pools that were opened while recording, and the blocks of which it is not known
    /// whether they still live.
    pub(super) fn look_into_heaps(&mut self) {
        for followed in self.followed.values() {
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

    /// How large the processes are.
    pub(super) fn census(&mut self, time: Duration) -> Vec<crate::profile::Census> {
        let mut gone = Vec::new();
        let mut censuses = Vec::new();
        for (pid, followed) in &mut self.followed {
            match followed.census(time) {
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
        if !links.is_empty() {
            self.detaching.push(thread::spawn(move || links.detach()));
        }
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
