//! Holds the JSON report against its schema.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::{
    aggregate::{Aged, AllocatorFinding, CgroupFinding, CopySite, Round, SharingFinding},
    classify::Pattern,
    profile::{
        AllocatorCensus, ArenaTotals, CgroupCensus, CopyCause, FrameId, LibcHeap, PythonHeap,
    },
    report::sample::{MIB, Sample},
    units::Pid,
};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/schema/report-1.json")).unwrap()
}

fn report(sample: &Sample) -> Value {
    serde_json::from_str(&json(&sample.subject())).unwrap()
}

/// A report in which everything occurs that can.
fn full() -> Sample {
    let mut sample = Sample::leak()
        .process(4712, "gunicorn: worker [shop]", (20 * MIB, 21 * MIB))
        .loss(Loss::RingFull, 3);
    sample.recorded.facts.notes = vec!["small objects are sampled".to_owned()];
    sample.findings.sites[0].retained_by_age = vec![Aged {
        from: Duration::ZERO,
        to: Duration::from_secs(30),
        bytes: 71 * MIB,
    }];
    let process = &mut sample.findings.processes[1];
    process.inner_pid = Some(Pid(7));
    process.ended = Some(Duration::from_millis(12_345));
    process.uss_end = None;
    process.rss_start = None;
    process.python = None;
    process.allocator = Some(allocator());
    process.sharing = Some(SharingFinding {
        parent: Pid(4711),
        copied_start: MIB,
        shared: 9 * MIB,
        copied: 3 * MIB,
        own: 2 * MIB,
        causes: CopyCause::ALL.map(|cause| (cause, MIB)).to_vec(),
    });
    sample.findings.copies = vec![CopySite {
        cause: CopyCause::Collector,
        frame: sample.recorded.stacks.frame(FrameId(0)).clone(),
        bytes: MIB,
        samples: 4,
        pids: vec![Pid(4712)],
    }];
    sample.findings.cgroup = Some(CgroupFinding {
        last: CgroupCensus {
            path: "/app.slice".to_owned(),
            current: 200 * MIB,
            reclaimable: 8 * MIB,
            limit: Some(512 * MIB),
            ..CgroupCensus::default()
        },
        growth_per_second: 1e6,
        time_left: Some(Duration::from_mins(5)),
        course: vec![(Duration::from_secs(1), 191 * MIB)],
    });
    sample.findings.rounds = vec![Round::default()];
    sample.verdicts.group.parts = vec![(Pattern::IdleGrowth, 0.7), (Pattern::TrafficGrowth, 0.3)];
    sample
}

fn allocator() -> AllocatorFinding {
    let arena = ArenaTotals {
        arenas: 1,
        held: 9 * MIB,
        free: 5 * MIB,
        ..ArenaTotals::default()
    };
    AllocatorFinding {
        end: AllocatorCensus {
            python: Some(PythonHeap {
                resident: 7 * MIB,
                ..PythonHeap::default()
            }),
            libc: Some(LibcHeap {
                main: arena,
                threads: arena,
                unseen: 0,
            }),
            ..AllocatorCensus::default()
        },
        ..AllocatorFinding::default()
    }
}

#[test]
fn what_is_kept_is_told_in_sum_and_by_place() {
    let report = report(&full());
    let allocator = &report["processes"][1]["allocator"];
    assert_eq!(allocator["kept"], 17 * MIB);
    assert_eq!(allocator["libc"]["threads"]["kept"], 5 * MIB);
    assert_eq!(report["processes"][0]["allocator"], Value::Null);
    assert_eq!(report["processes"][1]["sharing"]["inherited"], 12 * MIB);
    assert_eq!(report["copies"][0]["cause"], "collector");
}

#[track_caller]
fn check(sample: &Sample) {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let report = report(sample);
    let errors: Vec<String> = validator
        .iter_errors(&report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn what_is_written_is_what_the_schema_describes() {
    check(&full());
    check(&Sample::quiet());
}

#[test]
fn what_the_schema_forbids_is_found() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let mut wrong = report(&full());
    wrong["group"]["pattern"] = Value::from("leak");
    wrong["sites"][0]["retained"]["low"] = Value::from(-1);
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
    assert_eq!(keys(&report(&full()), false), keys(&schema(), true));
}

#[test]
fn the_schema_knows_the_patterns() {
    let names: Vec<Value> = Pattern::ALL.iter().map(|p| Value::from(p.name())).collect();
    assert_eq!(schema()["$defs"]["pattern"]["enum"], Value::from(names));
}

#[test]
fn sites_come_with_their_stack_outermost_frame_first() {
    let report = report(&Sample::leak());
    let site = &report["sites"][0];
    assert_eq!(site["rank"], 1);
    assert_eq!(site["function"], "SessionCache.remember");
    let functions: Vec<&str> = site["stack"]
        .as_array()
        .unwrap()
        .iter()
        .map(|frame| frame["function"].as_str().unwrap())
        .collect();
    assert_eq!(
        functions,
        [
            "<module>",
            "Flask.run",
            "show_basket",
            "SessionCache.remember"
        ]
    );
    assert_eq!(site["stack"][1]["owner"], "library");
    assert_eq!(report["sites"].as_array().unwrap().len(), 7, "all of them");
}

#[test]
fn losses_that_did_not_occur_are_written_as_zero() {
    let report = report(&full());
    let losses = report["losses"].as_array().unwrap();
    assert_eq!(losses.len(), Loss::ALL.len());
    assert_eq!(losses[0]["reason"], "ring-full");
    assert_eq!(losses[0]["count"], 3);
    assert_eq!(losses[1]["count"], 0);
}

#[test]
fn a_number_that_is_none_does_not_break_the_schema() {
    let mut sample = Sample::leak();
    sample.findings.group.growth_per_second = f64::NAN;
    sample.findings.processes[0].growth_per_second = f64::INFINITY;
    sample.recorded.facts.budget_percent = Some(f64::MAX);
    check(&sample);
}

#[test]
fn the_same_findings_give_the_same_bytes() {
    assert_eq!(json(&full().subject()), json(&full().subject()));
}

#[test]
fn a_hostile_name_stays_text() {
    let hostile = "\"],\u{0}\n<script>\u{202e}";
    let sample = Sample::quiet().site(&[(hostile, "/x.py", 1)], 1, 1);
    assert_eq!(report(&sample)["sites"][0]["function"], hostile);
}
