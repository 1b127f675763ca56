//! Measured causes in words: what allocators keep and where, and what forked processes share no
//! longer and why.

use super::{evidence::size, signals::float, thresholds as limit};
use crate::{
    aggregate::{CopySite, ProcessFinding, SharingFinding},
    profile::{AllocatorCensus, ArenaTotals, CopyCause},
    units::Bytes,
};

/// What allocators keep, by where it is, the most first: bytes, and what that is.
pub(super) fn places(census: &AllocatorCensus) -> Vec<(u64, &'static str)> {
    let (main, threads) = census.libc.map(|it| (it.main, it.threads)).unzip();
    let of = |arena: Option<ArenaTotals>| arena.map_or(0, |it| it.kept());
    let mut places = vec![
        (
            census.python.map_or(0, |it| it.kept()),
            "in Python's arenas for small objects",
        ),
        (of(main), "in the heap of malloc"),
        (of(threads), "in malloc's arenas of threads"),
    ];
    places.retain(|(bytes, _)| *bytes > 0);
    places.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    places
}

/// What allocators keep: numbers that a person can check.
pub(super) fn of_allocators(census: &AllocatorCensus) -> Vec<String> {
    let mut evidence: Vec<String> = (places(census).into_iter())
        .map(|(bytes, place)| format!("{} in memory is free {place}", Bytes(bytes)))
        .collect();
    if let Some(python) = census.python.filter(|it| it.sparse_arenas > 0) {
        evidence.push(format!(
            "{} of Python's {} arenas have less than a quarter in use: {} of objects hold {}",
            python.sparse_arenas,
            python.arenas,
            Bytes(python.sparse_live),
            Bytes(python.sparse_held),
        ));
    }
    let Some(libc) = census.libc else {
        evidence.push(
            "what the C library's malloc keeps cannot be told: it is not glibc's, or could not be \
             read"
                .to_owned(),
        );
        return evidence;
    };
    evidence.push(format!(
        "malloc holds {} in its heap, of which {} is free between blocks and {} at the end, and {} \
         in {} arenas of threads; malloc_trim(0) would return {}",
        Bytes(libc.main.held),
        Bytes(libc.main.free),
        Bytes(libc.main.top),
        Bytes(libc.threads.held),
        libc.threads.arenas,
        Bytes(libc.main.returnable.saturating_add(libc.threads.returnable)),
    ));
    if libc.unseen > 0 {
        evidence.push(format!(
            "{} of malloc's heaps was not looked at, so it may keep more",
            Bytes(libc.unseen)
        ));
    }
    evidence
}

/// What to do about what allocators keep: the largest part first.
pub(super) fn allocator_steps(census: &AllocatorCensus) -> Vec<String> {
    let kept = census.kept();
    let matters = |bytes: u64| float(bytes) >= limit::PART * float(kept) && bytes > 0;
    let mut steps: Vec<(u64, String)> = Vec::new();
    if let Some(python) = census.python.filter(|it| matters(it.kept())) {
        steps.push((
            python.kept(),
            format!(
                "{} is free in arenas that {} of small objects hold: no setting returns it, only \
                 a smaller peak (stream, or work in chunks), or doing that work in a process that \
                 ends, does",
                Bytes(python.kept()),
                Bytes(python.live)
            ),
        ));
    }
    if let Some(libc) = census.libc {
        steps.extend(libc_steps(&libc.main, &libc.threads, matters));
    }
    steps.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    steps.into_iter().map(|(_, step)| step).collect()
}

