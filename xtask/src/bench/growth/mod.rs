//! How often the pattern of growth is told rightly: labelled scenarios, which are real servers.

mod run;
mod score;

use std::fs;

use anyhow::{Context as _, Result, ensure};

use self::run::Scenario;
use crate::{
    exec::{root, say, target},
    interpreters::services,
};

/// Where the tables go, between two markers.
const DOCUMENT: &str = "docs/benchmarks.md";
const BEGIN: &str = "<!-- growth: begin -->\n";
const END: &str = "<!-- growth: end -->\n";

/// Which scenarios, and how often.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Runs of each scenario and duration, each with sizes, rates and phases of its own
    #[arg(long, default_value_t = 3)]
    seeds: u32,
    /// How long to record, in seconds
    #[arg(long, value_delimiter = ',', default_values_t = [45, 120])]
    durations: Vec<u32>,
    /// How many run at the same time
    #[arg(long, default_value_t = 6)]
    jobs: usize,
    /// Record nothing: judge what was recorded before
    #[arg(long)]
    replay: bool,
    /// Write the tables into docs/benchmarks.md
    #[arg(long)]
    write: bool,
    /// Scenarios, by the start of their names; without any, all
    scenarios: Vec<String>,
}

/// Runs the scenarios, and says how often the verdict was right.
pub(super) fn run(options: &Options) -> Result<()> {
    services::make()?;
    let python = services::program().context("the servers were not installed")?;
    let heaptide = super::build()?.join("heaptide");
    let mut scenarios = run::list(&python)?;
    scenarios.retain(|it| is_named(it, &options.scenarios));
    ensure!(!scenarios.is_empty(), "no scenario has such a name");
    let mut cases = Vec::new();
    for seconds in &options.durations {
        for seed in 1..=options.seeds {
            let all = scenarios.iter().cloned();
            cases.extend(all.map(|scenario| run::Case {
                scenario,
                seed,
                seconds: *seconds,
            }));
        }
    }
    let folder = target().join("growth");
    fs::create_dir_all(&folder)?;
    if !options.replay {
        run::record_all(&python, &heaptide, &folder, &cases, options.jobs);
    }
    let mut outcomes = Vec::new();
    for case in &cases {
        match run::judge(&heaptide, &folder, case) {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => say(format_args!("{case} is left out: {error:#}")),
        }
    }
    ensure!(!outcomes.is_empty(), "nothing was recorded");
    let tables = score::markdown(&outcomes);
    if options.write {
        write(&tables)
    } else {
        say(tables);
        Ok(())
    }
}

fn is_named(scenario: &Scenario, starts: &[String]) -> bool {
    starts.is_empty() || starts.iter().any(|it| scenario.name.starts_with(it))
}

/// Puts the tables between the markers.
fn write(tables: &str) -> Result<()> {
    let path = root().join(DOCUMENT);
    let text = fs::read_to_string(&path)?;
    let replaced = between(&text, tables)
        .with_context(|| format!("{DOCUMENT} has no markers `{}`", BEGIN.trim()))?;
    Ok(fs::write(path, replaced)?)
}

fn between(text: &str, new: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, new, END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_markers_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}b\n");
        let expected = format!("a\n{BEGIN}new\n{END}b\n");
        assert_eq!(between(&text, "new\n"), Some(expected));
        assert_eq!(between("a\n", "new\n"), None);
    }

    #[test]
    fn the_document_has_the_markers() {
        let text = fs::read_to_string(root().join(DOCUMENT)).unwrap();
        assert!(between(&text, "").is_some());
    }
}
