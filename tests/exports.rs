//! What other tools make of heaptide's exports.

use std::{env, fs, path::PathBuf, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Heaptide, Program,
    golden::{Golden, newest},
    heaptide::{heaptide, output},
    host::{can_record, has, skip, two_builds},
};

/// An export of a recording that is kept, as a file in a folder of its own.
struct Export {
    folder: TempDir,
    file: PathBuf,
}

impl Export {
    #[track_caller]
    fn of(golden: &Golden, arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("export");
        let path = file.display().to_string();
        let asked = ["export", "RECORDING", "-o", &path];
        let said = golden.heaptide(&[&asked, arguments].concat());
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        Self { folder, file }
    }
}

/// What the report says of it.
fn report(golden: &Golden) -> Value {
    let said = golden.heaptide(&["report", "RECORDING", "--format", "json"]);
    serde_json::from_str(&said.stdout).unwrap()
}

/// The sum of what all lines retain.
fn retained(report: &Value) -> u64 {
    let sites = report["sites"].as_array().unwrap().iter();
    let retained = sites.map(|site| site["retained"]["estimate"].as_u64().unwrap());
    retained.sum()
}

/// Where `cargo xtask test` has put what reads exports.
#[track_caller]
fn readers() -> Option<PathBuf> {
    let place = env::var_os("HEAPTIDE_READERS").map(PathBuf::from);
    if place.is_none() {
        skip("pandas and speedscope's schema were not got by `cargo xtask test`");
    }
    place
}

/// Asks Go's pprof.
#[track_caller]
fn pprof(export: &Export, arguments: &[&str]) -> String {
    let mut command = Command::new("go");
    command
        .args(["tool", "pprof", "-symbolize=none"])
        .args(arguments)
        .arg(&export.file)
        .env("HOME", export.folder.path());
    let said = output(&mut command);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    said.stdout
}

#[test]
fn pprof_knows_lines_processes_and_patterns() {
    if !has("go") {
        return;
    }
    let golden = newest("service");
    let export = Export::of(&golden, &["--format", "pprof"]);
    let top = pprof(&export, &["-top", "-unit=B"]);
    assert!(top.contains("Type: inuse_space"), "{top}");
    let first = top.lines().skip_while(|it| !it.contains("flat%")).nth(1);
    assert!(
        first.is_some_and(|it| it.ends_with(" keep_strings")),
        "{top}"
    );
    let total = format!("of {}B total", retained(&report(&golden)));
    assert!(top.contains(&total), "{total}: {top}");
    let lines = pprof(&export, &["-top", "-lines"]);
    assert!(
        lines.contains("keep_strings /srv/shop/service.py:19"),
        "{lines}"
    );

    let tags = pprof(&export, &["-tags"]);
    let report = report(&golden);
    for process in report["processes"].as_array().unwrap() {
        let is_in = |value: &str| tags.split_whitespace().any(|it| it == value);
        let pid = process["pid"].to_string();
        // Go shows only what weighs something.
        if process["retained"]["estimate"].as_u64() != Some(0) {
            assert!(is_in(&pid), "{pid}: {tags}");
            assert!(is_in(process["pattern"].as_str().unwrap()), "{tags}");
        }
    }
    for kind in [
        "alloc_space",
        "alloc_objects",
        "resident_space",
        "mapped_space",
    ] {
        let top = pprof(&export, &["-top", &format!("-sample_index={kind}")]);
        assert!(top.contains(&format!("Type: {kind}")), "{top}");
    }
}