fn libc_steps(
    main: &ArenaTotals,
    threads: &ArenaTotals,
    matters: impl Fn(u64) -> bool,
) -> Vec<(u64, String)> {
    let mut steps = Vec::new();
    let returnable = main.returnable.saturating_add(threads.returnable);
    if matters(returnable) {
        steps.push((
            returnable,
            format!(
                "call malloc_trim(0) after the peak (ctypes.CDLL(None).malloc_trim(0)): it would \
                 return {} now",
                Bytes(returnable)
            ),
        ));
    }
    let top = main.top.min(main.returnable);
    if matters(top) {
        steps.push((
            top / 2,
            format!(
                "or set MALLOC_TRIM_THRESHOLD_=131072: {} is free at the end of the heap, which \
                 free() then returns by itself",
                Bytes(top)
            ),
        ));
    }
    let pinned = main.kept().saturating_sub(main.returnable);
    if matters(pinned) {
        steps.push((
            pinned,
            format!(
                "{} is free in pieces smaller than a page, between blocks that are in use: a \
                 smaller peak leaves less, and so may another allocator (jemalloc)",
                Bytes(pinned)
            ),
        ));
    }
    if matters(threads.kept()) {
        steps.push((
            threads.kept(),
            format!(
                "set MALLOC_ARENA_MAX=2, so that threads share what they free: {} arenas of \
                 threads keep {}",
                threads.arenas,
                Bytes(threads.kept())
            ),
        ));
    }
    steps
}

/// The mean of what forked processes share and copy.
struct Mean {
    inherited: f64,
    shared: f64,
    copied: f64,
    own: f64,
    before: f64,
    /// Bytes copied while recording, by cause, the most first.
    causes: Vec<(CopyCause, f64)>,
}

impl Mean {
    fn of(processes: &[&ProcessFinding]) -> Option<Self> {
        let sharings: Vec<&SharingFinding> = (processes.iter())
            .filter_map(|it| it.sharing.as_ref())
            .collect();
        let count = float(sharings.len() as u64);
        let mean = |of: &dyn Fn(&SharingFinding) -> u64| {
            sharings.iter().map(|it| float(of(it))).sum::<f64>() / count
        };
        let of_cause = |cause| {
            mean(&|it: &SharingFinding| {
                let found = it.causes.iter().find(|(known, _)| *known == cause);
                found.map_or(0, |(_, bytes)| *bytes)
            })
        };
        let mut causes: Vec<(CopyCause, f64)> = CopyCause::ALL
            .map(|cause| (cause, of_cause(cause)))
            .to_vec();
        causes.retain(|(_, bytes)| *bytes > 0.0);
        causes.sort_by(|a, b| b.1.total_cmp(&a.1));
        (!sharings.is_empty()).then(|| Self {
            inherited: mean(&|it| it.inherited()),
            shared: mean(&|it| it.shared),
            copied: mean(&|it| it.copied),
            own: mean(&|it| it.own),
            before: mean(&|it| it.copied_start),
            causes,
        })
    }

    /// Bytes that were seen to be copied.
    fn seen(&self) -> f64 {
        self.causes.iter().map(|(_, bytes)| bytes).sum()
    }

    /// The part of what was seen to be copied that has this cause.
    fn share(&self, cause: CopyCause) -> f64 {
        let found = self.causes.iter().find(|(known, _)| *known == cause);
        found.map_or(0.0, |(_, bytes)| bytes / self.seen().max(1.0))
    }
}

/// What forked processes share, and why no more: numbers that a person can check.
pub(super) fn of_sharing(processes: &[&ProcessFinding], copies: &[CopySite]) -> Vec<String> {
    let Some(mean) = Mean::of(processes) else {
        return vec![
            "none of them is known to have been forked by a process that shares memory \
             with it"
                .to_owned(),
        ];
    };
    let mut evidence = vec![format!(
        "of {} that each got by the fork, {} is still shared and {} was copied since; {} came \
         later",
        size(mean.inherited),
        size(mean.shared),
        size(mean.copied),
        size(mean.own)
    )];
    if mean.seen() >= limit::MATTERS / 4.0 {
        let causes: Vec<String> = (mean.causes.iter())
            .map(|(cause, _)| format!("{:.0}% {}", 100.0 * mean.share(*cause), cause.describe()))
            .collect();
        evidence.push(format!(
            "what was written where about {} of each was copied while recording: {}",
            size(mean.seen()),
            causes.join(", ")
        ));
    }
    if mean.before >= limit::MATTERS {
        evidence.push(format!(
            "{} of each had been copied before it was looked at first, of which the cause is not \
             known",
            size(mean.before)
        ));
    }
    let pids: Vec<_> = processes.iter().map(|it| it.pid).collect();
    let of_them = copies
        .iter()
        .find(|it| it.pids.iter().any(|pid| pids.contains(pid)));
    evidence.extend(of_them.filter(|_| mean.seen() > 0.0).map(|it| {
        format!(
            "{} made them copy about {}, by {}",
            name(it),
            Bytes(it.bytes),
            it.cause.describe()
        )
    }));
    evidence
}

