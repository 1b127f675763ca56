//! All processes that are followed: found, met as children, measured, and let go.

use std::{
    collections::HashMap,
    rc::Rc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use profiler_common::{config::ProcessConfig, loss::Loss};
use rustix::param::page_size;

use super::{
    Options, SessionError,
    cost::CostModel,
    followed::{Followed, Limits},
    own_file_offset,
};
use crate::{
    aggregate::Books,
    probe::{Happening, Links, Probe, ProbeError, Record, return_probes_are_safe},
    process::{
        self,
        heap::{self, HeapBlock, Liveness},
        identity::{self, Identity},
        memory::Memory,
    },
    profile::{Lifecycle, LifecycleKind, Losses, ProcessKey, ProcessRecord},
    source::{Plan, PlanError, Planner, Traced, Translator},
    units::Pid,
};

/// For how long a new program may take to become a Python that can be measured: it loads its
/// libraries and initialises its runtime first.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// The seccomp mode of a process with a filter.
const SECCOMP_FILTER: u32 = 2;

/// The configuration of a program that may become a Python: measured, with no stack to be found.
/// The address is never mapped.
const NOT_YET_PYTHON: u64 = 8;

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
    /// When the recording started, in nanoseconds since boot.
    start_ns: u64,
}

/// A program that may become a Python that can be measured.
struct Starting {
    pid: Pid,
    since: Instant,
    /// Nothing of a launched command may be missed; a worker's helper program is of no interest
    /// before it is known to be Python.
    eagerly: bool,
}

