//! A Python program under test.

use std::{
    fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;

use super::{Python, lines::Lines};

/// A Python program under test, ended with all its children when the test ends.
///
/// It runs in step with the test: it says `ready`, then takes one order per line and answers each
/// with one line, so that no test has to sleep.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Lines<ChildStdout>,
}

/// A line of a program under test.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// The file as its code objects name it.
    pub(crate) file: String,
    /// Counted from one.
    pub(crate) line: u32,
}

impl Program {
    /// Starts the program of this name and waits until it is ready.
    pub(crate) fn start(python: &Python, name: &str) -> Self {
        Self::start_with(python, name, &[])
    }

    /// Starts a program with arguments of its own and waits until it is ready.
    pub(crate) fn start_with(python: &Python, name: &str, arguments: &[&str]) -> Self {
        let mut command = python.command();
        Self::spawn(command.arg(script(name)).args(arguments))
    }

    /// Starts any command that says `ready` on a line of its own.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let spawned = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // A group of its own, so that its children can be ended with it.
            .process_group(0)
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let name = format!("{command:?}");
        let answers = Lines::new(child.stdout.take().expect("it was piped"), name);
        let orders = child.stdin.take();
        let mut program = Self {
            child,
            orders,
            answers,
        };
        assert_eq!(program.hear(), "ready", "{command:?}");
        program
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives an order and returns the answer.
    #[track_caller]
    pub(crate) fn step(&mut self, order: &str) -> String {
        self.tell(order);
        self.hear()
    }

    /// Gives an order and returns the answer, which is JSON.
    #[track_caller]
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, order: &str) -> T {
        let answer = self.step(order);
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{order}: {answer}: {error}"))
    }

    /// Gives an order without waiting for an answer.
    #[track_caller]
    pub(crate) fn tell(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("orders have not ended");
        writeln!(orders, "{order}").unwrap_or_else(|error| panic!("{order}: {error}"));
    }

    /// The next line that the program says.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> String {
        self.answers.next().expect("the program ended too early")
    }

    /// Ends the orders, and waits until the program has ended, too.
    pub(crate) fn finish(mut self) -> ExitStatus {
        drop(self.orders.take());
        self.answers.rest();
        self.child.wait().expect("it is a child of this process")
    }

    /// Waits until the program has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.answers.rest();
        self.child.wait().expect("it is a child of this process")
    }

    /// What the program keeps in its address space, by its memory map, in bytes.
    pub(crate) fn address_space(&self) -> u64 {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid())).expect("it runs");
        // What the kernel maps for its own purposes is nobody's.
        let own = maps.lines().filter(|line| !line.ends_with("[uprobes]"));
        own.filter(|line| !line.ends_with("[vsyscall]"))
            .map(|line| {
                let range = line
                    .split(' ')
                    .next()
                    .and_then(|range| range.split_once('-'));
                let (start, end) = range.expect("a line starts with a range");
                let address = |text| u64::from_str_radix(text, 16).expect("an address");
                address(end) - address(start)
            })
            .sum()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It may have ended already, and then there is nothing to do.
        let _gone = group.map(|group| kill_process_group(group, Signal::KILL));
        let _gone = self.child.wait();
    }
}

/// The file of a program under test.
pub(crate) fn script(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    folder.join(name).with_extension("py")
}

/// The line of a program that ends in the comment `# text`.
#[track_caller]
pub(crate) fn place(program: &str, text: &str) -> Place {
    let file = script(program);
    let source = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{program}: {error}"));
    let comment = format!("  # {text}");
    let mut found = (1..)
        .zip(source.lines())
        .filter(|(_, line)| line.ends_with(&comment));
    let (line, _) = found
        .next()
        .unwrap_or_else(|| panic!("{program} has no line `{comment}`"));
    assert_eq!(found.next(), None, "{program} has two lines `{comment}`");
    Place {
        file: file.display().to_string(),
        line,
    }
}
