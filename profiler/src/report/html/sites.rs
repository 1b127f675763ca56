//! The table of lines: all of them as data, of which a script shows some.

use std::collections::HashMap;

use maud::{Markup, html};
use serde::Serialize;

use crate::{
    aggregate::{Breakdown, Estimate, ProcessSites, Site},
    profile::{Frame, FrameId, StackId, StackTable},
    report::{
        Owner, Places, Subject,
        plain::{printable, shorten},
        text::sites::{frame_of, places},
    },
    units::Pid,
};

/// Columns of names and of paths: nobody reads more, and nobody has to.
const NAME: usize = 300;

/// Texts, each only once.
#[derive(Debug, Default)]
pub(super) struct Texts {
    known: HashMap<String, usize>,
    pub(super) all: Vec<String>,
}

impl Texts {
    /// The number of a text of the target, made fit to be shown.
    pub(super) fn number(&mut self, text: &str) -> usize {
        let text = shown(text);
        if let Some(number) = self.known.get(&text) {
            return *number;
        }
        let number = self.all.len();
        self.all.push(text.clone());
        self.known.insert(text, number);
        number
    }
}

/// A text of the target, made fit to be shown.
fn shown(text: &str) -> String {
    shorten(&printable(text), NAME)
}

/// The lines of a page and what they did, and apart from that the calls that led to them: those
/// are many, and few of them are ever looked at.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) sites: String,
    pub(super) calls: String,
}

#[derive(Serialize)]
struct Data {
    text: Vec<String>,
    owners: [&'static str; 3],
    lines: Lines,
    values: Values,
    processes: Vec<Process>,
}

/// What lines are, each by its rank.
#[derive(Debug, Default, Serialize)]
struct Lines {
    function: Vec<usize>,
    /// The file as it is shown, and in full.
    place: Vec<usize>,
    file: Vec<usize>,
    line: Vec<u32>,
    owner: Vec<usize>,
    samples: Vec<u64>,
    /// The call that is the innermost of its heaviest stack.
    call: Vec<usize>,
    pids: Vec<Vec<u32>>,
}

/// What lines did.
#[derive(Debug, Default, Serialize)]
struct Values {
    retained: Numbers,
    allocated: Numbers,
    allocations: Numbers,
    resident: Vec<u64>,
    mapped: Vec<u64>,
    growth: Vec<f64>,
}

#[derive(Debug, Default, Serialize)]
struct Numbers {
    estimate: Vec<u64>,
    low: Vec<u64>,
    high: Vec<u64>,
}

impl Numbers {
    fn push(&mut self, value: Estimate) {
        self.estimate.push(value.estimate);
        self.low.push(value.low);
        self.high.push(value.high);
    }
}

impl Values {
    fn push(&mut self, site: &Site) {
        self.retained.push(site.retained);
        self.allocated.push(site.allocated);
        self.allocations.push(site.allocations);
        self.resident.push(site.resident);
        self.mapped.push(site.mapped);
        self.growth.push(site.growth_per_second.round());
    }
}

/// The calls of the stacks: the number of the frame, and that of the caller. The first frame and
/// the first call are nobody's.
#[derive(Debug, Default, Serialize)]
struct Calls {
    label: Vec<String>,
    owner: Vec<usize>,
    frame: Vec<usize>,
    caller: Vec<usize>,
}

/// One process: which lines, by rank, and what they did there.
#[derive(Debug, Serialize)]
struct Process {
    pid: u32,
    command: usize,
    rank: Vec<usize>,
    values: Values,
}

/// Gathers the calls that are needed.
struct Gatherer<'a> {
    stacks: &'a StackTable,
    places: Places,
    texts: Texts,
    numbers: HashMap<StackId, usize>,
    frames: HashMap<FrameId, usize>,
    calls: Calls,
}

