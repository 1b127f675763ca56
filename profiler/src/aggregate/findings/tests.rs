//! Recordings drawn by hand, and what is found in them.

use profiler_common::loss::Loss;
use proptest::prelude::*;

use super::{
    super::{Metric, test_data::*, weigh},
    *,
};
use crate::profile::{Counters, Metered, Reckoned, SizeClass};

fn all(recorded: &Recorded) -> Findings {
    findings(recorded, &Selection::default())
}

fn between(from: u64, to: u64) -> Selection {
    Selection {
        pid: None,
        from: Some(Duration::from_secs(from)),
        to: Some(Duration::from_secs(to)),
    }
}

#[track_caller]
fn check(estimate: Estimate, expected: (u64, u64, u64)) {
    let Estimate {
        estimate,
        low,
        high,
    } = estimate;
    assert_eq!((estimate, low, high), expected);
}

#[test]
fn a_site_is_the_innermost_line_of_python() {
    let mut recorded = recorded(10);
    let stacks = [
        stack(&mut recorded, &["main", "leak", "<malloc>"]),
        stack(&mut recorded, &["main", "other", "leak"]),
        stack(&mut recorded, &["<start>", "<malloc>"]),
        StackId::ROOT,
    ];
    for (stack, size) in stacks.into_iter().zip([1000, 3000, 2000, 1000]) {
        change(&mut recorded, 2, stack, Metered::Block, counters(size, 0));
    }
    let findings = all(&recorded);
    let sites: Vec<_> = (findings.sites.iter())
        .map(|site| (site.function.as_str(), site.retained.estimate, site.stack))
        .collect();
    let expected = [
        ("leak", 4000, stacks[1]),
        ("<malloc>", 2000, stacks[2]),
        ("<unknown>", 1000, StackId::ROOT),
    ];
    assert_eq!(sites, expected);
    assert_eq!(
        (findings.sites[0].file.as_str(), findings.sites[0].line),
        ("app.py", 4)
    );
    assert_eq!(findings.sites[0].pids, [Pid(100)]);
}

#[test]
fn blocks_that_were_always_observed_are_exact() {
    let mut recorded = recorded(10);
    let leak = stack(&mut recorded, &["leak"]);
    change(&mut recorded, 1, leak, Metered::Block, counters(8000, 1000));
    change(&mut recorded, 7, leak, Metered::Block, counters(0, 2000));
    let findings = all(&recorded);
    let site = &findings.sites[0];
    check(site.retained, (5000, 5000, 5000));
    check(site.allocated, (8000, 8000, 8000));
    check(site.allocations, (8, 8, 8));
    assert_eq!(site.samples, 8);
    assert!((site.growth_per_second - 500.0).abs() < 1e-9);
    assert!((site.share_of_growth_percent - 100.0).abs() < 1e-9);
    assert!((findings.blocks_observed_fraction - 1.0).abs() < 1e-9);
}

#[test]
fn blocks_that_were_seen_in_windows_are_as_uncertain_as_the_windows_differ() {
    let mut recorded = recorded(10);
    for interval in &mut recorded.intervals {
        interval.censuses[0].blocks_observed /= 4;
    }
    let steady = stack(&mut recorded, &["steady"]);
    let once = stack(&mut recorded, &["once"]);
    let meter = Metered::SampledBlock;
    for second in 0..10 {
        change(&mut recorded, second, steady, meter, counters(50_000, 0));
    }
    change(&mut recorded, 4, once, meter, counters(400_000, 0));
    change(&mut recorded, 1, once, Metered::Mapping, counters(4096, 0));
    let findings = all(&recorded);
    check(findings.sites[0].retained, (500_000, 500_000, 500_000));
    check(findings.sites[1].retained, (400_000, 0, 4_226_293));
    let total = findings.totals.retained;
    check(total, (900_000, 142_889, 2_841_522));
    assert_eq!(findings.sites[1].mapped, 4096, "only blocks are sampled");
    assert!((findings.blocks_observed_fraction - 0.25).abs() < 1e-9);
}

#[test]
fn no_process_retains_more_by_its_samples_than_it_has() {
    let mut recorded = recorded(10);
    let leak = stack(&mut recorded, &["leak"]);
    let much = counters(800 << 20, 0);
    change(&mut recorded, 1, leak, Metered::SampledBlock, much);
    let findings = all(&recorded);
    assert_eq!(findings.totals.retained.estimate, 100 << 20);
    assert_eq!(findings.sites[0].retained.estimate, 100 << 20);
    assert_eq!(findings.totals.allocated.estimate, 800 << 20);
}

