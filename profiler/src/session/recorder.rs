//! The life of a recording: prepare, loop, write, let go.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use profiler_common::loss::Loss;
use rustix::param::page_size;
use tokio::{
    io::unix::AsyncFd,
    time::{Interval as Ticker, MissedTickBehavior, interval, sleep},
};

use super::{
    Options, SessionError, Target,
    clock::Clock,
    cost::CostModel,
    exact,
    launch::Launched,
    naming::TargetName,
    notes::sampling_notes,
    observer::{Ending, Finished, Observer, Progress},
    own_file_offset,
    signals::Signals,
    tracker::Tracker,
    traffic,
    urgency::Urgency,
};
use crate::{
    probe::{Links, LoadOptions, Probe, calibrate},
    profile::{Facts, Interval, Losses},
    recording::{RecordingError, Writer},
};

/// Bytes of the ring buffer: 28,700 events with stacks of up to 32 frames, or 6,200 with deeper
/// ones, each of which takes the place of a short record as well.
pub(super) const RING_BYTES: u32 = 1 << 24;

/// One page fault in so many is looked at. A prime, so that regular strides through memory do
/// not always hit the same place.
pub(super) const PAGE_FAULT_PERIOD: u64 = 61;

/// How often the ring is emptied: from the shortest time, when code is met that was not known
/// before and may soon be gone, to the longest, when nothing is new.
const SHORTEST_DRAIN_PERIOD: Duration = Duration::from_millis(5);
const LONGEST_DRAIN_PERIOD: Duration = Duration::from_millis(50);

/// How long records are taken in before costs are looked at again.
const DRAIN_TIME: Duration = Duration::from_millis(5);

/// Records that are older when they are taken in tell that these come too fast.
const MAX_LAG: Duration = Duration::from_millis(100);

/// How many records are taken in between two looks at the clock.
const DRAIN_BATCH: usize = 64;

/// How long an interval may wait for the ring to be empty.
const MAX_DRAIN: Duration = Duration::from_millis(300);

/// How often the recording grows by an interval.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many intervals wait for a full disk to have room again.
const MAX_BACKLOG: usize = 60;

/// Makes a recording. `write_results` runs when the file is complete and the probes are still in
/// place, because taking them away may take a while.
pub fn record<R>(
    options: &Options,
    observer: &mut dyn Observer,
    write_results: impl FnOnce(&Finished) -> R,
) -> Result<(Finished, R), SessionError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| SessionError::Runtime { source })?;
    runtime.block_on(async {
        let mut recorder = Recorder::prepare(options, observer).await?;
        let looped = recorder.run(options, observer).await;
        let ending = match looped {
            Ok(ending) => ending,
            Err(error) => {
                recorder.tracker.detach_all(recorder.host);
                return Err(error);
            }
        };
        let (mut finished, rest) = recorder.finish(ending, observer);
        observer.ended();
        let results = write_results(&finished);
        rest.tracker.detach_all(rest.host);
        if let Some(launched) = rest.launched {
            finished.status = launched.wait(rest.signals).await;
        }
        Ok((finished, results))
    })
}

/// What is left of a recorder when the file is complete.
struct Rest {
    tracker: Tracker,
    host: Links,
    launched: Option<Launched>,
    signals: Signals,
}

/// Which interval is recorded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Round {
    /// Nothing has happened yet.
    First,
    Regular,
    /// Nothing will happen any more.
    Last,
}

struct Recorder {
    tracker: Tracker,
    host: Links,
    writer: Writer,
    facts: Facts,
    clock: Clock,
    backlog: Vec<Interval>,
    /// Why the backlog could not be written.
    unwritten: Option<RecordingError>,
    last_losses: Losses,
    interval_start: Duration,
    /// Whether the ring still held records when it was looked at last.
    is_behind: bool,
    /// While heaptide is behind with what must not be lost.
    urgency: Option<Urgency>,
    drain_period: Duration,
    /// When the probes were told last to show less.
    relieved: Instant,
    launched: Option<Launched>,
    signals: Signals,
}

