//! What heaptide may do, as the kernel counts it: capabilities, not the name of the user.

use std::fs;

use crate::report::{Check, Topic};

/// Whether heaptide may do what measuring needs.
pub(super) const PRIVILEGES: Topic = Topic {
    id: "privileges",
    title: "privileges",
};

/// A right that measuring needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Capability {
    bit: u32,
    /// The greater right that includes it.
    included_in: Option<u32>,
    name: &'static str,
    /// What is impossible without it.
    disables: &'static str,
}

const DAC_OVERRIDE: u32 = 1;
const DAC_READ_SEARCH: u32 = 2;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;
const CHECKPOINT_RESTORE: u32 = 40;

/// Without these, nothing can be measured.
const NECESSARY: [Capability; 2] = [
    Capability {
        bit: BPF,
        included_in: Some(SYS_ADMIN),
        name: "CAP_BPF",
        disables: "loading programs",
    },
    Capability {
        bit: PERFMON,
        included_in: Some(SYS_ADMIN),
        name: "CAP_PERFMON",
        disables: "attaching them",
    },
];

/// Without these, some of what is needed may be forbidden; trials tell.
const USEFUL: [Capability; 3] = [
    Capability {
        bit: CHECKPOINT_RESTORE,
        included_in: Some(SYS_ADMIN),
        name: "CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE",
        disables: "opening mapped files that have no name any more",
    },
    Capability {
        bit: SYS_PTRACE,
        included_in: None,
        name: "CAP_SYS_PTRACE",
        disables: "reading processes of other users",
    },
    Capability {
        bit: DAC_READ_SEARCH,
        included_in: Some(DAC_OVERRIDE),
        name: "CAP_DAC_READ_SEARCH",
        disables: "reading tracefs",
    },
];

/// How to get all of them.
const AS_ROOT: &str = "run it as root: `sudo heaptide …`";
const IN_CONTAINER: &str = "root lacks capabilities here, as in a container: start the container \
                            with `--privileged --pid=host`, or run heaptide on the host";

/// What heaptide may do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Privileges {
    /// The effective capabilities, a bit each.
    effective: u64,
    /// Whether they hold for the whole host, and not in a user namespace only.
    on_host: bool,
    is_root: bool,
    pub(super) uid: u32,
}

impl Privileges {
    /// Those of heaptide itself.
    pub(super) fn of_self() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}"));
        let user = rustix::process::geteuid();
        Self {
            effective: read("status")
                .ok()
                .and_then(|text| effective(&text))
                .unwrap_or(0),
            // A kernel without user namespaces has no such file.
            on_host: read("uid_map").map_or(true, |map| is_whole(&map)),
            is_root: user.is_root(),
            uid: user.as_raw(),
        }
    }

    /// Those of an unrestricted root.
    #[cfg(test)]
    pub(super) const fn all() -> Self {
        Self {
            effective: u64::MAX,
            on_host: true,
            is_root: true,
            uid: 0,
        }
    }

    /// Whether programs can be loaded and attached, as far as it depends on the user.
    pub(super) fn are_enough(&self) -> bool {
        self.on_host && NECESSARY.iter().all(|capability| self.has(capability))
    }

    /// Whether processes of other users can be read.
    pub(super) const fn can_trace_all(&self) -> bool {
        self.is_set(SYS_PTRACE)
    }

    /// Whether files can be read that belong to root alone.
    pub(super) const fn can_read_all(&self) -> bool {
        self.is_set(DAC_READ_SEARCH) || self.is_set(DAC_OVERRIDE)
    }

    /// How to get what is missing.
    pub(super) fn remedy(&self) -> &'static str {
        match (self.is_root, self.on_host) {
            (false, true) => AS_ROOT,
            _ => IN_CONTAINER,
        }
    }

    pub(super) fn check(&self) -> Check {
        if !self.on_host {
            let found = "root in a user namespace only, which is not root on the host";
            return PRIVILEGES.failed(found, self.remedy());
        }
        let all = NECESSARY.iter().chain(&USEFUL);
        let missing: Vec<&Capability> = all.filter(|capability| !self.has(capability)).collect();
        let list: Vec<String> = missing
            .iter()
            .map(|one| format!("{} ({})", one.name, one.disables))
            .collect();
        let found = format!("missing: {}", list.join(", "));
        match (missing.as_slice(), self.are_enough()) {
            ([], _) if self.is_root => PRIVILEGES.ok("root, with all capabilities needed"),
            ([], _) => PRIVILEGES.ok("all capabilities needed"),
            (_, true) => PRIVILEGES.degraded(found, self.remedy()),
            (_, false) => PRIVILEGES.failed(found, self.remedy()),
        }
    }

    /// Whether this capability, or the one that includes it, is effective.
    fn has(&self, capability: &Capability) -> bool {
        self.is_set(capability.bit) || capability.included_in.is_some_and(|bit| self.is_set(bit))
    }

    const fn is_set(&self, bit: u32) -> bool {
        self.effective >> bit & 1 == 1
    }
}

