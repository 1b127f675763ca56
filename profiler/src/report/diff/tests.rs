//! What is written about comparisons, as text and as JSON.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::*;
use crate::{
    aggregate::{Selection, Tallies, findings},
    classify::judge,
    compare::{Doubt, Fate, Outcome, Recording, command, compare},
    profile::{Census, Change, Counters, Frame, Interval, Metered, ProcessKey},
    report::{plain::width, sample::Sample, screen::COLUMNS},
    units::Pid,
};

/// Where a line is, and how many bytes it keeps in each second.
type Line<'a> = (&'a str, &'a str, u32, u64);

/// A minute of lines that keep bytes evenly, in a process and a worker.
fn sample(lines: &[Line<'_>]) -> Sample {
    let mut sample = Sample::quiet().process(4712, "python app.py", (1 << 20, 1 << 20));
    let recorded = &mut sample.recorded;
    recorded.processes[1].parent = Pid(4711);
    recorded.facts.duration = Duration::from_mins(1);
    for second in 0..60 {
        let census = |process: u32| Census {
            process: ProcessKey(process),
            time: Duration::from_secs(second + 1),
            rss: 1 << 20,
            ..Census::default()
        };
        recorded.intervals.push(Interval {
            start: Duration::from_secs(second),
            end: Duration::from_secs(second + 1),
            censuses: vec![census(0), census(1)],
            ..Interval::default()
        });
    }
    for (function, file, line, bytes) in lines {
        let frame = recorded.stacks.intern_frame(&Frame {
            function: (*function).to_owned(),
            file: (*file).to_owned(),
            line: *line,
        });
        let stack = recorded.stacks.intern([frame]);
        for interval in &mut recorded.intervals {
            interval.changes.push(Change {
                process: ProcessKey(0),
                stack,
                meter: Metered::Block,
                counters: Counters {
                    bytes_in: *bytes,
                    count_in: bytes / 1000,
                    samples: bytes / 1000,
                    ..Counters::default()
                },
            });
        }
    }
    sample.findings = findings(&sample.recorded, &Selection::default());
    sample.verdicts = judge(&sample.findings);
    sample
}

/// What two samples are written as: text, and JSON.
fn written(before: &Sample, after: &Sample) -> (String, Value) {
    let sides = [before, after];
    let tallies = sides.map(|it| Tallies::of(&it.recorded, &Selection::default()));
    let side = |number: usize| Recording {
        tallies: &tallies[number],
        findings: &sides[number].findings,
        verdicts: &sides[number].verdicts,
        called: command(&sides[number].recorded),
    };
    let comparison = compare(&side(0), &side(1)).unwrap();
    let subject = DiffSubject {
        before: before.subject(),
        after: after.subject(),
        comparison: &comparison,
    };
    let json = serde_json::from_str(&diff_json(&subject)).unwrap();
    (diff_text(&subject, false), json)
}

/// A pair in which all occurs that can.
fn full() -> (String, Value) {
    let before = sample(&[
        ("leak", "/srv/app/leak.py", 4, 90_000),
        ("stays", "/srv/app/old.py", 7, 10_000),
        ("gone", "/srv/app/leak.py", 9, 20_000),
    ]);
    let mut after = sample(&[
        ("leak", "/srv/app/leak.py", 6, 30_000),
        ("stays", "/srv/app/new.py", 7, 10_000),
        ("come", "/srv/app/leak.py", 10, 50_000),
    ]);
    after.recorded.processes[0].python = Some("3.13.0".to_owned());
    written(&before, &after)
}

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/schema/diff-1.json")).unwrap()
}

#[test]
fn what_is_written_is_what_the_schema_describes() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let same = sample(&[("f", "/a.py", 1, 1000)]);
    for json in [full().1, written(&same, &same).1] {
        let errors: Vec<String> = validator
            .iter_errors(&json)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
    }
    let mut wrong = full().1;
    wrong["verdict"] = Value::from("better");
    wrong["lines"][0]["retained"]["percent"] = Value::from("much");
    assert_eq!(validator.iter_errors(&wrong).count(), 2);
}

/// The keys of all objects in a report, or of all objects that a schema describes.
fn keys(value: &Value, described: bool) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        let object = if described {
            value.get("properties")
        } else {
            Some(value)
        };
        if let Some(Value::Object(object)) = object {
            keys.extend(object.keys().cloned());
        }
        match value {
            Value::Object(object) => rest.extend(object.values()),
            Value::Array(items) => rest.extend(items),
            _ => {}
        }
    }
    keys
}

#[test]
fn each_key_is_described_and_each_described_key_is_written() {
    assert_eq!(keys(&full().1, false), keys(&schema(), true));
}

#[test]
fn the_schema_knows_the_names() {
    let schema = schema();
    let outcomes = Outcome::ALL.map(|it| Value::from(it.name()));
    assert_eq!(
        schema["$defs"]["verdict"]["enum"],
        Value::from(outcomes.to_vec())
    );
    let fates = Fate::ALL.map(|it| Value::from(it.name())).to_vec();
    let code = &schema["$defs"]["line"]["properties"]["code"]["enum"];
    assert_eq!(*code, Value::from(fates));
    let mut doubts = Doubt::ALL.map(|it| Value::from(it.name())).to_vec();
    doubts.push(Value::Null);
    assert_eq!(schema["$defs"]["reason"]["enum"], Value::from(doubts));
}

#[test]
fn the_summary_says_what_changed_and_where() {
    let (text, json) = full();
    for words in [
        "verdict     improved: 29.3 KiB per second less retained",
        "pattern     ",
        "leak (app/leak.py:6), was line 4",
        "vanished",
        "gone (app/leak.py:9)",
        "come (app/leak.py:10)",
        "warning     the versions of Python differ",
        "renamed     /srv/app/old.py → /srv/app/new.py",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.lines().all(|line| width(line) <= COLUMNS), "{text}");
    assert_eq!(json["verdict"], "improved");
    assert_eq!(json["lines"][0]["code"], "moved");
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "\u{1b}[31m<b>\u{202e}\n";
    let before = sample(&[(hostile, "/srv/x.py", 4, 90_000)]);
    let after = sample(&[(hostile, "/srv/x.py", 4, 9_000)]);
    let (text, json) = written(&before, &after);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    assert_eq!(json["lines"][0]["is"]["function"], hostile);
}
