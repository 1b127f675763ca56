//! Nothing that was hidden is in any output.

use std::{io::Read as _, time::Duration};

use flate2::read::GzDecoder;

use super::{files::Parts, *};
use crate::{
    aggregate::{Findings, Metric, Selection, Tallies, findings, weigh},
    classify::{Verdicts, judge},
    compare::{Recording, command, compare},
    profile::{CgroupCensus, Change, Counters, Interval, Metered, ProcessKey},
    report::{
        DiffSubject, Differential, FlamegraphOptions, Subject, TextOptions, Widths, diff_json,
        diff_text, differential, flamegraph, folded, json, per_second, pprof, speedscope, table,
        text,
    },
};

/// Frames of all kinds, with `secret` in what `paths` hides and `hidden` in what only `names` does.
const FRAMES: [(&str, &str, u32); 8] = [
    ("<module>", "/srv/secret/hidden_main.py", 3),
    (
        "hidden_run",
        "/home/secret/lib/python3.12/site-packages/hidden_web/app.py",
        9,
    ),
    ("hidden_made", "<hidden generated>", 1),
    ("<lambda>", "<doctest /srv/secret/hidden_doc>", 1),
    ("hidden_typed", "<string>", 2),
    (
        "JSONDecoder.decode",
        "/opt/secret/lib/python3.12/json/decoder.py",
        353,
    ),
    (
        "hidden_patch",
        "/usr/lib/python3.12/secret_patch/hidden.py",
        1,
    ),
    ("Hidden.leak", "hidden_relative.py", 17),
];

fn recorded(worker: &str) -> Recorded {
    let process = |pid: u32, parent: u32, command: &str| ProcessRecord {
        pid: Pid(pid),
        inner_pid: None,
        parent: Pid(parent),
        command: command.to_owned(),
        python: Some("3.12.1".to_owned()),
        started: Duration::ZERO,
        ended: None,
    };
    let command = "/opt/secret/bin/python /srv/secret/hidden_main.py --hidden --root=/var/secret";
    let mut recorded = Recorded {
        facts: Facts {
            heaptide: "0.1.0".to_owned(),
            duration: Duration::from_secs(8),
            complete: true,
            kernel: "6.18.0-hidden-west".to_owned(),
            target: format!("{command} (pid 4711)"),
            notes: vec!["process 4711: `/srv/secret/lib.so` is not known".to_owned()],
            ..Facts::default()
        },
        processes: vec![process(4711, 1, command), process(4712, 4711, worker)],
        ..Recorded::default()
    };
    let mut stack = crate::profile::StackId::ROOT;
    let mut changes = Vec::new();
    for (function, file, line) in FRAMES {
        let frame = recorded.stacks.intern_frame(&Frame {
            function: function.to_owned(),
            file: file.to_owned(),
            line,
        });
        stack = recorded.stacks.intern_call(stack, frame);
        for process in [0, 1].map(ProcessKey) {
            changes.push(Change {
                process,
                stack,
                meter: Metered::Block,
                counters: Counters {
                    bytes_in: 1 << 20,
                    count_in: 1 << 8,
                    samples: 1 << 8,
                    ..Counters::default()
                },
            });
        }
    }
    changes.sort_unstable_by_key(|it| (it.process, it.stack));
    recorded.intervals = (0..8)
        .map(|second| Interval {
            start: Duration::from_secs(second),
            end: Duration::from_secs(second + 1),
            changes: changes.clone(),
            cgroups: vec![CgroupCensus {
                path: "/secret.slice/hidden.service".to_owned(),
                time: Duration::from_secs(second + 1),
                limit: Some(1 << 30),
                ..CgroupCensus::default()
            }],
            ..Interval::default()
        })
        .collect();
    recorded
}

struct Said {
    recorded: Recorded,
    findings: Findings,
    verdicts: Verdicts,
}

impl Said {
    fn of(recorded: Recorded) -> Self {
        let findings = findings(&recorded, &Selection::default());
        Self {
            verdicts: judge(&findings),
            findings,
            recorded,
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            recorded: &self.recorded,
            findings: &self.findings,
            verdicts: &self.verdicts,
        }
    }

