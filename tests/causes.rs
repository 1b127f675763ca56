//! Measured causes: what forked workers share no longer and why, and what allocators keep.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use crate::support::{Heaptide, Program, Report, host::python, program::place, report::Sharing};

const MIB: u64 = 1 << 20;

/// A figure for each worker, by what it does.
type Workers<T> = BTreeMap<String, T>;

/// Lets workers work while they are recorded. They are forked before the recording, or in it.
fn work(forks_before: bool) -> Option<(Report, Workers<u32>, Workers<u64>)> {
    let python = python()?;
    let mut program = Program::start(&python, "unshares");
    let arguments = ["--max-overhead", "2"];
    let (heaptide, pids) = if forks_before {
        let pids: Workers<u32> = program.ask("fork");
        (Heaptide::attach_with(&program, &arguments), pids)
    } else {
        let heaptide = Heaptide::attach_with(&program, &arguments);
        (heaptide, program.ask("fork"))
    };
    let private: Workers<u64> = program.ask("work");
    let report = heaptide.stop().report();
    Some((report, pids, private))
}

#[track_caller]
fn sharing<'a>(report: &'a Report, pids: &Workers<u32>, name: &str) -> &'a Sharing {
    let sharing = report.process(pids[name]).sharing.as_ref();
    sharing.unwrap_or_else(|| panic!("nothing is known of {name}"))
}

/// The part of what was seen to be copied that has a cause.
fn share(sharing: &Sharing, cause: &str) -> f64 {
    let sum: u64 = sharing.causes.iter().map(|it| it.bytes).sum();
    let of_it = sharing.causes.iter().filter(|it| it.cause == cause);
    let of_it: u64 = of_it.map(|it| it.bytes).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
    let (of_it, sum) = (of_it as f64, sum.max(1) as f64);
    of_it / sum
}

#[track_caller]
fn expect_causes(report: &Report, pids: &Workers<u32>, private: &Workers<u64>) {
    println!("{private:?}");
    for (name, private) in private {
        let found = sharing(report, pids, name);
        println!("{name}: {found:?}");
        // The kernel counts pages of files as well that no other process has mapped.
        let own = found.copied + found.own;
        assert!(
            own.abs_diff(*private) < 3 * MIB + private / 20,
            "{name}: {own} not {private}"
        );
        assert_eq!(found.inherited, found.shared + found.copied);
        assert!(found.inherited > 50 * MIB);
    }
    let copied = |name: &str| sharing(report, pids, name).copied;
    assert!(copied("idle") < 6 * MIB);
    for (name, cause, line) in [
        ("read", "references", "reads"),
        ("collect", "collector", "collects"),
        ("write", "data", "writes"),
    ] {
        let found = sharing(report, pids, name);
        assert!(found.copied > 16 * MIB, "{name}: {found:?}");
        assert!(share(found, cause) > 0.8, "{name}: {found:?}");
        let seen: u64 = found.causes.iter().map(|it| it.bytes).sum();
        let copied = found.copied - found.copied_before;
        // One in 61 is looked at, so about two hundred are.
        assert!(
            seen.abs_diff(copied) < copied / 3 + 2 * MIB,
            "{name}: {seen} of {copied}"
        );
        let place = place("unshares", line);
        let site = report
            .copies
            .iter()
            .find(|it| it.pids == [pids[name]] && it.cause == cause);
        let site = site.unwrap_or_else(|| panic!("{name}: {:?}", report.copies));
        assert_eq!((&site.file, site.line), (&place.file, place.line), "{name}");
    }
    assert!(copied("write").abs_diff(32 * MIB) < 4 * MIB);
}

#[test]
fn workers_forked_before_tell_what_they_copy_and_why() {
    if let Some((report, pids, private)) = work(true) {
        expect_causes(&report, &pids, &private);
    }
}

#[test]
fn workers_forked_while_recording_tell_what_they_copy_and_why() {
    if let Some((report, pids, private)) = work(false) {
        expect_causes(&report, &pids, &private);
    }
}

/// What glibc says of its own heap: bytes from the system, and of them free.
#[derive(Debug, Deserialize)]
struct Truth {
    main: (u64, u64),
    threads: (u64, u64),
    arenas: u64,
    top: u64,
}

#[track_caller]
fn expect_near(what: &str, found: u64, truth: u64) {
    let is_near = found.abs_diff(truth) <= MIB / 4 + truth / 100;
    assert!(is_near, "{what}: {found}, and not {truth}");
}

#[test]
fn what_malloc_keeps_is_what_glibc_itself_says() {
    let Some(python) = python() else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = script.join("../profiler/src/process/heap/arenas/fragments.py");
    let mut program = Program::spawn(python.command().arg(script));
    let heaptide = Heaptide::attach_with(&program, &["--max-overhead", "2"]);
    for way in ["pinned", "threads", "top"] {
        let _truth: Truth = program.ask(way);
    }
    let truth: Truth = program.ask("nothing");
    let report = heaptide.stop().report();
    let allocator = report.process(program.pid()).allocator.as_ref();
    let libc = allocator
        .and_then(|it| it.libc.as_ref())
        .expect("it is glibc");
    println!("{truth:?}, {libc:?}");
    expect_near("main held", libc.main.held, truth.main.0);
    expect_near("main free", libc.main.free + libc.main.top, truth.main.1);
    expect_near("top", libc.main.top, truth.top);
    expect_near("threads held", libc.threads.held, truth.threads.0);
    let free = libc.threads.free + libc.threads.top;
    expect_near("threads free", free, truth.threads.1);
    assert_eq!(libc.main.arenas + libc.threads.arenas, truth.arenas);
    assert_eq!(libc.unseen, 0);
    // Whole pages of what was freed: a part is between blocks that are in use.
    assert!(libc.main.returnable > 20 * MIB && libc.main.returnable < truth.main.1);
    let python = allocator
        .and_then(|it| it.python.as_ref())
        .expect("it is pymalloc");
    assert!(python.live > 0 && python.live <= python.resident);
}
