//! Who a process is: its names, its owner, its start, its relatives and its threads.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use super::{ProcessError, proc_file, stat::Stat};
use crate::units::Pid;

/// How many characters of a command line are kept, and how many bytes are read for that: a
/// character has at most four.
const COMMAND_CHARS: usize = 200;
const COMMAND_BYTES: u64 = 4096;

/// Who a process is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Its id.
    pub pid: Pid,
    /// Its parent; zero if that is in no namespace that can be seen.
    pub parent: Pid,
    /// What it calls itself, in 15 characters at most.
    pub name: String,
    /// Its command line with spaces between the arguments, cut to 200 characters; its name in
    /// brackets if it has none.
    pub command: String,
    /// The letter that `ps` shows for what it does.
    pub state: char,
    /// The user whose rights it has.
    pub uid: u32,
    /// Its id in its own pid namespace, if that is another one.
    pub inner_pid: Option<Pid>,
    /// The seccomp mode: 0 none, 1 strict, 2 a filter.
    pub seccomp: u32,
}

impl Identity {
    /// A process of which nothing could be found out before it ended.
    pub fn unknown(pid: Pid) -> Self {
        Self {
            pid,
            parent: Pid(0),
            name: String::new(),
            command: format!("[{pid}]"),
            state: 'X',
            uid: 0,
            inner_pid: None,
            seccomp: 0,
        }
    }

    /// Asks the kernel who a process is.
    pub fn read(pid: Pid) -> Result<Self, ProcessError> {
        Self::from_stat(pid, Stat::read(pid)?)
    }

    pub(super) fn from_stat(pid: Pid, stat: Stat) -> Result<Self, ProcessError> {
        let status = Status::parse(&proc_file::read(pid, "status", "the status")?);
        let what = "the command line";
        let command = proc_file::read_start(pid, "cmdline", what, COMMAND_BYTES)?;
        Ok(Self {
            pid,
            parent: stat.parent,
            command: command_line(&command).unwrap_or_else(|| format!("[{}]", stat.name)),
            name: stat.name,
            state: stat.state,
            uid: status.uid,
            inner_pid: status.inner_pid,
            seccomp: status.seccomp,
        })
    }
}

/// The processes that descend from this one, in the order of generations.
pub fn descendants(pid: Pid) -> Vec<Pid> {
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for process in ids("/proc") {
        // One that has ended meanwhile is no descendant any more.
        if let Ok(stat) = Stat::read(Pid(process)) {
            children.entry(stat.parent).or_default().push(Pid(process));
        }
    }
    tree(pid, &children)
}

/// The ids of a process's threads; none if it is gone.
pub fn threads(pid: Pid) -> Vec<u32> {
    let mut threads: Vec<u32> = ids(&format!("/proc/{pid}/task")).collect();
    threads.sort_unstable();
    threads
}

/// What a thread calls itself; `None` if it is gone.
pub fn thread_name(pid: Pid, tid: u32) -> Option<String> {
    let file = format!("task/{tid}/comm");
    let name = proc_file::read(pid, &file, "the name of a thread").ok()?;
    Some(proc_file::printable(name.trim_ascii_end()))
}

fn tree(root: Pid, children: &HashMap<Pid, Vec<Pid>>) -> Vec<Pid> {
    // Processes come and go while their parents are asked for, so this can seem to be a circle.
    let mut known = HashSet::from([root]);
    let mut found = Vec::new();
    let mut generation = vec![root];
    while !generation.is_empty() {
        let next = generation.iter().filter_map(|pid| children.get(pid));
        generation = next
            .flatten()
            .copied()
            .filter(|pid| known.insert(*pid))
            .collect();
        generation.sort_unstable();
        found.extend(&generation);
    }
    found
}

