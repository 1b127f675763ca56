//! What `heaptide diff` says of recordings of real programs.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{Ended, Heaptide, Program, heaptide::heaptide, host::python, program::place};

/// The exit codes of `docs/cli.md`.
const MISUSE: i32 = 2;
const BAD_RECORDING: i32 = 5;
const REGRESSED: i32 = 10;

/// How long programs are recorded: slices of time have to be compared with one another.
const SECONDS: &str = "12s";

/// Compares two recordings.
#[track_caller]
fn diff(before: &Path, after: &Path) -> Value {
    let [before, after] = [before, after].map(|path| path.display().to_string());
    let output = heaptide(&["diff", &before, &after, "--format", "json"]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

/// Records programs with these arguments, all at the same time.
fn recorded(arguments: &[&str]) -> Option<Vec<Ended>> {
    let python = python()?;
    let programs: Vec<Program> = (arguments.iter())
        .map(|argument| Program::start_with(&python, "keeps_at_a_pace", &[argument]))
        .collect();
    let heaptides: Vec<Heaptide> = (programs.iter())
        .map(|program| Heaptide::attach_with(program, &["-d", SECONDS]))
        .collect();
    Some(heaptides.into_iter().map(Heaptide::wait).collect())
}

/// What became of the line that keeps.
fn of_line(diff: &Value) -> &Value {
    let line = place("keeps_at_a_pace", "keeps").line;
    let mut lines = diff["lines"].as_array().unwrap().iter();
    let found = lines.find(|it| it["was"]["line"] == line);
    found.unwrap_or_else(|| panic!("line {line} is not in {diff:#}"))
}

#[test]
fn a_leak_and_its_end_are_told_from_no_change() {
    let Some(ended) = recorded(&["leaky", "leaky", "mended"]) else {
        return;
    };
    let [leaky, again, mended] = [0, 1, 2].map(|index| ended[index].recording.as_path());

    let fixed = diff(leaky, mended);
    assert_eq!(fixed["verdict"], "improved", "{fixed:#}");
    assert_eq!(of_line(&fixed)["retained"]["verdict"], "improved");
    let broken = diff(mended, leaky);
    assert_eq!(broken["verdict"], "regressed", "{broken:#}");
    let same = diff(leaky, again);
    for line in same["lines"].as_array().unwrap() {
        let verdict = line["retained"]["verdict"].as_str().unwrap();
        assert!(["unchanged", "cannot-tell"].contains(&verdict), "{line:#}");
    }
    let retained = &same["total"]["retained"]["verdict"];
    assert!(
        retained == "unchanged" || retained == "cannot-tell",
        "{same:#}"
    );

    let [leaky, mended] = [leaky, mended].map(|path| path.display().to_string());
    let gate = |before: &str, after: &str| heaptide(&["diff", before, after, "--fail-above", "5"]);
    assert_eq!(gate(&mended, &leaky).code, Some(REGRESSED));
    let text = gate(&leaky, &mended);
    assert_eq!(text.code, Some(0), "{}", text.stderr);
    assert!(
        text.stdout.contains("verdict     improved"),
        "{}",
        text.stdout
    );
    assert!(
        text.stdout.contains("keeps_at_a_pace.py:"),
        "{}",
        text.stdout
    );
    draws_what_is_gone(&leaky, &mended, &ended[0]);
    refuses_what_it_cannot_compare(&leaky, &ended[0]);
}

fn draws_what_is_gone(leaky: &str, mended: &str, ended: &Ended) {
    let file = ended.folder().join("diff.svg").display().to_string();
    let drawn = heaptide(&[
        "diff", leaky, mended, "--format", "svg", "--width", "before", "-o", &file,
    ]);
    assert_eq!(drawn.code, Some(0), "{}", drawn.stderr);
    assert_eq!(drawn.stdout, "");
    let svg = fs::read_to_string(&file).unwrap();
    let title = svg.split("<title>").find(|it| it.starts_with("remember ("));
    let title = title.unwrap_or_else(|| panic!("{file} has no frame of the leak"));
    assert!(
        title.contains("bytes per second") && title.contains("; -"),
        "{title:.200}"
    );
    let nowhere = heaptide(&["diff", leaky, mended, "-o", "/nowhere/diff.txt"]);
    nowhere.expect_refusal(MISUSE, &["there is no folder /nowhere"]);
}

/// Wrong use, and files that are none.
fn refuses_what_it_cannot_compare(recording: &str, ended: &Ended) {
    let request = heaptide(&["diff", recording, recording, "--per", "request"]);
    request.expect_refusal(MISUSE, &["how many requests", "--per second"]);
    let pid = heaptide(&["diff", recording, recording, "--pid", "1"]);
    pid.expect_refusal(
        MISUSE,
        &["process 1 is not in BEFORE", "--pid BEFORE,AFTER"],
    );
    let threshold = heaptide(&["diff", recording, recording, "--fail-above", "much"]);
    threshold.expect_refusal(MISUSE, &["`much`", "percent"]);

    let bytes = fs::read(recording).unwrap();
    let bad = |name: &str, bytes: &[u8]| {
        let path = ended.folder().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let files = [
        (bad("empty", b""), "empty"),
        (bad("foreign", b"import os\n"), "not an SQLite file"),
        (
            bad("cut", &bytes[..bytes.len() / 2 / 4096 * 4096 + 100]),
            "cut short",
        ),
        (ended.folder().join("none").display().to_string(), "none"),
    ];
    for (file, what) in &files {
        heaptide(&["diff", recording, file]).expect_refusal(BAD_RECORDING, &[file, what]);
        heaptide(&["diff", file, recording]).expect_refusal(BAD_RECORDING, &[file, what]);
    }
    let future = bad("future", &bytes);
    let connection = rusqlite::Connection::open(&future).unwrap();
    connection
        .pragma_update(None, "user_version", 1_000)
        .unwrap();
    drop(connection);
    heaptide(&["diff", recording, &future]).expect_refusal(BAD_RECORDING, &["newer"]);
}