impl Gatherer<'_> {
    /// The number of the innermost call of a stack.
    fn call(&mut self, stack: StackId) -> usize {
        let mut unknown = Vec::new();
        let mut at = stack;
        let mut caller = 0;
        while let Some((frame, outer)) = self.stacks.innermost(at) {
            if let Some(known) = self.numbers.get(&at) {
                caller = *known;
                break;
            }
            unknown.push((at, frame));
            at = outer;
        }
        for (stack, frame) in unknown.into_iter().rev() {
            let frame = self.frame(frame);
            caller = self.add_call(frame, caller);
            self.numbers.insert(stack, caller);
        }
        caller
    }

    /// The number of a frame. Most are in many stacks.
    fn frame(&mut self, id: FrameId) -> usize {
        if let Some(known) = self.frames.get(&id) {
            return *known;
        }
        let frame = self.stacks.frame(id);
        let label = shown(&self.places.label_within(frame, NAME));
        let number = self.add_frame(label, owner(frame));
        self.frames.insert(id, number);
        number
    }

    fn add_frame(&mut self, label: String, owner: usize) -> usize {
        self.calls.label.push(label);
        self.calls.owner.push(owner);
        self.calls.label.len() - 1
    }

    fn add_call(&mut self, frame: usize, caller: usize) -> usize {
        self.calls.frame.push(frame);
        self.calls.caller.push(caller);
        self.calls.frame.len() - 1
    }
}

/// Whose code a frame is, as a number.
fn owner(frame: &Frame) -> usize {
    let owner = Owner::of(frame);
    Owner::ALL.iter().position(|it| *it == owner).unwrap_or(0)
}

/// All lines, for the script.
pub(super) fn data(subject: &Subject<'_>, breakdown: &Breakdown) -> Pieces {
    let mut gatherer = Gatherer {
        stacks: &subject.recorded.stacks,
        places: places(subject),
        texts: Texts::default(),
        numbers: HashMap::new(),
        frames: HashMap::new(),
        calls: Calls::default(),
    };
    let nobody = gatherer.add_frame(String::new(), 0);
    gatherer.add_call(nobody, 0);
    let mut lines = Lines::default();
    let mut values = Values::default();
    for site in &subject.findings.sites {
        let frame = frame_of(site);
        let place = gatherer.places.file(&frame);
        lines.function.push(gatherer.texts.number(&site.function));
        lines.place.push(gatherer.texts.number(&place));
        lines.file.push(gatherer.texts.number(&site.file));
        lines.line.push(site.line);
        lines.owner.push(owner(&frame));
        lines.samples.push(site.samples);
        lines.call.push(gatherer.call(site.stack));
        lines
            .pids
            .push(site.pids.iter().map(|Pid(pid)| *pid).collect());
        values.push(site);
    }
    let processes = processes(subject, breakdown, &mut gatherer.texts);
    let data = Data {
        text: gatherer.texts.all,
        owners: Owner::ALL.map(Owner::describe),
        lines,
        values,
        processes,
    };
    Pieces {
        sites: json(&data),
        calls: json(&gatherer.calls),
    }
}

fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("writing to memory does not fail, and all keys are text")
}

fn processes(subject: &Subject<'_>, breakdown: &Breakdown, texts: &mut Texts) -> Vec<Process> {
    let sites = subject.findings.sites.iter().enumerate();
    let ranks: HashMap<(&str, &str, u32), usize> = sites
        .map(|(rank, site)| {
            (
                (site.function.as_str(), site.file.as_str(), site.line),
                rank,
            )
        })
        .collect();
    let process = |it: &ProcessSites| {
        let mut process = Process {
            pid: it.pid.0,
            command: texts.number(&subject.recorded.process(it.key).command),
            rank: Vec::new(),
            values: Values::default(),
        };
        for site in &it.sites {
            let place = (site.function.as_str(), site.file.as_str(), site.line);
            if let Some(rank) = ranks.get(&place) {
                process.rank.push(*rank);
                process.values.push(site);
            }
        }
        process
    };
    breakdown.processes.iter().map(process).collect()
}

/// The table, which a script fills.
pub(super) fn section(subject: &Subject<'_>) -> Markup {
    html! {
        section #sites aria-labelledby="sites-title" {
            h2 #sites-title { "Lines that got memory" }
            noscript { p.note { "The table of lines needs JavaScript; "
                code { "heaptide report" } " prints the heaviest." } }
            (table("lines-table", "Lines that got memory"))
            @if subject.findings.sites.is_empty() { p.note { "No allocation was seen." } }
        }
    }
}

/// What a script makes a table of.
pub(super) fn table(id: &str, label: &str) -> Markup {
    html! {
        div.lines id=(id) {
            div.controls {}
            div.scroll tabindex="0" role="region" aria-label=(label) { table { thead {} tbody {} } }
            p.more {}
        }
    }
}
