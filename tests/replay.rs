//! Recordings of each format that there ever was, and what is said of them: byte for byte what was
//! said when they were accepted, and every time the same. They need no privileges.
//!
//! `HEAPTIDE_UPDATE=1` accepts what is said now.

use std::{env, fs, io::Read as _, path::Path, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::{DeflateDecoder, GzDecoder};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{
    golden::{Golden, formats, newest, recordings},
    heaptide::{Output, binary, heaptide, output},
};

/// The exit codes of `docs/cli.md`.
const MISUSE: i32 = 2;
const BAD_RECORDING: i32 = 5;

/// What is written of each recording: the file that keeps it, and how it is asked for.
const OUTPUTS: [(&str, &[&str]); 9] = [
    ("report.txt", &["report", "RECORDING"]),
    ("report.json", &["report", "RECORDING", "--format", "json"]),
    (
        "redacted.txt",
        &["report", "RECORDING", "--redact", "names"],
    ),
    ("retained.svg", &["flamegraph", "RECORDING", "-o"]),
    (
        "allocated.folded",
        &[
            "export",
            "RECORDING",
            "--metric",
            "allocated",
            "--format",
            "folded",
        ],
    ),
    (
        "retained.folded",
        &[
            "export",
            "RECORDING",
            "--format",
            "folded",
            "--redact",
            "paths",
        ],
    ),
    (
        "speedscope.json",
        &["export", "RECORDING", "--format", "speedscope", "-o"],
    ),
    ("table.csv", &["export", "RECORDING", "--format", "csv"]),
    (
        "pprof.pb",
        &["export", "RECORDING", "--format", "pprof", "-o"],
    ),
];

/// What is written of a pair.
const PAIR: [(&str, &[&str]); 4] = [
    ("diff.txt", &["diff", "before.heaptide", "after.heaptide"]),
    (
        "diff.json",
        &[
            "diff",
            "before.heaptide",
            "after.heaptide",
            "--format",
            "json",
        ],
    ),
    (
        "diff.svg",
        &[
            "diff",
            "before.heaptide",
            "after.heaptide",
            "--format",
            "svg",
            "-o",
        ],
    ),
    (
        "redacted.txt",
        &[
            "diff",
            "before.heaptide",
            "after.heaptide",
            "--redact",
            "names",
        ],
    ),
];

/// Pages, which are not kept: how they look changes often, and what they say is in the rest.
const PAGE: (&str, &[&str]) = (
    "page.html",
    &["report", "RECORDING", "--format", "html", "-o"],
);
const PAGE_OF_A_PAIR: (&str, &[&str]) = (
    "page.html",
    &[
        "diff",
        "before.heaptide",
        "after.heaptide",
        "--format",
        "html",
        "-o",
    ],
);

/// What heaptide writes, to stdout or else into a file.
#[track_caller]
fn written(golden: &Golden, arguments: &[&str]) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("output").display().to_string();
    let into_file = arguments.last() == Some(&"-o");
    let mut arguments = arguments.to_vec();
    if into_file {
        arguments.push(&file);
    }
    let said = golden.heaptide(&arguments);
    assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.stderr);
    if !into_file {
        return said.stdout.into_bytes();
    }
    assert_eq!(said.stdout, "");
    fs::read(&file).unwrap()
}

/// What of an output is kept: a profile as it is before it is compressed, since how well that is
/// done may change, and a drawing without the program in it, which is of the library that draws.
fn plain(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    if Path::new(name).extension() == Some("pb".as_ref()) {
        let mut plain = Vec::new();
        let mut decoder = GzDecoder::new(bytes.as_slice());
        decoder.read_to_end(&mut plain).unwrap();
        return plain;
    }
    if Path::new(name).extension() == Some("svg".as_ref()) {
        return without_script(&String::from_utf8(bytes).unwrap()).into_bytes();
    }
    if Path::new(name).extension() == Some("html".as_ref()) {
        return with_data(&String::from_utf8(bytes).unwrap()).into_bytes();
    }
    bytes
}

/// A drawing of nothing has none.
fn without_script(drawing: &str) -> String {
    let Some((before, rest)) = drawing.split_once("<script") else {
        return drawing.to_owned();
    };
    let (_, after) = rest.split_once("</script>").unwrap();
    format!("{before}{after}")
}

/// A page with the data in it unpacked.
fn with_data(page: &str) -> String {
    let mut parts = page.split(" id=\"data-");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("\">").unwrap();
        let (packed, rest) = rest.split_once("</script>").unwrap();
        let packed = STANDARD.decode(packed).unwrap();
        let mut data = String::new();
        DeflateDecoder::new(packed.as_slice())
            .read_to_string(&mut data)
            .unwrap();
        let is_drawing = name.starts_with("flame-");
        plain.push_str(&if is_drawing {
            without_script(&data)
        } else {
            data
        });
        plain.push_str(rest);
    }
    plain
}

