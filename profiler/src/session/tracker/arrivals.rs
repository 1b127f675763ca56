//! How processes come to be followed: named by the user, found below a named one, or become Python.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use profiler_common::{config::ProcessConfig, loss::Loss};

use super::Tracker;
use crate::{
    probe::return_probes_are_safe,
    process::{
        self,
        identity::{self, Identity},
        memory::Memory,
    },
    profile::{Lifecycle, LifecycleKind, ProcessKey, ProcessRecord},
    python::Interpreter,
    session::{SessionError, followed::Followed, launch::Pause, own_file_offset},
    source::{Plan, PlanError, Traced},
    units::Pid,
};

/// For how long a new program may take to become a Python that can be measured: it loads its
/// libraries and initialises its runtime first.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait between two looks at a new program.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The seccomp mode of a process with a filter.
const SECCOMP_FILTER: u32 = 2;

/// A program that may become a Python that can be measured.
pub(super) struct Starting {
    pub(super) pid: Pid,
    since: Instant,
    /// When it is looked at again.
    next: Instant,
    /// Nothing of a launched command may be missed; a worker's helper program is of no interest
    /// before it is known to be Python.
    pub(super) eagerly: bool,
    /// Whether the command still has to be executed.
    waits_for_exec: bool,
}

impl Starting {
    /// A program that has just been executed.
    pub(super) fn new(pid: Pid, eagerly: bool) -> Self {
        let now = Instant::now();
        Self {
            pid,
            since: now,
            next: now,
            eagerly,
            waits_for_exec: false,
        }
    }

    /// Looks again after an eighth of the time that it has taken so far: soon after its start,
    /// because all that Python does until then has no stacks, and seldom if it takes long.
    fn postpone(&mut self) {
        let pause = self.since.elapsed() / 8;
        self.next = Instant::now() + pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    }
}

