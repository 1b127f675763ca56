//! Which processes of two recordings play the same part: by how deep they are in the tree of
//! processes, and by their command.

use std::collections::BTreeMap;

use crate::{
    profile::{ProcessRecord, Recorded},
    units::Pid,
};

/// Processes that do the same, before and after.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Role {
    /// What people call it: `main`, `worker`.
    pub name: String,
    /// The command line of one of them.
    pub command: String,
    /// How many there were before.
    pub before: usize,
    /// How many there were after.
    pub after: usize,
}

/// The roles of two recordings.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    pub(super) roles: Vec<Role>,
    /// The number of its role for each process, before and after; `None` if it is not asked for.
    pub(super) of: [Vec<Option<usize>>; 2],
}

/// What tells roles apart: how deep, and the command without what differs from run to run.
type Key = (usize, String);

impl Roles {
    /// Finds the roles; only those of a process, where one is asked for.
    pub(super) fn of(recordings: [&Recorded; 2], pids: [Option<Pid>; 2]) -> Self {
        let mut keys = [keys(recordings[0]), keys(recordings[1])];
        for ((keys, recorded), pid) in keys.iter_mut().zip(recordings).zip(pids) {
            for (key, process) in keys.iter_mut().zip(&recorded.processes) {
                if pid.is_some_and(|pid| pid != process.pid) {
                    *key = None;
                }
            }
        }
        let renamed = renamed(&keys);
        let mut numbers = BTreeMap::<Key, usize>::new();
        for key in keys[1].iter_mut().flatten() {
            if let Some(before) = renamed.get(key) {
                *key = before.clone();
            }
        }
        for key in keys.iter().flatten().flatten() {
            let next = numbers.len();
            numbers.entry(key.clone()).or_insert(next);
        }
        let number = |key: &Option<Key>| key.as_ref().map(|key| numbers[key]);
        let of = keys
            .each_ref()
            .map(|keys| keys.iter().map(number).collect());
        let mut roles = Self {
            roles: vec![Role::default(); numbers.len()],
            of,
        };
        roles.describe(recordings, &numbers);
        roles
    }

    fn describe(&mut self, recordings: [&Recorded; 2], numbers: &BTreeMap<Key, usize>) {
        for (side, recorded) in recordings.into_iter().enumerate() {
            for (role, process) in self.of[side].iter().zip(&recorded.processes) {
                let Some(role) = role.and_then(|role| self.roles.get_mut(role)) else {
                    continue;
                };
                if role.command.is_empty() {
                    role.command.clone_from(&process.command);
                }
                *[&mut role.before, &mut role.after][side] += 1;
            }
        }
        let mut at_depth = BTreeMap::<bool, usize>::new();
        for (depth, _) in numbers.keys() {
            *at_depth.entry(*depth == 0).or_default() += 1;
        }
        for ((depth, command), number) in numbers {
            let is_main = *depth == 0;
            let name = if is_main { "main" } else { "worker" };
            self.roles[*number].name = match at_depth[&is_main] {
                1 => name.to_owned(),
                _ => format!("{name}: {command}"),
            };
        }
    }
}

/// Where one role of a depth is left on each side, it is the same under another command.
fn renamed(keys: &[Vec<Option<Key>>; 2]) -> BTreeMap<Key, Key> {
    let left = |this: usize| {
        let mut by_depth = BTreeMap::<usize, Vec<&Key>>::new();
        for key in keys[this].iter().flatten() {
            let known = by_depth.entry(key.0).or_default();
            if !keys[1 - this].contains(&Some(key.clone())) && !known.contains(&key) {
                known.push(key);
            }
        }
        by_depth
    };
    let (before, after) = (left(0), left(1));
    let pairs = before.iter().filter_map(|(depth, before)| {
        match (before.as_slice(), after.get(depth)?.as_slice()) {
            ([before], [after]) => Some(((*after).clone(), (*before).clone())),
            _ => None,
        }
    });
    pairs.collect()
}

