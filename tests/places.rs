//! Interpreters are found wherever they stand: in other roots and namespaces, without their files,
//! in other programs.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::symlink, net::UnixStream},
    path::Path,
    process::Command,
};

use tempfile::TempDir;

use crate::support::{
    Ended, Heaptide, Program, Python,
    heaptide::heaptide,
    host::{can_record, find, has, python},
    program::{place, script},
};

/// What is kept of a program that keeps large strings, recorded while it does.
#[track_caller]
fn check(program: &mut Program, pid: u32) -> Ended {
    let id = pid.to_string();
    let heaptide = Heaptide::record("attach", &[&id]);
    let held: u64 = program.ask("handle");
    let ended = heaptide.stop();
    let report = ended.report();
    report.expect_no_losses();
    let keeps = report.site(&place("keeps_large_strings", "keeps"));
    assert!(keeps.retained().abs_diff(held) < 4096, "{keeps:?}");
    assert_eq!(keeps.pids, [pid]);
    ended
}

/// Starts a command that keeps large strings, and checks what is found of it.
#[track_caller]
fn check_command(command: &mut Command) {
    let mut program = Program::spawn(command.arg(script("keeps_large_strings")));
    let pid = program.pid();
    check(&mut program, pid);
}

/// The interpreter of this name; `None` where it is missing or heaptide cannot record.
#[track_caller]
fn named(version: &str, name: &str) -> Option<Python> {
    if !can_record() {
        return None;
    }
    find(version).into_iter().find(|python| python.name == name)
}

#[track_caller]
fn distributed() -> Option<Python> {
    named("3.11", "3.11 of the distribution")
}

#[track_caller]
fn shared() -> Option<Python> {
    named("3.12", "3.12 of pyenv")
}

/// The only child of a process.
fn only_child(pid: u32) -> u32 {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(path).expect("it runs");
    children.trim().parse().expect("it has one child")
}

/// The interpreter in the root of Debian sid.
#[track_caller]
fn in_another_root() -> Option<Python> {
    named("3.15", "3.15 of Debian sid")
}

#[test]
fn another_root_is_no_obstacle() {
    if let Some(python) = in_another_root() {
        check_command(&mut python.command());
    }
}

#[test]
fn in_other_namespaces_both_pids_are_shown() {
    let (Some(python), true) = (in_another_root(), has("unshare")) else {
        return;
    };
    let inside = python.command();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--pid", "--fork"])
        .arg(inside.get_program())
        .args(inside.get_args())
        .arg(script("keeps_large_strings"));
    let mut program = Program::spawn(&mut command);
    let pid = only_child(program.pid());
    let ended = check(&mut program, pid);
    assert_eq!(ended.report().process(pid).inner_pid, Some(1));
    let shown = format!("(pid {pid}, pid 1 inside)");
    assert!(ended.output.stdout.contains(&shown), "{ended:?}");
    let advised = heaptide(&["doctor", &pid.to_string()]).stdout;
    assert!(advised.contains("there it is process 1"), "{advised}");
}

/// With a home of its own, Python finds its library elsewhere than the program stands.
#[test]
fn a_home_in_another_place_is_no_obstacle() {
    let Some(python) = distributed() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("program");
    fs::copy(&python.path, &program).unwrap();
    symlink("/usr/lib", folder.path().join("lib")).unwrap();
    check_command(Command::new(&program).env("PYTHONHOME", folder.path()));
}

#[test]
fn a_program_that_was_deleted_or_replaced_is_still_read() {
    let Some(python) = distributed() else {
        return;
    };
    for is_replaced in [false, true] {
        let folder = TempDir::new().unwrap();
        let copy = folder.path().join("python3.11");
        fs::copy(&python.path, &copy).unwrap();
        let mut command = Command::new(&copy);
        command
            .env("PYTHONHOME", "/usr")
            .arg(script("keeps_large_strings"));
        let mut program = Program::spawn(&mut command);
        let pid = program.pid();
        fs::remove_file(&copy).unwrap();
        if is_replaced {
            fs::copy("/bin/true", &copy).unwrap();
        }
        check(&mut program, pid);
    }
}

#[test]
fn a_library_that_was_deleted_or_replaced_is_still_read() {
    let Some(python) = shared() else {
        return;
    };
    let library = "libpython3.12.so.1.0";
    let original = python.path.with_file_name("../lib").join(library);
    for is_replaced in [false, true] {
        let folder = TempDir::new().unwrap();
        let copy = folder.path().join(library);
        fs::copy(&original, &copy).unwrap();
        let mut command = python.command();
        // It has the name that the program asks for.
        command
            .env("LD_PRELOAD", &copy)
            .arg(script("keeps_large_strings"));
        let mut program = Program::spawn(&mut command);
        let pid = program.pid();
        fs::remove_file(&copy).unwrap();
        if is_replaced {
            fs::write(&copy, "another").unwrap();
        }
        check(&mut program, pid);
    }
}

