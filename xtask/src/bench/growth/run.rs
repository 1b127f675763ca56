//! Runs a scenario under heaptide, and asks for the verdict.

use std::{
    fmt, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::exec::{Tool, root, say};

/// The program that lists the scenarios, and runs one.
pub(crate) const PROGRAM: &str = "docs/benchmarks/growth/scenarios.py";

/// A scenario and its label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) pattern: String,
}

/// One run of a scenario.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) scenario: Scenario,
    pub(super) seed: u32,
    pub(super) seconds: u32,
}

impl Case {
    fn recording(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{self}.heaptide"))
    }

    /// Holds the pid of the process that is to blame, if there is one.
    fn culprit(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{self}.culprit"))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.scenario.name, self.seed, self.seconds)
    }
}

/// What was said of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) scenario: String,
    pub(super) seed: u32,
    pub(super) seconds: u32,
    /// The label.
    pub(super) pattern: String,
    /// The verdict on all processes, or on the one to blame if that is wrong.
    pub(super) said: String,
    pub(super) confidence: f64,
    pub(super) evidence: Vec<String>,
}

/// All scenarios.
pub(super) fn list(python: &Path) -> Result<Vec<Scenario>> {
    let text = Tool::new(python).arg(PROGRAM).capture()?;
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    let scenarios = lines.map(|(name, pattern)| Scenario {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
    });
    Ok(scenarios.collect())
}

/// Records the cases, some at a time. What fails is named, and missing later.
pub(super) fn record_all(
    python: &Path,
    heaptide: &Path,
    folder: &Path,
    cases: &[Case],
    jobs: usize,
) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            match record(python, heaptide, folder, case) {
                Ok(()) => say(format_args!("{case} of {}: recorded", cases.len())),
                Err(error) => say(format_args!("{case} failed: {error:#}")),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
}

/// A program that is ended with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Without its standard input it ends what it has started, and then itself.
        drop(self.0.stdin.take());
        // It may have ended already, and then there is nothing to do.
        drop(self.0.wait());
    }
}

fn record(python: &Path, heaptide: &Path, folder: &Path, case: &Case) -> Result<()> {
    let [name, seed, seconds] = [
        case.scenario.name.clone(),
        case.seed.to_string(),
        case.seconds.to_string(),
    ];
    let child = Command::new(python)
        .current_dir(root())
        .arg(PROGRAM)
        .args([&name, &seed, &seconds])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut program = Running(child);
    let stdout = program.0.stdout.take().context("it was piped")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut hear = |what: &str| -> Result<String> {
        let line = lines.next().context("it ended too early")??;
        let rest = line.strip_prefix(what).map(|it| it.trim().to_owned());
        rest.with_context(|| format!("`{line}` instead of `{what}`"))
    };
    hear("ready")?;
    let pid = hear("")?;
    let child = Command::new(heaptide)
        .args(["attach", &pid, "--duration", &format!("{seconds}s")])
        .args(["--force", "--output"])
        .arg(case.recording(folder))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut heaptide = Running(child);
    let stderr = heaptide.0.stderr.take().context("it was piped")?;
    let mut messages = BufReader::new(stderr).lines();
    let mut said = String::new();
    for line in messages.by_ref() {
        let line = line?;
        said.push_str(&line);
        if line.contains("recording to ") {
            break;
        }
    }
    if let Some(orders) = program.0.stdin.as_mut() {
        writeln!(orders, "begin")?;
    }
    for line in messages {
        said.push_str(&line?);
    }
    let status = heaptide.0.wait()?;
    ensure!(status.success(), "heaptide ended with {status}: {said}");
    Ok(fs::write(case.culprit(folder), hear("done")?)?)
}

/// What heaptide says of a case that was recorded.
pub(super) fn judge(heaptide: &Path, folder: &Path, case: &Case) -> Result<Outcome> {
    let report = Tool::new(heaptide)
        .arg("report")
        .arg(case.recording(folder))
        .args(["--format", "json"])
        .capture()?;
    let culprit = fs::read_to_string(case.culprit(folder))?.parse().ok();
    let report = serde_json::from_str(&report)?;
    outcome(case, &report, culprit).context("the report lacks a verdict")
}

fn outcome(case: &Case, report: &Value, culprit: Option<u64>) -> Option<Outcome> {
    let group = report.get("group")?;
    let is_right = |it: &Value| it["pattern"] == case.scenario.pattern.as_str();
    // If the whole is named rightly, but not the process, then that is what was said wrongly.
    let processes = report.get("processes")?.as_array()?;
    let blamed = processes
        .iter()
        .find(|it| culprit.is_some() && it["pid"].as_u64() == culprit);
    let verdict = match blamed {
        Some(process) if is_right(group) && !is_right(process) => process,
        _ => group,
    };
    let evidence = verdict["evidence"].as_array()?.iter();
    Some(Outcome {
        scenario: case.scenario.name.clone(),
        seed: case.seed,
        seconds: case.seconds,
        pattern: case.scenario.pattern.clone(),
        said: verdict["pattern"].as_str()?.to_owned(),
        confidence: verdict["confidence"].as_f64()?,
        evidence: evidence
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(group: &str, process: &str, culprit: Option<u64>) -> String {
        let case = Case {
            scenario: Scenario {
                name: "leak".to_owned(),
                pattern: "retained-growth".to_owned(),
            },
            seed: 1,
            seconds: 45,
        };
        let verdict =
            |pattern: &str| json!({"pattern": pattern, "confidence": 0.9, "evidence": []});
        let mut blamed = verdict(process);
        blamed["pid"] = 7.into();
        let report = json!({"group": verdict(group), "processes": [blamed]});
        outcome(&case, &report, culprit).unwrap().said
    }

    #[test]
    fn the_process_to_blame_has_to_be_right_too() {
        assert_eq!(said("steady", "steady", None), "steady");
        assert_eq!(said("retained-growth", "steady", None), "retained-growth");
        assert_eq!(said("retained-growth", "steady", Some(7)), "steady");
        assert_eq!(said("mixed", "retained-growth", Some(7)), "mixed");
    }
}