/// The key of each process.
fn keys(recorded: &Recorded) -> Vec<Option<Key>> {
    let mut depths: Vec<usize> = Vec::new();
    let mut last_of = BTreeMap::<Pid, usize>::new();
    for (number, process) in recorded.processes.iter().enumerate() {
        // A pid may be used again: the parent is the last one that was met before.
        let parent = last_of.get(&process.parent);
        depths.push(parent.map_or(0, |parent| depths[*parent] + 1));
        last_of.insert(process.pid, number);
    }
    let key =
        |(process, depth): (&ProcessRecord, usize)| Some((depth, plain_command(&process.command)));
    recorded.processes.iter().zip(depths).map(key).collect()
}

/// A command without what differs from run to run: folders, numbers, the version of Python.
pub fn plain_command(command: &str) -> String {
    let words = command.split_whitespace().map(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        if name.starts_with("python") {
            return "python".to_owned();
        }
        let mut plain = String::new();
        for character in name.chars() {
            match character {
                c if !c.is_ascii_digit() => plain.push(c),
                _ if plain.ends_with('#') => {}
                _ => plain.push('#'),
            }
        }
        plain
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn recorded(processes: &[(u32, u32, &str)]) -> Recorded {
        let record = |&(pid, parent, command): &(u32, u32, &str)| ProcessRecord {
            pid: Pid(pid),
            inner_pid: None,
            parent: Pid(parent),
            command: command.to_owned(),
            python: None,
            started: Duration::ZERO,
            ended: None,
        };
        Recorded {
            processes: processes.iter().map(record).collect(),
            ..Recorded::default()
        }
    }

    fn names(roles: &Roles) -> Vec<(&str, usize, usize)> {
        let name = |role: &'_ Role| (role.before, role.after);
        (roles.roles.iter())
            .map(|role| (role.name.as_str(), name(role).0, name(role).1))
            .collect()
    }

    #[test]
    fn workers_of_the_same_command_and_depth_are_one_role() {
        let serve = "/usr/bin/python3.11 /srv/1/serve.py --port 8001";
        let before = recorded(&[(1, 0, serve), (2, 1, serve), (3, 1, serve)]);
        let serve = "/usr/bin/python3.12 /srv/2/serve.py --port 9";
        let after = recorded(&[(7, 0, serve), (8, 7, serve)]);
        let roles = Roles::of([&before, &after], [None; 2]);
        assert_eq!(names(&roles), [("main", 1, 1), ("worker", 2, 1)]);
        assert_eq!(roles.of[0], [Some(0), Some(1), Some(1)]);
        assert_eq!(roles.of[1], [Some(0), Some(1)]);
    }

    #[test]
    fn the_only_one_left_at_a_depth_was_renamed() {
        let before = recorded(&[(1, 0, "python leaky.py"), (2, 1, "a"), (3, 1, "b")]);
        let after = recorded(&[(1, 0, "python fixed.py"), (2, 1, "a"), (3, 1, "c")]);
        let roles = Roles::of([&before, &after], [None; 2]);
        assert_eq!(
            names(&roles),
            [("main", 1, 1), ("worker: a", 1, 1), ("worker: b", 1, 1)]
        );
        let more = recorded(&[(1, 0, "x"), (2, 1, "d"), (3, 1, "c")]);
        let roles = Roles::of([&before, &more], [None; 2]);
        assert_eq!(roles.roles.len(), 5, "nobody knows which is which");
    }

    #[test]
    fn only_the_process_that_is_asked_for_plays_a_role() {
        let before = recorded(&[(1, 0, "a"), (2, 1, "b"), (3, 1, "b")]);
        let after = recorded(&[(4, 0, "a"), (5, 4, "b")]);
        let roles = Roles::of([&before, &after], [Some(Pid(3)), Some(Pid(5))]);
        assert_eq!(names(&roles), [("worker", 1, 1)]);
        assert_eq!(roles.of, [vec![None, None, Some(0)], vec![None, Some(0)]]);
    }

    #[test]
    fn a_pid_that_is_its_own_parent_is_a_root() {
        let odd = recorded(&[(1, 1, "a"), (2, 2, "a"), (1, 2, "b")]);
        let depths: Vec<_> = keys(&odd).into_iter().flatten().map(|key| key.0).collect();
        assert_eq!(depths, [0, 0, 1]);
    }
}
