//! Tests of [`Tallies::spread`].

use super::{
    super::{
        Selection,
        test_data::{change, change_of, counters, record, recorded, stack},
    },
    *,
};

const MIB: u64 = 1 << 20;

fn of_one(recorded: &Recorded) -> Spread {
    Tallies::of(recorded, &Selection::default()).spread(&[Some(0)])
}

/// A minute of a line that gets so many MiB in each second.
fn minute(bytes: impl Fn(usize) -> u64) -> Spread {
    let mut recorded = recorded(60);
    let leak = stack(&mut recorded, &["leak"]);
    for second in 0..60 {
        let got = counters(bytes(second) * MIB, 0);
        change(&mut recorded, second, leak, Metered::Block, got);
    }
    of_one(&recorded)
}

/// The scatter of a flow, in percent of its sum.
fn scatter(flow: Flow) -> f64 {
    100.0 * flow.scatter / as_float(flow.estimate.estimate)
}

#[test]
fn what_comes_evenly_does_not_scatter() {
    let spread = minute(|_| 3);
    assert_eq!((spread.lines.len(), spread.slices), (1, 30));
    let Flows {
        retained,
        allocated,
        mapped,
        resident,
    } = spread.total;
    assert_eq!(retained.estimate, Estimate::exact(180 * MIB));
    assert!(scatter(retained) < 1e-6 && scatter(allocated) < 1e-6);
    assert_eq!(mapped, Flow::default());
    assert_eq!(resident, Growth::default());
    assert_eq!(spread.roles, [spread.total]);
}

#[test]
fn what_came_in_one_slice_might_not_have_come() {
    let once = minute(|second| u64::from(second == 30) * 60);
    let percent = scatter(once.total.retained);
    assert!((90.0..110.0).contains(&percent), "{percent}");
    let first = minute(|second| u64::from(second < 2) * 30);
    let percent = scatter(first.total.retained);
    assert!((60.0..110.0).contains(&percent), "{percent}");
}

#[test]
fn a_cache_that_is_full_and_a_job_that_has_begun_are_no_chance() {
    let full = minute(|second| u64::from(second < 20) * 3);
    let begun = minute(|second| u64::from(second >= 35) * 3);
    for turned in [full, begun] {
        let percent = scatter(turned.total.retained);
        assert!(percent < 1.0, "{percent}");
    }
    let twice = minute(|second| u64::from((20..40).contains(&second)));
    let percent = scatter(twice.total.retained);
    assert!((5.0..20.0).contains(&percent), "{percent}");
}

#[test]
fn what_goes_up_and_down_slowly_scatters_more_than_its_slices_differ() {
    let waves = minute(|second| [1, 1, 1, 1, 9, 9, 9, 9][second % 8]);
    let noise = minute(|second| [1, 9][second % 2]);
    assert!(scatter(waves.total.retained) > 20.0);
    assert!(scatter(noise.total.retained) < 1.0, "pairs are even");
}

#[test]
fn processes_are_added_up_by_role() {
    let mut recorded = recorded(10);
    recorded.processes.extend([record(200), record(300)]);
    let leak = stack(&mut recorded, &["leak"]);
    for process in 0..3 {
        let got = counters(MIB, 0);
        change_of(&mut recorded, (4, process), leak, Metered::Block, got);
    }
    let spread = Tallies::of(&recorded, &Selection::default()).spread(&[Some(1), Some(1), None]);
    let retained = |flows: &Flows| flows.retained.estimate.estimate / MIB;
    assert_eq!(
        spread.roles.iter().map(retained).collect::<Vec<_>>(),
        [0, 2]
    );
    assert_eq!(spread.lines.len(), 1);
    assert_eq!(spread.lines[0].role, 1);
    assert_eq!(retained(&spread.total), 2);
}

#[test]
fn the_resident_size_may_shrink() {
    let mut recorded = recorded(10);
    for (second, interval) in (0..).zip(&mut recorded.intervals) {
        interval.censuses[0].rss = (100 - second) * MIB;
    }
    let Growth { bytes, scatter } = of_one(&recorded).total.resident;
    assert!((bytes + 9.0 * as_float(MIB)).abs() < 1.0, "{bytes}");
    assert!(scatter < as_float(MIB), "{scatter}");
}

#[test]
fn what_was_got_last_of_what_is_estimated_may_be_in_use_only() {
    let retained_of = |seconds: std::ops::Range<usize>| {
        let mut recorded = recorded(10);
        let work = stack(&mut recorded, &["work"]);
        let each = 10 * MIB / as_u64(seconds.len());
        for second in seconds {
            let got = counters(each, 0);
            change(&mut recorded, second, work, Metered::SampledPool, got);
        }
        scatter(of_one(&recorded).total.retained)
    };
    assert!(retained_of(9..10) > 80.0);
    assert!(retained_of(0..10) < 5.0);
}

#[test]
fn what_was_seen_in_windows_for_a_while_scatters_no_more_than_what_was_seen_in_full() {
    let mut recorded = recorded(20);
    let work = stack(&mut recorded, &["work"]);
    for second in 0..20 {
        let meter = [Metered::Block, Metered::SampledBlock][second / 3 % 2];
        change(&mut recorded, second, work, meter, counters(MIB, 0));
    }
    let flows = of_one(&recorded).total;
    assert!(scatter(flows.retained) < 1.0 && scatter(flows.allocated) < 1.0);
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}

#[test]
fn nothing_recorded_is_nothing() {
    let spread = Tallies::of(&Recorded::default(), &Selection::default()).spread(&[]);
    assert_eq!(spread.total, Flows::default());
    assert!(spread.lines.is_empty() && spread.roles.is_empty());
}
