//! Whatever happens around heaptide, the target runs on, what was recorded is kept, and nothing
//! stays behind.

use std::{fs, path::Path, process::Command};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    Heaptide, Program, Report,
    disk::SmallDisk,
    heaptide::{Output, binary, heaptide, output},
    host::{has, python, two_builds},
    program::place,
    traces::Traces,
};

/// Whether the line of `keeps_large_strings` that keeps memory is in a report.
fn keeps_are_known(report: &Report) -> bool {
    let keeps = report.find(&place("keeps_large_strings", "keeps"));
    keeps.is_some_and(|site| site.retained.estimate >= 1_000_000)
}

/// Attaches to a program, with the recording on a small disk.
fn record_on(disk: &SmallDisk, program: &Program) -> Heaptide {
    let path = disk.path().join("test.heaptide");
    let mut command = Command::new(binary());
    command
        .args(["attach", &program.pid().to_string(), "-o"])
        .arg(&path);
    Heaptide::start(&mut command, TempDir::new().unwrap(), path)
}

#[test]
fn what_was_recorded_before_the_disk_was_full_can_be_read() {
    let (Some(python), Some(disk), true) = (python(), SmallDisk::mount(), has("bpftool")) else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    let before = Traces::before(&program);
    let mut heaptide = record_on(&disk, &program);
    let held = heaptide.holdings();
    program.step("handle");
    heaptide.wait_until_recorded(keeps_are_known);
    disk.fill();
    program.step("handle");
    heaptide.wait_for("cannot write to ");
    program.step("handle");
    let ended = heaptide.stop();
    before.expect_none_left(&program, &held);
    let report = Report::of(&ended.recording);
    assert!(keeps_are_known(&report));
    // The end may fit where an interval did not; what matters is that heaptide knows.
    let (stderr, is_complete) = (&ended.output.stderr, report.recording.complete);
    assert_eq!(ended.output.code, Some(i32::from(!is_complete)), "{stderr}");
    assert_eq!(
        stderr.contains("hint: make room on the disk"),
        !is_complete,
        "{stderr}"
    );
    if is_complete {
        report.expect_no_losses();
        let keeps = report.site(&place("keeps_large_strings", "keeps"));
        assert_eq!(keeps.retained.estimate / 1_000_000, 3, "{stderr}");
    }
    assert_eq!(
        program.ask::<u64>("handle") / 1_000_000,
        4,
        "the program runs on"
    );
}

#[test]
fn nothing_is_lost_if_the_disk_gets_room_again() {
    let (Some(python), Some(disk)) = (python(), SmallDisk::mount()) else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    let mut heaptide = record_on(&disk, &program);
    disk.fill();
    program.step("handle");
    heaptide.wait_for("heaptide goes on and tries again");
    disk.clear();
    program.step("handle");
    let report = heaptide.stop().report();
    report.expect_no_losses();
    let keeps = report.site(&place("keeps_large_strings", "keeps"));
    assert_eq!(keeps.retained.estimate / 1_000_000, 2);
}

#[test]
fn a_heaptide_that_is_killed_leaves_a_recording_and_nothing_else() {
    let (Some(python), true) = (python(), has("bpftool")) else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    let before = Traces::before(&program);
    let heaptide = Heaptide::attach(&program);
    program.step("handle");
    heaptide.wait_until_recorded(keeps_are_known);
    let held = heaptide.holdings();
    heaptide.signal(Signal::KILL);
    let ended = heaptide.wait();
    assert_eq!(ended.output.code, None);

    let report = Report::of(&ended.recording);
    assert!(!report.recording.complete);
    assert!(keeps_are_known(&report));
    before.expect_none_left(&program, &held);
    assert_eq!(
        program.ask::<u64>("handle") / 1_000_000,
        2,
        "the program runs on"
    );
    assert!(program.finish().success());
}

#[test]
fn nothing_is_left_behind() {
    let (Some(python), true) = (python(), has("bpftool")) else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    let before = Traces::before(&program);
    let heaptide = Heaptide::attach(&program);
    program.step("handle");
    let held = heaptide.holdings();
    heaptide.stop().report();
    before.expect_none_left(&program, &held);
    assert_eq!(
        program.ask::<u64>("handle") / 1_000_000,
        2,
        "the program runs on"
    );
}

#[test]
fn signals_end_a_recording_in_order() {
    let (Some(python), true) = (python(), has("bpftool")) else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    let before = Traces::before(&program);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let heaptide = Heaptide::attach(&program);
        let held = heaptide.holdings();
        program.step("handle");
        heaptide.signal(signal);
        assert!(keeps_are_known(&heaptide.wait().report()), "{signal:?}");
        before.expect_none_left(&program, &held);
    }
}