#[test]
fn pools_retain_a_sample_and_allocate_a_lower_bound() {
    let mut recorded = recorded(10);
    let leak = stack(&mut recorded, &["leak"]);
    let pools = Counters {
        bytes_in: 40_000,
        count_in: 400,
        bytes_out: 8000,
        count_out: 80,
        samples: 4,
    };
    change(&mut recorded, 1, leak, Metered::Pool, pools);
    let findings = all(&recorded);
    check(findings.sites[0].retained, (32_000, 8609, 81_927));
    check(findings.sites[0].allocated, (40_000, 40_000, 65_536));
    check(findings.sites[0].allocations, (400, 400, 655));
}

#[test]
fn pages_and_mappings_are_neither_retained_nor_allocated() {
    let mut recorded = recorded(10);
    let line = stack(&mut recorded, &["line"]);
    change(&mut recorded, 1, line, Metered::Page, counters(64_000, 0));
    change(
        &mut recorded,
        1,
        line,
        Metered::Mapping,
        counters(9000, 3000),
    );
    let findings = all(&recorded);
    let totals = Totals {
        resident: 64_000,
        mapped: 6000,
        ..Totals::default()
    };
    assert_eq!(findings.totals, totals);
    assert_eq!(
        (findings.sites[0].resident, findings.sites[0].mapped),
        (64_000, 6000)
    );
    assert_eq!(findings.processes[0].live_mappings, 6000);
}

#[test]
fn sites_of_equal_weight_are_ordered_by_name() {
    let mut recorded = recorded(2);
    for name in ["b", "a", "c"] {
        let stack = stack(&mut recorded, &[name]);
        change(&mut recorded, 0, stack, Metered::Block, counters(1000, 0));
    }
    let c = stack(&mut recorded, &["c"]);
    change(&mut recorded, 1, c, Metered::Block, counters(1000, 1000));
    let sites = all(&recorded).sites;
    let names: Vec<_> = sites.iter().map(|site| site.function.as_str()).collect();
    assert_eq!(names, ["c", "a", "b"]);
}

#[test]
fn a_part_retains_what_it_got_and_not_less_than_nothing() {
    let mut recorded = recorded(10);
    let (old, new) = (
        stack(&mut recorded, &["old"]),
        stack(&mut recorded, &["new"]),
    );
    change(&mut recorded, 1, old, Metered::Block, counters(9000, 0));
    change(&mut recorded, 6, old, Metered::Block, counters(0, 9000));
    change(&mut recorded, 7, new, Metered::Block, counters(4000, 0));
    recorded.intervals[6].losses.add(Loss::RingFull, 2);
    let findings = findings(&recorded, &between(5, 9));
    let names: Vec<_> = findings.sites.iter().map(|site| &site.function).collect();
    assert_eq!(names, ["new"]);
    check(findings.totals.retained, (4000, 4000, 4000));
    assert_eq!(findings.duration, Duration::from_secs(4));
    assert_eq!(findings.losses.count(Loss::RingFull), 2);
}

#[test]
fn one_process_may_be_asked_for() {
    let mut recorded = recorded(10);
    recorded.processes.push(record(200));
    let leak = stack(&mut recorded, &["leak"]);
    change(&mut recorded, 1, leak, Metered::Block, counters(5000, 0));
    change_of(
        &mut recorded,
        (1, 1),
        leak,
        Metered::Block,
        counters(3000, 0),
    );
    assert_eq!(all(&recorded).sites[0].pids, [Pid(100), Pid(200)]);
    let selection = Selection {
        pid: Some(Pid(200)),
        ..Selection::default()
    };
    let findings = findings(&recorded, &selection);
    assert_eq!(findings.totals.retained.estimate, 3000);
    assert_eq!(findings.sites[0].pids, [Pid(200)]);
    assert_eq!(findings.processes.len(), 1);
    assert_eq!(findings.group.process_count, 1);
}

#[test]
fn the_cost_of_probes_is_a_share_of_the_processes_time() {
    let mut recorded = recorded(10);
    for interval in &mut recorded.intervals {
        interval.censuses[0].probe_cost = interval.end / 50;
        interval.censuses[0].cpu = interval.end;
    }
    let percent = all(&recorded).measured_overhead_percent.unwrap();
    assert!((percent - 2.0).abs() < 1e-9, "{percent}");
    let percent = findings(&recorded, &between(5, 9)).measured_overhead_percent;
    assert!((percent.unwrap() - 2.0).abs() < 1e-9, "{percent:?}");
}