impl Recorder {
    async fn prepare(options: &Options, observer: &mut dyn Observer) -> Result<Self, SessionError> {
        // Whoever reads that the recording has begun can end it from then on.
        let signals = Signals::new().map_err(|source| SessionError::Runtime { source })?;
        // Wrong pids and files are found before anything is loaded into the kernel.
        let target = TargetName::of(&options.target)?;
        let mut facts = facts(options, &target.text);
        let path = options
            .output
            .clone()
            .unwrap_or_else(|| target.default_path());
        let mut probe = Probe::load(LoadOptions {
            ring_bytes: if options.exact {
                exact::RING_BYTES
            } else {
                RING_BYTES
            },
            diagnostics: options.diagnostics,
            single_site_links: options.single_site_links,
        })?;
        let (hit, calibration) = calibrate(&mut probe, own_file_offset)?;
        tracing::info!("a probe hit costs {hit:?} on this host");
        let mut host = probe.attach_lifecycle()?;
        host.append(probe.attach_syscalls()?);
        host.append(probe.attach_page_faults(PAGE_FAULT_PERIOD)?);
        if !options.exact {
            host.append(probe.attach_clocks()?);
        }
        let sight = traffic::begin(&mut probe, options.traffic, &mut host, &mut facts.notes);
        let clock = Clock::start();
        let mut tracker = Tracker::new(probe, CostModel { hit }, (options, sight), clock);
        tracker.detach_later(calibration);
        let launched = match begin(&mut tracker, &options.target) {
            Ok(launched) => launched,
            Err(error) => {
                tracker.detach_all(host);
                return Err(error);
            }
        };
        facts.notes.append(&mut tracker.notes);
        let writer = match Writer::create(&path, options.force, &facts) {
            Ok(writer) => writer,
            Err(error) => {
                tracker.detach_all(host);
                return Err(error.into());
            }
        };
        if options.exact {
            tracker.open_first_probes(clock.now());
            observer.warned(&exact::preview(&mut tracker, clock).await);
        }
        Ok(Self {
            tracker,
            host,
            writer,
            facts,
            clock,
            backlog: Vec::new(),
            unwritten: None,
            last_losses: Losses::default(),
            interval_start: Duration::ZERO,
            is_behind: false,
            urgency: None,
            drain_period: SHORTEST_DRAIN_PERIOD,
            relieved: Instant::now(),
            launched,
            signals,
        })
    }

    async fn run(
        &mut self,
        options: &Options,
        observer: &mut dyn Observer,
    ) -> Result<Ending, SessionError> {
        let runtime = |source| SessionError::Runtime { source };
        let ring: OwnedFd = self
            .tracker
            .probe
            .ring_fd()
            .try_clone_to_owned()
            .map_err(runtime)?;
        // SAFETY: the descriptor is owned by the registration and never replaced.
        let mut ring = unsafe { AsyncFd::register(ring) }.map_err(|error| runtime(error.into()))?;
        let mut intervals = ticker(INTERVAL);
        self.record_interval(observer, Round::First);
        self.tracker.open_first_probes(self.clock.now());
        // Whoever waits for this word finds what there was before it in the first interval.
        observer.started(self.writer.path(), options.duration);
        if let Some(launched) = &mut self.launched {
            launched.release();
        }
        loop {
            tokio::select! {
                () = sleep(self.next_drain()) => self.drain(),
                ready = ring.readable_mut() => {
                    ready.map_err(runtime)?.clear_ready();
                    self.drain();
                }
                _ = intervals.tick() => self.record_interval(observer, Round::Regular),
                kind = self.signals.next() => {
                    match &self.launched {
                        Some(launched) => launched.pass_on(kind),
                        None => return Ok(Ending::Interrupted),
                    }
                }
            }
            if self.tracker.process_count() == 0 {
                return Ok(Ending::TargetEnded);
            }
            if options
                .duration
                .is_some_and(|duration| self.clock.now() >= duration)
            {
                return Ok(Ending::Duration);
            }
        }
    }

