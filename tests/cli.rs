//! Whatever is wrong with how heaptide is called, it says so, says what to do, and answers with
//! the exit code that is documented.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rusqlite::Connection;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tempfile::TempDir;

use crate::support::{
    Heaptide, Program, Report,
    heaptide::{binary, heaptide, output},
    host::{TOO_OLD, can_record, has, old_python, python},
    program::script,
    screen,
};

/// The exit codes of `docs/cli.md`.
const MISUSE: i32 = 2;
const REFUSED: i32 = 3;
const BAD_TARGET: i32 = 4;
const BAD_RECORDING: i32 = 5;

/// The user without privileges.
const NOBODY: &str = "65534";

/// Says the version of any interpreter.
const VERSION: &str = "import sys; print('.'.join(map(str, sys.version_info[:3])))";

/// Says the release of `PyPy`.
const RELEASE: &str = "import sys; print('.'.join(map(str, sys.pypy_version_info[:3])))";

/// Tells any interpreter, however old, to wait until it is ended.
const WAITS: &str = "import sys; print('ready'); sys.stdout.flush(); sys.stdin.read()";

#[test]
fn help_is_a_result_and_wrong_flags_are_not() {
    for verb in [
        "attach",
        "run",
        "report",
        "flamegraph",
        "export",
        "diff",
        "doctor",
        "completions",
        "man",
    ] {
        let help = heaptide(&[verb, "--help"]);
        assert_eq!(help.code, Some(0), "{verb}");
        assert!(help.stdout.contains("Example"), "{verb}: {}", help.stdout);
        assert_eq!(help.stderr, "", "{verb}");
    }
    heaptide(&["attach"]).expect_refusal(MISUSE, &["<PID>", "--help"]);
    heaptide(&["record", "1"]).expect_refusal(MISUSE, &["record", "--help"]);
    heaptide(&["attach", "zero"]).expect_refusal(MISUSE, &["zero", "<PID>"]);
    heaptide(&["attach", "1", "-d", "30"]).expect_refusal(MISUSE, &["`30`", "30s, 5m or 1h"]);
    heaptide(&["attach", "1", "--max-overhead", "0"]).expect_refusal(MISUSE, &["0 and 100"]);
    heaptide(&["run"]).expect_refusal(MISUSE, &["<COMMAND>"]);
}

#[test]
fn shells_and_man_learn_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let script = heaptide(&["completions", shell]);
        assert_eq!(script.code, Some(0), "{}", script.stderr);
        assert!(script.stdout.contains("max-overhead"), "{shell}");
    }
    assert!(heaptide(&["man"]).stdout.starts_with(".ie"));
    assert!(heaptide(&["man", "attach"]).stdout.contains("4711"));
    heaptide(&["completions", "cmd"]).expect_refusal(MISUSE, &["cmd", "bash"]);
    heaptide(&["man", "record"]).expect_refusal(MISUSE, &["record", "--help"]);
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let Some(python) = python() else {
        return;
    };
    let program = Program::start(&python, "keeps_large_strings");
    let pid = program.pid().to_string();
    let healthy = heaptide(&["doctor", &pid]);
    assert_eq!(healthy.code, Some(0), "{}", healthy.stdout);
    let verdict = format!("process {pid} can be profiled");
    assert!(healthy.stdout.contains(&verdict), "{}", healthy.stdout);

    let json = heaptide(&["doctor", &pid, "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["verdict"], "ok");

    let sick = heaptide(&["doctor", "4194304"]);
    assert_eq!(sick.code, Some(BAD_TARGET), "{}", sick.stdout);
    for text in [
        "process 4194304 is not running",
        "remedy:",
        "pgrep -a python",
    ] {
        assert!(sick.stdout.contains(text), "{text}: {}", sick.stdout);
    }
}

#[test]
fn a_process_that_is_not_running_is_no_target() {
    // Linux has no pids as large as this.
    heaptide(&["attach", "4194304"]).expect_refusal(
        BAD_TARGET,
        &["process 4194304 is not running", "pgrep -a python"],
    );
}

#[test]
fn a_kernel_thread_is_no_target() {
    if fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        heaptide(&["attach", "2"]).expect_refusal(BAD_TARGET, &["kthreadd", "kernel thread"]);
    }
}

#[test]
fn a_zombie_is_no_target() {
    let mut zombie = Command::new("true").spawn().unwrap();
    let pid = zombie.id();
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(&zombie)), ended).unwrap();
    heaptide(&["attach", &pid.to_string()]).expect_refusal(
        BAD_TARGET,
        &[&pid.to_string(), "(true) has ended", "parent"],
    );
    zombie.wait().unwrap();
}

