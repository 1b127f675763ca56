//! heaptide, run as a user would.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    rc::Rc,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Program, Report, kernel::Holdings, lines::Lines};

/// The binary: `HEAPTIDE_BIN`, or what was built beside this test.
pub(crate) fn binary() -> PathBuf {
    if let Some(named) = env::var_os("HEAPTIDE_BIN") {
        return named.into();
    }
    let test = env::current_exe().expect("this test has a file");
    let target = test
        .ancestors()
        .nth(3)
        .expect("it is target/PROFILE/deps/TEST");
    let built = ["debug", "release"].map(|profile| target.join(profile).join("heaptide"));
    built
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| {
            panic!(
                "there is no heaptide in {}: `cargo build`, or set HEAPTIDE_BIN",
                target.display()
            )
        })
}

/// What a heaptide that has ended said.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs heaptide to its end.
pub(crate) fn heaptide<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    output(Command::new(binary()).args(arguments))
}

/// Runs a command that has heaptide in it to its end.
pub(crate) fn output(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Output {
    /// Checks that it was refused with this exit code, and a message that has these texts.
    #[track_caller]
    pub(crate) fn expect_refusal(&self, code: i32, texts: &[&str]) {
        let Self { stderr, .. } = self;
        assert_eq!(self.code, Some(code), "{stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        for text in texts {
            assert!(stderr.contains(text), "`{text}` is not in: {stderr}");
        }
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_eq!(self.stdout, "", "a refusal has no result");
    }
}

/// A heaptide that records.
#[derive(Debug)]
pub(crate) struct Heaptide {
    child: Child,
    stderr: Lines<ChildStderr>,
    said: String,
    folder: Rc<TempDir>,
    recording: PathBuf,
}

/// A recording that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) output: Output,
    pub(crate) recording: PathBuf,
    /// What holds the recording.
    folder: Rc<TempDir>,
}

impl Heaptide {
    /// Attaches to a program, and waits until the recording has begun.
    #[track_caller]
    pub(crate) fn attach(program: &Program) -> Self {
        Self::attach_with(program, &[])
    }

    /// Attaches with further arguments.
    #[track_caller]
    pub(crate) fn attach_with(program: &Program, arguments: &[&str]) -> Self {
        let pid = program.pid().to_string();
        let arguments: Vec<&str> = [pid.as_str()]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        Self::record("attach", &arguments)
    }

    /// Starts a verb that records, and waits until the recording has begun.
    ///
    /// Without a budget of their own, everything is followed: what windows leave out is chance.
    #[track_caller]
    pub(crate) fn record(verb: &str, arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("there is room for temporary files");
        let recording = folder.path().join("test.heaptide");
        let mut command = Command::new(binary());
        command.arg(verb).arg("--output").arg(&recording);
        if !arguments.contains(&"--max-overhead") && !arguments.contains(&"--exact") {
            command.arg("--exact");
        }
        command.args(arguments);
        Self::start(&mut command, folder, recording)
    }

    /// Starts a command that records into a file, and waits until the recording has begun.
    #[track_caller]
    pub(crate) fn start(command: &mut Command, folder: TempDir, recording: PathBuf) -> Self {
        // A file takes any amount, however late it is read.
        let stdout = File::create(folder.path().join("stdout")).expect("the folder is new");
        let spawned = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = child.stderr.take().expect("it was piped");
        let mut heaptide = Self {
            child,
            stderr: Lines::new(stderr, "heaptide".to_owned()),
            said: String::new(),
            folder: Rc::new(folder),
            recording,
        };
        heaptide.wait_for("recording to ");
        heaptide
    }

    /// What heaptide holds in the kernel now.
    pub(crate) fn holdings(&self) -> Holdings {
        Holdings::of(self.child.id())
    }

    /// Waits until heaptide, or a command that it runs, has said this on stderr.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        while !self.said.contains(text) {
            let Some(line) = self.stderr.next() else {
                let status = self.child.wait();
                panic!("heaptide ended without `{text}`: {status:?}\n{}", self.said);
            };
            self.said.push_str(&line);
            self.said.push('\n');
        }
    }

    /// Waits until something is in the recording, which grows by an interval each second.
    #[track_caller]
    pub(crate) fn wait_until_recorded(&self, mut is_there: impl FnMut(&Report) -> bool) {
        // Each look takes some hundredths of a second.
        let found = (0..2_000).any(|_| is_there(&Report::of(&self.recording)));
        assert!(found, "it has not been recorded\n{}", self.said);
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has a pid"), signal).expect("it is a child");
    }

    /// Ends the recording as Ctrl-C does.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::INT);
        self.wait()
    }

    /// Waits until heaptide ends by itself.
    pub(crate) fn wait(mut self) -> Ended {
        let rest = self.stderr.rest();
        let status = self.child.wait().expect("it is a child of this process");
        let stdout = fs::read(self.folder.path().join("stdout")).expect("it was created");
        Ended {
            output: Output {
                code: status.code(),
                stdout: String::from_utf8_lossy(&stdout).into_owned(),
                stderr: std::mem::take(&mut self.said) + &rest,
            },
            recording: self.recording.clone(),
            folder: Rc::clone(&self.folder),
        }
    }
}

impl Ended {
    /// The report about a recording that went well.
    #[track_caller]
    pub(crate) fn report(&self) -> Report {
        assert_eq!(self.output.code, Some(0), "{}", self.output.stderr);
        let report = Report::of(&self.recording);
        assert!(report.recording.complete, "{:?}", report.recording);
        report
    }

    /// The folder of the recording.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Heaptide {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
