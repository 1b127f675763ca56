//! Processes for the tests of this module.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::units::Pid;

/// A program under test, killed when the test ends.
///
/// It echoes what it reads, which says that its dynamic linker has done its work.
pub(super) struct Program(Child);

impl Program {
    /// Starts one that does nothing but echo.
    pub(super) fn start() -> Self {
        Self::spawn(&mut Command::new("cat"))
    }

    /// Starts one that echoes, and waits for its first line.
    pub(super) fn spawn(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Self(piped.spawn().unwrap());
        let mut line = String::new();
        let stdin = program.0.stdin.as_mut().unwrap();
        stdin.write_all(b"ready\n").unwrap();
        let stdout = program.0.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        program
    }

    pub(super) fn pid(&self) -> Pid {
        Pid(self.0.id())
    }

    /// Ends it and waits until it is gone.
    pub(super) fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// A process that has ended and that nobody has waited for yet.
pub(super) struct Zombie(Child);

impl Zombie {
    pub(super) fn start() -> Self {
        let child = Command::new("true").spawn().unwrap();
        let id = WaitId::Pid(rustix::process::Pid::from_child(&child));
        waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        Self(child)
    }

    pub(super) fn pid(&self) -> Pid {
        Pid(self.0.id())
    }
}

impl Drop for Zombie {
    fn drop(&mut self) {
        self.0.wait().unwrap();
    }
}

/// Compiles a C source into `folder/name`.
pub(super) fn compile(folder: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let input = folder.join(format!("{name}.c"));
    let output = folder.join(name);
    std::fs::write(&input, source).unwrap();
    let mut command = Command::new("cc");
    command.args(["-O1", "-w", "-o"]).arg(&output).arg(&input);
    assert!(command.args(flags).status().unwrap().success());
    output
}