#[test]
fn a_process_that_is_not_python_is_no_target() {
    if !can_record() {
        return;
    }
    let program = Program::spawn(Command::new("sh").args(["-c", "echo ready; read line"]));
    heaptide(&["attach", &program.pid().to_string()])
        .expect_refusal(BAD_TARGET, &["which is not Python", "pgrep -a python"]);
}

#[test]
fn an_old_python_is_refused_by_its_version() {
    if !can_record() {
        return;
    }
    for version in TOO_OLD {
        let Some(python) = old_python(version) else {
            continue;
        };
        let said = output(python.command().args(["-c", VERSION])).stdout;
        assert!(said.starts_with(version), "{said}");
        let name = format!("CPython {}, which is", said.trim());
        let program = Program::spawn(python.command().args(["-c", WAITS]));
        heaptide(&["attach", &program.pid().to_string()])
            .expect_refusal(BAD_TARGET, &[&name, "not supported", "CPython 3.8 to "]);
    }
}

#[test]
fn another_python_is_refused_by_its_name_and_version() {
    if !can_record() || !has("pypy3") {
        return;
    }
    let said = output(Command::new("pypy3").args(["-c", RELEASE])).stdout;
    let name = format!("PyPy {}, which is not supported", said.trim());
    let program = Program::spawn(Command::new("pypy3").args(["-c", WAITS]));
    heaptide(&["attach", &program.pid().to_string()])
        .expect_refusal(BAD_TARGET, &[&name, "CPython 3.8 to "]);
}

/// No distribution has it: what stands in for it is a program of that name in such a place.
#[test]
fn an_interpreter_that_is_known_by_its_place_is_refused_by_its_name_and_version() {
    if !can_record() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let release = folder
        .path()
        .join("graalpy-community-24.1.0-linux-amd64/bin");
    fs::create_dir_all(&release).unwrap();
    let program = release.join("graalpy");
    fs::copy("/bin/sh", &program).unwrap();
    let program = Program::spawn(Command::new(&program).args(["-c", "echo ready; read line"]));
    heaptide(&["attach", &program.pid().to_string()]).expect_refusal(
        BAD_TARGET,
        &["GraalPy 24.1.0, which is not supported", "CPython 3.8 to "],
    );
}

/// A copy of heaptide that every user may run.
struct PublicCopy(TempDir);

impl PublicCopy {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(binary(), folder.path().join("heaptide")).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("heaptide")
    }
}

#[test]
fn a_user_without_privileges_is_told_to_use_sudo() {
    let (Some(python), true) = (python(), has("setpriv")) else {
        return;
    };
    let program = Program::start(&python, "keeps_large_strings");
    let copy = PublicCopy::new();
    let refused = output(
        Command::new("setpriv")
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
            .arg(copy.path())
            .args(["attach", &program.pid().to_string()])
            .current_dir("/"),
    );
    refused.expect_refusal(REFUSED, &["sudo heaptide"]);
}

#[test]
fn root_that_may_not_load_programs_is_refused() {
    let (Some(python), true) = (python(), has("setpriv")) else {
        return;
    };
    let program = Program::start(&python, "keeps_large_strings");
    let folder = TempDir::new().unwrap();
    let refused = output(
        Command::new("setpriv")
            .arg("--bounding-set=-bpf,-perfmon,-sys_admin")
            .arg(binary())
            .args(["attach", &program.pid().to_string()])
            .current_dir(folder.path()),
    );
    refused.expect_refusal(REFUSED, &["hint: "]);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "no file was left"
    );
}

/// Attaches to a program with this output, which is wrong.
#[track_caller]
fn expect_bad_output(program: &Program, path: &Path, texts: &[&str]) {
    let pid = program.pid().to_string();
    let path = path.display().to_string();
    let refused = heaptide(&["attach", &pid, "-d", "1s", "-o", &path]);
    let texts: Vec<&str> = [path.as_str()]
        .into_iter()
        .chain(texts.iter().copied())
        .collect();
    refused.expect_refusal(MISUSE, &texts);
}

#[test]
fn a_recording_goes_only_where_there_is_room_for_it() {
    let Some(python) = python() else {
        return;
    };
    let program = Program::start(&python, "keeps_large_strings");
    let folder = TempDir::new().unwrap();
    let existing = folder.path().join("existing.heaptide");
    fs::write(&existing, "precious").unwrap();
    expect_bad_output(&program, &existing, &["exists already", "--force"]);
    assert_eq!(fs::read_to_string(&existing).unwrap(), "precious");
    expect_bad_output(&program, folder.path(), &["not a file", "--output"]);
    let lost = folder.path().join("no/such/folder.heaptide");
    expect_bad_output(&program, &lost, &["no such folder", "--output"]);
    // Not even root can make a file here.
    let forbidden = Path::new("/sys/kernel/test.heaptide");
    expect_bad_output(&program, forbidden, &["not writable", "--output"]);
}