#[test]
fn pprof_tells_the_threads_of_a_program_apart() {
    if !can_record() || !has("go") {
        return;
    }
    for python in two_builds() {
        let mut program = Program::start(&python, "works_in_threads");
        let recorder = Heaptide::attach(&program);
        for order in ["keep early", "start", "keep late", "keep early"] {
            program.step(order);
        }
        let ended = recorder.stop();
        ended.report().expect_no_losses();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("export");
        let recording = ended.folder().join("test.heaptide");
        let [from, to] = [&recording, &file].map(|it| it.to_str().unwrap());
        let said = heaptide(&["export", from, "--format", "pprof", "-o", to]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let export = Export { folder, file };
        for (thread, bytes) in [("early", 2_000_000), ("late", 2_000_000)] {
            let focus = format!("-tagfocus=thread=^{thread}$");
            let top = pprof(&export, &["-top", "-unit=B", "-nodecount=1", &focus]);
            let line = top.lines().last().unwrap();
            assert!(line.ends_with(thread), "{top}");
            let kept: f64 = line.split('B').next().unwrap().trim().parse().unwrap();
            assert!((kept / f64::from(bytes) - 1.0).abs() < 0.01, "{top}");
        }
        let tags = pprof(&export, &["-tags"]);
        assert!(tags.contains("tid: Total"), "{tags}");
    }
}

#[test]
fn speedscopes_schema_accepts_what_is_written_for_it() {
    let Some(readers) = readers() else {
        return;
    };
    let schema = "node_modules/speedscope/dist/release/file-format-schema.json";
    let schema = fs::read_to_string(readers.join(schema)).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (golden, metric) in [
        (newest("service"), "retained"),
        (newest("leak"), "allocations"),
        (newest("killed"), "mapped"),
    ] {
        let export = Export::of(&golden, &["--format", "speedscope", "--metric", metric]);
        let file = fs::read_to_string(&export.file).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&file)
            .map(|it| it.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let mut broken = file.clone();
        broken["profiles"][0]["weights"] = Value::from("none");
        assert!(!validator.is_valid(&broken), "the schema accepts anything");
    }
}

/// Reads the table with pandas, and says what it knows.
const PANDAS: &str = "
import json, sys, pandas
table = pandas.read_csv(sys.argv[1])
heaviest = table.loc[table.retained.idxmax()]
print(json.dumps({
    'rows': len(table),
    'retained': int(table.retained.sum()),
    'line': int(heaviest.line),
    'file': heaviest.file,
    'numbers': [str(table[name].dtype) for name in ('retained', 'samples', 'mapped')],
    'reals': str(table.share_of_growth_percent.dtype),
}))
";

#[test]
fn pandas_reads_the_table() {
    let Some(readers) = readers() else {
        return;
    };
    for golden in ["leak", "service"].map(newest) {
        let export = Export::of(&golden, &["--format", "csv"]);
        let mut python = Command::new(readers.join("python/bin/python"));
        let said = output(python.args(["-c", PANDAS]).arg(&export.file));
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let table: Value = serde_json::from_str(&said.stdout).unwrap();
        let report = report(&golden);
        let first = &report["sites"][0];
        assert_eq!(table["rows"], report["sites"].as_array().unwrap().len());
        assert_eq!(table["retained"], retained(&report));
        assert_eq!(
            [&table["line"], &table["file"]],
            [&first["line"], &first["file"]]
        );
        assert_eq!(
            table["numbers"],
            serde_json::json!(["int64", "int64", "int64"])
        );
        assert_eq!(table["reals"], "float64");
    }
}

#[test]
fn inferno_draws_folded_stacks() {
    let golden = newest("service");
    let export = Export::of(&golden, &["--format", "folded"]);
    let folded = fs::read_to_string(&export.file).unwrap();
    let mut options = inferno::flamegraph::Options::default();
    options.count_name = "bytes".to_owned();
    let mut svg = Vec::new();
    inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    assert!(
        svg.contains("<title>keep_strings (shop/service.py:19)"),
        "{svg:.3000}"
    );
    let sum = retained(&report(&golden)).to_string();
    let all = svg.split("<title>all (").nth(1).unwrap();
    let all = all.split(' ').next().unwrap().replace(',', "");
    assert_eq!(all, sum);
}
