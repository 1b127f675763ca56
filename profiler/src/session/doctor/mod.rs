//! Whether this host, and a process, can be profiled: features are tried out, and nothing is
//! concluded from version numbers.

mod facts;
mod host;
mod privileges;
mod python;
mod refusal;
mod target;
mod trials;

use self::facts::HostFacts;
use crate::{report::Diagnosis, units::Pid};

/// Examines this host, and a process if one is named. The process is only read; what is attached
/// for a trial is gone when this returns.
pub fn examine(pid: Option<Pid>) -> Diagnosis {
    let facts = HostFacts::gather();
    let trials = trials::run(&facts);
    let mut host = host::checks(&facts);
    host.extend(trials.checks);
    let process = pid.map(|pid| {
        (
            pid,
            target::checks(pid, &facts, trials.return_probes_are_safe),
        )
    });
    Diagnosis { host, process }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        io::{BufRead as _, BufReader},
        process::{Command, Stdio},
    };

    use super::*;
    use crate::report::Status;

    #[test]
    fn a_process_that_does_not_exist_fails_whatever_the_host_is_like() {
        let diagnosis = examine(Some(Pid(u32::MAX)));
        assert_eq!(diagnosis.process_verdict(), Status::Failed);
        let (_, checks) = diagnosis.process.unwrap();
        assert_eq!(checks[0].topic.id, "process");
        assert_eq!(checks[0].found, "process 4294967295 is not running");
        assert!(checks[1..].iter().all(|check| !check.tried));
    }

    #[test]
    fn a_host_and_a_python_can_be_examined_by_root() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: not root");
            return;
        }
        let script = "print('ready', flush=True); input()";
        let mut python = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(python.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let diagnosis = examine(Some(Pid(python.id())));
        python.kill().unwrap();
        python.wait().unwrap();
        let text = diagnosis.text(false);
        assert_ne!(diagnosis.verdict(), Status::Failed, "{text}");
        let (_, checks) = diagnosis.process.as_ref().unwrap();
        let all: Vec<_> = diagnosis.host.iter().chain(checks).collect();
        let ids: HashSet<&str> = all.iter().map(|check| check.topic.id).collect();
        assert_eq!(ids.len(), all.len(), "an id stands for one check");
        assert!(all.iter().all(|check| check.tried), "{text}");
        assert!(
            all.iter()
                .all(|check| check.remedy.is_some() == (check.status != Status::Ok))
        );
        assert!(text.contains("CPython 3."), "{text}");
    }
}
