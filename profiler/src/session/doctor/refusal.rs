//! What it means that the kernel refused, and what helps.

use std::{error::Error, io, iter};

use super::facts::{HostFacts, Lockdown};
use crate::{
    probe::ProbeError,
    report::{Check, Topic},
};

/// The most of a message that is shown.
const MESSAGE_CHARS: usize = 240;

/// What the verifier writes when it has looked at a program.
const VERIFIED: &str = "processed ";

/// What helps where it refused one.
const REFUSED: &str = "this kernel's verifier does not accept a program of heaptide's: \
                       try a newer heaptide or a newer kernel, and please report it with \
                       `uname -r`";

/// What the verifier writes when it is done, which does not say why it refused.
const STATISTICS: [&str; 4] = [VERIFIED, "verification time ", "stack depth ", "insns_cnt "];

/// A check that failed because of this.
pub(super) fn failed(topic: Topic, error: &ProbeError, facts: &HostFacts) -> Check {
    topic.failed(summary(error), remedy(error, facts))
}

/// An error in one line: what failed, and the innermost reason.
pub(super) fn summary(error: &dyn Error) -> String {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(current) = source {
        messages.push(current.to_string());
        source = current.source();
    }
    let what = messages
        .first()
        .map_or("", |message| last_useful_line(message));
    // The verifier writes many lines, and what it has against a program says more than a number.
    let verifier = messages
        .iter()
        .rev()
        .find(|message| message.trim().contains('\n'));
    let reason = verifier
        .or(messages.last())
        .map_or("", |message| last_useful_line(message));
    let line = if what == reason {
        what.to_owned()
    } else {
        format!("{what}: {reason}")
    };
    match line.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => line[..end].to_owned() + "…",
        None => line,
    }
}

fn last_useful_line(text: &str) -> &str {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut useful = lines.filter(|line| !STATISTICS.iter().any(|start| line.starts_with(start)));
    useful.next_back().unwrap_or_default()
}

/// Whether the kernel looked at the program and found it wanting: then the verifier says how far it
/// came, also where the number of the error is that of missing rights.
fn is_of_verifier(error: &dyn Error) -> bool {
    let chain = iter::successors(Some(error), |error| (*error).source());
    let mut messages = chain.map(ToString::to_string);
    messages.any(|message| {
        let mut lines = message.lines();
        lines.any(|line| line.trim_start().starts_with(VERIFIED))
    })
}

fn remedy(error: &ProbeError, facts: &HostFacts) -> String {
    if is_of_verifier(error) {
        return REFUSED.to_owned();
    }
    match error {
        ProbeError::NoObject { .. } => {
            return "unset HEAPTIDE_EBPF_OBJECT, or let it name a readable file".to_owned();
        }
        ProbeError::Missing { .. } => {
            return "install heaptide anew: its two halves do not belong together".to_owned();
        }
        // Who may not look into tracefs takes it for not mounted.
        ProbeError::NoTracefs { .. } if !facts.privileges.can_read_all() => {
            return facts.privileges.remedy().to_owned();
        }
        ProbeError::NoTracefs { .. } => {
            return "mount it: `mount -t tracefs tracefs /sys/kernel/tracing`".to_owned();
        }
        _ => {}
    }
    match error.system_error().map(io::Error::kind) {
        Some(io::ErrorKind::PermissionDenied) => not_permitted(facts),
        Some(io::ErrorKind::OutOfMemory) => {
            "free some memory; on kernels before 5.11 also `ulimit -l unlimited`".to_owned()
        }
        Some(io::ErrorKind::NotFound) => {
            "boot a kernel built with CONFIG_FTRACE_SYSCALLS=y and CONFIG_UPROBE_EVENTS=y"
                .to_owned()
        }
        _ => "boot a kernel from 5.15 on, built with CONFIG_BPF_SYSCALL=y, CONFIG_UPROBE_EVENTS=y \
              and CONFIG_DEBUG_INFO_BTF=y"
            .to_owned(),
    }
}

