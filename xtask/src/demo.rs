//! heaptide at work, for who has five minutes: a service with a leak, attached to while it runs.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    exec::{Tool, find, heaptide, root, say, target},
    packages::is_root,
};

const SERVICE: &str = "docs/examples/leaky_service.py";
const DURATION: &str = "15s";

/// The versions of `CPython` that the demo runs with, the best first.
const VERSIONS: [&str; 8] = ["3.13", "3.14", "3.15", "3.12", "3.11", "3.10", "3.9", "3.8"];

/// What an interpreter is asked: its kind and version, and where it is.
const QUESTION: &str = "import sys\n\
    print(sys.implementation.name, '%d.%d' % sys.version_info[:2])\n\
    print(sys.executable)";

/// Builds heaptide, starts the service, attaches to it, and says what came out.
pub(crate) fn run() -> Result<()> {
    ensure!(
        cfg!(target_os = "linux"),
        "heaptide measures with eBPF, which only Linux has"
    );
    ensure!(
        is_root() || find("sudo").is_some(),
        "attaching needs root, and there is no sudo: run `cargo xtask demo` as root"
    );
    let python = python()?;
    say("building heaptide (the first time this takes a minute or two)");
    let heaptide = heaptide()?;
    let folder = target().join("demo");
    fs::create_dir_all(&folder)?;
    let [recording, flamegraph] = ["demo.heaptide", "demo.svg"].map(|name| folder.join(name));

    let service = Service::start(&python)?;
    say(format_args!(
        "\n{SERVICE} runs as process {} and leaks. Attaching for {DURATION} …\n",
        service.pid
    ));
    let attach = if is_root() {
        Tool::new(&heaptide)
    } else {
        Tool::new("sudo").arg(&heaptide)
    };
    attach
        .args([
            "attach",
            &service.pid,
            "--duration",
            DURATION,
            "--force",
            "-o",
        ])
        .arg(&recording)
        .arg("--flamegraph")
        .arg(&flamegraph)
        .run()
        .with_context(|| {
            let doctor = heaptide.display();
            format!(
                "the demo needs root and a kernel with eBPF: `{doctor} doctor` tells what lacks"
            )
        })?;
    drop(service);
    say(format_args!(
        "
The growth is `remember` in {SERVICE}: it keeps what it allocates.
`render` allocates far more, and gives all of it back: so it is not on top.

  {recording}
      the recording: one SQLite file; all of the above was made from it
  {flamegraph}
      the flamegraph of what was allocated and not freed, for a browser

Try next:
  {heaptide} report {recording}
  {heaptide} flamegraph {recording} --metric allocated -o allocated.svg
  {heaptide} doctor PID
  {heaptide} attach PID --duration 1m",
        recording = seen_from_here(&recording),
        flamegraph = seen_from_here(&flamegraph),
        heaptide = seen_from_here(&heaptide),
    ));
    Ok(())
}

/// A path as short as it can be written where the developer is.
fn seen_from_here(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// An interpreter that heaptide supports.
fn python() -> Result<String> {
    let names = VERSIONS.iter().map(|version| format!("python{version}"));
    // Version managers put programs on the PATH that only say that they are none.
    let distributed = names.clone().map(|name| format!("/usr/bin/{name}"));
    let mut programs = ["python3".to_owned()]
        .into_iter()
        .chain(names)
        .chain(distributed);
    programs
        .find_map(|program| {
            let answer = Tool::new(program).args(["-c", QUESTION]).capture().ok()?;
            supported(&answer)
        })
        .with_context(|| {
            let versions = VERSIONS.join(", ");
            format!("the demo needs CPython {versions} on the PATH")
        })
}

/// The path in an interpreter's answer, if heaptide supports that interpreter.
fn supported(answer: &str) -> Option<String> {
    let (kind, path) = answer.trim().split_once('\n')?;
    let version = kind.strip_prefix("cpython ")?;
    VERSIONS.contains(&version).then(|| path.to_owned())
}

/// The service; it ends when its standard input is closed.
struct Service {
    child: Child,
    pid: String,
}

impl Service {
    /// Starts it, and waits until it says that it is ready.
    fn start(python: &str) -> Result<Self> {
        let mut child = Command::new(python)
            .arg(root().join(SERVICE))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {python} {SERVICE}"))?;
        let mut pid = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut pid)?;
        }
        let service = Self {
            child,
            pid: pid.trim().to_owned(),
        };
        if service.pid.is_empty() {
            bail!("{SERVICE} ended before it was ready");
        }
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It has ended or is about to; there is nothing to do about a failure.
        drop(self.child.wait());
    }
}