    /// Takes in what the kernel half has sent, and looks after what depends on time.
    fn drain(&mut self) {
        let newest = self.take_records();
        self.is_behind = newest.is_some();
        self.hurry();
        // Whoever falls behind that far will soon lose what the ring cannot hold.
        if newest.is_some_and(|newest| self.clock.now().saturating_sub(newest) > MAX_LAG)
            && self.relieved.elapsed() > MAX_LAG
        {
            self.relieved = Instant::now();
            self.tracker.relieve();
        }
        self.drain_period = if self.tracker.translator.take_has_learned() {
            SHORTEST_DRAIN_PERIOD
        } else {
            (self.drain_period * 2).min(LONGEST_DRAIN_PERIOD)
        };
        self.tracker.probe.show_diagnostics();
        self.tracker.pay(self.clock.now(), self.is_behind);
        self.tracker.look_after_starting(self.clock.now());
    }

    /// Goes before others while there is more to take in: where everything is followed, no probes
    /// are closed to lose nothing. Only where that leaves a processor for the rest.
    fn hurry(&mut self) {
        if !(self.is_behind && self.tracker.is_exact()) {
            self.urgency = None;
        } else if self.urgency.is_none() && exact::has_processors_to_spare() {
            self.urgency = Some(Urgency::begin());
        }
    }

    /// Takes in records until the ring is empty, or until some time has passed: if they come faster
    /// than they can be taken in, it is time to close probes. Returns the time of the last one if
    /// there may be more.
    fn take_records(&mut self) -> Option<Duration> {
        let start = Instant::now();
        let mut newest = Duration::ZERO;
        while start.elapsed() < DRAIN_TIME {
            for _ in 0..DRAIN_BATCH {
                match self.tracker.probe.next_record() {
                    Some(Some(record)) => newest = self.tracker.take(&record),
                    Some(None) => self.tracker.losses.add(Loss::BadRecord, 1),
                    None => return None,
                }
            }
        }
        Some(newest)
    }

    /// Empties the ring, as far as that is possible in reasonable time.
    fn drain_all(&mut self) {
        let start = Instant::now();
        self.drain();
        while self.is_behind && start.elapsed() < MAX_DRAIN {
            self.drain();
        }
    }

    /// How soon to look again: when the ring wants to be emptied, or probes to be closed.
    fn next_drain(&self) -> Duration {
        if self.is_behind {
            return Duration::ZERO;
        }
        let checks = [self.tracker.check_within(), self.tracker.starting_within()];
        let next = checks.into_iter().flatten().min();
        next.map_or(self.drain_period, |next| next.min(self.drain_period))
    }

    fn record_interval(&mut self, observer: &mut dyn Observer, round: Round) {
        let now = self.clock.now();
        if round != Round::First {
            self.drain_all();
            self.tracker.look_into_heaps();
            self.keep_up(round);
        }
        let stacks = self.tracker.translator.stacks();
        self.tracker.books.tell_phases_apart(now, stacks);
        let mut interval = self.tracker.books.take_interval(self.interval_start, now);
        interval.censuses = self.tracker.census(now, round == Round::Last);
        self.keep_up(round);
        self.tracker
            .look_for_causes(&mut interval, round == Round::Last);
        self.keep_up(round);
        interval.cgroups = self.tracker.cgroups(now);
        interval.lifecycles = self.tracker.take_lifecycles();
        interval.losses = self.new_losses();
        self.interval_start = now;
        let progress = Progress {
            elapsed: now,
            processes: self.tracker.process_count(),
            rss: interval.censuses.iter().map(|census| census.rss).sum(),
            missing: (self.last_losses.missing()).saturating_add(interval.losses.missing()),
        };
        self.last_losses.merge(&interval.losses);
        self.backlog.push(interval);
        self.write_backlog(observer);
        observer.progressed(progress);
    }

