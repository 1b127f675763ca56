//! Takes out of a recording what should not leave the company: the folders of files, or all names.
//!
//! It works on what was recorded, before anything is made of it, so that no format can forget it.
//! What is hidden gets a number in the order in which it is met: a hash could be guessed. The same
//! thing has the same number everywhere in one output, and in all outputs of one recording. Ids
//! keep their meaning.

mod files;
mod modules;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use self::files::{Folders, keeps_its_name, parts};
use crate::{
    compare::{Comparison, LineChange, Role, plain_command},
    profile::{Facts, Frame, Interval, ProcessRecord, Recorded, Threads},
    units::Pid,
};

/// What is hidden.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redaction {
    /// The folders of files, but for what everybody has: the standard library, and what packages
    /// are called.
    Paths,
    /// All names that are not Python's own: of folders, files, functions, commands and kernels.
    Names,
}

impl Redaction {
    /// The stable name, as it stands in flags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paths => "paths",
            Self::Names => "names",
        }
    }

    /// What readers are told.
    const fn note(self) -> &'static str {
        match self {
            Self::Paths => "folders are hidden (--redact paths)",
            Self::Names => "names are hidden (--redact names)",
        }
    }
}

/// Hides, and remembers what it called each thing. Recordings that are compared share one.
#[derive(Debug)]
pub struct Redactor {
    level: Redaction,
    folders: Folders,
    files: Numbers,
    functions: Numbers,
    codes: Numbers,
    commands: Numbers,
    groups: Numbers,
    threads: Numbers,
}

impl Redactor {
    /// One that has met nothing yet.
    pub fn new(level: Redaction) -> Self {
        Self {
            level,
            folders: Folders::default(),
            files: Numbers::of("file"),
            functions: Numbers::of("function"),
            codes: Numbers::of("code"),
            commands: Numbers::of("command"),
            groups: Numbers::of("group"),
            threads: Numbers::of("thread"),
        }
    }

    /// Hides in a recording. Nothing is left out by accident: whoever adds something to a
    /// recording has to say here what becomes of it.
    #[must_use]
    pub fn recorded(&mut self, recorded: Recorded) -> Recorded {
        let Recorded {
            facts,
            processes,
            stacks,
            intervals,
            survivors,
            reckoned,
            threads,
        } = recorded;
        let stacks = stacks.map_frames(|frame| self.frame(frame));
        let processes: Vec<ProcessRecord> =
            processes.into_iter().map(|it| self.process(it)).collect();
        Recorded {
            facts: self.facts(facts, &processes),
            processes,
            stacks,
            // The rest is numbers, and names of heaptide's own.
            intervals: intervals.into_iter().map(|it| self.interval(it)).collect(),
            survivors,
            reckoned,
            threads: self.threads(threads),
        }
    }

    /// Hides in a comparison. Which line is which was found out with the real names.
    #[must_use]
    pub fn comparison(&mut self, comparison: Comparison) -> Comparison {
        let Comparison {
            total,
            roles,
            lines,
            renamed,
            same,
            pace,
            warnings,
            unit,
        } = comparison;
        let lines = lines.into_iter().map(|it| self.line(it)).collect();
        let renamed = renamed
            .iter()
            .map(|(before, after)| (self.file(before), self.file(after)))
            .filter(|(before, after)| before != after);
        let renamed = renamed.collect();
        let roles = roles.into_iter();
        Comparison {
            total,
            roles: roles.map(|(role, it)| (self.role(role), it)).collect(),
            lines,
            renamed,
            same,
            pace,
            // They name commands as the recordings that were compared call them.
            warnings,
            unit,
        }
    }

    /// What a command line is called.
    pub fn command(&mut self, command: &str) -> String {
        match self.level {
            Redaction::Paths => self.folders.hide_in_command(command),
            // What differs from run to run makes no other program.
            Redaction::Names => self.commands.name(&plain_command(command)),
        }
    }

    fn frame(&mut self, frame: Frame) -> Frame {
        let Frame {
            function,
            file,
            line,
        } = frame;
        let is_kept = self.level == Redaction::Paths || keeps_its_name(&function, &file);
        Frame {
            function: if is_kept {
                function
            } else {
                self.functions.name(&function)
            },
            file: self.file(&file),
            line,
        }
    }

    /// What a file is called. Whose code it is can still be told from that.
    fn file(&mut self, file: &str) -> String {
        let parts = parts(file);
        let hides_names = self.level == Redaction::Names;
        if parts.is_made_up {
            let is_kept = parts.is_standard || !(hides_names || file.contains('/'));
            return if is_kept {
                file.to_owned()
            } else {
                format!("<{}>", self.codes.name(file))
            };
        }
        let folder = self.folders.hide(parts.folder);
        let rest = if hides_names && !parts.is_standard {
            self.hidden_rest(&parts)
        } else {
            parts.rest.to_owned()
        };
        format!("{folder}{}{rest}", parts.known)
    }

