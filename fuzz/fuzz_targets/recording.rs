//! A recording that was damaged or made to do harm: a good one, of which the input changes bytes.
#![no_main]

use std::{fs, path::Path, sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use profiler::{
    profile::{
        Census, Change, Counters, Facts, Frame, Interval, Lifecycle, LifecycleKind, Losses,
        Metered, ProcessKey, ProcessRecord, Reckoned, Remains, StackTable,
    },
    recording::{self, Writer},
    units::Pid,
};
use profiler_common::loss::Loss;

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("good.heaptide");
    write_good(&path).expect("a recording can be written");
    fs::read(&path).expect("it was just written")
});

fuzz_target!(|input: &[u8]| {
    let mut bytes = GOOD.clone();
    for change in input.as_chunks::<4>().0 {
        let [low, middle, high, value] = *change;
        let length = bytes.len();
        bytes[u32::from_le_bytes([low, middle, high, 0]) as usize % length] = value;
    }
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("changed.heaptide");
    fs::write(&path, bytes).expect("there is room for it");
    let Ok(recorded) = recording::read_with_threads(&path) else {
        return;
    };
    for change in recorded.intervals.iter().flat_map(|one| &one.changes) {
        // Panics if the recording let a dangling key through.
        recorded.process(change.process);
        assert!(recorded.stacks.frames_of(change.stack).count() < GOOD.len());
    }
});

/// Writes a recording with at least one row in each table.
fn write_good(path: &Path) -> Result<(), recording::RecordingError> {
    let facts = Facts {
        started_at: "2026-11-23T10:00:00Z".to_owned(),
        complete: true,
        notes: vec!["A note.".to_owned()],
        ..Facts::default()
    };
    let process = ProcessRecord {
        pid: Pid(2),
        inner_pid: None,
        parent: Pid(1),
        command: "python app.py".to_owned(),
        python: Some("3.12.1".to_owned()),
        started: Duration::ZERO,
        ended: None,
    };
    let mut stacks = StackTable::default();
    let frames = [1, 2, 3].map(|line| {
        stacks.intern_frame(&Frame {
            function: format!("f{line}"),
            file: "app.py".to_owned(),
            line,
        })
    });
    let stack = stacks.intern(frames);
    let mut writer = Writer::create(path, false, &facts)?;
    for second in 0..3 {
        let mut losses = Losses::default();
        losses.add(Loss::RingFull, 1);
        let interval = Interval {
            start: Duration::from_secs(second),
            end: Duration::from_secs(second + 1),
            changes: vec![Change {
                process: ProcessKey(0),
                stack,
                meter: Metered::Block,
                counters: Counters::default(),
            }],
            censuses: vec![Census {
                time: Duration::from_secs(second + 1),
                ..Census::default()
            }],
            lifecycles: vec![Lifecycle {
                process: ProcessKey(0),
                time: Duration::from_secs(second + 1),
                kind: LifecycleKind::Forked,
            }],
            losses,
            ..Interval::default()
        };
        writer.append(&interval, std::slice::from_ref(&process), &stacks)?;
    }
    let remains = Remains {
        reckoned: vec![Reckoned {
            process: ProcessKey(0),
            stack,
            shown: 300,
            reckoned: 400,
        }],
        ..Remains::default()
    };
    writer.finish(&facts, &remains)
}
