//! What goes wrong around a recording loses nothing that was recorded, and harms nobody.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::Signal,
};
use tempfile::TempDir;

use crate::support::{
    Heaptide, Program, Report,
    heaptide::{binary, heaptide},
    host::{python, skip},
};

/// What `keeps_large_strings` keeps at each order, at least.
const STRING: u64 = 1_000_000;

/// Names of programs of the kernel half, as the kernel keeps them: cut to 15 characters.
const PROGRAMS: [&str; 4] = [
    "process_forked",
    "address_space_c",
    "request_entered",
    "pool_opened",
];

/// How many programs of heaptide are loaded; `None` if nothing here can tell.
fn loaded_programs() -> Option<usize> {
    let listed = Command::new("bpftool").args(["prog", "list"]).output();
    let Ok(listed) = listed else {
        skip("there is no bpftool");
        return None;
    };
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    Some(
        PROGRAMS
            .iter()
            .map(|name| listed.matches(name).count())
            .sum(),
    )
}

/// Checks that no program of heaptide stays loaded. The kernel takes a moment to let go.
#[track_caller]
fn expect_nothing_left() {
    let gone = (0..200).any(|_| matches!(loaded_programs(), Some(0) | None));
    assert!(gone, "programs of heaptide are still loaded");
}

#[test]
fn nothing_is_left_behind() {
    let Some(python) = python() else {
        return;
    };
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mut program = Program::start(&python, "keeps_large_strings");
    let heaptide = Heaptide::attach(&program);
    if let Some(loaded) = loaded_programs() {
        assert!(
            loaded >= PROGRAMS.len(),
            "the names are those of the programs"
        );
    }
    program.step("handle");
    heaptide.stop().report();
    expect_nothing_left();
    assert_eq!(fs::read_to_string("/proc/mounts").unwrap(), mounts);
    program.step("handle");
}

#[test]
fn what_was_recorded_survives_a_killed_heaptide() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    let heaptide = Heaptide::attach(&program);
    for _ in 0..5 {
        program.step("handle");
    }
    heaptide.wait_until_recorded(|report| report.totals.retained.estimate >= 5 * STRING);
    heaptide.signal(Signal::KILL);
    let ended = heaptide.wait();
    assert_eq!(ended.output.code, None, "{}", ended.output.stderr);
    let report = Report::of(&ended.recording);
    assert!(!report.recording.complete);
    assert!(report.totals.retained.estimate >= 5 * STRING);
    expect_nothing_left();
    program.step("handle");
    assert!(program.finish().success());
}

/// A small disk of its own, for a recording that does not fit.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path) -> Self {
        let path = folder.join("disk");
        fs::create_dir(&path).unwrap();
        mount(
            "tmpfs",
            &path,
            "tmpfs",
            MountFlags::empty(),
            Some(c"size=1m"),
        )
        .unwrap();
        Self(path)
    }

    /// Leaves no room on it.
    fn fill(&self) {
        let mut file = File::create(self.0.join("full")).unwrap();
        let page = [b'x'; 4096];
        while file.write_all(&page).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still looks at it may go on to.
        let _gone: rustix::io::Result<()> = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn what_was_recorded_survives_a_full_disk() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    let folder = TempDir::new().unwrap();
    let disk = Disk::mount(folder.path());
    let recording = disk.0.join("test.heaptide");
    let mut command = Command::new(binary());
    command
        .args(["attach", &program.pid().to_string(), "--output"])
        .arg(&recording);
    let heaptide = Heaptide::start(&mut command, folder, recording);
    program.step("handle");
    heaptide.wait_until_recorded(|report| report.totals.retained.estimate >= STRING);
    disk.fill();
    program.step("handle");
    let ended = heaptide.stop();
    let stderr = &ended.output.stderr;
    assert!(stderr.contains("warning: cannot write to"), "{stderr}");
    let report = Report::of(&ended.recording);
    // The end may fit where an interval did not; what matters is that heaptide knows.
    let is_complete = report.recording.complete;
    assert_eq!(ended.output.code, Some(i32::from(!is_complete)), "{stderr}");
    let has_remedy = stderr.contains("hint: make room on the disk");
    assert_eq!(has_remedy, !is_complete, "{stderr}");
    assert!(report.totals.retained.estimate >= STRING);
    drop(disk);
    program.step("handle");
    assert!(program.finish().success());
}

#[test]
fn the_summary_and_the_report_are_the_same() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    let heaptide_json = Heaptide::attach_with(&program, &["--format", "json"]);
    program.step("handle");
    let ended = heaptide_json.stop();
    let path = ended.recording.display().to_string();
    for _ in 0..2 {
        let report = heaptide(&["report", &path, "--format", "json"]);
        assert_eq!(report.stdout, ended.output.stdout);
    }
}

#[test]
fn a_kernel_whose_links_have_one_site_each_measures_the_same() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    let heaptide = Heaptide::attach_with(&program, &["--single-site-links"]);
    let held: u64 = program.ask("handle");
    let report = heaptide.stop().report();
    let site = &report.sites[0];
    assert_eq!(site.function, "keep");
    assert!(
        site.retained.estimate.abs_diff(held) < held / 20,
        "{site:?}"
    );
}

#[test]
fn the_kernel_half_says_what_it_sees_to_whoever_asks_twice() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "forks_workers");
    let heaptide = Heaptide::attach_with(&program, &["-vv"]);
    let workers: Vec<u32> = program.ask("fork");
    let ended = heaptide.stop();
    let line = format!("process {} forked {}", program.pid(), workers[0]);
    assert!(
        ended.output.stderr.contains(&line),
        "{}",
        ended.output.stderr
    );
}