    fn tallies(&self) -> Tallies<'_> {
        Tallies::of(&self.recorded, &Selection::default())
    }

    fn recording<'a>(&'a self, tallies: &'a Tallies<'a>, called: &'a str) -> Recording<'a> {
        Recording {
            tallies,
            findings: &self.findings,
            verdicts: &self.verdicts,
            called,
        }
    }
}

/// All that can be written of a recording, by format.
fn written(recorded: Recorded) -> Vec<(&'static str, String)> {
    let said = Said::of(recorded);
    let (subject, all) = (said.subject(), Selection::default());
    let weights = weigh(&said.recorded, &all, Metric::Retained);
    let options = FlamegraphOptions::default();
    let svg = flamegraph(&said.recorded, &said.findings, &weights, &options).unwrap();
    let mut profile = Vec::new();
    let compressed = pprof(&subject, &all, Metric::Retained).unwrap();
    GzDecoder::new(compressed.as_slice())
        .read_to_end(&mut profile)
        .unwrap();
    let text_options = TextOptions {
        color: false,
        files: &[],
    };
    let plain = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    vec![
        ("text", text(&subject, &text_options)),
        ("json", json(&subject)),
        ("svg", plain(svg)),
        ("pprof", plain(profile)),
        ("folded", folded(&said.recorded, &all, Metric::Retained)),
        ("speedscope", speedscope(&subject, &all, Metric::Retained)),
        ("csv", plain(table(&said.findings).unwrap())),
    ]
}

/// All that can be written of a comparison, by format.
fn compared(level: Redaction) -> Vec<(&'static str, String)> {
    let mut redactor = Redactor::new(level);
    let sides = ["gunicorn: hidden [app]", "gunicorn: hidden2"].map(|it| Said::of(recorded(it)));
    let called = (sides.each_ref()).map(|it| redactor.command(command(&it.recorded)));
    let tallies = [0, 1].map(|side| sides[side].tallies());
    let sides_called = [0, 1].map(|side| sides[side].recording(&tallies[side], &called[side]));
    let comparison = compare(&sides_called[0], &sides_called[1]).unwrap();
    let comparison = redactor.comparison(comparison);
    let [before, after] = sides.map(|it| Said::of(redactor.recorded(it.recorded)));
    let subject = DiffSubject {
        before: before.subject(),
        after: after.subject(),
        comparison: &comparison,
    };
    let rates = [&before, &after].map(|it| {
        let weights = weigh(&it.recorded, &Selection::default(), Metric::Retained);
        per_second(&weights, it.findings.duration)
    });
    let svg = differential(&Differential {
        recorded: [&before.recorded, &after.recorded],
        same: &comparison.same,
        rates: [&rates[0], &rates[1]],
        widths: Widths::After,
    });
    vec![
        ("diff text", diff_text(&subject, false)),
        ("diff json", diff_json(&subject)),
        ("diff svg", String::from_utf8(svg.unwrap()).unwrap()),
    ]
}

#[track_caller]
fn check_hidden(outputs: &[(&str, String)], words: &[&str]) {
    for (format, output) in outputs {
        let lower = output.to_lowercase();
        for word in words {
            let found = lower.find(word).map(|at| &lower[at.saturating_sub(60)..]);
            assert_eq!(found, None, "{format} tells `{word}`");
        }
    }
}

#[test]
fn without_redaction_all_is_told() {
    for (format, output) in written(recorded("gunicorn: hidden")) {
        assert!(output.to_lowercase().contains("hidden"), "{format}");
    }
}

#[test]
fn no_folder_is_in_any_output() {
    let hidden = Redactor::new(Redaction::Paths).recorded(recorded("gunicorn: hidden"));
    let outputs = written(hidden);
    check_hidden(&outputs, &["secret"]);
    check_hidden(&compared(Redaction::Paths), &["secret"]);
    for (format, output) in outputs {
        assert!(output.contains("hidden_main.py"), "{format} has the file");
        assert!(
            output.contains("json/decoder.py"),
            "{format}: {output:.600}"
        );
    }
}