/// The effective capabilities in `/proc/PID/status`.
fn effective(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// Whether a map of user ids says that every user is the one of the host.
fn is_whole(uid_map: &str) -> bool {
    uid_map
        .split_ascii_whitespace()
        .eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::Status;

    const ALL: u64 = 1 << BPF | 1 << PERFMON | REST;
    const REST: u64 = 1 << CHECKPOINT_RESTORE | 1 << SYS_PTRACE | 1 << DAC_READ_SEARCH;

    fn root(effective: u64) -> Privileges {
        Privileges {
            effective,
            on_host: true,
            is_root: true,
            uid: 0,
        }
    }

    fn user(effective: u64) -> Privileges {
        Privileges {
            effective,
            on_host: true,
            is_root: false,
            uid: 1000,
        }
    }

    #[test]
    fn the_effective_set_is_the_one_that_counts() {
        let status = "Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t000001fffeffffff\nCapBnd:\t0\n";
        assert_eq!(effective(status), Some(0x1ff_feff_ffff));
        assert_eq!(effective("CapEff:\tmany\n"), None);
        assert_eq!(effective(""), None);
    }

    #[test]
    fn root_with_everything_may_do_everything() {
        assert_eq!(root(ALL).check().status, Status::Ok);
        assert!(root(ALL).are_enough() && root(ALL).can_trace_all());
    }

    #[test]
    fn what_is_missing_is_named_with_what_it_disables() {
        let check = user(0).check();
        assert_eq!(check.status, Status::Failed);
        assert!(
            check
                .found
                .starts_with("missing: CAP_BPF (loading programs), CAP_PERFMON (")
        );
        assert!(
            check
                .found
                .ends_with("CAP_DAC_READ_SEARCH (reading tracefs)")
        );
        assert_eq!(check.remedy.as_deref(), Some(AS_ROOT));
    }

    #[test]
    fn greater_capabilities_include_lesser_ones() {
        let greater = 1 << SYS_ADMIN | 1 << DAC_OVERRIDE;
        let check = root(greater).check();
        assert_eq!(check.status, Status::Degraded);
        assert_eq!(
            check.found,
            "missing: CAP_SYS_PTRACE (reading processes of other users)"
        );
        assert_eq!(check.remedy.as_deref(), Some(IN_CONTAINER));
        assert_eq!(root(greater | 1 << SYS_PTRACE).check().status, Status::Ok);
    }

    #[test]
    fn the_necessary_capabilities_are_enough_to_try() {
        let check = user(1 << BPF | 1 << PERFMON).check();
        assert_eq!(check.status, Status::Degraded);
        assert!(
            check
                .found
                .starts_with("missing: CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE (")
        );
        assert_eq!(user(1 << BPF | REST).check().status, Status::Failed);
    }

    #[test]
    fn root_of_a_user_namespace_is_not_root() {
        let check = Privileges {
            on_host: false,
            ..root(ALL)
        }
        .check();
        assert_eq!(check.status, Status::Failed);
        assert!(is_whole("         0          0 4294967295\n"));
        assert!(!is_whole("         0       1000          1\n"));
        assert!(!is_whole(""));
    }

    proptest! {
        #[test]
        fn any_status_is_read(text in "(CapEff:)?[\t ]{0,2}[0-9a-f]{0,20}\n?.{0,20}") {
            let privileges = user(effective(&text).unwrap_or(0));
            let check = privileges.check();
            prop_assert_eq!(check.status == Status::Failed, !privileges.are_enough());
        }
    }
}
