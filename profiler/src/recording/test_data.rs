//! Recordings for tests.

use std::{path::PathBuf, time::Duration};

use profiler_common::loss::Loss;
use tempfile::TempDir;

use crate::{
    profile::{
        AllocatorCensus, ArenaTotals, Census, CgroupCensus, Change, Counters, Facts, Frame,
        Interval, LibcHeap, Lifecycle, LifecycleKind, Losses, Metered, ProcessKey, ProcessRecord,
        PythonHeap, Reckoned, Remains, SharingCensus, SocketCensus, StackId, StackTable,
        ThreadName, ThreadUse, Threads, TrafficChoice,
    },
    units::Pid,
};

/// A folder, and the name of a recording in it.
pub(super) fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a service's.heaptide");
    (folder, path)
}

pub(super) fn facts() -> Facts {
    Facts {
        heaptide: "0.1.0".to_owned(),
        started_at: "2026-11-23T10:00:00Z".to_owned(),
        duration: Duration::from_secs(30),
        complete: true,
        kernel: "6.18.0".to_owned(),
        target: "python app.py (pid 4711)".to_owned(),
        budget_percent: Some(2.5),
        page_fault_period: 64,
        page_size: 4096,
        notes: vec!["Blocks were observed all the time.".to_owned()],
        traffic: TrafficChoice::TcpAccepts,
    }
}

pub(super) fn process(pid: u32) -> ProcessRecord {
    ProcessRecord {
        pid: Pid(pid),
        inner_pid: Some(Pid(pid % 7)),
        parent: Pid(1),
        command: format!("python worker.py --number {pid}"),
        python: Some("3.12.1".to_owned()),
        started: Duration::from_millis(3),
        ended: None,
    }
}

/// Windows have shown too little, and threads were seen.
pub(super) fn remains() -> Remains {
    Remains {
        reckoned: vec![Reckoned {
            process: ProcessKey(0),
            stack: StackId(1),
            shown: 300,
            reckoned: 400,
        }],
        threads: threads(),
        ..Remains::default()
    }
}

/// Two threads, one of them without a name.
fn threads() -> Threads {
    let process = ProcessKey(0);
    let seen = |stack, tid, seen| ThreadUse {
        process,
        stack: StackId(stack),
        tid,
        seen,
    };
    Threads {
        names: vec![ThreadName {
            process,
            tid: 4712,
            name: "worker \u{e9}".to_owned(),
        }],
        uses: vec![seen(1, 4712, 3), seen(2, 4711, 1), seen(2, 4712, 9)],
    }
}

/// So many stacks of depth two, besides their common caller.
pub(super) fn stacks(count: u32) -> StackTable {
    let mut table = StackTable::default();
    let frame = |number: u32| Frame {
        function: format!("Service.handle_request_{number}"),
        file: format!("/srv/application/package/module_{}.py", number % 50),
        line: number,
    };
    let main = table.intern_frame(&frame(0));
    for number in 1..=count {
        let inner = table.intern_frame(&frame(number));
        table.intern([main, inner]);
    }
    table
}

pub(super) fn census(process: u32, time: Duration, rss: u64) -> Census {
    Census {
        process: ProcessKey(process),
        time,
        rss,
        pss: Some(rss / 2),
        uss: None,
        threads: 4,
        sockets: SocketCensus {
            descriptors: Some(9),
            accepts: Some(7 * time.as_secs()),
            received_bytes: Some(7000 * time.as_secs()),
            ..SocketCensus::default()
        },
        cpu: time / 2,
        blocks_observed: time,
        pools_observed: time,
        objects_observed: time,
        object_windows: time.as_secs(),
        ..Census::default()
    }
}

/// What allocators held in this second; each knows something in two of three.
fn allocator(time: Duration, second: u32) -> AllocatorCensus {
    let arena = |base: u64| ArenaTotals {
        arenas: 1,
        held: base,
        free: base + 1,
        top: base + 2,
        absent: base + 3,
        returnable: base + 4,
    };
    AllocatorCensus {
        process: ProcessKey(0),
        time,
        python: (!second.is_multiple_of(3)).then_some(PythonHeap {
            arenas: 9,
            held: 8,
            resident: 7,
            live: 6,
            sparse_arenas: 5,
            sparse_held: 4,
            sparse_live: 3,
        }),
        libc: (second % 3 != 1).then_some(LibcHeap {
            main: arena(100),
            threads: arena(200),
            unseen: 1,
        }),
    }
}

/// The interval of this second: changes at `count` of `stack_count` stacks, which differ from one
/// second to the next, and one of everything else.
pub(super) fn interval(second: u32, count: u32, stack_count: u32) -> Interval {
    let change = |number: u32| {
        // A step that is prime to any smaller count visits all stacks.
        let stack = (number * 7919 + second * 104_729) % stack_count + 1;
        let size = u64::from(number + second) * 1_000_003 % (1 << 22);
        Change {
            process: ProcessKey(0),
            stack: StackId(stack),
            meter: Metered::all()
                .nth(number as usize % Metered::all().count())
                .expect("there are as many"),
            counters: Counters {
                bytes_in: size,
                count_in: size / 600,
                bytes_out: size / 2,
                count_out: size / 1200,
                samples: size / 600,
            },
        }
    };
    let mut changes: Vec<_> = (0..count).map(change).collect();
    changes.sort_by_key(|change| (change.process, change.stack, change.meter));
    changes.dedup_by_key(|change| (change.process, change.stack, change.meter));
    let end = Duration::from_secs(u64::from(second) + 1);
    let mut losses = Losses::default();
    losses.add(Loss::RingFull, u64::from(second % 3));
    Interval {
        start: Duration::from_secs(u64::from(second)),
        end,
        changes,
        censuses: vec![census(0, end, 1 << 26)],
        allocators: vec![allocator(end, second)],
        sharings: vec![SharingCensus {
            process: ProcessKey(0),
            time: end,
            parent: Pid(17),
            shared: 1 << 20,
            copied: u64::from(second) << 12,
            own: 3,
        }],
        cgroups: vec![CgroupCensus {
            path: "/app.slice/web".to_owned(),
            time: end,
            current: 1 << 27,
            reclaimable: 1 << 20,
            limit: second.is_multiple_of(2).then_some(1 << 29),
            high: None,
        }],
        lifecycles: vec![Lifecycle {
            process: ProcessKey(0),
            time: end,
            kind: LifecycleKind::Forked,
        }],
        losses,
    }
}
