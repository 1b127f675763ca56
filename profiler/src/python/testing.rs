//! Live interpreters for the tests of this module.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::runtime::Interpreter;
use crate::{
    process::{elf::ElfFile, image, memory::Memory},
    units::Pid,
};

/// A Python that may be installed.
#[derive(Clone, Debug)]
pub(super) struct Python {
    /// The feature version and where it comes from.
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// The interpreters that are tested: those of pyenv, and the distribution's.
///
/// One that is not installed is named and left out.
pub(super) fn pythons() -> Vec<Python> {
    let mut pythons: Vec<Python> = ["3.11", "3.12", "3.13"]
        .into_iter()
        .filter_map(pyenv)
        .collect();
    let path = PathBuf::from("/usr/bin/python3.11");
    let name = "3.11 of the distribution".to_owned();
    if path.exists() {
        pythons.push(Python { name, path });
    } else {
        println!("skipped: no {name}");
    }
    pythons
}

/// The interpreter of a feature version that pyenv has built.
pub(super) fn pyenv(feature: &str) -> Option<Python> {
    let name = format!("{feature} of pyenv");
    let root = env::var_os("PYENV_ROOT").map_or_else(
        || env::home_dir().unwrap_or_default().join(".pyenv"),
        PathBuf::from,
    );
    let versions = fs::read_dir(root.join("versions")).ok();
    let found = versions.into_iter().flatten().flatten().find(|entry| {
        let version = entry.file_name().to_string_lossy().into_owned();
        version.starts_with(&format!("{feature}."))
    });
    let path = found.map(|entry| entry.path().join("bin/python"));
    let Some(path) = path.filter(|path| path.exists()) else {
        println!("skipped: no {name}");
        return None;
    };
    Some(Python { name, path })
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
            Command::new(&python.path)
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
