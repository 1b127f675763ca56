//! Checks of the Python in a process: which it is, what it allocates with, and where probes stand.

use std::{fs, path::Path};

use profiler_common::config::Request;

use super::refusal;
use crate::{
    probe::SiteProgram,
    process::identity::{self, Identity},
    python::{AllocatorKind, Allocators, Interpreter, PythonError, version},
    report::{Check, Topic},
    source::{Plan, PlanError, PlannedSites, Planner, SiteClass},
    units::{Bytes, Pid},
};

const PYTHON: Topic = Topic {
    id: "process-python",
    title: "Python",
};
const THREADS: Topic = Topic {
    id: "process-threads",
    title: "thread states",
};
const ALLOCATOR: Topic = Topic {
    id: "process-allocator",
    title: "allocator",
};
const POOLS: Topic = Topic {
    id: "process-pools",
    title: "pools",
};
const POOL_PROBES: Topic = Topic {
    id: "process-pool-probes",
    title: "object probes",
};
const BLOCK_PROBES: Topic = Topic {
    id: "process-block-probes",
    title: "block probes",
};

/// What is known only once the interpreter is.
const DETAILS: [Topic; 5] = [THREADS, ALLOCATOR, POOLS, POOL_PROBES, BLOCK_PROBES];

/// No interpreter has more threads that are counted.
const THREADS_LIMIT: usize = 1 << 16;

/// The checks, none of which could be tried.
pub(super) fn untried(cause: Topic) -> Vec<Check> {
    let mut checks = vec![PYTHON.untried(cause)];
    checks.extend(DETAILS.map(|topic| topic.untried(cause)));
    checks
}

/// Makes the checks of a process whose memory can be read.
pub(super) fn checks(identity: &Identity) -> Vec<Check> {
    let plan = match Planner::default().plan(identity) {
        Ok(plan) => plan,
        Err(error) => {
            let mut checks = vec![PYTHON.failed(refusal::summary(&error), remedy(&error))];
            checks.extend(DETAILS.map(|topic| topic.untried(PYTHON)));
            return checks;
        }
    };
    let allocators = plan
        .interpreter
        .image
        .elf()
        .ok()
        .and_then(|elf| Allocators::read(&plan.interpreter, &elf, &plan.memory).ok());
    let uses_pools = allocators.as_ref().is_none_or(Allocators::may_use_pymalloc);
    vec![
        PYTHON.ok(describe(&plan.interpreter)),
        threads(&plan, identity.pid),
        match allocators {
            Some(found) => allocator(
                &found.kind(),
                found.uses_pymalloc() || plan.mimalloc.is_some(),
            ),
            None => unknown_allocator(),
        },
        pools(&plan, uses_pools),
        pool_probes(&plan, uses_pools),
        block_probes(&plan),
    ]
}

fn remedy(error: &PlanError) -> String {
    let remedy = match error {
        PlanError::Python(PythonError::NotPython { .. }) => {
            "name another process: `pgrep -a python` lists candidates"
        }
        PlanError::Python(PythonError::NotReady { .. }) => {
            "try again in a moment, or use `heaptide run -- COMMAND`"
        }
        PlanError::Python(PythonError::Inconsistent { .. }) => {
            let supported = version::supported();
            return format!("run it with {supported} whose sources were not changed");
        }
        PlanError::Python(PythonError::Unsupported { .. }) => {
            return format!("run it with {}", version::supported());
        }
        PlanError::Process(_) | PlanError::Python(_) => "see whether the process still runs",
        PlanError::File(_) | PlanError::Open { .. } => {
            "see whether the named file is there and readable"
        }
    };
    remedy.to_owned()
}