/// Runs heaptide where tracefs is not mounted, between two looks at the mounts.
const WITHOUT_TRACEFS: &str = r#"
    umount --recursive /sys/kernel/debug /sys/kernel/tracing 2>/dev/null
    folder=$1; shift
    cat /proc/self/mounts > "$folder/before"
    "$@"; status=$?
    cat /proc/self/mounts > "$folder/after"
    exit $status"#;

#[test]
fn tracefs_is_not_mounted_for_others() {
    let (Some(python), true) = (python(), has("unshare")) else {
        return;
    };
    let mut program = Program::start(&python, "maps_memory");
    let folder = TempDir::new().unwrap();
    let (path, place_of) = (
        folder.path().join("test.heaptide"),
        folder.path().to_owned(),
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", WITHOUT_TRACEFS, "sh"])
        .arg(&place_of)
        .arg(binary());
    // A shell does not pass signals on, so the recording has to end by itself.
    command
        .args(["attach", &program.pid().to_string(), "-d", "1s", "-o"])
        .arg(&path);
    let heaptide = Heaptide::start(&mut command, folder, path);
    program.step("keep");
    let ended = heaptide.wait();
    let mounts = |name: &str| fs::read_to_string(ended.folder().join(name)).unwrap();
    assert!(
        !mounts("before").contains(" tracefs "),
        "{}",
        mounts("before")
    );
    assert_eq!(mounts("before"), mounts("after"));
    let site = ended.report().site(&place("maps_memory", "keeps")).clone();
    assert_eq!(site.mapped, 1 << 30, "system calls were seen all the same");
}

/// Runs a command on what looks like a kernel without type information.
const WITHOUT_BTF: &str = r#"mount -t tmpfs none /sys/kernel/btf && exec "$@""#;

/// Runs a command on what looks like a kernel that is locked down.
const LOCKED_DOWN: &str = r#"
    mount -t tmpfs none /sys/kernel/security
    echo 'none integrity [confidentiality]' > /sys/kernel/security/lockdown
    exec "$@""#;

/// Runs heaptide where a script has changed the mounts that it alone sees.
fn heaptide_after(script: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(binary())
        .args(arguments);
    output(&mut command)
}

#[test]
fn a_kernel_without_type_information_is_named_as_what_is_missing() {
    let (Some(python), true) = (python(), has("unshare")) else {
        return;
    };
    let mut program = Program::start(&python, "maps_memory");
    let id = program.pid().to_string();
    let refused = heaptide_after(WITHOUT_BTF, &["attach", &id, "-d", "1s"]);
    refused.expect_refusal(3, &["BTF", "CONFIG_DEBUG_INFO_BTF"]);
    program.step("keep");
}

#[test]
fn doctor_says_what_a_locked_down_kernel_forbids() {
    if !has("unshare") {
        return;
    }
    let advised = heaptide_after(LOCKED_DOWN, &["doctor"]);
    assert!(advised.stdout.contains("lockdown=integrity"), "{advised:?}");
    assert_eq!(advised.code, Some(3), "{advised:?}");
}

/// What `heaptide report` writes.
fn report(recording: &Path, format: &str) -> String {
    let path = recording.display().to_string();
    heaptide(&["report", &path, "--format", format]).stdout
}

#[test]
fn a_report_is_the_same_whenever_it_is_made() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    for format in ["json", "text"] {
        let heaptide = Heaptide::attach_with(&program, &["--format", format]);
        program.step("handle");
        let ended = heaptide.stop();
        assert_eq!(ended.output.code, Some(0), "{}", ended.output.stderr);
        let first = report(&ended.recording, format);
        assert_eq!(ended.output.stdout, first, "{format}");
        assert_eq!(report(&ended.recording, format), first, "{format}");
    }
}

#[test]
fn older_kernels_take_one_probe_at_a_time() {
    for python in two_builds() {
        let mut program = Program::start(&python, "keeps_large_strings");
        let flags = ["--single-site-links"];
        let heaptide = Heaptide::attach_with(&program, &flags);
        let held: u64 = program.ask("handle");
        let report = heaptide.stop().report();
        report.expect_no_losses();
        let keeps = report.site(&place("keeps_large_strings", "keeps"));
        assert!(
            keeps.retained.estimate.abs_diff(held) < 4096,
            "{python:?}: {keeps:?}"
        );

        let mut program = Program::start(&python, "keeps_small_objects");
        let heaptide = Heaptide::attach_with(&program, &flags);
        program.step("dicts");
        let report = heaptide.stop().report();
        report.expect_no_losses();
        assert!(
            report.sites[0].is_at(&place("keeps_small_objects", "keeps dicts")),
            "{python:?}"
        );
    }
}
