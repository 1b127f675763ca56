//! pprof's format: all metrics by stack, process and thread, with the pid, the pattern and the
//! thread as labels.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write as _},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use prost::Message as _;

use super::{
    pids,
    profile::{Function, Label, Line, Location, Profile, Sample, ValueType},
    threads::ThreadsOf,
    weights_of,
};
use crate::{
    aggregate::{Metric, Selection},
    profile::{FrameId, StackId, StackTable},
    report::Subject,
    units::Pid,
};

/// Writes a compressed profile; `metric` is what tools show first.
///
/// # Errors
/// Only if there is no memory left.
pub fn pprof(subject: &Subject<'_>, selection: &Selection, metric: Metric) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&profile(subject, selection, metric).encode_to_vec())?;
    encoder.finish()
}

fn profile(subject: &Subject<'_>, selection: &Selection, metric: Metric) -> Profile {
    let recorded = subject.recorded;
    let mut tables = Tables::new(&recorded.stacks);
    let sample_type = Metric::ALL.map(|it| ValueType {
        r#type: tables.text(name(it)),
        unit: tables.text(if it.is_bytes() { "bytes" } else { "count" }),
    });
    let mut sample = Vec::new();
    for pid in pids(subject, selection) {
        let labels = labels(subject, pid, &mut tables);
        let threads = ThreadsOf::new(recorded, pid);
        for (stack, value) in values(subject, selection, pid) {
            let location_id = tables.locations_of(stack);
            for (thread, value) in threads.divide(stack, value) {
                let mut label = labels.clone();
                label.extend(thread.map(|tid| tables.number("tid", tid)));
                let name = thread.and_then(|tid| threads.name(tid));
                label.extend(name.map(|name| tables.label("thread", name)));
                sample.push(Sample {
                    location_id: location_id.clone(),
                    value: value.map(signed).to_vec(),
                    label,
                });
            }
        }
    }
    let started: Option<Timestamp> = recorded.facts.started_at.parse().ok();
    let started = started.map(Timestamp::as_nanosecond).unwrap_or_default();
    Profile {
        sample_type: sample_type.to_vec(),
        sample,
        time_nanos: i64::try_from(started).unwrap_or_default(),
        duration_nanos: nanoseconds(subject.findings.duration),
        default_sample_type: tables.text(name(metric)),
        location: tables.locations,
        function: tables.functions,
        string_table: tables.texts,
    }
}

/// What pprof calls a metric.
const fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::Retained => "inuse_space",
        Metric::Allocated => "alloc_space",
        Metric::Allocations => "alloc_objects",
        Metric::Resident => "resident_space",
        Metric::Mapped => "mapped_space",
    }
}

/// What each stack of a process weighs by all metrics.
fn values(
    subject: &Subject<'_>,
    selection: &Selection,
    pid: Pid,
) -> BTreeMap<StackId, [u64; Metric::ALL.len()]> {
    let mut values = BTreeMap::<_, [u64; Metric::ALL.len()]>::new();
    for (place, metric) in Metric::ALL.into_iter().enumerate() {
        for (stack, weight) in weights_of(subject.recorded, selection, pid, metric) {
            values.entry(stack).or_default()[place] = weight;
        }
    }
    values
}

fn labels(subject: &Subject<'_>, pid: Pid, tables: &mut Tables<'_>) -> Vec<Label> {
    let mut labels = vec![tables.number("pid", pid.0)];
    let processes = subject.findings.processes.iter();
    let mut judged = processes.zip(&subject.verdicts.processes);
    if let Some((_, verdict)) = judged.find(|(process, _)| process.pid == pid) {
        labels.push(tables.label("pattern", verdict.pattern.name()));
    }
    labels
}

/// What samples refer to by number.
struct Tables<'a> {
    stacks: &'a StackTable,
    texts: Vec<String>,
    known: HashMap<String, i64>,
    locations: Vec<Location>,
    places: HashMap<Option<FrameId>, u64>,
    functions: Vec<Function>,
    function_ids: HashMap<(i64, i64), u64>,
}

impl<'a> Tables<'a> {
    fn new(stacks: &'a StackTable) -> Self {
        let mut tables = Self {
            stacks,
            texts: Vec::new(),
            known: HashMap::new(),
            locations: Vec::new(),
            places: HashMap::new(),
            functions: Vec::new(),
            function_ids: HashMap::new(),
        };
        // The first text has to be empty.
        tables.text("");
        tables
    }

    fn text(&mut self, text: &str) -> i64 {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = i64::try_from(self.texts.len()).unwrap_or_default();
        self.texts.push(text.to_owned());
        self.known.insert(text.to_owned(), number);
        number
    }

    fn label(&mut self, key: &str, value: &str) -> Label {
        Label {
            key: self.text(key),
            str: self.text(value),
            ..Label::default()
        }
    }

    fn number(&mut self, key: &str, value: u32) -> Label {
        Label {
            key: self.text(key),
            num: value.into(),
            ..Label::default()
        }
    }

    /// Innermost first, as pprof wants them. A stack without frames gets one that says so.
    fn locations_of(&mut self, stack: StackId) -> Vec<u64> {
        let frames: Vec<FrameId> = self.stacks.frames_of(stack).collect();
        if frames.is_empty() {
            return vec![self.location(None)];
        }
        let frames = frames.into_iter();
        frames.map(|id| self.location(Some(id))).collect()
    }

    fn location(&mut self, frame: Option<FrameId>) -> u64 {
        if let Some(id) = self.places.get(&frame) {
            return *id;
        }
        let stacks = self.stacks;
        let (function, file, line) = frame.map_or(("(no stack)", "", 0), |id| {
            let frame = stacks.frame(id);
            (frame.function.as_str(), frame.file.as_str(), frame.line)
        });
        let function_id = self.function(function, file);
        let id = self.locations.len() as u64 + 1;
        self.places.insert(frame, id);
        self.locations.push(Location {
            id,
            line: vec![Line {
                function_id,
                line: line.into(),
            }],
        });
        id
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        let key = (self.text(name), self.text(file));
        let next = self.functions.len() as u64 + 1;
        let id = *self.function_ids.entry(key).or_insert(next);
        if id == next {
            let (name, filename) = key;
            let function = Function {
                id,
                name,
                system_name: name,
                filename,
            };
            self.functions.push(function);
        }
        id
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