fn ids(folder: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The arguments as one line, or `None` if there are none.
fn command_line(bytes: &[u8]) -> Option<String> {
    // Programs that change their title leave a tail of zeros.
    let end = bytes.iter().rposition(|byte| *byte != 0)?;
    let mut line = proc_file::printable(&bytes[..=end]);
    if let Some((cut, _)) = line.char_indices().nth(COMMAND_CHARS) {
        let last = line[..cut].char_indices().next_back()?.0;
        line.truncate(last);
        line.push('…');
    }
    Some(line)
}

/// What is read of `/proc/PID/status`.
#[derive(Debug, Default, Eq, PartialEq)]
struct Status {
    uid: u32,
    inner_pid: Option<Pid>,
    seccomp: u32,
}

impl Status {
    /// Reads what is there; old kernels tell less.
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut status = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let mut numbers = value.split_ascii_whitespace().map(str::parse::<u32>);
            match key {
                // Real, effective, saved, of the file system.
                "Uid" => status.uid = numbers.nth(1).and_then(Result::ok).unwrap_or(u32::MAX),
                // One for each namespace, from that of /proc inwards.
                "NSpid" => {
                    let ids: Vec<u32> = numbers.map_while(Result::ok).collect();
                    status.inner_pid = match *ids {
                        [outer, .., inner] if outer != inner => Some(Pid(inner)),
                        _ => None,
                    };
                }
                "Seccomp" => status.seccomp = numbers.next().and_then(Result::ok).unwrap_or(0),
                _ => {}
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::process::testing::Program;

    #[test]
    fn a_process_is_known_by_its_names_and_its_parent() {
        let program = Program::spawn(Command::new("cat").arg("-u").arg("-"));
        let identity = Identity::read(program.pid()).unwrap();
        assert_eq!(identity.name, "cat");
        assert_eq!(identity.command, "cat -u -");
        assert_eq!(identity.parent, Pid(std::process::id()));
        assert_eq!(identity.uid, rustix::process::geteuid().as_raw());
        assert_eq!(identity.inner_pid, None);
        assert_eq!(threads(program.pid()), [program.pid().0]);
    }

    #[test]
    fn a_process_that_has_ended_has_no_threads() {
        let mut program = Program::start();
        program.end();
        assert!(threads(program.pid()).is_empty());
    }

    #[test]
    fn grandchildren_descend_and_the_process_itself_does_not() {
        // The shell may not replace itself by cat, as there is something left to do.
        let script = "sh -c 'cat; true'; true";
        let program = Program::spawn(Command::new("sh").args(["-c", script]));
        let found = descendants(program.pid());
        let names: Vec<String> = found
            .iter()
            .map(|pid| Identity::read(*pid).unwrap().name)
            .collect();
        assert_eq!(names, ["sh", "cat"]);
        assert!(descendants(Pid(std::process::id())).contains(&found[1]));
        assert!(descendants(found[1]).is_empty());
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let children = HashMap::from([
            (Pid(1), vec![Pid(2), Pid(3)]),
            (Pid(2), vec![Pid(1), Pid(4)]),
            (Pid(4), vec![Pid(2), Pid(4)]),
        ]);
        assert_eq!(tree(Pid(1), &children), [Pid(2), Pid(3), Pid(4)]);
    }

    #[test]
    fn a_command_line_is_one_short_line() {
        let cases: [(&[u8], Option<&str>); 4] = [
            (b"python\0-c\0a\nb\0", Some("python -c a b")),
            (b"title\0\0\0\0", Some("title")),
            (b"\0\0", None),
            (b"a\x1b[2J\xff\0", Some("a [2J\u{fffd}")),
        ];
        for (bytes, expected) in cases {
            assert_eq!(command_line(bytes).as_deref(), expected);
        }
        let exact = command_line("é".repeat(200).as_bytes()).unwrap();
        assert_eq!(exact, "é".repeat(200));
        let cut = command_line("é".repeat(201).as_bytes()).unwrap();
        assert_eq!(cut, "é".repeat(199) + "…");
    }

    #[test]
    fn the_status_tells_owner_namespace_and_seccomp() {
        let text = b"Name:\tUid:\t9\nUid:\t1000\t1001\t0\t0\nNSpid:\t4711\t30\t1\nSeccomp:\t2\n";
        let expected = Status {
            uid: 1001,
            inner_pid: Some(Pid(1)),
            seccomp: 2,
        };
        assert_eq!(Status::parse(text), expected);
        let outside = Status::parse(b"Uid:\t0\t0\t0\t0\nNSpid:\t4711\n");
        assert_eq!(outside, Status::default());
    }

    proptest! {
        #[test]
        fn any_command_line_fits(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            if let Some(line) = command_line(&bytes) {
                prop_assert!(line.chars().count() <= COMMAND_CHARS);
                prop_assert!(!line.chars().any(char::is_control));
            }
        }

        #[test]
        fn any_status_is_read(text in "(Uid|NSpid|Seccomp)?:?[\t0-9]{0,30}\n?.{0,20}") {
            let _read = Status::parse(text.as_bytes());
        }
    }
}