#[test]
fn nothing_recorded_is_found_as_nothing() {
    let nothing = all(&Recorded::default());
    assert_eq!(nothing, Findings::default());
}

/// Second, stack, meter, bytes got and given back, process.
type Drawn = (usize, usize, usize, u64, u64, u32);

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let bytes = 0..90_000_u64;
    let change = (
        0..6_usize,
        0..7_usize,
        0..Metered::all().count(),
        bytes.clone(),
        bytes,
        0..2_u32,
    );
    prop::collection::vec(change, 0..60)
}

/// A recording of two processes, of which one was observed for one in so many seconds.
fn recorded_from(changes: Vec<Drawn>, observed: u32) -> Recorded {
    let mut recorded = recorded(6);
    recorded.processes.push(record(200));
    for interval in &mut recorded.intervals {
        interval.censuses[0].blocks_observed /= observed;
    }
    let names: [&[&str]; 7] = [
        &[],
        &["a"],
        &["b"],
        &["a", "b"],
        &["b", "<x>"],
        &["<x>"],
        &["a", "<x>", "b"],
    ];
    let stacks = names.map(|names| stack(&mut recorded, names));
    for (second, name, meter, got, given, process) in changes {
        let meter = Metered::all().nth(meter).unwrap();
        let counters = counters(got, given);
        change_of(
            &mut recorded,
            (second, process),
            stacks[name],
            meter,
            counters,
        );
    }
    recorded
}

proptest! {
    #[test]
    fn stacks_add_up_to_sites_and_sites_to_totals(
        changes in drawn(),
        observed in 1..5_u32,
        from in prop::option::of(0..7_u64),
    ) {
        let recorded = recorded_from(changes, observed);
        let from = from.map(Duration::from_secs);
        let selection = Selection { from, ..Selection::default() };
        let Findings { sites, totals, .. } = findings(&recorded, &selection);
        let by_stack = |metric| {
            let weights = weigh(&recorded, &selection, metric);
            weights.iter().map(|(_, weight)| weight).sum::<u64>()
        };
        let by_site = |value: fn(&Site) -> u64| sites.iter().map(value).sum::<u64>();
        let retained = totals.retained.estimate;
        prop_assert_eq!(by_stack(Metric::Retained), retained);
        prop_assert_eq!(by_site(|site| site.retained.estimate), retained);
        let allocated = totals.allocated.estimate;
        prop_assert_eq!(by_stack(Metric::Allocated), allocated);
        prop_assert_eq!(by_site(|site| site.allocated.estimate), allocated);
        prop_assert_eq!(by_stack(Metric::Allocations), totals.allocations.estimate);
        prop_assert_eq!(by_stack(Metric::Resident), totals.resident);
        prop_assert_eq!(by_stack(Metric::Mapped), totals.mapped);
        for site in &sites {
            for estimate in [site.retained, site.allocated, site.allocations] {
                prop_assert!(estimate.low <= estimate.estimate);
                prop_assert!(estimate.estimate <= estimate.high);
            }
        }
    }
}

#[test]
fn what_windows_showed_too_little_of_counts_for_more_where_it_is_allocated() {
    let mut recorded = recorded(10);
    let [more, same] = ["more", "same"].map(|name| stack(&mut recorded, &[name]));
    let small = Metered::SampledObject(SizeClass::of(64));
    for second in 0..10 {
        for stack in [more, same] {
            change(&mut recorded, second, stack, small, counters(10_000, 9_000));
            let larger = counters(5_000, 5_000);
            change(&mut recorded, second, stack, Metered::Block, larger);
        }
    }
    recorded.reckoned = vec![Reckoned {
        process: ProcessKey(0),
        stack: more,
        shown: 100,
        reckoned: 300,
    }];
    let findings = all(&recorded);
    let of = |name: &str| {
        let site = findings.sites.iter().find(|it| it.function == name);
        let site = site.unwrap();
        [site.allocated, site.allocations, site.retained].map(|it| it.estimate)
    };
    assert_eq!(of("more"), [3 * 100_000 + 50_000, 3 * 100 + 50, 10_000]);
    assert_eq!(of("same"), [100_000 + 50_000, 100 + 50, 10_000]);
    assert!(findings.sites.iter().all(|site| {
        (site.allocated.low..=site.allocated.high).contains(&site.allocated.estimate)
    }));
}
