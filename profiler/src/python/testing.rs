//! Live interpreters for the tests of this module.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::runtime::Interpreter;
use crate::{
    process::{elf::ElfFile, image, memory::Memory},
    units::Pid,
};

/// A Python that is installed.
#[derive(Clone, Debug)]
pub(super) struct Python {
    /// The feature version and where it comes from.
    pub(super) name: String,
    /// The feature version.
    pub(super) version: String,
    pub(super) path: PathBuf,
    /// The root that it runs in, if that is not the machine's.
    pub(super) root: Option<PathBuf>,
}

impl Python {
    /// The command that runs it, without arguments. What it becomes keeps the pid.
    pub(super) fn command(&self) -> Command {
        let Some(root) = &self.root else {
            return Command::new(&self.path);
        };
        let mut command = Command::new("chroot");
        command.arg(root).arg(&self.path);
        command
    }

    /// Its file, as this process sees it.
    pub(super) fn file(&self) -> PathBuf {
        self.root.as_ref().map_or_else(
            || self.path.clone(),
            |root| root.join(self.path.strip_prefix("/").unwrap_or(&self.path)),
        )
    }
}

/// The versions that are supported.
const SUPPORTED: [&str; 13] = [
    "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "3.11d", "3.13d", "3.14d",
    "3.15d", "3.13t",
];

/// The interpreters that are tested.
pub(super) fn pythons() -> Vec<Python> {
    let is_root = rustix::process::geteuid().is_root();
    let wanted = listed().into_iter().filter(|python| {
        let can_run = python.root.is_none() || is_root;
        if !can_run {
            println!("skipped: only root can run {}", python.name);
        }
        can_run && SUPPORTED.contains(&python.version.as_str())
    });
    wanted.collect()
}

/// Those of the interpreters that are tested that use pymalloc unless told otherwise.
pub(super) fn with_pymalloc() -> impl Iterator<Item = Python> {
    let pythons = pythons().into_iter();
    pythons.filter(|python| !python.version.ends_with('t'))
}

/// The interpreter of a feature version that pyenv has built.
pub(super) fn pyenv(feature: &str) -> Option<Python> {
    let name = format!("{feature} of pyenv");
    listed().into_iter().find(|python| python.name == name)
}

/// The interpreters that `cargo xtask` knows, those that are missing named and left out.
pub(super) fn listed() -> Vec<Python> {
    let Ok(list) = env::var("HEAPTIDE_PYTHONS") else {
        println!("skipped: only `cargo xtask cargo -- test` knows the interpreters");
        return Vec::new();
    };
    let python = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        let python = Python {
            name: fields.next()?,
            version: fields.next()?,
            path: fields.next()?.into(),
            root: fields
                .next()
                .filter(|root| !root.is_empty())
                .map(PathBuf::from),
        };
        if python.path.as_os_str().is_empty() {
            println!("skipped: no {}", python.name);
            return None;
        }
        Some(python)
    };
    list.lines().filter_map(python).collect()
}

/// A Python program under test, killed when the test ends.
///
/// It runs in step with the test: it prints a line and waits for one.
pub(super) struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    /// Starts `python [arguments] -c script`.
    pub(super) fn start(python: &Python, arguments: &[&str], script: &str) -> Self {
        Self::spawn(
            python
                .command()
                .env_remove("PYTHONMALLOC")
                .args(arguments)
                .args(["-c", script]),
        )
    }

    pub(super) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Waits for the next line that it prints.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it has ended: {line:?}");
        line.truncate(line.len() - 1);
        line
    }

    /// Lets it go on.
    pub(super) fn go(&mut self) {
        self.stdin.write_all(b"\n").unwrap();
    }

    pub(super) fn pid(&self) -> Pid {
        Pid(self.child.id())
    }

    pub(super) fn memory(&self) -> Memory {
        Memory::of(self.pid())
    }

    /// What heaptide finds in it.
    pub(super) fn interpreter(&self) -> Interpreter {
        let images = image::images(self.pid()).unwrap();
        Interpreter::find(self.pid(), &self.memory(), &images).unwrap()
    }

    /// What heaptide finds in it, and the binary that holds it.
    pub(super) fn interpreter_and_elf(&self) -> (Interpreter, ElfFile) {
        let interpreter = self.interpreter();
        let elf = interpreter.image.elf().unwrap();
        (interpreter, elf)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
