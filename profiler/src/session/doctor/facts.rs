//! What the host says about itself, in files that anybody may read.

use std::{fs, path::Path};

use super::privileges::Privileges;

/// What the kernel forbids even to root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lockdown {
    /// Nothing.
    None,
    /// To change the kernel.
    Integrity,
    /// To read its memory, too.
    Confidentiality,
}

impl Lockdown {
    /// Reads `/sys/kernel/security/lockdown`, where the mode in force is in brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once('[')?;
        match rest.split_once(']')?.0 {
            "none" => Some(Self::None),
            "integrity" => Some(Self::Integrity),
            "confidentiality" => Some(Self::Confidentiality),
            _ => None,
        }
    }
}

/// What several checks need to know of the host.
#[derive(Clone, Debug)]
pub(super) struct HostFacts {
    /// What heaptide may do.
    pub(super) privileges: Privileges,
    /// What is forbidden to all; `None` if the kernel does not tell.
    pub(super) lockdown: Option<Lockdown>,
    /// `kernel.unprivileged_bpf_disabled`.
    pub(super) unprivileged_bpf: Option<u32>,
    /// `kernel.yama.ptrace_scope`.
    pub(super) ptrace_scope: Option<u32>,
}

impl HostFacts {
    pub(super) fn gather() -> Self {
        let lockdown = fs::read_to_string("/sys/kernel/security/lockdown");
        Self {
            privileges: Privileges::of_self(),
            lockdown: lockdown.ok().and_then(|text| Lockdown::parse(&text)),
            unprivileged_bpf: number("/proc/sys/kernel/unprivileged_bpf_disabled"),
            ptrace_scope: number("/proc/sys/kernel/yama/ptrace_scope"),
        }
    }
}

fn number(path: impl AsRef<Path>) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_mode_in_brackets_is_in_force() {
        let cases = [
            ("[none] integrity confidentiality\n", Some(Lockdown::None)),
            (
                "none [integrity] confidentiality\n",
                Some(Lockdown::Integrity),
            ),
            (
                "none integrity [confidentiality]\n",
                Some(Lockdown::Confidentiality),
            ),
            ("none integrity\n", None),
            ("none [paranoia]\n", None),
            ("none [integrity", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Lockdown::parse(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in r"[\[\]a-z é]{0,40}") {
            let _mode: Option<Lockdown> = Lockdown::parse(&text);
        }
    }
}
