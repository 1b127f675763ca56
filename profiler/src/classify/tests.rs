//! Verdicts on findings that are drawn by hand.

use std::time::Duration;

use super::*;
use crate::{
    aggregate::{AllocatorFinding, Course, Estimate, Moment, ProcessFinding, SharingFinding, Site},
    profile::{AllocatorCensus, ArenaTotals, CopyCause, LibcHeap, ProcessKey, StackId},
    units::Pid,
};

const MIB: u64 = 1 << 20;

/// A process whose resident size in MiB is told for each second.
fn process(
    number: u32,
    seconds: std::ops::Range<u64>,
    size: impl Fn(u64) -> u64,
) -> ProcessFinding {
    let moment = |second: u64| Moment {
        time: Duration::from_secs(second),
        rss: size(second) * MIB,
        cpu: Duration::from_secs(50) + Duration::from_millis(300 * second),
        ..Moment::default()
    };
    let moments: Vec<Moment> = seconds.clone().map(moment).collect();
    let last = moments.last().map(|it| it.rss);
    ProcessFinding {
        key: ProcessKey(number),
        pid: Pid(100 + number),
        inner_pid: None,
        parent: Pid(1),
        command: "gunicorn: worker [shop]".to_owned(),
        python: None,
        started: Duration::from_secs(seconds.start),
        ended: None,
        rss_start: moments.first().map(|it| it.rss),
        rss_end: last,
        rss_peak: last,
        uss_end: last.map(|it| it / 10 * 9),
        pss_end: last.map(|it| it / 10 * 9),
        growth_per_second: 0.0,
        retained: Estimate::default(),
        explained_growth_percent: Some(92.0),
        live_mappings: 0,
        allocator: None,
        sharing: None,
        course: Course {
            moments,
            left: Vec::new(),
        },
    }
}

fn findings(processes: Vec<ProcessFinding>) -> Findings {
    let pids = processes.iter().map(|it| it.pid).collect();
    Findings {
        processes,
        sites: vec![Site {
            function: "remember".to_owned(),
            file: "app/cache.py".to_owned(),
            line: 88,
            stack: StackId::ROOT,
            pids,
            samples: 100,
            retained: Estimate::exact(60 * MIB),
            allocated: Estimate::exact(90 * MIB),
            allocations: Estimate::exact(1),
            resident: 0,
            mapped: 0,
            retained_by_age: Vec::new(),
            growth_per_second: 0.0,
            share_of_growth_percent: 92.0,
        }],
        duration: Duration::from_mins(2),
        ..Findings::default()
    }
}

#[test]
fn one_worker_that_grows_is_named_among_its_siblings() {
    let mut workers: Vec<_> = (0..7).map(|it| process(it, 0..120, |_| 50)).collect();
    workers.push(process(7, 0..120, |second| 50 + second / 2));
    let verdicts = judge(&findings(workers));
    let group = &verdicts.group;
    assert_eq!(group.pattern, Pattern::RetainedGrowth);
    assert!(group.confidence > 0.9, "{}", group.confidence);
    assert!(
        group
            .summary
            .starts_with("process 107, one of 8, keeps growing by 30")
    );
    assert!(
        group
            .summary
            .ends_with("most of it at remember (app/cache.py:88)")
    );
    let evidence = group.evidence.join("\n");
    assert!(
        evidence.contains("7 other processes changed by at most 0.0%"),
        "{evidence}"
    );
    assert!(evidence.contains("explains 92%"), "{evidence}");
    assert!(group.next_steps[0].starts_with("look at remember (app/cache.py:88)"));
    assert!(group.next_steps[1].contains("max_requests"));
    let steady = verdicts
        .processes
        .iter()
        .filter(|it| it.pattern == Pattern::Steady);
    assert_eq!(steady.count(), 7);
}

#[test]
fn workers_that_are_all_large_and_steady_are_too_many() {
    let workers = (0..4).map(|it| process(it, 0..120, |_| 200)).collect();
    let group = judge(&findings(workers)).group;
    assert_eq!(group.pattern, Pattern::WorkerDuplication);
    assert!(
        group
            .summary
            .starts_with("4 workers are steady, but each has 180 MiB")
    );
    assert!(
        group
            .evidence
            .join("\n")
            .contains("a further worker would cost about 180 MiB")
    );
    assert!(group.next_steps.join("\n").contains("--preload"));
}

#[test]
fn what_workers_copied_is_evidence() {
    let mut workers: Vec<_> = (0..4).map(|it| process(it, 0..120, |_| 200)).collect();
    for worker in &mut workers {
        worker.sharing = Some(SharingFinding {
            parent: Pid(1),
            copied_start: 0,
            shared: 20 * MIB,
            copied: 150 * MIB,
            own: 10 * MIB,
            causes: vec![(CopyCause::Collector, 149 * MIB)],
        });
    }
    let group = judge(&findings(workers)).group;
    assert_eq!(group.pattern, Pattern::WorkerDuplication);
    let evidence = group.evidence.join("\n");
    assert!(
        evidence.contains("of 170 MiB that each got by the fork"),
        "{evidence}"
    );
    assert!(
        evidence.contains("100% the garbage collector"),
        "{evidence}"
    );
    assert!(group.next_steps[0].starts_with("call gc.freeze()"));
}

