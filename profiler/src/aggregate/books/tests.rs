//! Small stories of blocks and mappings, as the books tell them.

use super::*;
use crate::{
    aggregate::estimate::as_float,
    profile::{Counters, Frame, Metered, StackId},
};

const PROCESS: ProcessKey = ProcessKey(0);
const STACK: StackId = StackId(7);

fn books() -> Books {
    let mut books = Books::new(4096);
    books.open(PROCESS, None, Duration::ZERO);
    books
}

fn apply(books: &mut Books, what: What) {
    apply_at(books, 0, what);
}

fn apply_at(books: &mut Books, millis: u64, what: What) {
    books.apply(&Event {
        process: PROCESS,
        time: Duration::from_millis(millis),
        what,
    });
}

fn allocated(address: u64, size: u64, previous: u64) -> What {
    What::BlockAllocated {
        address,
        size,
        previous,
        stack: STACK,
    }
}

fn counters(books: &mut Books, meter: Metered) -> Counters {
    let interval = books.take_interval(Duration::ZERO, Duration::from_secs(1));
    let of = |change: &&crate::profile::Change| change.meter == meter;
    interval
        .changes
        .iter()
        .find(of)
        .map(|change| change.counters)
        .unwrap_or_default()
}

#[test]
fn a_freed_block_counts_where_it_was_allocated() {
    let mut books = books();
    apply(&mut books, allocated(0x1000, 600, 0));
    apply(&mut books, allocated(0x2000, 700, 0));
    apply(&mut books, What::BlockFreed { address: 0x1000 });
    apply(&mut books, What::BlockFreed { address: 0x9999 });
    let expected = Counters {
        bytes_in: 1300,
        count_in: 2,
        bytes_out: 600,
        count_out: 1,
        samples: 2,
    };
    assert_eq!(counters(&mut books, Metered::Block), expected);
}

#[test]
fn a_reallocated_block_is_freed_and_allocated() {
    let mut books = books();
    apply(&mut books, allocated(0x1000, 600, 0));
    apply(&mut books, allocated(0x1000, 1200, 0x1000));
    let expected = Counters {
        bytes_in: 1800,
        count_in: 2,
        bytes_out: 600,
        count_out: 1,
        samples: 2,
    };
    assert_eq!(counters(&mut books, Metered::Block), expected);
}

#[test]
fn a_dead_block_is_buried_once() {
    let mut books = books();
    apply(&mut books, allocated(0x1000, 600, 0));
    apply(&mut books, allocated(0x2000, 700, 0));
    for _ in 0..2 {
        books.bury_blocks(PROCESS, |blocks| {
            blocks
                .iter()
                .map(|(address, _)| *address == 0x2000)
                .collect()
        });
    }
    let counted = counters(&mut books, Metered::Block);
    assert_eq!((counted.bytes_out, counted.count_out), (700, 1));
}

#[test]
fn a_process_without_a_book_is_not_counted() {
    let mut books = Books::new(4096);
    apply(&mut books, allocated(0x1000, 600, 0));
    assert_eq!(counters(&mut books, Metered::Block), Counters::default());
}

#[test]
fn mappings_are_exact_to_the_page() {
    let mut books = books();
    let map = |address| What::Mapped {
        address,
        size: 10_000,
        origin: profiler_common::event::Origin::Program,
        stack: STACK,
    };
    apply(&mut books, map(0x10_0000));
    apply(&mut books, map(0x20_0000));
    apply(
        &mut books,
        What::Unmapped {
            address: 0x10_0000,
            size: 4096,
        },
    );
    let expected = Counters {
        bytes_in: 2 * 12_288,
        count_in: 2,
        bytes_out: 4096,
        count_out: 1,
        samples: 2,
    };
    assert_eq!(counters(&mut books, Metered::Mapping), expected);
}

#[test]
fn a_block_of_a_window_stands_for_others_until_it_is_freed() {
    let mut books = books();
    let millis = Duration::from_millis;
    let window = |from, until, weight| Window {
        from: millis(from),
        until: millis(until),
        weight,
    };
    books.open_window(PROCESS, SiteClass::Blocks, window(0, u64::MAX, 1.0));
    apply_at(&mut books, 10, allocated(0x1000, 600, 0));
    books.close_window(PROCESS, SiteClass::Blocks, millis(20), Correction::of(1.0));
    books.open_window(PROCESS, SiteClass::Blocks, window(40, 60, 1.5));
    apply_at(&mut books, 30, allocated(0x2000, 700, 0));
    apply_at(&mut books, 50, allocated(0x3000, 800, 0));
    apply_at(&mut books, 55, allocated(0x4000, 900, 0));
    apply_at(&mut books, 70, allocated(0x4000, 900, 0));
    books.close_window(PROCESS, SiteClass::Blocks, millis(75), Correction::of(2.0));
    let interval = books.take_interval(Duration::ZERO, millis(1000));
    let counted: Vec<_> = (interval.changes.iter())
        .map(|change| {
            (
                change.meter,
                change.counters.bytes_in,
                change.counters.bytes_out,
            )
        })
        .collect();
    assert_eq!(
        counted,
        [
            (Metered::Block, 600, 0),
            (Metered::SampledBlock, 2 * 1700, 2 * 900)
        ]
    );
    apply_at(&mut books, 80, What::BlockFreed { address: 0x3000 });
    assert_eq!(
        counters(&mut books, Metered::SampledBlock).bytes_out,
        2 * 800
    );
}

#[test]
fn what_windows_show_is_reckoned_by_how_much_slower_the_process_was_in_them() {
    let mut books = books();
    let millis = Duration::from_millis;
    let mut stacks = StackTable::default();
    let frame = stacks.intern_frame(&Frame::pseudo("work"));
    let stack = stacks.intern([frame]);
    for number in 0..20 {
        let start = 100 * number;
        (0..10).for_each(|step| {
            apply_at(&mut books, start + 10 * step, What::TimeSampled { stack });
        });
        let window = Window {
            from: millis(start + 50),
            until: millis(start + 60),
            weight: 10.0,
        };
        books.open_window(PROCESS, SiteClass::Objects, window);
        let taken = What::ObjectTaken {
            address: 0x1000,
            size: 512,
            stack: Some(stack),
            times: 1,
        };
        apply_at(&mut books, start + 55, taken);
        let correction = Correction {
            times: 2.0,
            early: 1.0,
            crowding: 3.0,
            busy: 1.0,
        };
        books.close_window(PROCESS, SiteClass::Objects, millis(start + 65), correction);
        let comparison = Comparison {
            time: millis(start + 50),
            alone: 700.0,
            in_window: 100.0,
            hits: 5,
            crowding: 3.0,
        };
        books.compare(PROCESS, &comparison);
        books.tell_phases_apart(millis(start + 100), &stacks);
    }
    let [reckoned] = books.reckon(&stacks)[..] else {
        panic!("there is one stack")
    };
    assert_eq!((reckoned.process, reckoned.stack), (PROCESS, stack));
    // It was counted as if it had been slowed down twice, and it was seven times; and windows stand
    // for all slices but the last one.
    let times = as_float(reckoned.reckoned) / as_float(reckoned.shown);
    assert!((3.4..3.75).contains(&times), "{reckoned:?}");
}