#[test]
fn an_existing_recording_is_replaced_by_force() {
    let Some(python) = python() else {
        return;
    };
    let program = Program::start(&python, "keeps_large_strings");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("existing.heaptide");
    fs::write(&path, "worthless").unwrap();
    let (pid, name) = (program.pid().to_string(), path.display().to_string());
    let done = heaptide(&["attach", &pid, "-d", "200ms", "-o", &name, "--force"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(Report::of(&path).recording.complete);
}

/// Asks for a report and expects none.
#[track_caller]
fn expect_bad_recording(path: &Path, texts: &[&str]) {
    let name = path.display().to_string();
    let texts: Vec<&str> = [name.as_str()]
        .into_iter()
        .chain(texts.iter().copied())
        .collect();
    heaptide(&["report", &name]).expect_refusal(BAD_RECORDING, &texts);
    let drawing = path.with_extension("svg").display().to_string();
    heaptide(&["flamegraph", &name, "-o", &drawing]).expect_refusal(BAD_RECORDING, &texts);
    assert!(!Path::new(&drawing).exists());
}

#[test]
fn what_is_not_a_recording_is_not_read() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    expect_bad_recording(&path("absent"), &["there is no recording"]);
    fs::write(path("empty"), "").unwrap();
    expect_bad_recording(&path("empty"), &["is empty"]);
    fs::write(path("text"), "heap").unwrap();
    expect_bad_recording(&path("text"), &["not a recording"]);
    fs::create_dir(path("folder")).unwrap();
    expect_bad_recording(&path("folder"), &["folder"]);
    let other = Connection::open(path("other")).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    expect_bad_recording(&path("other"), &["not a recording"]);
}

#[test]
fn a_recording_that_is_damaged_or_from_the_future_is_not_read() {
    let Some(python) = python() else {
        return;
    };
    let mut program = Program::start(&python, "keeps_large_strings");
    let heaptide = Heaptide::attach(&program);
    program.step("handle");
    let ended = heaptide.stop();
    let bytes = fs::read(&ended.recording).unwrap();

    let cut = ended.folder().join("cut");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    expect_bad_recording(&cut, &["damaged"]);

    let future = ended.folder().join("future");
    fs::write(&future, &bytes).unwrap();
    let connection = Connection::open(&future).unwrap();
    connection
        .pragma_update(None, "user_version", 1_000)
        .unwrap();
    drop(connection);
    expect_bad_recording(&future, &["format 1000", "newer"]);
}

#[test]
fn the_bar_is_gone_when_the_summary_comes() {
    let Some(python) = python() else {
        return;
    };
    let program = Program::start(&python, "keeps_large_strings");
    let folder = TempDir::new().unwrap();
    let mut terminal = Command::new(&python.path);
    terminal
        .arg(script("in_a_terminal"))
        .arg(binary())
        .args(["attach", &program.pid().to_string(), "-d", "1500ms", "-o"])
        .arg(folder.path().join("test.heaptide"));
    let shown = output(&mut terminal).stdout;
    // It was there, or this tests nothing.
    assert!(shown.contains("1 process, "), "{shown:?}");
    let screen = screen::after(&shown);
    assert!(screen[0].starts_with("recording to "), "{screen:#?}");
    let headline = format!("(pid {})", program.pid());
    assert!(screen[1].contains(&headline), "{screen:#?}");
    assert!(
        !screen.iter().any(|line| line.contains("1 process, ")),
        "{screen:#?}"
    );
}

#[test]
fn a_process_that_was_not_recorded_is_wrong_use() {
    let Some(python) = python() else {
        return;
    };
    let program = Program::start(&python, "keeps_large_strings");
    let pid = program.pid().to_string();
    let ended = Heaptide::attach(&program).stop();
    let path = ended.recording.display().to_string();
    let svg = ended.folder().join("growth.svg");
    let drawing = svg.display().to_string();
    for verb in [
        ["report", &path].as_slice(),
        &["flamegraph", &path, "-o", &drawing],
    ] {
        let with_pid = |pid| heaptide(&[verb, &["--pid", pid]].concat());
        with_pid("4194304").expect_refusal(MISUSE, &["process 4194304 is not", &pid]);
        assert!(!svg.exists());
        assert_eq!(with_pid(&pid).code, Some(0));
    }
    assert!(svg.exists());
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let Some(python) = python() else {
        return;
    };
    let program = Program::start(&python, "keeps_large_strings");
    let ended = Heaptide::attach(&program).stop();
    for format in ["text", "json"] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut report = Command::new(binary());
        report
            .arg("report")
            .arg(&ended.recording)
            .args(["--format", format]);
        let child = report
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert_eq!(output.stderr, b"", "{format}");
    }
}
