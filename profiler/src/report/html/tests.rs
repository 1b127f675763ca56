//! Holds pages against what a browser, and a person in front of it, need.

use std::{io::Read as _, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::DeflateDecoder;
use serde_json::Value;

use super::*;
use crate::{
    aggregate::{CgroupFinding, Metric, ProcessSites, Round, Selection, Tallies},
    compare::{Recording, compare},
    profile::{
        Census, CgroupCensus, Interval, Lifecycle, LifecycleKind, ProcessKey, SocketCensus,
        TrafficChoice,
    },
    report::{
        DiffSubject,
        sample::{MIB, Sample},
    },
};

const HOSTILE: &str = "</script><script>alert(1)</script>\"'\u{202e}\u{2028}&";

fn breakdown(sample: &Sample) -> Breakdown {
    Breakdown {
        weights: vec![
            (Metric::Retained, sample.weights()),
            (Metric::Mapped, Vec::new()),
        ],
        processes: Vec::new(),
    }
}

fn page(sample: &Sample) -> String {
    html(&sample.subject(), &breakdown(sample)).unwrap()
}

/// A piece of data of a page.
fn data(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("id=\"data-{name}\">")).unwrap();
    let (packed, _) = rest.split_once("</script>").unwrap();
    let mut text = String::new();
    let bytes = STANDARD.decode(packed).unwrap();
    DeflateDecoder::new(&bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn the_sentence_and_the_pattern_come_first() {
    let page = page(&Sample::leak());
    let order = [
        "retained-growth",
        "class=\"summary\"",
        "Next steps",
        "Memory over time",
        "Flamegraphs",
        "Lines that got memory",
        "How it was measured",
    ];
    let places = order.map(|it| page.find(it).unwrap_or_else(|| panic!("{it} is missing")));
    // The style names patterns, too.
    let body = page.find("<body>").unwrap();
    assert!(places[1..].is_sorted() && places[1] > body, "{places:?}");
    assert!(page.contains("SessionCache.remember"));
}

#[test]
fn nothing_is_asked_from_outside_and_only_known_scripts_run() {
    let page = page(&Sample::leak());
    assert!(page.contains("default-src 'none'"));
    for attribute in [" src=", " href=\"http", "@import", "url("] {
        assert!(!page.contains(attribute), "{attribute}");
    }
    let (_, script) = page.split_once("<script>").unwrap();
    let (script, end) = script.split_once("</script>").unwrap();
    assert_eq!(
        end, "</body></html>\n",
        "the script has an end in its middle"
    );
    let digest = embed::digest(script);
    assert!(page.contains(&digest), "{digest} may not run");
    let drawing = data(&page, "flame-retained");
    let digest = embed::digest(&embed::script_of(&drawing).unwrap());
    assert!(page.contains(&digest), "{digest} may not run");
}

#[test]
fn names_of_the_target_are_never_markup() {
    let mut sample = Sample::leak().process(4712, HOSTILE, (MIB, 2 * MIB)).site(
        &[(HOSTILE, HOSTILE, 7)],
        900 * MIB,
        900 * MIB,
    );
    sample.recorded.facts.target = HOSTILE.to_owned();
    sample.recorded.facts.notes = vec![HOSTILE.to_owned()];
    let sample = sample.summed();
    let page = page(&sample);
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(!page.contains('\u{202e}') && page.contains("\\u{202e}"));
    let sites: Value = serde_json::from_str(&data(&page, "sites")).unwrap();
    let text = sites["text"].as_array().unwrap();
    let expected = printable(HOSTILE);
    assert!(text.iter().any(|it| *it == expected.as_str()), "{text:#?}");
}

#[test]
fn lines_are_there_with_their_stacks_and_by_process() {
    let sample = Sample::leak().process(4712, "worker", (MIB, MIB));
    let mut breakdown = breakdown(&sample);
    breakdown.processes = vec![ProcessSites {
        key: ProcessKey(1),
        pid: crate::units::Pid(4712),
        sites: vec![sample.findings.sites[1].clone()],
    }];
    let page = html(&sample.subject(), &breakdown).unwrap();
    let calls: Value = serde_json::from_str(&data(&page, "calls")).unwrap();
    let data: Value = serde_json::from_str(&data(&page, "sites")).unwrap();
    let name = |number: &Value| {
        let number = usize::try_from(number.as_u64().unwrap()).unwrap();
        data["text"][number].as_str().unwrap()
    };
    assert_eq!(name(&data["lines"]["function"][0]), "SessionCache.remember");
    assert_eq!(data["values"]["retained"]["estimate"][0], 71 * MIB);
    let mut stack = Vec::new();
    let mut call = data["lines"]["call"][0].as_u64().unwrap();
    while call > 0 {
        let call_index = usize::try_from(call).unwrap();
        let frame = usize::try_from(calls["frame"][call_index].as_u64().unwrap()).unwrap();
        stack.push(calls["label"][frame].as_str().unwrap().to_owned());
        call = calls["caller"][call_index].as_u64().unwrap();
    }
    assert_eq!(
        stack,
        [
            "SessionCache.remember (shop/cache.py:88)",
            "show_basket (shop/views/basket.py:41)",
            "Flask.run (flask/app.py:625)",
            "<module> (shop/main.py:12)",
        ]
    );
    assert_eq!(data["processes"][0]["pid"], 4712);
    assert_eq!(data["processes"][0]["rank"], serde_json::json!([1]));
}

#[test]
fn what_became_of_processes_is_marked_and_told() {
    let mut sample = Sample::leak().process(4712, "worker", (MIB, 9 * MIB));
    let event = |kind, second| Lifecycle {
        process: ProcessKey(1),
        time: Duration::from_secs(second),
        kind,
    };
    sample.recorded.intervals.push(Interval {
        lifecycles: vec![
            event(LifecycleKind::Forked, 4),
            event(LifecycleKind::Exited, 9),
        ],
        censuses: vec![Census::default()],
        ..Interval::default()
    });
    let page = page(&sample);
    for told in [
        "4712 was forked",
        "4712 ended",
        "#2E7D32",
        "#C62828",
        "2 events",
    ] {
        assert!(page.contains(told), "{told} is missing");
    }
}

/// Connections that came by a second.
fn sockets(accepts: u64, listeners: u64) -> SocketCensus {
    SocketCensus {
        accepts: Some(accepts),
        listeners: Some(listeners),
        ..SocketCensus::default()
    }
}

/// A leak in a process that accepts so many connections a second.
fn service(per_second: u64) -> Sample {
    let mut sample = Sample::leak();
    for moment in &mut sample.findings.processes[0].course.moments {
        moment.sockets = sockets(moment.time.as_secs() * per_second, 1);
    }
    sample.findings.rounds = (0..=30)
        .map(|second| Round {
            time: Duration::from_secs(second),
            sockets: sockets(second * per_second, 1),
            ..Round::default()
        })
        .collect();
    sample.summed()
}

/// How many charts of traffic there are, which are as low as no others: of all, wide and narrow,
/// and of processes.
fn charts_of_traffic(page: &str) -> usize {
    let low = format!("height=\"{}\" viewBox", course::LOW);
    page.matches(&low).count()
}

#[test]
fn what_was_counted_is_drawn_below_the_size() {
    let page = page(&service(5));
    let told = "Traffic: connections accepted per second; 150 connections accepted (5.0/s)";
    assert!(page.contains(told), "{page}");
    assert!(page.contains("connections accepted per second; 150 in all"));
    assert!(page.contains("5/s\n</text>"), "the axis has a unit");
    assert_eq!(charts_of_traffic(&page), 3);
}

#[test]
fn a_process_to_which_nothing_came_says_so() {
    let mut sample = service(5).process(4712, "worker", (MIB, 9 * MIB));
    let course = &mut sample.findings.processes[1].course;
    for moment in &mut course.moments {
        moment.sockets = sockets(0, 0);
    }
    let shown = page(&sample);
    assert!(shown.contains("what came to the others stands for it"));
    assert_eq!(charts_of_traffic(&shown), 3);
    for moment in &mut sample.findings.processes[1].course.moments {
        moment.sockets = sockets(0, 1);
    }
    assert!(page(&sample).contains("nothing came to this process<"));
    for moment in &mut sample.findings.processes[1].course.moments {
        moment.sockets = SocketCensus::default();
    }
    assert!(page(&sample).contains("what came to this process was not counted"));
}

#[test]
fn no_traffic_is_a_sentence_and_no_chart() {
    let page = page(&service(0));
    assert!(page.contains("Traffic: no connections accepted, all the time"));
    assert_eq!(charts_of_traffic(&page), 0);
}

#[test]
fn processor_time_is_said_to_be_the_fallback() {
    let mut sample = Sample::leak();
    let shown = page(&sample);
    assert!(shown.contains("no traffic was counted, so it stands for it"));
    assert_eq!(charts_of_traffic(&shown), 3);
    sample.findings.traffic = TrafficChoice::None;
    let shown = page(&sample);
    assert!(shown.contains("no traffic was counted, as asked, so it stands for it"));
    for moment in &mut sample.findings.processes[0].course.moments {
        moment.cpu = Duration::ZERO;
    }
    let shown = page(&sample);
    assert!(shown.contains("and no processor time was used"));
    assert_eq!(charts_of_traffic(&shown), 0);
}

#[test]
fn the_control_group_is_told_with_the_time_that_is_left() {
    let mut sample = Sample::leak();
    sample.findings.cgroup = Some(CgroupFinding {
        last: CgroupCensus {
            path: format!("/{HOSTILE}"),
            current: 212 * MIB,
            reclaimable: 12 * MIB,
            limit: Some(512 * MIB),
            ..CgroupCensus::default()
        },
        time_left: Some(Duration::from_mins(200)),
        ..CgroupFinding::default()
    });
    let shown = page(&sample);
    let left = "limit of 512 MiB, at this slope full in 3 h 20 min";
    assert!(shown.contains(left), "{shown}");
    assert!(shown.contains("<dd class=\"value bad\">200 MiB</dd>"));
    assert!(shown.contains("200 MiB used besides 12.0 MiB that the kernel can take back"));
    assert!(!shown.contains("<script>alert"), "{shown}");

    let cgroup = sample.findings.cgroup.as_mut().unwrap();
    cgroup.last.limit = None;
    cgroup.time_left = None;
    let shown = page(&sample);
    assert!(shown.contains(", no limit") && !shown.contains("used of the limit"));
}

#[test]
fn a_recording_of_nothing_makes_a_page() {
    let mut sample = Sample::quiet();
    sample.recorded.processes.clear();
    sample.findings.processes.clear();
    let page = page(&sample.summed());
    assert!(page.contains("Nothing tells how large it was"));
    assert!(page.contains("No allocation was seen."));
    assert!(data(&page, "flame-retained").contains("Nothing was retained"));
}

#[test]
fn the_same_recording_makes_the_same_page() {
    assert_eq!(page(&Sample::leak()), page(&Sample::leak()));
}

#[test]
fn a_comparison_tells_what_changed() {
    let sample = Sample::leak();
    let side = Recording {
        tallies: &Tallies::of(&sample.recorded, &Selection::default()),
        findings: &sample.findings,
        verdicts: &sample.verdicts,
        called: "shop",
    };
    let comparison = compare(&side, &side).unwrap();
    let subject = DiffSubject {
        before: sample.subject(),
        after: sample.subject(),
        comparison: &comparison,
    };
    let svg = b"<svg height=\"9\"></svg>".to_vec();
    let page = diff_html(&subject, svg.clone(), svg);
    assert!(page.contains("What changed in"));
    assert!(page.contains("id=\"tab-before\"") && page.contains("id=\"tab-after\""));
    let data: Value = serde_json::from_str(&data(&page, "changes")).unwrap();
    assert_eq!(data["fates"][0], "same");
}