/// Why the kernel says that something is not permitted, and what to do about it.
fn not_permitted(facts: &HostFacts) -> String {
    if facts.lockdown == Some(Lockdown::Confidentiality) {
        return UNLOCK.to_owned();
    }
    if !facts.privileges.are_enough() {
        let remedy = facts.privileges.remedy();
        return match facts.unprivileged_bpf {
            Some(value @ 1..) => format!(
                "{remedy} (kernel.unprivileged_bpf_disabled is {value}: BPF is for privileged \
                 users only)"
            ),
            _ => remedy.to_owned(),
        };
    }
    "a security module or a container's seccomp filter forbids it: allow bpf() and \
     perf_event_open(), as `--privileged` does, or run heaptide on the host"
        .to_owned()
}

/// How to get out of a lockdown that hides the kernel's memory.
pub(super) const UNLOCK: &str = "boot with `lockdown=integrity` or without \
                                 lockdown: `confidentiality` lets no BPF program read memory";

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::{super::privileges::Privileges, *};

    #[derive(Debug, Error)]
    #[error("the program was refused")]
    struct Refused(#[source] Verifier);

    #[derive(Debug, Error)]
    #[error("load failed. Verifier output: 0: (b7) r0 = 0\n{0}\nprocessed 7 insns (limit 1)\n")]
    struct Verifier(&'static str, #[source] io::Error);

    fn facts(privileges: Privileges, lockdown: Option<Lockdown>) -> HostFacts {
        HostFacts {
            privileges,
            lockdown,
            unprivileged_bpf: Some(2),
            ptrace_scope: None,
        }
    }

    fn refused(kind: i32) -> ProbeError {
        ProbeError::NoProcessors {
            source: io::Error::from_raw_os_error(kind),
        }
    }

    #[test]
    fn of_the_verifiers_output_only_the_complaint_is_shown() {
        let error = Refused(Verifier(
            "R1 invalid mem access 'scalar'",
            io::ErrorKind::Other.into(),
        ));
        assert_eq!(
            summary(&error),
            "the program was refused: R1 invalid mem access 'scalar'"
        );
    }

    #[test]
    fn what_the_verifier_has_seen_is_not_a_matter_of_rights() {
        let kind = io::ErrorKind::PermissionDenied;
        assert!(is_of_verifier(&Refused(Verifier("R1 !", kind.into()))));
        assert!(!is_of_verifier(&refused(libc::EACCES)));
    }

    #[test]
    fn without_output_the_innermost_reason_is_shown() {
        let told = summary(&refused(libc::EPERM));
        let expected =
            "cannot tell which processors are online: Operation not permitted (os error 1)";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let text: &'static str = "é".repeat(500).leak();
        let told = summary(&Refused(Verifier(text, io::ErrorKind::Other.into())));
        assert_eq!(told.chars().count(), MESSAGE_CHARS + 1);
    }

    #[test]
    fn who_lacks_privileges_is_told_how_to_get_them() {
        let told = remedy(&refused(libc::EPERM), &facts(Privileges::default(), None));
        assert!(
            told.contains("kernel.unprivileged_bpf_disabled is 2"),
            "{told}"
        );
    }

    #[test]
    fn lockdown_is_named_before_anything_else() {
        let locked = facts(Privileges::default(), Some(Lockdown::Confidentiality));
        assert_eq!(remedy(&refused(libc::EPERM), &locked), UNLOCK);
    }

    #[test]
    fn what_root_may_not_is_forbidden_by_something_else() {
        let told = remedy(&refused(libc::EACCES), &facts(Privileges::all(), None));
        assert!(told.contains("seccomp"), "{told}");
        let told = remedy(&refused(libc::ENOMEM), &facts(Privileges::all(), None));
        assert!(told.contains("free some memory"), "{told}");
    }
}
