//! Checks of the host that need no trial.

use rustix::{
    process::{Resource, getrlimit},
    system::uname,
};

use super::{
    facts::{HostFacts, Lockdown},
    refusal,
};
use crate::{
    probe::{ProbeError, read_layout},
    process::architecture::{Architecture, PROBED},
    report::{Check, Topic},
    units::Bytes,
};

const ARCHITECTURE: Topic = Topic {
    id: "architecture",
    title: "architecture",
};
const KERNEL: Topic = Topic {
    id: "kernel",
    title: "kernel",
};
const LOCKDOWN: Topic = Topic {
    id: "lockdown",
    title: "lockdown",
};
const MEMORY_LIMIT: Topic = Topic {
    id: "locked-memory-limit",
    title: "memlock limit",
};
/// Whether the kernel says where its members are.
pub(super) const BTF: Topic = Topic {
    id: "btf",
    title: "BTF",
};

/// Makes the checks.
pub(super) fn checks(facts: &HostFacts) -> Vec<Check> {
    let uname = uname();
    let release = uname.release().to_string_lossy();
    vec![
        architecture(&uname.machine().to_string_lossy()),
        KERNEL.ok(release),
        facts.privileges.check(),
        lockdown(facts.lockdown),
        memory_limit(getrlimit(Resource::Memlock).current),
        btf(facts),
    ]
}

fn architecture(machine: &str) -> Check {
    let name = PROBED.name;
    if Architecture::named(machine) == Some(PROBED) {
        return ARCHITECTURE.ok(name);
    }
    let found = format!("{machine}: the places for probes are only known on {name}");
    ARCHITECTURE.failed(found, format!("run heaptide and the program on {name}"))
}

fn lockdown(mode: Option<Lockdown>) -> Check {
    match mode {
        None => LOCKDOWN.ok("none that can be seen"),
        Some(Lockdown::None) => LOCKDOWN.ok("none"),
        Some(Lockdown::Integrity) => LOCKDOWN.ok("integrity, which allows reading"),
        Some(Lockdown::Confidentiality) => {
            LOCKDOWN.failed("confidentiality: BPF may not read memory", refusal::UNLOCK)
        }
    }
}

/// Kernels from 5.11 on do not count BPF's memory against this limit; what older ones make of it
/// shows when the programs are loaded.
fn memory_limit(limit: Option<u64>) -> Check {
    let limit = limit.map_or_else(|| "none".to_owned(), |bytes| Bytes(bytes).to_string());
    MEMORY_LIMIT.ok(format!("{limit} (matters on kernels before 5.11)"))
}

fn btf(facts: &HostFacts) -> Check {
    match read_layout() {
        Ok(_layout) => BTF.ok("the kernel says where its members are"),
        Err(error @ (ProbeError::NoTypeInformation { .. } | ProbeError::TypeInformation(_))) => {
            let remedy = "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y";
            BTF.failed(refusal::summary(&error), remedy)
        }
        Err(error) => refusal::failed(BTF, &error, facts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    #[test]
    fn only_the_strict_lockdown_is_in_the_way() {
        let modes = [None, Some(Lockdown::None), Some(Lockdown::Integrity)];
        assert!(
            modes
                .iter()
                .all(|mode| lockdown(*mode).status == Status::Ok)
        );
        assert_eq!(
            lockdown(Some(Lockdown::Confidentiality)).status,
            Status::Failed
        );
    }

    #[test]
    fn other_architectures_are_named() {
        assert_eq!(architecture("x86_64").status, Status::Ok);
        let check = architecture("aarch64");
        assert_eq!(check.status, Status::Failed);
        assert!(check.found.starts_with("aarch64: "));
    }

    #[test]
    fn the_limit_for_locked_memory_is_never_fatal() {
        assert_eq!(memory_limit(Some(0)).status, Status::Ok);
        assert_eq!(
            memory_limit(None).found,
            "none (matters on kernels before 5.11)"
        );
        assert!(memory_limit(Some(8 << 20)).found.starts_with("8.00 MiB"));
    }
}
