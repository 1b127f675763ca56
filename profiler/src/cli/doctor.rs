//! `heaptide doctor`.

use std::process::ExitCode;

use clap::Args;

use super::{
    args::Common,
    exit::{BAD_TARGET, REFUSED},
    output,
};
use crate::{
    report::{Diagnosis, Status},
    session,
    units::Pid,
};

/// Checks whether this host, and a process, can be profiled.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sudo heaptide doctor 4711")]
pub(super) struct DoctorArgs {
    /// A process that shall be profiled
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,
    /// Write the checks as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the checks.
pub(super) fn run(args: DoctorArgs, common: &Common) -> anyhow::Result<ExitCode> {
    let DoctorArgs { pid, json } = args;
    let diagnosis = session::examine(pid.map(Pid));
    let written = if json {
        diagnosis.json()
    } else {
        diagnosis.text(output::has_color(common.color, &std::io::stdout()))
    };
    output::print(&written)?;
    Ok(ExitCode::from(exit_code(&diagnosis)))
}

/// What `attach` would answer, which looks for the process before it looks at the host.
fn exit_code(diagnosis: &Diagnosis) -> u8 {
    let checks = diagnosis
        .process
        .as_ref()
        .map(|(_, checks)| checks.as_slice());
    let is_there = checks
        .and_then(<[_]>::first)
        .is_none_or(|check| check.status == Status::Ok);
    match (
        is_there,
        diagnosis.host_verdict(),
        diagnosis.process_verdict(),
    ) {
        (false, ..) => BAD_TARGET,
        (_, Status::Failed, _) => REFUSED,
        (_, _, Status::Failed) => BAD_TARGET,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Check, Topic};

    const TOPIC: Topic = Topic {
        id: "topic",
        title: "topic",
    };

    #[test]
    fn the_exit_code_is_that_of_attach() {
        let (ok, limited) = (TOPIC.ok("fine"), TOPIC.degraded("less", "mend it"));
        let failed = TOPIC.failed("broken", "replace it");
        let code = |host: &Check, process: &[&Check]| {
            let process: Vec<Check> = process.iter().copied().cloned().collect();
            let process = (!process.is_empty()).then_some((Pid(7), process));
            exit_code(&Diagnosis {
                host: vec![host.clone()],
                process,
            })
        };
        assert_eq!(code(&ok, &[]), 0);
        assert_eq!(code(&limited, &[&ok, &limited]), 0);
        assert_eq!(code(&failed, &[]), 3);
        assert_eq!(code(&failed, &[&ok, &failed]), 3);
        assert_eq!(code(&ok, &[&ok, &failed]), 4);
        assert_eq!(code(&failed, &[&failed, &failed]), 4);
    }
}