/// Compares what is written with what is kept.
#[track_caller]
fn check(golden: &Golden, kept: &Path, outputs: &[(&str, &[&str])]) {
    for (name, arguments) in outputs {
        let first = written(golden, arguments);
        assert_eq!(first, written(golden, arguments), "{arguments:?} differs");
        let now = plain(name, first);
        let file = kept.join(name);
        if env::var("HEAPTIDE_UPDATE").is_ok_and(|value| value == "1") {
            fs::create_dir_all(kept).unwrap();
            fs::write(&file, &now).unwrap();
        }
        let accepted = fs::read(&file).unwrap_or_default();
        let texts = [&accepted, &now].map(|it| String::from_utf8_lossy(it).into_owned());
        let mut lines = texts[0].lines().zip(texts[1].lines());
        let differing = lines.find(|(accepted, now)| accepted != now);
        assert!(
            accepted == now,
            "{} is not what is said now, first in {differing:#?}: look at it, and if it is right, \
             accept it with HEAPTIDE_UPDATE=1",
            file.display()
        );
    }
}

#[test]
fn each_recording_is_reported_as_it_ever_was() {
    for golden in recordings() {
        let kept = golden.folder.join(golden.name());
        check(&golden, &kept, &OUTPUTS);
    }
}

#[test]
fn each_pair_is_compared_as_it_ever_was() {
    for folder in formats() {
        let golden = Golden {
            folder: folder.clone(),
            file: "before.heaptide".to_owned(),
        };
        check(&golden, &folder.join("pair"), &PAIR);
    }
}

#[test]
fn there_is_a_recording_of_each_format() {
    let (folders, all) = (formats(), recordings());
    for (format, folder) in (1_i64..).zip(&folders) {
        assert!(folder.ends_with(format!("v{format}")), "{folder:?}");
        for golden in all.iter().filter(|it| it.folder == *folder) {
            let connection = Connection::open(golden.path()).unwrap();
            let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
            assert_eq!(found, Ok(format), "{golden:?}");
        }
    }
    let documented = include_str!("../docs/recording-format.md");
    let newest = format!(
        "| `user_version` | the format, `{}` on this page |",
        folders.len()
    );
    assert!(documented.contains(&newest), "{newest}");
}

/// Words that the programs under test have and nobody else.
const SECRETS: [&str; 7] = [
    "/srv",
    "shop",
    "basket",
    "remember",
    "leaky",
    "service.py",
    "keep_strings",
];

#[test]
fn pages_have_their_data_in_them() {
    let page = plain("page.html", written(&newest("service"), PAGE.1));
    let page = String::from_utf8(page).unwrap();
    for told in ["\"retained\":{\"estimate\":[", "<svg", "keep_strings"] {
        assert!(page.contains(told), "{told} is missing");
    }
}

#[test]
fn nothing_that_was_hidden_is_in_any_output() {
    let hides = |level: &str, words: &[&str]| {
        for golden in recordings() {
            let pair = PAIR.iter().chain([&PAGE_OF_A_PAIR]);
            let pair = pair.filter(|_| golden.name() == "before");
            for (name, arguments) in OUTPUTS.iter().chain([&PAGE]).chain(pair) {
                let mut redacted: Vec<&str> = arguments.to_vec();
                redacted.retain(|it| !["--redact", "names", "paths"].contains(it));
                redacted.insert(redacted.len().min(2), "--redact");
                redacted.insert(3, level);
                let now = plain(name, written(&golden, &redacted));
                let text = String::from_utf8_lossy(&now).to_lowercase();
                for word in words {
                    let found = text
                        .find(word)
                        .map(|at| &text[at.saturating_sub(80)..at + 20]);
                    assert_eq!(found, None, "{redacted:?} tells `{word}`");
                }
            }
        }
    };
    hides("names", &SECRETS);
    hides("paths", &SECRETS[..1]);
}

/// Each verb that reads a recording, asked for this file.
fn each_verb(file: &str) -> Vec<(String, Output)> {
    let good = newest("before").path().display().to_string();
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out").display().to_string();
    let mut asked: Vec<Vec<&str>> = vec![
        vec!["report", file],
        vec!["report", file, "--format", "json"],
        vec!["flamegraph", file, "-o", &out],
        vec!["diff", file, &good],
        vec!["diff", &good, file],
        vec!["diff", file, &good, "--format", "svg", "-o", &out],
    ];
    for format in ["pprof", "folded", "speedscope", "csv"] {
        asked.push(vec!["export", file, "--format", format, "-o", &out]);
    }
    let answer = |arguments: Vec<&str>| (arguments.join(" "), heaptide(&arguments));
    let answers = asked.into_iter().map(answer).collect();
    assert!(
        !Path::new(&out).exists(),
        "an output of nothing was written"
    );
    answers
}