fn describe(interpreter: &Interpreter) -> String {
    let (version, path) = (interpreter.version, &interpreter.image.path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let kind = if name.starts_with("libpython") {
        "shared"
    } else {
        "static"
    };
    let gone = if interpreter.image.deleted {
        ", deleted since"
    } else {
        ""
    };
    format!(
        "CPython {version}, initialised; {kind}, {}{gone}",
        path.display()
    )
}

fn threads(plan: &Plan, pid: Pid) -> Check {
    let (states, threads) = (thread_states(plan), identity::threads(pid).len());
    if states == 0 {
        let remedy = "try again; if it stays so, the interpreter is about to end";
        return THREADS.degraded("none: events would come without a Python stack", remedy);
    }
    THREADS.ok(format!(
        "{states}, of {threads} {}",
        plural(threads, "thread")
    ))
}

/// How many threads the interpreter knows.
fn thread_states(plan: &Plan) -> usize {
    let Interpreter {
        threads_head,
        layout,
        ..
    } = plan.interpreter.as_ref();
    let next = |state: &u64| {
        plan.memory
            .read_word(state.wrapping_add(layout.thread_next.into()))
    };
    let states = std::iter::successors(plan.memory.read_word(*threads_head), next);
    states
        .take_while(|state| *state != 0)
        .take(THREADS_LIMIT)
        .count()
}

/// What the allocator means for what is measured.
fn allocator(kind: &AllocatorKind, uses_pools: bool) -> Check {
    let unseen = "objects up to 512 bytes show only as mappings and page faults";
    match kind {
        AllocatorKind::Pymalloc => ALLOCATOR.ok("pymalloc"),
        AllocatorKind::Malloc => ALLOCATOR.degraded(
            format!("malloc: {unseen}"),
            "start it without PYTHONMALLOC=malloc",
        ),
        AllocatorKind::Debug => {
            let found = if uses_pools {
                "debug hooks: each object counts with the bytes that they add".to_owned()
            } else {
                format!("debug hooks over malloc: {unseen}")
            };
            let remedy = "start it without `-X dev`, PYTHONDEVMODE and PYTHONMALLOC";
            ALLOCATOR.degraded(found, remedy)
        }
        AllocatorKind::Other(name) if name.starts_with("tracemalloc") => {
            let found = if uses_pools {
                format!("{name}: its own records count as the program's memory")
            } else {
                format!("{name}: {unseen}")
            };
            ALLOCATOR.degraded(
                found,
                "call tracemalloc.stop(), or start it without tracemalloc",
            )
        }
        AllocatorKind::Foreign(file) => {
            let found = format!(
                "functions of {file}: objects up to 512 bytes are attributed only if these pass \
                 requests on to pymalloc"
            );
            ALLOCATOR.degraded(found, "start it without what puts them there")
        }
        AllocatorKind::Other(name) if name == "mimalloc" && uses_pools => {
            ALLOCATOR.ok("mimalloc: its blocks of all sizes are seen as small objects are")
        }
        // Whatever it is, it serves large objects, too.
        AllocatorKind::Other(name) => {
            let found = format!("{name}: its objects show only as mappings and page faults");
            ALLOCATOR.degraded(found, "start it with PYTHONMALLOC=pymalloc")
        }
    }
}

fn unknown_allocator() -> Check {
    let found = "not recognised in the interpreter's code";
    ALLOCATOR.degraded(
        found,
        "run it with a CPython that was built with -O1 or more",
    )
}

fn pools(plan: &Plan, uses_pools: bool) -> Check {
    if let Some(mimalloc) = plan.mimalloc {
        return match mimalloc.census(&plan.memory) {
            Ok(census) => POOLS.ok(format!(
                "not in use: mimalloc has {} blocks, {} live",
                census.blocks,
                Bytes(census.live_bytes)
            )),
            Err(error) => POOLS.degraded(
                format!("not in use, and mimalloc's heap cannot be read ({error})"),
                "try again in a moment",
            ),
        };
    }
    if !uses_pools {
        return POOLS.ok("not in use");
    }
    let lost = "allocator-retention cannot be told from growth";
    let Some(pools) = &plan.pools else {
        let found = format!("not found in the interpreter's code: {lost}");
        return POOLS.degraded(
            found,
            "run it with a CPython that was built with -O1 or more",
        );
    };
    match pools.census(&plan.memory) {
        Ok(census) => POOLS.ok(format!(
            "{} in {} {}, {} live",
            census.pools,
            census.arenas,
            if census.arenas == 1 {
                "arena"
            } else {
                "arenas"
            },
            Bytes(census.live_bytes)
        )),
        Err(error) => POOLS.degraded(
            format!("cannot be read ({error}): {lost}"),
            "try again in a moment",
        ),
    }
}

/// So many places can be listed.
const FEW_PLACES: usize = 8;

fn pool_probes(plan: &Plan, uses_pools: bool) -> Check {
    if !uses_pools && plan.mimalloc.is_none() {
        return POOL_PROBES.ok("not needed");
    }
    let is_small = |planned: &&PlannedSites| {
        matches!(
            planned.program,
            SiteProgram::ObjectTaken | SiteProgram::PoolOpened
        )
    };
    let Some(planned) = plan.sites.iter().find(is_small) else {
        let name = if plan.mimalloc.is_some() {
            "mimalloc"
        } else {
            "pymalloc"
        };
        let found = format!("{name}'s code was not recognised: its objects are not attributed");
        return POOL_PROBES.degraded(
            found,
            "run it with a CPython that was built with -O2 or -O3",
        );
    };
    let places: Vec<String> = planned
        .sites
        .iter()
        .map(|site| format!("{:#x}", site.file_offset))
        .collect();
    let count = places.len();
    let file = file_name(&file_of(planned));
    let listed = if count <= FEW_PLACES {
        format!(": {}", places.join(", "))
    } else {
        String::new()
    };
    POOL_PROBES.ok(format!(
        "{count} {} in {file}{listed}",
        plural(count, "place")
    ))
}

fn block_probes(plan: &Plan) -> Check {
    let is_entry = |planned: &&PlannedSites| {
        planned.class == SiteClass::Blocks && planned.program == SiteProgram::RequestEntered
    };
    let files: Vec<String> = plan.sites.iter().filter(is_entry).map(entries).collect();
    if files.is_empty() {
        let found = "no place is cheap enough to probe: blocks over 512 bytes are not measured";
        let remedy = "run it with another allocator than the one that provides malloc now";
        return BLOCK_PROBES.degraded(found, remedy);
    }
    let found = files.join("; ");
    if plan.glibc_heap {
        return BLOCK_PROBES.ok(found);
    }
    let found = format!(
        "{found}. Not glibc's: where blocks are sampled, some count as live that were given back"
    );
    BLOCK_PROBES.degraded(
        found,
        "record with a higher --max-overhead, so that all are observed",
    )
}

/// A file, and where in it requests are seen.
fn entries(planned: &PlannedSites) -> String {
    let places = planned.sites.iter().map(|site| {
        let name = match Request::from_wire(site.cookie) {
            Some(Request::Malloc) => "malloc",
            Some(Request::Calloc) => "calloc",
            Some(Request::Realloc) => "realloc",
            Some(Request::Free) => "free",
            Some(Request::Arena) | None => "other",
        };
        format!("{name} {:#x}", site.file_offset)
    });
    let places: Vec<String> = places.collect();
    format!("{}: {}", file_of(planned), places.join(", "))
}

/// The name of the file in which probes are to stand.
fn file_of(planned: &PlannedSites) -> String {
    let path = fs::read_link(planned.path());
    path.map_or_else(
        |_gone| "a file".to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

fn file_name(path: &str) -> String {
    let name = Path::new(path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    #[test]
    fn only_pythons_own_allocators_are_measured_without_limits() {
        let mimalloc = AllocatorKind::Other("mimalloc".into());
        for own in [AllocatorKind::Pymalloc, mimalloc] {
            assert_eq!(allocator(&own, true).status, Status::Ok, "{own:?}");
        }
        let others = [
            (
                AllocatorKind::Malloc,
                false,
                "malloc: objects up to 512 bytes",
            ),
            (AllocatorKind::Debug, true, "debug hooks: each object"),
            (
                AllocatorKind::Debug,
                false,
                "debug hooks over malloc: objects",
            ),
            (
                AllocatorKind::Other("tracemalloc over pymalloc".into()),
                true,
                "its own records",
            ),
            (
                AllocatorKind::Other("tracemalloc over malloc".into()),
                false,
                "objects up to 512",
            ),
            (
                AllocatorKind::Foreign("hooks.so".into()),
                true,
                "functions of hooks.so: objects up to 512 bytes are attributed only if",
            ),
            (
                AllocatorKind::Other("another".into()),
                false,
                "another: its objects show",
            ),
        ];
        for (kind, uses_pools, expected) in others {
            let check = allocator(&kind, uses_pools);
            assert_eq!(check.status, Status::Degraded, "{kind:?}");
            assert!(check.found.contains(expected), "{}", check.found);
        }
    }

    #[test]
    fn each_reason_has_its_remedy() {
        let pid = Pid(7);
        let not_python = PythonError::NotPython {
            pid,
            program: "/bin/cat".into(),
        };
        assert!(remedy(&PlanError::Python(not_python)).contains("pgrep"));
        let not_ready = PythonError::NotReady { pid };
        assert!(remedy(&PlanError::Python(not_ready)).contains("heaptide run"));
    }

    #[test]
    fn untried_checks_are_those_that_would_be_made() {
        let ids: Vec<&str> = untried(PYTHON).iter().map(|check| check.topic.id).collect();
        assert_eq!(ids.len(), 1 + DETAILS.len());
        assert!(ids.iter().all(|id| id.starts_with("process-")));
    }
}
