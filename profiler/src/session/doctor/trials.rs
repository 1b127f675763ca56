//! Checks of the host that try out what a recording does: load, attach, see, detach.

use std::{fs, time::Duration};

use profiler_common::config::ProcessConfig;

use super::{
    super::{
        own_file_offset,
        recorder::{PAGE_FAULT_PERIOD, RING_BYTES},
    },
    facts::HostFacts,
    refusal,
};
use crate::{
    probe::{
        Happening, Links, LoadOptions, Probe, ProbeError, calibrate, is_tracefs_mounted,
        return_probes_are_safe,
    },
    report::{Check, Topic},
    units::{Bytes, Pid},
};

const PROGRAMS: Topic = Topic {
    id: "programs",
    title: "BPF programs",
};
const RING: Topic = Topic {
    id: "ring-buffer",
    title: "ring buffer",
};
const LIFECYCLE: Topic = Topic {
    id: "lifecycle",
    title: "raw tracepoints",
};
const SYSCALLS: Topic = Topic {
    id: "tracefs",
    title: "tracefs",
};
const PAGE_FAULTS: Topic = Topic {
    id: "page-faults",
    title: "page faults",
};
const LINKS: Topic = Topic {
    id: "probe-links",
    title: "probe links",
};
const COST: Topic = Topic {
    id: "probe-cost",
    title: "probe cost",
};
const RETURNS: Topic = Topic {
    id: "return-probes",
    title: "return probes",
};
const EVENTS: Topic = Topic {
    id: "events",
    title: "events",
};

/// A hit that costs more makes windows short.
const DEAR_HIT: Duration = Duration::from_micros(3);

/// No trial causes more records.
const RECORDS_LIMIT: usize = 10_000;

/// What came of the trials.
#[derive(Debug, Default)]
pub(super) struct Trials {
    pub(super) checks: Vec<Check>,
    /// Whether return probes leave a process under a seccomp filter alive; `None` if it could not
    /// be tried.
    pub(super) return_probes_are_safe: Option<bool>,
}

/// Makes the trials. Everything is detached when this returns.
pub(super) fn run(facts: &HostFacts) -> Trials {
    let options = LoadOptions {
        ring_bytes: RING_BYTES,
        diagnostics: false,
        single_site_links: false,
    };
    match Probe::load(options) {
        Ok(probe) => Bench {
            probe,
            facts,
            links: Links::default(),
            trials: Trials::default(),
        }
        .run(),
        Err(error) => {
            let rest = [
                RING,
                LIFECYCLE,
                SYSCALLS,
                PAGE_FAULTS,
                LINKS,
                COST,
                RETURNS,
                EVENTS,
            ];
            let mut checks = vec![loading_failed(&error, facts)];
            checks.extend(rest.map(|topic| topic.untried(PROGRAMS)));
            Trials {
                checks,
                return_probes_are_safe: None,
            }
        }
    }
}

fn loading_failed(error: &ProbeError, facts: &HostFacts) -> Check {
    match error {
        ProbeError::NoTypeInformation { .. } | ProbeError::TypeInformation(_) => {
            PROGRAMS.untried(super::host::BTF)
        }
        _ => refusal::failed(PROGRAMS, error, facts),
    }
}

/// The loaded kernel half while it is tried out.
struct Bench<'a> {
    probe: Probe,
    facts: &'a HostFacts,
    links: Links,
    trials: Trials,
}

impl Bench<'_> {
    fn run(mut self) -> Trials {
        self.say(PROGRAMS.ok("all loaded"));
        self.say(ring_buffer(locked_bytes()));
        let is_seen = self.attach_host();
        self.say(links(self.probe.has_multi_links()));
        self.try_probes();
        let seen = if is_seen {
            events(self.has_seen_fork())
        } else {
            EVENTS.untried(LIFECYCLE)
        };
        self.say(seen);
        self.links.detach();
        self.trials
    }

    fn say(&mut self, check: Check) {
        self.trials.checks.push(check);
    }

    /// Keeps what was attached until all is detached, or tells why it was not.
    fn keep(&mut self, topic: Topic, attached: Result<Links, ProbeError>, found: &str) -> bool {
        let is_attached = attached.is_ok();
        let check = match attached {
            Ok(links) => {
                self.links.append(links);
                topic.ok(found)
            }
            Err(error) => refusal::failed(topic, &error, self.facts),
        };
        self.say(check);
        is_attached
    }

    /// Attaches what watches the host, and says whether comings and goings are seen.
    fn attach_host(&mut self) -> bool {
        // Heaptide itself is followed, so that the trial's child is seen as its fork.
        let own = Pid(std::process::id());
        let followed = self.probe.follow(own, &ProcessConfig::default()).is_ok();
        let attached = self.probe.attach_lifecycle();
        let is_seen = self.keep(LIFECYCLE, attached, "fork, exec and exit attach");
        let mounted = is_tracefs_mounted();
        let attached = self.probe.attach_syscalls();
        self.keep(
            SYSCALLS,
            attached,
            if mounted {
                "mounted; system call tracepoints attach"
            } else {
                "not mounted: heaptide mounts it for itself alone"
            },
        );
        let attached = self.probe.attach_page_faults(PAGE_FAULT_PERIOD);
        self.keep(
            PAGE_FAULTS,
            attached,
            "one in 61 is sampled on each processor",
        );
        followed && is_seen
    }

    /// Tries probes on heaptide itself and on a child of it.
    fn try_probes(&mut self) {
        let check = match calibrate(&mut self.probe, own_file_offset) {
            Ok((hit, links)) => {
                self.links.append(links);
                cost(hit)
            }
            Err(error) => refusal::failed(COST, &error, self.facts),
        };
        self.say(check);
        let check = match return_probes_are_safe(&mut self.probe, own_file_offset) {
            Ok((safe, links)) => {
                self.links.append(links);
                self.trials.return_probes_are_safe = Some(safe);
                return_probes(safe)
            }
            Err(error) => refusal::failed(RETURNS, &error, self.facts),
        };
        self.say(check);
    }

    /// Whether the kernel half has reported that heaptide forked a child.
    fn has_seen_fork(&mut self) -> bool {
        let own = Pid(std::process::id());
        let records = std::iter::from_fn(|| self.probe.next_record());
        let mut records = records.take(RECORDS_LIMIT).flatten();
        records.any(|record| record.pid == own && matches!(record.what, Happening::Forked { .. }))
    }
}