#[test]
fn a_file_that_is_no_good_recording_is_refused_by_every_verb() {
    let bytes = fs::read(newest("before").path()).unwrap();
    let folder = TempDir::new().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let changed = |name: &str, sql: &str| {
        let path = file(name, &bytes);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    };
    let mut scribbled = bytes.clone();
    scribbled[3 * 4096..5 * 4096].fill(0xa5);
    for (file, what) in [
        (file("empty", b""), "it is empty"),
        (file("foreign", b"import os\n"), "not an SQLite file"),
        (
            changed("another", "PRAGMA application_id = 7"),
            "another program",
        ),
        (changed("future", "PRAGMA user_version = 1000"), "newer"),
        (changed("old", "PRAGMA user_version = 0"), "no format 0"),
        (changed("altered", "DROP TABLE census"), "census"),
        (
            changed("wrong", "UPDATE change SET bytes_in = -5"),
            "bytes_in",
        ),
        (file("cut", &bytes[..bytes.len() / 2 + 100]), "cut short"),
        (file("shorter", &bytes[..8 * 4096]), "damaged"),
        (file("scribbled", &scribbled), "damaged"),
        (folder.path().display().to_string(), "it is a folder"),
        (folder.path().join("none").display().to_string(), "none"),
    ] {
        for (asked, answer) in each_verb(&file) {
            assert!(answer.stderr.contains(what), "{asked}: {}", answer.stderr);
            answer.expect_refusal(BAD_RECORDING, &[&file]);
        }
    }
}

#[test]
fn a_process_that_was_not_recorded_is_refused_by_every_verb() {
    let golden = newest("service");
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out").display().to_string();
    for arguments in [
        &["report", "RECORDING"][..],
        &["report", "RECORDING", "--format", "json"],
        &["flamegraph", "RECORDING", "-o", &out],
        &["export", "RECORDING", "--format", "csv"],
        &["export", "RECORDING", "--format", "pprof", "-o", &out],
        &["diff", "RECORDING", "RECORDING"],
    ] {
        let said = golden.heaptide(&[arguments, &["--pid", "1"]].concat());
        said.expect_refusal(MISUSE, &["process 1 is not in", "holds the processes"]);
    }
}

#[test]
fn a_recording_that_is_still_written_is_readable_and_says_so() {
    let golden = newest("service");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("open.heaptide");
    fs::copy(golden.path(), &path).unwrap();
    // As a heaptide that records leaves it between two seconds: in a log beside the file.
    let writer = Connection::open(&path).unwrap();
    let mode: String = writer
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    let sql = "PRAGMA wal_autocheckpoint = 0; UPDATE meta SET value = 0 WHERE key = 'complete'; \
               UPDATE meta SET value = 0 WHERE key = 'duration_ns'; DELETE FROM survivor";
    writer.execute_batch(sql).unwrap();
    let file = path.display().to_string();
    let says_so = "still being written";
    let run = |arguments: &[&str]| {
        let said = output(Command::new(binary()).args(arguments));
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.stderr);
        said
    };
    let text = run(&["report", &file])
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        text.contains(says_so) && text.contains("keep_strings"),
        "{text}"
    );
    let json = run(&["report", &file, "--format", "json"]).stdout;
    assert!(json.contains("\"complete\": false"), "{json}");
    let out = folder.path().join("out").display().to_string();
    assert!(
        run(&["flamegraph", &file, "-o", &out])
            .stderr
            .contains(says_so)
    );
    assert!(fs::read_to_string(&out).unwrap().contains("keep_strings"));
    let exported = run(&["export", &file, "--format", "folded"]);
    assert!(exported.stderr.contains(says_so) && exported.stdout.contains("keep_strings"));
    let good = golden.path().display().to_string();
    let compared = run(&["diff", &good, &file]).stdout;
    let compared = compared.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(compared.contains("still being written"), "{compared}");
    // And nobody was in the writer's way.
    writer
        .execute_batch("UPDATE meta SET value = 1 WHERE key = 'complete'")
        .unwrap();
}

#[test]
fn recordings_that_cannot_be_compared_are_refused_by_name() {
    let golden = newest("before");
    let diff = |other: &str, more: &[&str]| {
        golden.heaptide(&[&["diff", "RECORDING", other], more].concat())
    };
    let mode = diff("leak.heaptide", &[]);
    mode.expect_refusal(
        MISUSE,
        &["BEFORE followed every allocation", "AFTER did not"],
    );
    let program = diff("service.heaptide", &[]);
    program.expect_refusal(
        MISUSE,
        &["different programs", "shop.py leaky", "service.py"],
    );
    let hidden = diff("service.heaptide", &["--redact", "names"]);
    hidden.expect_refusal(MISUSE, &["`command-1` and `command-2`"]);
    assert!(!hidden.stderr.contains("shop"), "{}", hidden.stderr);
    let command = diff("after.heaptide", &[]);
    assert_eq!(command.code, Some(0), "{}", command.stderr);
    assert!(
        command
            .stdout
            .contains("the commands differ: `python3.11 shop.py leaky`")
    );
    let unfinished = diff("killed.heaptide", &[]);
    let words: Vec<&str> = unfinished.stdout.split_whitespace().collect();
    let words = words.join(" ");
    for warning in [
        "AFTER was not ended in order, or is still being written",
        "AFTER is very short",
    ] {
        assert!(words.contains(warning), "{words}");
    }
}
