//! Holds the summary against what a person needs to see.

use std::time::Duration;

use profiler_common::loss::Loss;
use proptest::prelude::*;

use super::*;
use crate::{
    aggregate::{Aged, Estimate},
    report::{
        plain::width,
        sample::{MIB, Sample},
        screen::{COLUMNS, LINES},
    },
    units::Pid,
};

const FILES: TextOptions<'_> = TextOptions {
    color: false,
    files: &[
        ("recording", "heaptide-python-4711-20261123T100000.heaptide"),
        ("flamegraph", "leak.svg"),
    ],
};

#[track_caller]
fn print(sample: &Sample) -> String {
    let printed = text(&sample.subject(), &FILES);
    assert!(printed.lines().count() <= LINES, "{printed}");
    for line in printed.lines() {
        assert!(width(line) <= COLUMNS, "{line}");
        assert_eq!(line.trim_end(), line);
    }
    printed
}

#[track_caller]
fn check(sample: &Sample, expected: &str) {
    let printed = print(sample);
    assert_eq!(printed, expected, "\n{printed}");
}

/// A service of eight processes, one of which leaks.
fn service() -> Sample {
    (5000..5007).fold(Sample::leak(), |sample, pid| {
        sample.process(pid, "gunicorn: worker [shop]", (40 * MIB, 41 * MIB))
    })
}

#[test]
fn a_leak_is_on_one_screen() {
    let mut sample = Sample::leak();
    sample.recorded.facts.notes = vec!["small objects are seen through their pools".to_owned()];
    check(&sample, include_str!("leak.txt"));
}

#[test]
fn how_old_it_is_what_a_line_holds_tells_a_cache_from_a_leak() {
    let mut sample = Sample::leak();
    let aged = |from, bytes| Aged {
        from: Duration::from_secs(from),
        to: Duration::from_secs(from + 15),
        bytes,
    };
    sample.findings.sites[0].retained_by_age = vec![aged(0, 36 * MIB), aged(15, 35 * MIB)];
    sample.findings.sites[1].retained_by_age = vec![aged(0, 5 * MIB), aged(15, 0)];
    let printed = print(&sample);
    let column = |line: usize| -> Vec<&str> {
        let table = printed
            .lines()
            .skip_while(|line| !line.contains("allocated  old  where"));
        table
            .skip(line)
            .take(1)
            .flat_map(str::split_whitespace)
            .collect()
    };
    assert!(column(1).contains(&"51%"), "{printed}");
    assert!(column(2).contains(&"100%"), "{printed}");
    assert!(!column(3).contains(&"100%"), "{printed}");
}

#[test]
fn the_process_that_grew_most_stands_first() {
    check(&service(), include_str!("service.txt"));
}

#[test]
fn a_process_in_a_container_has_both_of_its_pids() {
    let mut service = service();
    service.findings.processes[1].inner_pid = Some(Pid(7));
    let printed = print(&service);
    let row = printed.lines().find(|line| line.contains("(pid 7 inside)"));
    assert!(row.unwrap().trim_start().starts_with("5000 "), "{printed}");
}

#[test]
fn what_retains_nothing_says_so_in_words() {
    let nothing = Sample::quiet();
    assert!(print(&nothing).contains("nothing: no allocation was seen while recording"));
    let churn = Sample::quiet().site(&[("parse", "/srv/app/parse.py", 9)], 0, 900 * MIB);
    let printed = print(&churn);
    assert!(printed.contains("nothing: all of the 900 MiB allocated while recording was freed"));
    assert!(printed.contains("busiest     900 MiB at parse (app/parse.py:9)"));
    let mut unsure = churn;
    unsure.findings.totals.retained = Estimate {
        estimate: 0,
        low: 0,
        high: 3 * MIB,
    };
    assert!(print(&unsure).contains("nothing was seen to stay; at most 3.00 MiB"));
}

#[test]
fn mappings_that_blocks_do_not_explain_are_pointed_to() {
    let mut sample = Sample::leak().site(&[("load", "/srv/shop/data.py", 3)], MIB, MIB);
    sample.findings.sites[7].mapped = 256 * MIB;
    let printed = print(&sample.summed());
    assert!(
        printed.contains("  mapped      256 MiB of new mappings, 256 MiB at load (shop/data.py:3)"),
        "{printed}"
    );
}

