//! Measurements for tests: small, and drawn by hand.

use std::time::Duration;

use crate::{
    profile::{
        Census, Change, Counters, Facts, Frame, Interval, Metered, ProcessKey, ProcessRecord,
        Recorded, StackId,
    },
    units::Pid,
};

/// So many bytes in blocks of 1,000 got and given back, each an observation.
pub(super) fn counters(bytes_in: u64, bytes_out: u64) -> Counters {
    Counters {
        bytes_in,
        count_in: bytes_in / 1000,
        bytes_out,
        count_out: bytes_out / 1000,
        samples: bytes_in / 1000,
    }
}

pub(super) fn record(pid: u32) -> ProcessRecord {
    ProcessRecord {
        pid: Pid(pid),
        inner_pid: None,
        parent: Pid(1),
        command: format!("python {pid}.py"),
        python: Some("3.12.1".to_owned()),
        started: Duration::ZERO,
        ended: None,
    }
}

/// A recording of so many seconds of one process, in which nothing happens: it has a census at the
/// end of each, and the probes are open all the time.
pub(super) fn recorded(seconds: u64) -> Recorded {
    let interval = |second: u64| {
        let end = Duration::from_secs(second + 1);
        Interval {
            start: Duration::from_secs(second),
            end,
            censuses: vec![Census {
                time: end,
                rss: 100 << 20,
                blocks_observed: end,
                pools_observed: end,
                ..Census::default()
            }],
            ..Interval::default()
        }
    };
    Recorded {
        facts: Facts {
            duration: Duration::from_secs(seconds),
            ..Facts::default()
        },
        processes: vec![record(100)],
        intervals: (0..seconds).map(interval).collect(),
        ..Recorded::default()
    }
}

/// A stack of functions, outermost first; names in angle brackets are no Python.
pub(super) fn stack(recorded: &mut Recorded, functions: &[&str]) -> StackId {
    let stacks = &mut recorded.stacks;
    let frames: Vec<_> = (functions.iter())
        .map(|function| {
            stacks.intern_frame(&Frame {
                function: (*function).to_owned(),
                file: if function.starts_with('<') {
                    ""
                } else {
                    "app.py"
                }
                .to_owned(),
                line: 4,
            })
        })
        .collect();
    stacks.intern(frames)
}

/// Adds a change to the interval of a second.
pub(super) fn change(
    recorded: &mut Recorded,
    second: usize,
    stack: StackId,
    meter: Metered,
    counters: Counters,
) {
    change_of(recorded, (second, 0), stack, meter, counters);
}

/// The same for a process by its number.
pub(super) fn change_of(
    recorded: &mut Recorded,
    (second, process): (usize, u32),
    stack: StackId,
    meter: Metered,
    counters: Counters,
) {
    recorded.intervals[second].changes.push(Change {
        process: ProcessKey(process),
        stack,
        meter,
        counters,
    });
}
