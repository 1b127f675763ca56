//! Checks of a process: whether it is there, can be read, and how it is confined.

use super::{facts::HostFacts, python, refusal};
use crate::{
    process::{
        self, ProcessError,
        identity::{self, Identity},
        image,
        memory::Memory,
    },
    report::{Check, Topic},
    units::Pid,
};

const PROCESS: Topic = Topic {
    id: "process",
    title: "process",
};
const MEMORY: Topic = Topic {
    id: "process-memory",
    title: "memory",
};
const NAMESPACE: Topic = Topic {
    id: "process-namespace",
    title: "pid namespace",
};
const SECCOMP: Topic = Topic {
    id: "process-seccomp",
    title: "seccomp",
};
const DESCENDANTS: Topic = Topic {
    id: "process-descendants",
    title: "descendants",
};

/// What is known about the confinement of a process only if it is there.
const CONFINEMENT: [Topic; 3] = [NAMESPACE, SECCOMP, DESCENDANTS];

/// How much of a command line is shown.
const COMMAND_CHARS: usize = 60;

/// Makes the checks of a process; `return_probes_are_safe` is what the host's trials found.
pub(super) fn checks(
    pid: Pid,
    facts: &HostFacts,
    return_probes_are_safe: Option<bool>,
) -> Vec<Check> {
    let identity = match process::check(pid) {
        Ok(identity) => identity,
        Err(error) => return absent(&error, facts),
    };
    let (user, command) = (identity.uid, start_of(&identity.command));
    let mut checks = vec![PROCESS.ok(format!("{command}, of user {user}"))];
    let memory = memory(&identity, facts);
    let is_readable = memory.remedy.is_none();
    checks.push(memory);
    checks.extend(if is_readable {
        python::checks(&identity)
    } else {
        python::untried(MEMORY)
    });
    checks.extend([
        namespace(&identity),
        seccomp(identity.seccomp, return_probes_are_safe),
        descendants(identity::descendants(pid).len()),
    ]);
    checks
}

/// So much of a command line as tells processes apart.
fn start_of(command: &str) -> String {
    match command.char_indices().nth(COMMAND_CHARS) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command.to_owned(),
    }
}

/// The checks of a process that is not there, or has no memory.
fn absent(error: &ProcessError, facts: &HostFacts) -> Vec<Check> {
    let remedy = match error {
        ProcessError::Zombie { .. } => "look at its parent: it holds no memory any more".to_owned(),
        ProcessError::NotPermitted { .. } => facts.privileges.remedy().to_owned(),
        _ => "name another process: `pgrep -a python` lists candidates".to_owned(),
    };
    let mut checks = vec![
        PROCESS.failed(refusal::summary(error), remedy),
        MEMORY.untried(PROCESS),
    ];
    checks.extend(python::untried(PROCESS));
    checks.extend(CONFINEMENT.map(|topic| topic.untried(PROCESS)));
    checks
}

/// Whether its memory and the files that it has mapped can be read.
fn memory(identity: &Identity, facts: &HostFacts) -> Check {
    let pid = identity.pid;
    let images = match image::images(pid) {
        Ok(images) => images,
        Err(error) => {
            return MEMORY.failed(refusal::summary(&error), access_remedy(identity.uid, facts));
        }
    };
    let Some(start) = images.first().and_then(|image| image.ranges.first()) else {
        let found = "the files that it has mapped cannot be opened";
        return MEMORY.failed(found, facts.privileges.remedy());
    };
    match Memory::of(pid).read_bytes(start.start, 16) {
        Ok(_bytes) => MEMORY.ok("readable"),
        Err(error) => {
            let found = format!("cannot be read: {error}");
            MEMORY.failed(found, access_remedy(identity.uid, facts))
        }
    }
}