#[test]
fn pages_are_pointed_to_when_nothing_else_explains_growth() {
    let mut sample = Sample::quiet().site(&[("load", "/srv/shop/data.py", 3)], MIB, MIB);
    sample.findings.sites[0].resident = 64 * MIB;
    let mut sample = sample.summed();
    assert!(!print(&sample).contains("touched"), "nothing grew");
    sample.findings.group.rss_end = Some(112 * MIB);
    let printed = print(&sample);
    assert!(
        printed
            .contains("  touched     64.0 MiB of fresh pages, 64.0 MiB at load (shop/data.py:3)"),
        "{printed}"
    );
}

#[test]
fn a_path_can_be_copied_however_long_it_is() {
    let path = format!("/{}/out.heaptide", "folder/".repeat(30));
    let files = [("recording", path.as_str())];
    let options = TextOptions {
        color: false,
        files: &files,
    };
    let printed = text(&Sample::leak().subject(), &options);
    assert!(printed.contains(&path), "{printed}");
}

#[test]
fn losses_come_with_their_reasons() {
    let sample = Sample::quiet()
        .loss(Loss::NoThreadState, 5000)
        .loss(Loss::CodeUnreadable, 3)
        .loss(Loss::RingFull, 1234);
    let printed = print(&sample);
    let lines: Vec<&str> = printed
        .lines()
        .skip_while(|l| !l.contains("lost"))
        .collect();
    assert_eq!(
        lines[..3],
        [
            "  lost events 1,237: 1,234 events dropped because heaptide fell behind",
            "              3 stacks with a nameless frame, because its code was gone",
            "              5,000 events of threads that run no Python",
        ]
    );
}

#[test]
fn what_only_describes_the_data_is_not_called_lost() {
    let printed = print(&Sample::quiet().loss(Loss::NoThreadState, 5000));
    assert!(printed.contains("  lost events 0\n"), "{printed}");
    assert!(printed.contains("5,000 events of threads that run no Python"));
}

#[test]
fn what_is_not_known_is_not_shown_as_zero() {
    let mut sample = service();
    sample.findings.group.rss_start = None;
    sample.findings.processes[1].rss_end = None;
    sample.findings.processes.truncate(3);
    sample.findings.measured_overhead_percent = None;
    let printed = print(&sample);
    assert!(printed.contains("resident    not known"), "{printed}");
    assert!(printed.contains("40.0 MiB → ?"), "{printed}");
    assert!(printed.contains("cost        an unknown part of its time, budget 2%"));
}

#[test]
fn a_recording_that_was_cut_off_says_so() {
    let mut sample = Sample::quiet();
    sample.recorded.facts.complete = false;
    sample.recorded.facts.notes = vec!["a note".to_owned()];
    let printed = print(&sample);
    assert!(printed.contains("note 1 of 2 the recording was not ended in order"));
    assert!(printed.contains("note 2 of 2 a note"));
}

#[test]
fn colours_change_nothing_but_the_colour() {
    let options = TextOptions {
        color: true,
        ..FILES
    };
    let sample = service().loss(Loss::RingFull, 1);
    let mut colored = text(&sample.subject(), &options);
    assert!(colored.contains("\x1b[1;31m1\x1b[0m"), "a loss is red");
    for code in [
        "\x1b[0m",
        "\x1b[1m",
        "\x1b[2m",
        "\x1b[32m",
        "\x1b[33m",
        "\x1b[1;31m",
    ] {
        colored = colored.replace(code, "");
    }
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeezed(&colored), squeezed(&print(&sample)));
}

#[test]
fn the_same_findings_give_the_same_text() {
    assert_eq!(print(&service()), print(&service()));
}

proptest! {
    #[test]
    fn no_name_and_no_number_breaks_the_screen(
        name in any::<String>(),
        file in any::<String>(),
        note in any::<String>(),
        retained in 0..u64::MAX / 256,
        count in any::<u64>(),
    ) {
        let mut sample = Sample::leak()
            .site(&[(&name, &file, 7)], retained, retained)
            .process(u32::MAX, &name, (retained + MIB, MIB))
            .loss(Loss::RingFull, count);
        sample.recorded.facts.target = name;
        sample.recorded.facts.notes = vec![note.clone(), note];
        let printed = print(&sample);
        prop_assert!(!printed.chars().any(|c| c.is_control() && c != '\n'));
    }
}