impl Tracker {
    /// Follows a process that the user named, which must be a Python that can be measured.
    pub(in crate::session) fn attach(&mut self, pid: Pid) -> Result<(), SessionError> {
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
    pub(in crate::session) fn launch(&mut self, pid: Pid) -> Result<(), SessionError> {
        let identity = process::check(pid)?;
        self.meet(identity, LifecycleKind::Attached, Duration::ZERO);
        self.probe.follow(pid, &ProcessConfig::not_yet_python())?;
        self.probe.follow_thread(pid.0)?;
        self.starting.push(Starting {
            waits_for_exec: true,
            ..Starting::new(pid, true)
        });
        Ok(())
    }

    /// Follows the descendants that a process has already. Those to come are met through their
    /// parents, which are followed by then.
    pub(super) fn attach_descendants(&mut self, pid: Pid) {
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
    pub(super) fn plan(&mut self, identity: &Identity) -> Result<Plan, PlanError> {
        let interpreter = self.planner.find(identity.pid)?;
        self.plan_with(interpreter, identity)
    }

    fn plan_with(
        &mut self,
        interpreter: Interpreter,
        identity: &Identity,
    ) -> Result<Plan, PlanError> {
        let plan = self.planner.plan_with(interpreter)?;
        let is_filtered = identity.seccomp == SECCOMP_FILTER;
        if is_filtered && !self.return_probes_are_safe() {
            return Ok(plan.without_blocks());
        }
        Ok(plan)
    }

    /// Whether a return probe leaves a process under a seccomp filter alive; tried out once.
    pub(super) fn return_probes_are_safe(&mut self) -> bool {
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
    pub(super) fn watch(&mut self, pid: Pid) {
        if self.probe.follow(pid, &ProcessConfig::default()).is_err() {
            self.losses.add(Loss::ProcessTableFull, 1);
        }
    }

    /// Gives a process its place in the recording.
    pub(super) fn meet(
        &mut self,
        identity: Identity,
        kind: LifecycleKind,
        time: Duration,
    ) -> ProcessKey {
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
    pub(super) fn measure(
        &mut self,
        pid: Pid,
        plan: Plan,
        now: Duration,
    ) -> Result<(), SessionError> {
        let Some(key) = self.followed.get(&pid).map(|followed| followed.key) else {
            return Ok(());
        };
        for tid in identity::threads(pid) {
            if self.probe.follow_thread(tid).is_err() {
                self.losses.add(Loss::ThreadTableFull, 1);
            }
        }
        self.probe.follow(pid, &plan.config)?;
        if let Some(followed) = self.followed.get_mut(&pid) {
            followed.look_for_listeners(&mut self.probe);
        }
        self.records[key.0 as usize].python = Some(plan.interpreter.version.to_string());
        self.books.open(key, heap_end(pid), now);
        self.trace(pid, key, &plan);
        let version = plan.interpreter.version;
        self.open_probes(pid, plan, now);
        tracing::info!("process {pid} is measured: it runs CPython {version}");
        Ok(())
    }

    pub(super) fn trace(&mut self, pid: Pid, key: ProcessKey, plan: &Plan) {
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
    pub(super) fn open_probes(&mut self, pid: Pid, plan: Plan, now: Duration) {
        if let Some(followed) = self.followed.get_mut(&pid) {
            followed.plan = Some(plan);
        }
        if !self.holds_probes {
            self.pay_for(pid, now);
        }
    }

    /// From now on no probes are opened: others have to be found first, and nobody would close them
    /// when they have cost too much.
    pub(in crate::session) const fn hold_first_probes(&mut self) {
        self.holds_probes = true;
    }

    /// All processes are found: opens the probes that waited for that.
    pub(in crate::session) fn open_first_probes(&mut self, now: Duration) {
        if std::mem::take(&mut self.holds_probes) {
            self.pay(now, false);
        }
    }

    /// Measures what a command does before its Python can be seen. The kernel half does so since
    /// the command was launched.
    pub(super) fn measure_before_python(&mut self, pid: Pid, key: ProcessKey) {
        // Its heap starts with its first `brk`.
        self.books.open(key, None, self.clock.now());
        let traced = Traced {
            key,
            memory: Memory::of(pid),
            interpreter: None,
        };
        self.translator.trace(pid, traced);
    }

    /// Looks after programs that may have become Python by now.
    pub(in crate::session) fn look_after_starting(&mut self, now: Duration) {
        for mut starting in std::mem::take(&mut self.starting) {
            let pid = starting.pid;
            let Some(followed) = self.followed.get(&pid) else {
                continue;
            };
            if starting.waits_for_exec || Instant::now() < starting.next {
                self.starting.push(starting);
                continue;
            }
            let identity = followed.identity.clone();
            match self.measure_starting(&identity, starting.eagerly, now) {
                Ok(()) => {}
                Err(error) if starting.since.elapsed() > START_PATIENCE => {
                    tracing::info!("process {pid} is not measured: {error}");
                    self.watch(pid);
                }
                Err(_too_early) => {
                    starting.postpone();
                    self.starting.push(starting);
                }
            }
        }
    }

    /// Measures a program if it is Python by now. What `run` has launched is stopped for that time.
    fn measure_starting(
        &mut self,
        identity: &Identity,
        is_launched: bool,
        now: Duration,
    ) -> Result<(), PlanError> {
        let pid = identity.pid;
        let interpreter = self.planner.find(pid)?;
        let _pause = is_launched.then(|| Pause::of(pid));
        let plan = self.plan_with(interpreter, identity)?;
        if let Err(error) = self.measure(pid, plan, now) {
            tracing::warn!("process {pid}: {error}");
        }
        Ok(())
    }

    /// How soon to look after programs that may become Python; `None` if there are none.
    pub(in crate::session) fn starting_within(&self) -> Option<Duration> {
        let started = self
            .starting
            .iter()
            .filter(|starting| !starting.waits_for_exec);
        let next = started.map(|starting| starting.next).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }
}

/// Where the heap of a process ends now, as far as its mappings tell.
pub(super) fn heap_end(pid: Pid) -> Option<u64> {
    let mappings = process::maps::read(pid).ok()?;
    Some(process::maps::heap(&mappings)?.end)
}