/// What to do so that forked processes share more; nothing where nothing was measured.
pub(super) fn sharing_steps(processes: &[&ProcessFinding], copies: &[CopySite]) -> Vec<String> {
    let Some(mean) = Mean::of(processes) else {
        return Vec::new();
    };
    let mut steps = Vec::new();
    let private = mean.copied + mean.own;
    if mean.own > 0.5 * private {
        steps.push(format!(
            "load the application before forking (gunicorn --preload): {} of each worker came \
             after the fork, and {} by it",
            size(mean.own),
            size(mean.inherited)
        ));
    }
    let is_cause = |cause| mean.share(cause) >= limit::PART;
    if is_cause(CopyCause::Collector) || mean.before > 0.5 * mean.copied {
        let share = match mean.share(CopyCause::Collector) {
            share if share > 0.0 => {
                format!(", which made {:.0}% of what was copied", 100.0 * share)
            }
            _ => String::new(),
        };
        steps.push(format!(
            "call gc.freeze() in the parent right before it forks: then the collector of a worker \
             does not write to the objects that it got{share}"
        ));
    }
    if is_cause(CopyCause::References) {
        steps.push(format!(
            "using an object writes its reference count ({:.0}% of what was copied; Python 3.12 \
             and newer spare immortal objects such as None and small numbers, not those of the \
             application): keep large tables that are only read in few large objects (bytes, \
             array, NumPy, a mapped file)",
            100.0 * mean.share(CopyCause::References)
        ));
    }
    if is_cause(CopyCause::Data)
        && let Some(site) = copies.iter().find(|it| it.cause == CopyCause::Data)
    {
        steps.push(format!(
            "look at {}: it writes to what workers share; do that before the fork, or to a copy \
             of what it changes",
            name(site)
        ));
    }
    steps.push(format!(
        "or run fewer workers, with threads or an event loop in each: one less saves about {}",
        size(private)
    ));
    steps
}