fn ring_buffer(all: u64) -> Check {
    let (ring, all) = (Bytes(u64::from(RING_BYTES)), Bytes(all));
    RING.ok(format!("{ring}; {all} with all tables"))
}

fn links(multi: bool) -> Check {
    if multi {
        return LINKS.ok("one link has many sites");
    }
    let found = "one site each: context switches of the target cost more, and probes take longer \
                 to come and go";
    LINKS.degraded(found, "boot a kernel with uprobe_multi links, from 6.6 on")
}

fn cost(hit: Duration) -> Check {
    let time = format!("{:.2} µs a hit", hit.as_secs_f64() * 1e6);
    if hit > DEAR_HIT {
        let note = "dear, so blocks are observed a smaller part of the time";
        return COST.ok(format!("{time}: {note}"));
    }
    COST.ok(time)
}

fn return_probes(safe: bool) -> Check {
    if safe {
        return RETURNS.ok("safe under seccomp filters");
    }
    let found = "would kill processes under a seccomp filter, so their blocks over 512 bytes are \
                 not measured";
    RETURNS.degraded(
        found,
        "boot a kernel whose seccomp lets uretprobe() pass: from 6.14 on, or before 6.11",
    )
}

fn events(arrive: bool) -> Check {
    if arrive {
        return EVENTS.ok("heaptide saw its own child come and go");
    }
    let found = "heaptide did not see its own child: it counts process ids differently from the \
                 kernel, as in a container";
    EVENTS.failed(
        found,
        "run heaptide on the host, or in a container with `--pid=host`",
    )
}

/// The kernel's memory that heaptide's open BPF objects take.
fn locked_bytes() -> u64 {
    let entries = fs::read_dir("/proc/self/fdinfo")
        .into_iter()
        .flatten()
        .flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.filter_map(|text| locked(&text)).sum()
}

/// The `memlock` of one open file; only BPF objects have one.
fn locked(fdinfo: &str) -> Option<u64> {
    let value = fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("memlock:"))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    #[test]
    fn old_links_and_unsafe_returns_are_limits_and_no_failures() {
        assert_eq!(links(false).status, Status::Degraded);
        assert_eq!(return_probes(false).status, Status::Degraded);
        assert!(return_probes(false).found.contains("512 bytes"));
    }

    #[test]
    fn a_dear_hit_is_noted() {
        let cheap = cost(Duration::from_nanos(640));
        assert_eq!(
            (cheap.status, cheap.found.as_str()),
            (Status::Ok, "0.64 µs a hit")
        );
        let dear = cost(Duration::from_nanos(9400));
        assert_eq!(dear.status, Status::Ok);
        assert!(dear.found.starts_with("9.40 µs a hit: dear"));
    }

    #[test]
    fn events_that_do_not_arrive_are_a_failure() {
        assert_eq!(events(false).status, Status::Failed);
        assert_eq!(events(true).status, Status::Ok);
    }

    #[test]
    fn only_bpf_objects_count() {
        assert_eq!(locked("pos:\t0\nmemlock:\t4096\nmap_id:\t7\n"), Some(4096));
        assert_eq!(locked("pos:\t0\nflags:\t02\n"), None);
        assert_eq!(locked("memlock:\tmuch\n"), None);
    }

    #[test]
    fn a_kernel_without_type_information_is_told_once() {
        let error = ProbeError::NoTypeInformation {
            path: "/sys/kernel/btf/vmlinux",
            source: std::io::ErrorKind::NotFound.into(),
        };
        let facts = HostFacts::gather();
        assert!(!loading_failed(&error, &facts).tried);
    }
}