#[test]
fn no_name_is_in_any_output() {
    let hidden = Redactor::new(Redaction::Names).recorded(recorded("gunicorn: hidden"));
    let outputs = written(hidden);
    check_hidden(&outputs, &["secret", "hidden_", "hidden.", "gunicorn"]);
    check_hidden(
        &compared(Redaction::Names),
        &["secret", "hidden_", "hidden.", "gunicorn"],
    );
    for (format, output) in outputs {
        assert!(output.contains("JSONDecoder.decode"), "{format}");
    }
}

#[test]
fn the_same_thing_has_the_same_number() {
    let mut redactor = Redactor::new(Redaction::Names);
    let files = [
        "/srv/a/x.py",
        "/srv/b/x.py",
        "/srv/a/y.pyx",
        "/srv/a/x.py",
        "/srv/a/__init__.py",
    ];
    assert_eq!(
        files.map(|file| redactor.file(file)),
        [
            "dir-1/file-1.py",
            "dir-2/file-1.py",
            "dir-1/file-2.pyx",
            "dir-1/file-1.py",
            "dir-1/__init__.py"
        ]
    );
    let commands = [
        "python /srv/a/x.py --port 80",
        "python /srv/b/x.py --port 81",
    ];
    assert_eq!(commands.map(|it| redactor.command(it)), ["command-1"; 2]);
}

#[test]
fn whose_code_it_is_can_still_be_told() {
    use crate::report::Owner;
    for level in [Redaction::Paths, Redaction::Names] {
        let mut redactor = Redactor::new(level);
        for (file, owner) in [
            ("/srv/app/leak.py", Owner::Own),
            ("<string>", Owner::Own),
            (
                "/v/lib/python3.12/site-packages/flask/app.py",
                Owner::Library,
            ),
            ("/usr/lib/python3/dist-packages/yaml.py", Owner::Library),
            ("<attrs generated init app.User>", Owner::Library),
            ("/home/me/lib/python3.11/json/decoder.py", Owner::Python),
            ("/usr/lib/python311.zip/json/decoder.py", Owner::Python),
            ("<frozen importlib._bootstrap>", Owner::Python),
            ("", Owner::Python),
        ] {
            let frame = Frame {
                function: "[native]".to_owned(),
                file: file.to_owned(),
                line: 1,
            };
            let hidden = redactor.frame(frame);
            assert_eq!(Owner::of(&hidden), owner, "{file}: {hidden:?}");
        }
    }
}

#[test]
fn folders_in_commands_are_hidden_as_those_of_files_are() {
    let mut redactor = Redactor::new(Redaction::Paths);
    assert_eq!(redactor.file("/srv/shop/main.py"), "dir-1/main.py");
    for (command, hidden) in [
        (
            "/usr/bin/python3 /srv/shop/main.py -v",
            "/usr/bin/python3 dir-1/main.py -v",
        ),
        ("/opt/acme/bin/worker", "dir-2/worker"),
        ("x --data=/srv/shop/data", "x --data=dir-3"),
        ("x postgres://me:pw@acme/db?a=b", "x dir-4"),
        ("x /srv/my own/x.py", "x dir-5 dir-6/x.py"),
        ("gunicorn: worker [shop]", "gunicorn: worker [shop]"),
    ] {
        assert_eq!(redactor.command(command), hidden);
    }
}

#[test]
fn what_only_looks_like_the_standard_library_is_not() {
    let is_standard = |file| {
        let Parts { is_standard, .. } = parts(file);
        is_standard
    };
    assert!(is_standard("/usr/lib/python3.12/json/decoder.py"));
    assert!(is_standard("<frozen runpy>"));
    for file in [
        "/usr/lib/python3.12/acme/secret.py",
        "/usr/lib/python3.12/json/../../acme.py",
        "/srv/lib/python_tools/json/x.py",
        "/usr/lib/python3.12/site-packages/json/x.py",
        "<frozen acme.secret>",
    ] {
        assert!(!is_standard(file), "{file}");
    }
}

#[test]
fn kernels_keep_their_release() {
    assert_eq!(release("6.18.44-fc-v782"), "6.18.44");
    assert_eq!(release("5.15.0"), "5.15.0");
    assert_eq!(release("acme"), "");
}