    /// Looks after probes between the steps of an interval, which take a while. Not at the end:
    /// what comes after the last interval is in none, so it must not be among what is still held.
    fn keep_up(&mut self, round: Round) {
        if round == Round::Regular {
            self.drain();
        }
    }

    /// What was lost since the last interval: the kernel half counts from its start.
    fn new_losses(&mut self) -> Losses {
        let mut losses = std::mem::take(&mut self.tracker.losses);
        losses.merge(&self.tracker.translator.take_losses());
        losses.merge(&self.tracker.books.take_losses());
        losses.merge(&self.tracker.probe.take_losses());
        losses
    }

    fn write_backlog(&mut self, observer: &mut dyn Observer) {
        while let Some(interval) = self.backlog.first() {
            let stacks = self.tracker.translator.stacks();
            let appended = self.writer.append(interval, &self.tracker.records, stacks);
            if let Err(error) = appended {
                if self.unwritten.is_none() {
                    observer.warned(&format!("{error}; heaptide goes on and tries again"));
                }
                self.unwritten = Some(error);
                break;
            }
            self.unwritten = None;
            self.backlog.remove(0);
        }
        if self.backlog.len() > MAX_BACKLOG {
            self.backlog.remove(0);
            self.tracker.losses.add(Loss::NotWritten, 1);
        }
    }

    /// Completes the file. The probes are still in place when this returns.
    fn finish(mut self, ending: Ending, observer: &mut dyn Observer) -> (Finished, Rest) {
        // What is in the ring by now belongs to the recording, however long it takes to take it in.
        let end = self.clock.now();
        while self.take_records().is_some_and(|newest| newest < end) {}
        self.drain();
        self.tracker.settle(self.clock.now());
        self.record_interval(observer, Round::Last);
        if !self.backlog.is_empty() {
            self.writer.make_room();
            self.write_backlog(observer);
        }
        self.facts.complete = self.backlog.is_empty();
        if self.facts.complete {
            self.facts.duration = self.interval_start;
        }
        let remains = self.tracker.remains(self.interval_start);
        self.facts.notes.append(&mut self.tracker.notes);
        self.facts.notes.extend(sampling_notes(&self.tracker));
        let path = self.writer.path().to_path_buf();
        let incomplete = match self.writer.finish(&self.facts, &remains) {
            Err(error @ RecordingError::StillRead { .. }) => {
                observer.warned(&error.to_string());
                None
            }
            finished => finished.err().or(self.unwritten),
        };
        let finished = Finished {
            path,
            ending,
            status: None,
            incomplete,
        };
        let rest = Rest {
            tracker: self.tracker,
            host: self.host,
            launched: self.launched,
            signals: self.signals,
        };
        (finished, rest)
    }
}

/// Starts to measure the target.
fn begin(tracker: &mut Tracker, target: &Target) -> Result<Option<Launched>, SessionError> {
    match target {
        Target::Attach { pids } => {
            tracker.hold_first_probes();
            for pid in pids {
                tracker.attach(*pid)?;
            }
            Ok(None)
        }
        Target::Launch { command } => {
            let launched = Launched::start(command)?;
            tracker.launch(launched.pid())?;
            Ok(Some(launched))
        }
    }
}

fn facts(options: &Options, target: &str) -> Facts {
    Facts {
        heaptide: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        target: target.to_owned(),
        budget_percent: (!options.exact).then_some(options.max_overhead_percent),
        page_fault_period: PAGE_FAULT_PERIOD,
        page_size: page_size() as u64,
        traffic: options.traffic,
        ..Facts::default()
    }
}

fn ticker(period: Duration) -> Ticker {
    let mut ticker = interval(period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker.reset();
    ticker
}