    /// The folders of a package, and the name of the file.
    fn hidden_rest(&mut self, parts: &files::Parts<'_>) -> String {
        let (package, name) = files::split(parts.rest);
        let package = match package.trim_end_matches('/') {
            "" => String::new(),
            inner => {
                let whole = format!("{}{}{inner}", parts.folder, parts.known);
                self.folders.number(&whole) + "/"
            }
        };
        package + &self.file_name(name)
    }

    fn file_name(&mut self, name: &str) -> String {
        if ["__init__.py", "__main__.py"].contains(&name) {
            return name.to_owned();
        }
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        let extension = extension.filter(|it| ["py", "pyx", "pyc"].contains(it));
        let hidden = self.files.name(name);
        extension.map_or(hidden.clone(), |extension| format!("{hidden}.{extension}"))
    }

    fn process(&mut self, process: ProcessRecord) -> ProcessRecord {
        let ProcessRecord {
            pid,
            inner_pid,
            parent,
            command,
            python,
            started,
            ended,
        } = process;
        ProcessRecord {
            pid,
            inner_pid,
            parent,
            command: self.command(&command),
            python,
            started,
            ended,
        }
    }

    fn facts(&mut self, facts: Facts, processes: &[ProcessRecord]) -> Facts {
        let Facts {
            heaptide,
            started_at,
            duration,
            complete,
            kernel,
            target,
            budget_percent,
            page_fault_period,
            page_size,
            notes,
            traffic,
        } = facts;
        let (kernel, target) = match self.level {
            Redaction::Paths => (kernel, self.folders.hide_in_command(&target)),
            Redaction::Names => (release(&kernel).to_owned(), roots(processes)),
        };
        let mut notes: Vec<String> = (notes.iter())
            .map(|note| self.folders.hide_in_text(note))
            .collect();
        notes.push(self.level.note().to_owned());
        Facts {
            heaptide,
            started_at,
            duration,
            complete,
            kernel,
            target,
            budget_percent,
            page_fault_period,
            page_size,
            notes,
            traffic,
        }
    }

    /// Control groups are called after services, containers and users.
    fn interval(&mut self, mut interval: Interval) -> Interval {
        for cgroup in &mut interval.cgroups {
            if cgroup.path != "/" {
                cgroup.path = format!("/{}", self.groups.name(&cgroup.path));
            }
        }
        interval
    }

    fn threads(&mut self, mut threads: Threads) -> Threads {
        if self.level == Redaction::Names {
            for thread in &mut threads.names {
                thread.name = self.threads.name(&thread.name);
            }
        }
        threads
    }

    fn line(&mut self, line: LineChange) -> LineChange {
        let LineChange {
            role,
            fate,
            before,
            after,
            changes,
        } = line;
        LineChange {
            role,
            fate,
            before: before.map(|frame| self.frame(frame)),
            after: after.map(|frame| self.frame(frame)),
            changes,
        }
    }

    fn role(&mut self, role: Role) -> Role {
        let Role {
            name,
            command,
            before,
            after,
        } = role;
        let hidden = self.command(&command);
        Role {
            // A name of two parts has the command in it.
            name: match name.split_once(": ") {
                Some((kind, _)) => format!("{kind}: {hidden}"),
                None => name,
            },
            command: hidden,
            before,
            after,
        }
    }
}

/// The release of a kernel without what its builder added: `6.18.0` of `6.18.0-acme-west`.
fn release(kernel: &str) -> &str {
    let end = kernel.find(|c: char| !c.is_ascii_digit() && c != '.');
    &kernel[..end.unwrap_or(kernel.len())]
}

/// The target by the processes whose parent was not recorded.
fn roots(processes: &[ProcessRecord]) -> String {
    let is_recorded = |pid: Pid| processes.iter().any(|it| it.pid == pid);
    let roots = processes.iter().filter(|it| !is_recorded(it.parent));
    let roots: Vec<String> = roots
        .map(|it| format!("{} (pid {})", it.command, it.pid))
        .collect();
    roots.join(", ")
}

/// Things of one kind, by numbers in the order in which they are met.
#[derive(Debug, Default)]
struct Numbers {
    kind: &'static str,
    known: HashMap<String, usize>,
}

impl Numbers {
    fn of(kind: &'static str) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// What a thing is called.
    fn name(&mut self, thing: &str) -> String {
        let next = self.known.len() + 1;
        let number = match self.known.get(thing) {
            Some(number) => *number,
            None => *self.known.entry(thing.to_owned()).or_insert(next),
        };
        format!("{}-{number}", self.kind)
    }
}
