//! What is written is read back.

use std::io::Read as _;

use flate2::read::GzDecoder;
use prost::Message as _;

use super::{profile::Profile, *};
use crate::{
    aggregate::Site,
    profile::{Change, Counters, Interval, Metered, ProcessKey, ThreadName, ThreadUse},
    report::sample::Sample,
};

fn everything() -> Selection {
    Selection::default()
}

/// A leak, with the changes from which its sites come.
fn measured() -> Sample {
    let mut sample = Sample::leak();
    let change = |site: &Site| Change {
        process: ProcessKey(0),
        stack: site.stack,
        meter: Metered::Block,
        counters: Counters {
            bytes_in: site.allocated.estimate,
            count_in: 1000,
            bytes_out: site.allocated.estimate - site.retained.estimate,
            count_out: 900,
            samples: 1000,
        },
    };
    sample.recorded.intervals = vec![Interval {
        end: sample.recorded.facts.duration,
        changes: sample.findings.sites.iter().map(change).collect(),
        ..Interval::default()
    }];
    sample
}

/// What all stacks weigh.
fn total(sample: &Sample, metric: Metric) -> u64 {
    let weights = weigh(sample.subject().recorded, &everything(), metric);
    weights.iter().map(|(_, weight)| weight).sum()
}

#[test]
fn what_is_exported_weighs_something() {
    let sample = measured();
    let sites = sample.findings.sites.iter();
    let allocated: u64 = sites.map(|site| site.allocated.estimate).sum();
    assert_eq!(total(&sample, Metric::Allocated), allocated);
}

#[test]
fn folded_lines_add_up_to_the_metric() {
    let sample = measured();
    let lines = folded(sample.subject().recorded, &everything(), Metric::Allocated);
    let numbers = lines.lines().map(|line| line.rsplit(' ').next().unwrap());
    let sum: u64 = numbers.map(|number| number.parse::<u64>().unwrap()).sum();
    assert_eq!(sum, total(&sample, Metric::Allocated));
}

#[test]
fn a_row_for_each_site_is_read_back_whatever_its_name() {
    let mut sample = measured();
    sample.findings.sites[0].function = "a \"b\", c\nd".to_owned();
    let subject = sample.subject();
    let written = table(subject.findings).unwrap();
    let mut reader = csv::Reader::from_reader(written.as_slice());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), subject.findings.sites.len());
    for (row, site) in rows.iter().zip(&subject.findings.sites) {
        assert_eq!(row[1], site.function);
        assert_eq!(row[6].parse(), Ok(site.retained.estimate));
    }
}

#[test]
fn profiles_of_speedscope_add_up_and_name_only_frames_that_there_are() {
    let sample = measured();
    let written = speedscope(&sample.subject(), &everything(), Metric::Allocated);
    let file: serde_json::Value = serde_json::from_str(&written).unwrap();
    let frames = file["shared"]["frames"].as_array().unwrap().len() as u64;
    let mut sum = 0;
    for profile in file["profiles"].as_array().unwrap() {
        let weights = profile["weights"].as_array().unwrap();
        let samples = profile["samples"].as_array().unwrap();
        assert_eq!(weights.len(), samples.len());
        let here: u64 = weights.iter().map(|it| it.as_u64().unwrap()).sum();
        assert_eq!(profile["endValue"], here);
        sum += here;
        let mut numbers = samples.iter().flat_map(|it| it.as_array().unwrap());
        assert!(numbers.all(|it| it.as_u64().unwrap() < frames));
    }
    assert_eq!(sum, total(&sample, Metric::Allocated));
}

#[test]
fn samples_of_pprof_add_up_and_carry_pid_pattern_and_thread() {
    let mut sample = measured();
    let stack = sample.findings.sites[0].stack;
    let seen = |tid, seen| ThreadUse {
        process: ProcessKey(0),
        stack,
        tid,
        seen,
    };
    sample.recorded.threads.uses = vec![seen(4711, 3), seen(4712, 1)];
    sample.recorded.threads.names = vec![ThreadName {
        process: ProcessKey(0),
        tid: 4712,
        name: "pool-1".to_owned(),
    }];
    let subject = sample.subject();
    let written = pprof(&subject, &everything(), Metric::Allocated).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(written.as_slice())
        .read_to_end(&mut bytes)
        .unwrap();
    let profile = Profile::decode(bytes.as_slice()).unwrap();
    let text = |number: i64| profile.string_table[usize::try_from(number).unwrap()].as_str();
    assert_eq!(text(0), "");
    assert_eq!(text(profile.default_sample_type), "alloc_space");
    for (place, metric) in Metric::ALL.into_iter().enumerate() {
        let sum: i64 = profile.sample.iter().map(|it| it.value[place]).sum();
        assert_eq!(u64::try_from(sum), Ok(total(&sample, metric)));
    }
    let locations = 1..=profile.location.len() as u64;
    for sample in &profile.sample {
        assert!(sample.location_id.iter().all(|id| locations.contains(id)));
        let keys: Vec<&str> = sample.label.iter().map(|label| text(label.key)).collect();
        assert!(["pid", "pattern", "tid", "thread"].starts_with(&keys) && keys.len() >= 2);
        assert!(sample.label[0].num > 0 && !text(sample.label[1].str).is_empty());
    }
    let divided: Vec<_> = (profile.sample.iter())
        .filter(|sample| sample.label.len() > 2)
        .map(|sample| (sample.label[2].num, sample.label.get(3), sample.value[1]))
        .collect();
    let [(4711, None, most), (4712, Some(name), least)] = divided[..] else {
        panic!("{divided:?}");
    };
    assert_eq!(text(name.str), "pool-1");
    assert!((3 * least..3 * least + 4).contains(&most), "{most} {least}");
    for location in &profile.location {
        let function = usize::try_from(location.line[0].function_id).unwrap() - 1;
        assert!(!text(profile.function[function].name).is_empty());
    }
}