/// Why a process may not be read, and what to do about it.
fn access_remedy(owner: u32, facts: &HostFacts) -> String {
    let privileges = &facts.privileges;
    match facts.ptrace_scope {
        Some(3..) => {
            "kernel.yama.ptrace_scope is 3, which forbids it to everybody: set it to 2 or less in \
             sysctl.conf, and reboot"
                .to_owned()
        }
        Some(scope @ 1..) if !privileges.can_trace_all() && owner == privileges.uid => format!(
            "kernel.yama.ptrace_scope is {scope}, which forbids it to users: {}",
            privileges.remedy()
        ),
        _ if !privileges.can_trace_all() => privileges.remedy().to_owned(),
        _ => {
            "a security module forbids it, such as SELinux or AppArmor: see the kernel's log".into()
        }
    }
}

fn namespace(identity: &Identity) -> Check {
    NAMESPACE.ok(match identity.inner_pid {
        Some(inner) => format!("its own; there it is process {inner}"),
        None => "the same as heaptide's".to_owned(),
    })
}

fn seccomp(mode: u32, return_probes_are_safe: Option<bool>) -> Check {
    match (mode, return_probes_are_safe) {
        (0, _) => SECCOMP.ok("no filter"),
        (_, Some(true)) => SECCOMP.ok("a filter, which return probes pass"),
        (_, Some(false)) => SECCOMP.degraded(
            "a filter that a return probe would run into: blocks over 512 bytes are not measured",
            "start it without the filter, in a container with `--security-opt seccomp=unconfined`",
        ),
        (_, None) => SECCOMP.degraded(
            "a filter, and it could not be tried whether return probes are safe under it",
            "mend the checks of the host first",
        ),
    }
}

fn descendants(count: usize) -> Check {
    DESCENDANTS.ok(match count {
        0 => "none".to_owned(),
        1 => "1, which is followed unless --no-children is given".to_owned(),
        count => format!("{count}, which are followed unless --no-children"),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::privileges::Privileges, *};
    use crate::report::Status;

    fn facts(privileges: Privileges, ptrace_scope: u32) -> HostFacts {
        let ptrace_scope = Some(ptrace_scope);
        HostFacts {
            privileges,
            lockdown: None,
            unprivileged_bpf: None,
            ptrace_scope,
        }
    }

    #[test]
    fn a_refusal_is_explained_by_what_causes_it() {
        let user = Privileges::default();
        let own = access_remedy(user.uid, &facts(user, 1));
        assert!(own.starts_with("kernel.yama.ptrace_scope is 1"), "{own}");
        let other = access_remedy(user.uid + 1, &facts(user, 1));
        assert_eq!(other, user.remedy());
        let all = Privileges::all();
        assert!(access_remedy(5, &facts(all, 3)).contains("to everybody"));
        assert!(access_remedy(5, &facts(all, 2)).contains("security module"));
    }

    #[test]
    fn a_long_command_is_cut_between_characters() {
        assert_eq!(start_of("python3 app.py"), "python3 app.py");
        assert_eq!(start_of(&"é".repeat(61)), "é".repeat(60) + "…");
    }

    #[test]
    fn a_filter_limits_only_where_return_probes_are_not_known_to_be_safe() {
        assert_eq!(seccomp(0, Some(false)).status, Status::Ok);
        assert_eq!(seccomp(2, Some(true)).status, Status::Ok);
        assert_eq!(seccomp(2, Some(false)).status, Status::Degraded);
        assert_eq!(seccomp(2, None).status, Status::Degraded);
    }

    #[test]
    fn a_process_that_is_not_there_lists_what_was_not_tried() {
        let error = ProcessError::NoSuchProcess { pid: Pid(7) };
        let checks = absent(&error, &facts(Privileges::all(), 0));
        assert_eq!(checks[0].found, "process 7 is not running");
        assert!(checks[0].tried && checks[1..].iter().all(|check| !check.tried));
        assert!(
            checks
                .iter()
                .all(|check| check.topic.id.starts_with("process"))
        );
    }
}
