//! A made-up recording and its findings, for tests of reports.

use std::time::Duration;

use profiler_common::loss::Loss;

use super::Subject;
use crate::{
    aggregate::{Course, Estimate, Findings, GroupFinding, Moment, ProcessFinding, Site, Totals},
    classify::{Verdicts, judge},
    profile::{Facts, Frame, ProcessKey, ProcessRecord, Recorded, StackId, TrafficChoice},
    units::Pid,
};

pub(crate) const MIB: u64 = 1 << 20;
const SECONDS: Duration = Duration::from_secs(30);

/// A recording with its findings and verdicts, to be changed at will.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) recorded: Recorded,
    pub(crate) findings: Findings,
    pub(crate) verdicts: Verdicts,
}

impl Sample {
    /// A recording of one process in which nothing happened.
    pub(crate) fn quiet() -> Self {
        let findings = Findings {
            duration: SECONDS,
            blocks_observed_fraction: 1.0,
            measured_overhead_percent: Some(0.3),
            ..Findings::default()
        };
        let recorded = Recorded {
            facts: Facts {
                heaptide: "0.1.0".to_owned(),
                started_at: "2026-11-23T10:00:00Z".to_owned(),
                duration: SECONDS,
                complete: true,
                kernel: "6.18.0".to_owned(),
                target: "python app.py (pid 4711)".to_owned(),
                budget_percent: Some(2.0),
                page_fault_period: 16,
                page_size: 4096,
                notes: Vec::new(),
                traffic: TrafficChoice::Auto,
            },
            ..Recorded::default()
        };
        let verdicts = judge(&findings);
        let quiet = Self {
            recorded,
            findings,
            verdicts,
        };
        quiet.process(4711, "python app.py", (48 * MIB, 48 * MIB))
    }

    /// A leak of one process, with library and interpreter code around it.
    pub(crate) fn leak() -> Self {
        let mut leak = Self::quiet();
        leak.findings.processes.clear();
        leak.recorded.processes.clear();
        let main = ("<module>", "/srv/shop/main.py", 12);
        let run = (
            "Flask.run",
            "/v/lib/python3.12/site-packages/flask/app.py",
            625,
        );
        let view = ("show_basket", "/srv/shop/views/basket.py", 41);
        let decode = (
            "JSONDecoder.raw_decode",
            "/usr/lib/python3.12/json/decoder.py",
            353,
        );
        let session = ("SessionCache.remember", "/srv/shop/cache.py", 88);
        let model = (
            "Model.from_db",
            "/v/lib/python3.12/site-packages/orm/base.py",
            507,
        );
        let import = (
            "_call_with_frames_removed",
            "<frozen importlib._bootstrap>",
            488,
        );
        leak.process(4711, "python app.py", (48 * MIB, 132 * MIB))
            .site(&[main, run, view, session], 71 * MIB, 90 * MIB)
            .site(&[main, run, view, decode], 5 * MIB, 1200 * MIB)
            .site(&[main, run, view, model], 2 * MIB, 300 * MIB)
            .site(&[main, import], MIB, MIB)
            .site(&[main, run], 130_000, 14 * MIB)
            .site(&[main, run, view], 4_000, MIB)
            .site(&[main], 0, 9 * MIB)
    }

    /// Adds a process, with its resident size at the start and at the end.
    pub(crate) fn process(mut self, pid: u32, command: &str, rss: (u64, u64)) -> Self {
        let key = ProcessKey(u32::try_from(self.recorded.processes.len()).unwrap());
        self.recorded.processes.push(ProcessRecord {
            pid: Pid(pid),
            inner_pid: None,
            parent: Pid(1),
            command: command.to_owned(),
            python: Some("3.12.1".to_owned()),
            started: Duration::ZERO,
            ended: None,
        });
        self.findings.processes.push(ProcessFinding {
            key,
            pid: Pid(pid),
            inner_pid: None,
            parent: Pid(1),
            command: command.to_owned(),
            python: Some("3.12.1".to_owned()),
            started: Duration::ZERO,
            ended: None,
            rss_start: Some(rss.0),
            rss_end: Some(rss.1),
            rss_peak: Some(rss.0.max(rss.1) + MIB),
            uss_end: Some(rss.1 - MIB),
            pss_end: Some(rss.1 - MIB / 2),
            growth_per_second: per_second(rss),
            retained: Estimate::exact(rss.1.saturating_sub(rss.0) / 10 * 9),
            explained_growth_percent: Some(94.0),
            live_mappings: 0,
            allocator: None,
            sharing: None,
            course: straight(rss),
        });
        self.summed()
    }

