//! What `attach` and `run` have in common: record, then write and print the results.

use std::{fs, path::Path};

use anyhow::Context as _;
use rustix::{
    fs::chown,
    process::{Gid, Uid, geteuid},
};

use super::{
    args::{Common, Format, RecordArgs},
    exit::Incomplete,
    output,
    progress::Bar,
};
use crate::{
    aggregate::{Findings, Selection, Tallies},
    classify::judge,
    profile::Recorded,
    recording,
    report::{FlamegraphOptions, Subject, TextOptions, flamegraph, json, text},
    session::{self, Finished, Options},
};

/// Makes a recording and prints its summary.
pub(super) fn record(
    options: &Options,
    flags: &RecordArgs,
    common: &Common,
) -> anyhow::Result<Finished> {
    if let Some(svg) = &flags.flamegraph {
        output::check_writable(svg)?;
    }
    let mut bar = Bar::new(common);
    let (mut finished, results) = session::record(options, &mut bar, |finished| {
        give_to_caller(&finished.path);
        let recorded = recording::read(&finished.path)?;
        let tallies = Tallies::of(&recorded, &Selection::default());
        let found = tallies.findings();
        if let Some(svg) = &flags.flamegraph {
            draw(&tallies, &found, svg)?;
            give_to_caller(svg);
        }
        print_summary((&recorded, &found), finished, flags, common)
    })?;
    results?;
    match finished.incomplete.take() {
        Some(source) => Err(Incomplete { source }.into()),
        None => Ok(finished),
    }
}

/// Files made through sudo belong to whoever called it.
fn give_to_caller(path: &Path) {
    let id = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    if let (true, Some(uid), Some(gid)) = (geteuid().is_root(), id("SUDO_UID"), id("SUDO_GID")) {
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        // A file that stays root's is a nuisance, not a failure.
        let _kept: rustix::io::Result<()> = chown(path, owner.0, owner.1);
    }
}

fn draw(tallies: &Tallies<'_>, found: &Findings, svg: &Path) -> anyhow::Result<()> {
    let options = FlamegraphOptions::default();
    let weights = tallies.weights(options.metric);
    let drawn = flamegraph(tallies.recorded(), found, &weights, &options)?;
    fs::write(svg, drawn).with_context(|| format!("cannot write {}", svg.display()))
}

fn print_summary(
    (recorded, found): (&Recorded, &Findings),
    finished: &Finished,
    flags: &RecordArgs,
    common: &Common,
) -> anyhow::Result<()> {
    let verdicts = judge(found);
    let subject = Subject {
        recorded,
        findings: found,
        verdicts: &verdicts,
    };
    let written = match flags.format {
        Format::Json => json(&subject),
        Format::Text => {
            let recording = finished.path.display().to_string();
            let svg = flags
                .flamegraph
                .as_ref()
                .map(|svg| svg.display().to_string());
            let mut files = vec![("recording", recording.as_str())];
            files.extend(svg.as_deref().map(|svg| ("flamegraph", svg)));
            let color = output::has_color(common.color, &std::io::stdout());
            text(
                &subject,
                &TextOptions {
                    color,
                    files: &files,
                },
            )
        }
    };
    output::print(&written)
}