#[test]
fn a_virtual_environment_is_followed() {
    let Some(python) = python() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let mut venv = python.command();
    let made = venv
        .args(["-m", "venv", "--without-pip"])
        .arg(folder.path());
    assert!(made.status().unwrap().success());
    check_command(&mut Command::new(folder.path().join("bin/python")));
}

/// Compiles the program against an interpreter.
fn embed(python: &Python, folder: &Path) -> Command {
    let prefix = python.path.ancestors().nth(2).expect("it is in PREFIX/bin");
    let source = script("embeds").with_extension("c");
    let program = folder.join("embeds");
    let include = prefix.join(format!("include/python{}", python.version));
    let library = prefix.join("lib");
    let compiled = Command::new("cc")
        .arg("-I")
        .arg(include)
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .arg("-L")
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .args([&format!("-lpython{}", python.version), "-lpthread"])
        .status();
    assert!(compiled.unwrap().success());
    let mut command = Command::new(program);
    let scripts = script("steps");
    command.env("PYTHONHOME", prefix).env(
        "PYTHONPATH",
        scripts.parent().expect("a file is in a folder"),
    );
    command
}

#[test]
fn an_interpreter_in_another_program_is_followed() {
    let (Some(python), true) = (shared(), has("cc")) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    check_command(&mut embed(&python, folder.path()));
}

/// Such a thread has a thread state only as long as it is in Python.
#[test]
fn a_thread_that_python_did_not_start_is_followed_while_it_has_the_gil() {
    let (Some(python), true) = (shared(), has("cc")) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let name = "keeps_in_foreign_thread";
    let mut program = Program::spawn(embed(&python, folder.path()).arg(script(name)));
    let heaptide = Heaptide::attach(&program);
    let held = [0; 5].map(|_| program.ask::<u64>("handle"));
    let report = heaptide.stop().report();
    report.expect_no_losses();
    let keeps = report.site(&place(name, "keeps"));
    assert!(keeps.retained().abs_diff(held[4]) < 5 * 4096, "{keeps:?}");
    // The thread begins there: the code that waits for it is in another one.
    assert_eq!(keeps.stack.len(), 1, "{keeps:?}");
}

/// Sends a request through a socket, and returns the worker's pid and how much it keeps.
fn request(socket: &Path) -> (u32, u64) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let numbers = answer
        .rsplit_once("\r\n\r\n")
        .and_then(|(_, body)| body.split_once(' '));
    let (pid, held) = numbers.unwrap_or_else(|| panic!("{answer}"));
    (pid.parse().unwrap(), held.parse().unwrap())
}

/// The server is a program in C, and Python a library that a plugin brings with it.
#[test]
fn a_worker_of_uwsgi_is_followed() {
    if !can_record() || !has("uwsgi-core") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let server = "exec uwsgi-core --plugin python3 --master --workers 1 --http-socket \"$0\" \
                  --wsgi-file \"$1\" 3>&1 2>/dev/null";
    let mut command = Command::new("sh");
    command
        .args(["-c", server])
        .arg(&socket)
        .arg(script("serves_requests"));
    let server = Program::spawn(&mut command);
    let (worker, before) = request(&socket);
    let heaptide = Heaptide::attach(&server);
    let held = [0; 5].map(|_| request(&socket))[4].1;
    let report = heaptide.stop().report();
    report.expect_no_losses();
    let keeps = report.site(&place("serves_requests", "keeps"));
    let kept = held - before;
    assert!(keeps.retained().abs_diff(kept) < 5 * 4096, "{keeps:?}");
    assert_eq!(keeps.pids, [worker]);
    let versions = [server.pid(), worker].map(|pid| report.process(pid).python.clone());
    assert!(
        versions[1].is_some() && versions[0] == versions[1],
        "{versions:?}"
    );
}

#[test]
fn two_versions_in_one_tree_are_told_apart() {
    let (Some(parent), Some(child)) = (shared(), distributed()) else {
        return;
    };
    let child = [child.path, script("keeps_large_strings")];
    let child = child.map(|path| path.display().to_string());
    let child: Vec<&str> = child.iter().map(String::as_str).collect();
    let mut program = Program::start_with(&parent, "starts_another", &child);
    let flags = ["--verbose"];
    let mut heaptide = Heaptide::attach_with(&program, &flags);
    let child: u32 = program.ask("start");
    heaptide.wait_for(&format!(
        "process {child} is measured: it runs CPython 3.11"
    ));
    program.step("work");
    let report = heaptide.stop().report();
    let version = |pid| report.process(pid).python.clone().unwrap_or_default();
    assert!(version(program.pid()).starts_with("3.12"), "{report:?}");
    assert!(version(child).starts_with("3.11"), "{report:?}");
    let keeps = report.site(&place("starts_another", "keeps"));
    assert_eq!(keeps.pids, [program.pid()]);
    let other = report.site(&place("keeps_large_strings", "keeps"));
    assert_eq!(other.pids, [child]);
}