impl Tracker {
    pub(super) fn new(probe: Probe, model: CostModel, options: &Options, start_ns: u64) -> Self {
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
            limits: Limits::of_budget(options.max_overhead_percent),
            children: options.children,
            return_probes_are_safe: None,
            start_ns,
        }
    }

    /// Follows a process that the user named, which must be a Python that can be measured.
    pub(super) fn attach(&mut self, pid: Pid) -> Result<(), SessionError> {
        if self.followed.contains_key(&pid) {
            return Ok(());
        }
        let identity = process::check(pid)?;
        let plan = self.plan(&identity).map_err(SessionError::Target)?;
        self.meet(identity, LifecycleKind::Attached, Duration::ZERO);
        self.measure(pid, plan, Duration::ZERO)?;
        if self.children {
            self.attach_descendants(pid);
        }
        Ok(())
    }

    /// Follows a command that is about to be executed by the process `pid`.
    pub(super) fn launch(&mut self, pid: Pid) -> Result<(), SessionError> {
        let identity = process::check(pid)?;
        self.meet(identity, LifecycleKind::Attached, Duration::ZERO);
        self.probe.follow(pid, &ProcessConfig::default())?;
        self.probe.follow_thread(pid.0)?;
        self.starting.push(Starting {
            pid,
            since: Instant::now(),
            eagerly: true,
        });
        Ok(())
    }

    /// Follows the descendants that a process has already. Those to come are met through their
    /// parents, which are followed by then.
    fn attach_descendants(&mut self, pid: Pid) {
        loop {
            let unmet: Vec<Pid> = identity::descendants(pid)
                .into_iter()
                .filter(|child| !self.followed.contains_key(child))
                .collect();
            if unmet.is_empty() {
                return;
            }
            for child in unmet {
                // One that has just ended needs no following.
                let Ok(identity) = Identity::read(child) else {
                    continue;
                };
                let plan = self.plan(&identity);
                self.meet(identity, LifecycleKind::Attached, Duration::ZERO);
                match plan {
                    Ok(plan) => drop(self.measure(child, plan, Duration::ZERO)),
                    Err(_not_python) => self.watch(child),
                }
            }
        }
    }

    /// How a process can be measured without harm.
    fn plan(&mut self, identity: &Identity) -> Result<Plan, PlanError> {
        let plan = self.planner.plan(identity)?;
        let is_filtered = identity.seccomp == SECCOMP_FILTER;
        if is_filtered && !self.return_probes_are_safe() {
            return Ok(plan.without_blocks());
        }
        Ok(plan)
    }

    /// Whether a return probe leaves a process under a seccomp filter alive; tried out once.
    fn return_probes_are_safe(&mut self) -> bool {
        if let Some(safe) = self.return_probes_are_safe {
            return safe;
        }
        let tried = return_probes_are_safe(&mut self.probe, own_file_offset);
        let safe = match tried {
            Ok((safe, links)) => {
                self.detach_later(links);
                safe
            }
            Err(_not_tried) => false,
        };
        self.return_probes_are_safe = Some(safe);
        safe
    }

    /// Follows a process of which only the lifecycle matters.
    fn watch(&mut self, pid: Pid) {
        if self.probe.follow(pid, &ProcessConfig::default()).is_err() {
            self.losses.add(Loss::ProcessTableFull, 1);
        }
    }

    /// Gives a process its place in the recording.
    fn meet(&mut self, identity: Identity, kind: LifecycleKind, time: Duration) -> ProcessKey {
        let key = ProcessKey(u32::try_from(self.records.len()).expect("fewer than 2^32 processes"));
        self.records.push(ProcessRecord {
            pid: identity.pid,
            inner_pid: identity.inner_pid,
            parent: identity.parent,
            command: identity.command.clone(),
            python: None,
            started: time,
            ended: None,
        });
        self.lifecycles.push(Lifecycle {
            process: key,
            time,
            kind,
        });
        self.followed
            .insert(identity.pid, Followed::new(key, identity, self.limits));
        key
    }

    /// Starts to measure a process that was met.
    fn measure(&mut self, pid: Pid, plan: Plan, now: Duration) -> Result<(), SessionError> {
        let Some(key) = self.followed.get(&pid).map(|followed| followed.key) else {
            return Ok(());
        };
        for tid in identity::threads(pid) {
            if self.probe.follow_thread(tid).is_err() {
                self.losses.add(Loss::ThreadTableFull, 1);
            }
        }
        self.probe.follow(pid, &plan.config)?;
        self.notes.extend(
            plan.notes
                .iter()
                .map(|note| format!("process {pid}: {note}")),
        );
        self.records[key.0 as usize].python = Some(plan.interpreter.version.to_string());
        self.books.open(key, heap_end(pid));
        self.trace(pid, key, &plan);
        self.open_probes(pid, plan, now);
        Ok(())
    }

    fn trace(&mut self, pid: Pid, key: ProcessKey, plan: &Plan) {
        let interpreter = Some(Rc::clone(&plan.interpreter));
        self.translator.trace(
            pid,
            Traced {
                key,
                memory: plan.memory.clone(),
                interpreter,
            },
        );
    }

    /// Opens the probes of a process that has just got its plan.
    fn open_probes(&mut self, pid: Pid, plan: Plan, now: Duration) {
        if let Some(followed) = self.followed.get_mut(&pid) {
            followed.plan = Some(plan);
        }
        self.pay_for(pid, now);
    }

    fn pay_for(&mut self, pid: Pid, now: Duration) {
        let Some(followed) = self.followed.get_mut(&pid) else {
            return;
        };
        let mut closed = Links::default();
        let errors = followed.pay(&mut self.probe, self.model, now, &mut closed);
        self.detach_later(closed);
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

    /// Takes in one record of the kernel half.
    pub(super) fn take(&mut self, record: &Record) {
        let time = self.time_of(record);
        match record.what {
            Happening::Forked { child } => self.forked(record.pid, child, time),
            Happening::Execed => self.execed(record.pid, time),
            Happening::Exited => self.exited(record.pid, time),
            _ => {
                if let Some(event) = self.translator.translate(record) {
                    self.books.apply(&event);
                }
            }
        }
    }

    fn time_of(&self, record: &Record) -> Duration {
        Duration::from_nanos(record.time_ns.saturating_sub(self.start_ns))
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
        self.starting.push(Starting {
            pid,
            since: Instant::now(),
            eagerly: false,
        });
    }

    /// Measures what a command does before its Python can be seen.
    fn measure_before_python(&mut self, pid: Pid, key: ProcessKey) {
        let config = ProcessConfig {
            threads_head: NOT_YET_PYTHON,
            ..ProcessConfig::default()
        };
        if self.probe.follow(pid, &config).is_ok() {
            self.books.open(key, heap_end(pid));
            let traced = Traced {
                key,
                memory: Memory::of(pid),
                interpreter: None,
            };
            self.translator.trace(pid, traced);
        }
    }

    fn exited(&mut self, pid: Pid, time: Duration) {
        let Some(mut followed) = self.followed.remove(&pid) else {
            return;
        };
        self.records[followed.key.0 as usize].ended = Some(time);
        let exited = Lifecycle {
            process: followed.key,
            time,
            kind: LifecycleKind::Exited,
        };
        self.lifecycles.push(exited);
        self.starting.retain(|starting| starting.pid != pid);
        self.detach_later(followed.take_links());
    }

    /// Looks after programs that may have become Python by now.
    pub(super) fn look_after_starting(&mut self, now: Duration) {
        for starting in std::mem::take(&mut self.starting) {
            let pid = starting.pid;
            let waiting_for_exec = starting.eagerly;
            let Some(followed) = self.followed.get(&pid) else {
                continue;
            };
            if waiting_for_exec {
                self.starting.push(starting);
                continue;
            }
            let identity = followed.identity.clone();
            match self.plan(&identity) {
                Ok(plan) => {
                    if let Err(error) = self.measure(pid, plan, now) {
                        tracing::warn!("process {pid}: {error}");
                    }
                }
                Err(error) if starting.since.elapsed() > START_PATIENCE => {
                    tracing::info!("process {pid} is not measured: {error}");
                    self.watch(pid);
                }
                Err(_too_early) => self.starting.push(starting),
            }
        }
    }

    /// Whether anything waits to become Python.
    pub(super) fn is_anything_starting(&self) -> bool {
        !self.starting.is_empty()
    }

    /// Books costs, and opens or closes probes so that they stay within their limits.
    pub(super) fn pay(&mut self, now: Duration) {
        let pids: Vec<Pid> = self.followed.keys().copied().collect();
        for pid in pids {
            self.pay_for(pid, now);
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

/// Where the heap of a process ends now, as far as its mappings tell.
fn heap_end(pid: Pid) -> Option<u64> {
    let mappings = process::maps::read(pid).ok()?;
    let heap = mappings
        .iter()
        .find(|mapping| mapping.kind == process::maps::MappingKind::Heap)?;
    Some(heap.end)
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