#[test]
fn what_allocators_keep_is_measured_where_it_can_be() {
    let mut service = process(0, 0..120, |_| 200);
    let main = ArenaTotals {
        arenas: 1,
        held: 150 * MIB,
        free: 10 * MIB,
        top: 100 * MIB,
        absent: 0,
        returnable: 105 * MIB,
    };
    let end = AllocatorCensus {
        libc: Some(LibcHeap {
            main,
            ..LibcHeap::default()
        }),
        ..AllocatorCensus::default()
    };
    service.allocator = Some(AllocatorFinding { start: end, end });
    let group = judge(&findings(vec![service])).group;
    assert_eq!(group.pattern, Pattern::AllocatorRetention);
    let expected = "process 100 has freed 110 MiB that its allocator keeps from the system, in \
                    the heap of malloc";
    assert_eq!(group.summary, expected);
    assert!(group.next_steps[0].contains("malloc_trim(0)"));
    let evidence = group.evidence.join("\n");
    assert!(
        evidence.contains("10.0 MiB is free between blocks and 100 MiB at the end"),
        "{evidence}"
    );
}

#[test]
fn what_grew_and_was_freed_is_kept_by_the_allocator_and_not_by_the_program() {
    // It has grown for ten seconds, and what it got lies free between blocks.
    let mut service = process(0, 0..60, |second| 20 + 7 * (second.clamp(10, 20) - 10));
    let census = |free| {
        let threads = ArenaTotals {
            arenas: 8,
            held: free + MIB,
            free,
            ..ArenaTotals::default()
        };
        AllocatorCensus {
            libc: Some(LibcHeap {
                threads,
                ..LibcHeap::default()
            }),
            ..AllocatorCensus::default()
        }
    };
    let [start, end] = [0, 68 * MIB].map(census);
    service.allocator = Some(AllocatorFinding { start, end });
    let group = judge(&findings(vec![service])).group;
    assert_eq!(group.pattern, Pattern::AllocatorRetention);
}

#[test]
fn small_workers_are_just_steady() {
    let workers = (0..4).map(|it| process(it, 0..120, |_| 12)).collect();
    assert_eq!(judge(&findings(workers)).group.pattern, Pattern::Steady);
}

#[test]
fn workers_that_start_are_a_step() {
    let mut workers: Vec<_> = (0..2).map(|it| process(it, 0..120, |_| 50)).collect();
    workers.extend((2..8).map(|it| process(it, 40..120, |_| 50)));
    let group = judge(&findings(workers)).group;
    assert_eq!(group.pattern, Pattern::WorkerCountStep);
    assert!(
        group
            .summary
            .starts_with("6 processes that started from 40.0 s on added 270 MiB")
    );
}

#[test]
fn workers_that_take_the_place_of_others_are_no_step() {
    let mut old = process(0, 0..60, |_| 50);
    old.ended = Some(Duration::from_mins(1));
    let workers = vec![old, process(1, 0..120, |_| 50), process(2, 60..120, |_| 50)];
    assert_eq!(judge(&findings(workers)).group.pattern, Pattern::Steady);
}

#[test]
fn a_step_and_a_leak_are_a_mixture() {
    let mut workers = vec![process(0, 0..120, |second| 50 + second)];
    workers.extend((1..4).map(|it| process(it, 40..120, |_| 50)));
    let group = judge(&findings(workers)).group;
    assert_eq!(group.pattern, Pattern::Mixed);
    let patterns: Vec<Pattern> = group.parts.iter().map(|it| it.0).collect();
    assert_eq!(
        patterns,
        [Pattern::WorkerCountStep, Pattern::RetainedGrowth]
    );
}

#[test]
fn a_step_beside_growth_that_is_not_understood_is_undecided() {
    // It grew, but for a while only: neither a leak nor a cache that has filled.
    let size = |second: u64| 50 + (second.clamp(60, 100) - 60) + second / 30 % 2 * 4;
    let old = process(0, 0..120, size);
    assert_eq!(
        judge(&findings(vec![process(0, 0..120, size)]))
            .group
            .pattern,
        Pattern::Undecided
    );
    let group = judge(&findings(vec![old, process(1, 40..120, |_| 60)])).group;
    assert_eq!(group.pattern, Pattern::Undecided, "{}", group.summary);
    assert!(group.record_longer.is_some());
}

#[test]
fn peaks_do_not_hide_what_grows_below_them() {
    let with_peaks = |second: u64| 50 + second / 8 + if second % 20 == 10 { 90 } else { 0 };
    let verdicts = judge(&findings(vec![
        process(0, 0..120, with_peaks),
        process(1, 0..120, |_| 50),
    ]));
    let (group, process) = (verdicts.group, &verdicts.processes[0]);
    assert_eq!(process.pattern, Pattern::Mixed);
    assert_eq!(group.pattern, Pattern::Mixed, "{}", group.summary);
    assert!(
        group
            .parts
            .iter()
            .any(|it| it.0 == Pattern::RetainedGrowth && it.1 < 0.2)
    );
}

#[test]
fn too_little_says_how_much_longer() {
    let verdict = judge(&findings(vec![process(0, 0..5, |_| 50)])).group;
    assert_eq!(verdict.pattern, Pattern::Undecided);
    assert!(verdict.confidence.abs() < f64::EPSILON);
    assert_eq!(verdict.record_longer, Some(Duration::from_secs(116)));
    assert!(
        verdict
            .next_steps
            .join("\n")
            .contains("record for 1 min 56 s longer")
    );
    let nothing = judge(&Findings::default()).group;
    assert_eq!(nothing.pattern, Pattern::Undecided);
    assert!(nothing.record_longer.is_some());
}
