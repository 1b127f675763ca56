//! The pattern of growth of real servers: some of the scenarios that `cargo xtask bench growth`
//! measures in full.

use std::{env, ffi::OsString, path::Path, process::Command, thread};

use tempfile::TempDir;

use crate::support::{
    Heaptide, Program, Report,
    host::{can_record, skip},
};

/// Scenarios whose pattern shows in short recordings of a busy machine, and the pattern.
const SCENARIOS: [(&str, &str); 6] = [
    ("steady-flask", "steady"),
    ("leak-flask-dict", "retained-growth"),
    ("spikes-flask-uploads", "payload-spikes"),
    ("workers-forked", "worker-duplication"),
    ("step-forked", "worker-count-step"),
    ("fragments-libc-plain", "allocator-retention"),
];

/// A machine that is busy with something else as well may leave so many undecided.
const MAY_BE_UNDECIDED: usize = 2;

/// How long each is recorded, all at the same time.
const SECONDS: &str = "30";

#[test]
fn the_kind_of_growth_of_real_servers_is_told() {
    if !can_record() {
        return;
    }
    let Some(python) = env::var_os("HEAPTIDE_SERVICES") else {
        skip("only `cargo xtask test` installs the servers");
        return;
    };
    let reports: Vec<Report> = thread::scope(|scope| {
        let python = &python;
        let running = SCENARIOS.map(|(name, _)| scope.spawn(|| report_of(python, name)));
        let reports = running.into_iter().map(thread::ScopedJoinHandle::join);
        reports
            .map(|it| it.expect("each scenario was recorded"))
            .collect()
    });
    let wrong: Vec<String> = (SCENARIOS.iter().zip(&reports))
        .filter(|((_, pattern), report)| {
            let said = report.group.pattern.as_str();
            said != *pattern && said != "undecided"
        })
        .map(|((name, pattern), report)| format!("{name} is {pattern}: {:#?}", report.group))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let undecided = reports.iter().zip(SCENARIOS);
    let undecided: Vec<&str> = undecided
        .filter(|(report, _)| report.group.pattern == "undecided")
        .map(|(_, (name, _))| name)
        .collect();
    assert!(undecided.len() <= MAY_BE_UNDECIDED, "{undecided:?}");
}

/// Runs a scenario with heaptide attached.
fn report_of(python: &OsString, name: &str) -> Report {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let program = root.expect("it is a member of the workspace");
    let program = program.join("docs/benchmarks/growth/scenarios.py");
    let mut scenario = Program::spawn(Command::new(python).arg(program).args([name, "1", SECONDS]));
    let pid = scenario.hear();
    let folder = TempDir::new().expect("there is room for temporary files");
    let recording = folder.path().join("test.heaptide");
    let mut command = Command::new(crate::support::heaptide::binary());
    command.args([
        "attach",
        &pid,
        "--duration",
        &format!("{SECONDS}s"),
        "--output",
    ]);
    let heaptide = Heaptide::start(command.arg(&recording), folder, recording);
    scenario.tell("begin");
    let report = heaptide.wait().report();
    assert!(scenario.finish().success(), "{name}");
    report
}