    /// Adds a stack, outermost frame first, and the site that it belongs to.
    pub(crate) fn site(
        mut self,
        stack: &[(&str, &str, u32)],
        retained: u64,
        allocated: u64,
    ) -> Self {
        let (function, file, line) = *stack.last().unwrap();
        let stack = self.stack(stack);
        self.findings.sites.push(Site {
            function: function.to_owned(),
            file: file.to_owned(),
            line,
            stack,
            pids: self.findings.processes.iter().map(|p| p.pid).collect(),
            samples: allocated / 4096,
            retained: Estimate {
                estimate: retained,
                low: retained / 100 * 98,
                high: retained / 100 * 102,
            },
            allocated: Estimate::exact(allocated),
            allocations: Estimate::exact(allocated / 600),
            resident: retained / 4096 * 4096,
            mapped: 0,
            retained_by_age: Vec::new(),
            growth_per_second: per_second((0, retained)),
            share_of_growth_percent: 0.0,
        });
        self.summed()
    }

    /// Interns a stack, outermost frame first.
    pub(crate) fn stack(&mut self, outermost_first: &[(&str, &str, u32)]) -> StackId {
        let table = &mut self.recorded.stacks;
        let frames: Vec<_> = outermost_first
            .iter()
            .map(|(function, file, line)| {
                table.intern_frame(&Frame {
                    function: (*function).to_owned(),
                    file: (*file).to_owned(),
                    line: *line,
                })
            })
            .collect();
        table.intern(frames)
    }

    /// Counts something as not measured.
    pub(crate) fn loss(mut self, loss: Loss, times: u64) -> Self {
        self.findings.losses.add(loss, times);
        self
    }

    /// What a report is made from.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            recorded: &self.recorded,
            findings: &self.findings,
            verdicts: &self.verdicts,
        }
    }

    /// What the sites retain, by stack.
    pub(crate) fn weights(&self) -> Vec<(StackId, u64)> {
        let weight = |site: &Site| (site.stack, site.retained.estimate);
        self.findings.sites.iter().map(weight).collect()
    }

    /// Works out again what follows from the rest.
    pub(crate) fn summed(mut self) -> Self {
        let findings = &mut self.findings;
        let sum = |metric: fn(&Site) -> Estimate| {
            findings
                .sites
                .iter()
                .map(metric)
                .fold(Estimate::default(), |a, b| Estimate {
                    estimate: a.estimate + b.estimate,
                    low: a.low + b.low,
                    high: a.high + b.high,
                })
        };
        findings.totals = Totals {
            retained: sum(|site| site.retained),
            allocated: sum(|site| site.allocated),
            allocations: sum(|site| site.allocations),
            resident: findings.sites.iter().map(|site| site.resident).sum(),
            mapped: findings.sites.iter().map(|site| site.mapped).sum(),
        };
        let total = findings.totals.retained.estimate.max(1);
        for site in &mut findings.sites {
            site.share_of_growth_percent = ratio(site.retained.estimate, total) * 100.0;
        }
        let processes = &findings.processes;
        let start = processes
            .iter()
            .filter_map(|process| process.rss_start)
            .sum();
        let end = processes.iter().filter_map(|process| process.rss_end).sum();
        findings.group = GroupFinding {
            process_count: processes.len(),
            rss_start: Some(start),
            rss_end: Some(end),
            rss_peak: processes.iter().map(|process| process.rss_peak).sum(),
            pss_end: processes.iter().map(|process| process.pss_end).sum(),
            growth_per_second: per_second((start, end)),
            explained_growth_percent: (end > start + MIB).then_some(94.0),
        };
        self.verdicts = judge(&self.findings);
        self
    }
}

#[expect(clippy::cast_precision_loss, reason = "made-up numbers are small")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// A size that went straight from one to the other, in a process that was there before.
fn straight((start, end): (u64, u64)) -> Course {
    let seconds = SECONDS.as_secs();
    let moment = |second: u64| Moment {
        time: Duration::from_secs(second),
        rss: (start * (seconds - second) + end * second) / seconds,
        cpu: Duration::from_secs(60 + second / 2),
        ..Moment::default()
    };
    Course {
        moments: (0..=seconds).map(moment).collect(),
        left: Vec::new(),
    }
}

fn per_second((start, end): (u64, u64)) -> f64 {
    ratio(end.saturating_sub(start), 1) / SECONDS.as_secs_f64()
}