fn name(site: &CopySite) -> String {
    let frame = &site.frame;
    if frame.is_pseudo() {
        frame.function.clone()
    } else {
        format!("{} ({}:{})", frame.function, frame.file, frame.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        profile::{Frame, LibcHeap, PythonHeap},
        units::Pid,
    };

    const MIB: u64 = 1 << 20;

    fn arena(free: u64, top: u64, returnable: u64) -> ArenaTotals {
        ArenaTotals {
            arenas: 3,
            held: 100 * MIB,
            free: free * MIB,
            top: top * MIB,
            absent: 0,
            returnable: returnable * MIB,
        }
    }

    fn census(live: u64, main: ArenaTotals, threads: ArenaTotals) -> AllocatorCensus {
        AllocatorCensus {
            python: Some(PythonHeap {
                arenas: 80,
                held: 80 * MIB,
                resident: 80 * MIB,
                live: live * MIB,
                sparse_arenas: 40,
                sparse_held: 40 * MIB,
                sparse_live: 2 * MIB,
            }),
            libc: Some(LibcHeap {
                main,
                threads,
                unseen: 0,
            }),
            ..AllocatorCensus::default()
        }
    }

    #[test]
    fn the_setting_follows_from_where_most_is_kept() {
        let none = ArenaTotals::default();
        for (census, setting) in [
            (census(10, none, none), "no setting returns it"),
            (census(75, arena(60, 0, 50), none), "malloc_trim(0)"),
            (census(75, arena(60, 0, 5), none), "smaller than a page"),
            (census(75, none, arena(60, 0, 5)), "MALLOC_ARENA_MAX=2"),
        ] {
            let steps = allocator_steps(&census);
            assert!(steps[0].contains(setting), "{steps:?}");
        }
        let steps = allocator_steps(&census(75, arena(1, 90, 90), none));
        assert!(steps[0].contains("malloc_trim(0)"), "{steps:?}");
        assert!(steps[1].contains("MALLOC_TRIM_THRESHOLD_"), "{steps:?}");
    }

    #[test]
    fn what_is_kept_is_told_place_by_place() {
        let evidence = of_allocators(&census(50, arena(9, 1, 7), ArenaTotals::default()));
        assert_eq!(
            evidence[0],
            "30.0 MiB in memory is free in Python's arenas for small objects"
        );
        assert_eq!(
            evidence[1],
            "10.0 MiB in memory is free in the heap of malloc"
        );
        assert!(evidence[2].starts_with("40 of Python's 80 arenas have less than a quarter"));
        assert!(evidence[3].ends_with("malloc_trim(0) would return 7.00 MiB"));
        let unknown = of_allocators(&AllocatorCensus::default());
        assert!(unknown[0].contains("cannot be told"), "{unknown:?}");
    }

    fn worker(shared: u64, copied: u64, own: u64, causes: &[(CopyCause, u64)]) -> ProcessFinding {
        ProcessFinding {
            sharing: Some(SharingFinding {
                parent: Pid(7),
                copied_start: 0,
                shared: shared * MIB,
                copied: copied * MIB,
                own: own * MIB,
                causes: causes.iter().map(|it| (it.0, it.1 * MIB)).collect(),
            }),
            ..crate::aggregate::bare_process(100)
        }
    }

    fn copy(cause: CopyCause) -> CopySite {
        CopySite {
            cause,
            frame: Frame {
                function: "warm".to_owned(),
                file: "app.py".to_owned(),
                line: 7,
            },
            bytes: 30 * MIB,
            samples: 99,
            pids: vec![Pid(100)],
        }
    }

    #[test]
    fn what_helps_workers_follows_from_what_they_copy() {
        let own = worker(10, 0, 180, &[]);
        let steps = sharing_steps(&[&own], &[]);
        assert!(steps[0].contains("--preload"), "{steps:?}");
        let collected = worker(80, 60, 9, &[(CopyCause::Collector, 58)]);
        let steps = sharing_steps(&[&collected], &[]);
        assert!(steps[0].starts_with("call gc.freeze()"), "{steps:?}");
        assert!(steps[0].contains("100% of what was copied"), "{steps:?}");
        let read = worker(80, 60, 9, &[(CopyCause::References, 58)]);
        let steps = sharing_steps(&[&read], &[]);
        assert!(steps[0].contains("reference count"), "{steps:?}");
        assert!(steps[1].contains("saves about 69.0 MiB"), "{steps:?}");
        let written = worker(80, 60, 9, &[(CopyCause::Data, 58)]);
        let steps = sharing_steps(&[&written], &[copy(CopyCause::Data)]);
        assert!(steps[0].starts_with("look at warm (app.py:7)"), "{steps:?}");
        assert!(sharing_steps(&[&crate::aggregate::bare_process(1)], &[]).is_empty());
    }

    #[test]
    fn what_workers_share_is_told_in_numbers() {
        let causes = [(CopyCause::References, 30), (CopyCause::Unknown, 10)];
        let worker = worker(60, 40, 9, &causes);
        let evidence = of_sharing(&[&worker, &worker], &[copy(CopyCause::References)]);
        assert_eq!(
            evidence[0],
            "of 100 MiB that each got by the fork, 60.0 MiB is still shared and 40.0 MiB was \
             copied since; 9.00 MiB came later"
        );
        assert!(
            evidence[1].ends_with("75% reference counts, 25% not known"),
            "{evidence:?}"
        );
        let line = "warm (app.py:7) made them copy about 30.0 MiB, by reference counts";
        assert_eq!(evidence[2], line);
    }
}
