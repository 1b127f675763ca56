//! Writes a made-up recording of ten minutes with 100,000 stacks, to see how long reports of it
//! take: `made_recording FILE SEED [lines]`. Another seed makes another run of the same program;
//! with `lines`, each of 100,000 stacks ends in a line of its own.

use std::{env, path::PathBuf, time::Duration};

use anyhow::Context as _;
use profiler::{
    profile::{
        Census, Change, Counters, Facts, Frame, FrameId, Interval, Metered, ProcessKey,
        ProcessRecord, Remains, SizeClass, StackId, StackTable, Survivor, ThreadUse, Threads,
    },
    recording::Writer,
    units::Pid,
};

const SECONDS: u32 = 600;
const STACKS: usize = 100_000;
const FRAMES: u32 = 20_000;
const DEPTH: u32 = 24;
/// How many stacks do something in a second.
const BUSY: u32 = 1500;

/// Numbers without a pattern, the same for each seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(bound.max(1))).unwrap_or_default()
    }
}

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let usage = "made_recording FILE SEED [lines]";
    let path = PathBuf::from(arguments.next().context(usage)?);
    let seed: u64 = arguments.next().context(usage)?.parse()?;
    // The program is the same whatever the seed is.
    let has_lines = arguments.next().is_some_and(|word| word == "lines");
    let (table, ends) = stacks(&mut Chance(0x9e37_79b9), has_lines);
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut facts = Facts {
        heaptide: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        target: "python service.py (pid 4711)".to_owned(),
        budget_percent: Some(2.0),
        page_fault_period: 61,
        page_size: 4096,
        ..Facts::default()
    };
    let mut writer = Writer::create(&path, true, &facts)?;
    // Each line does something once at least, or it would be in no report.
    let mut ends = ends.chunks(ends.len().div_ceil(SECONDS as usize).max(1));
    for second in 0..SECONDS {
        let ends = ends.next().unwrap_or_default();
        let interval = interval(second, &table, ends, &mut chance);
        writer.append(&interval, &[process()], &table)?;
    }
    facts.duration = Duration::from_secs(SECONDS.into());
    facts.complete = true;
    let remains = Remains {
        survivors: survivors(&table, &mut chance),
        threads: threads(&table, &mut chance),
        ..Remains::default()
    };
    writer.finish(&facts, &remains)?;
    Ok(())
}

/// A tree of calls with so many stacks, most of them deep; or with so many that end in a line of
/// their own, which are named besides.
fn stacks(chance: &mut Chance, has_lines: bool) -> (StackTable, Vec<StackId>) {
    let mut table = StackTable::default();
    let frames: Vec<FrameId> = (0..FRAMES)
        .map(|number| table.intern_frame(&frame(number)))
        .collect();
    let mut ends = Vec::new();
    while if has_lines {
        ends.len() < STACKS
    } else {
        table.stack_count() <= STACKS
    } {
        let depth = chance.below(DEPTH) + 1;
        let mut stack = StackId::ROOT;
        for level in 0..depth {
            // Few ways lead into a program, and many through it.
            let choice = (chance.below(2 + 3 * level) * 131 + level * 977) % FRAMES;
            stack = table.intern_call(stack, frames[choice as usize]);
        }
        if has_lines {
            let own = FRAMES + u32::try_from(ends.len()).unwrap_or_default();
            let own = table.intern_frame(&frame(own));
            ends.push(table.intern_call(stack, own));
        }
    }
    (table, ends)
}

fn frame(number: u32) -> Frame {
    Frame {
        function: format!("Class{}.method_{number}", number % 700),
        file: format!(
            "/srv/service/package_{}/module_{}.py",
            number % 40,
            number % 900
        ),
        line: number % 3000 + 1,
    }
}

fn process() -> ProcessRecord {
    ProcessRecord {
        pid: Pid(4711),
        inner_pid: None,
        parent: Pid(1),
        command: "python service.py".to_owned(),
        python: Some("3.12.1".to_owned()),
        started: Duration::ZERO,
        ended: None,
    }
}

fn meter(number: u32) -> Metered {
    let class = SizeClass::new(number % 8);
    match class {
        Some(class) if !number.is_multiple_of(3) => Metered::SampledObject(class),
        _ => Metered::Block,
    }
}

fn some_stack(table: &StackTable, chance: &mut Chance) -> StackId {
    let count = u32::try_from(table.stack_count()).unwrap_or(u32::MAX);
    StackId(1 + chance.below(count - 1))
}

fn interval(second: u32, table: &StackTable, ends: &[StackId], chance: &mut Chance) -> Interval {
    let end = Duration::from_secs(u64::from(second) + 1);
    let mut changes = Vec::new();
    let mut busy: Vec<StackId> = (0..BUSY).map(|_| some_stack(table, chance)).collect();
    busy.extend(ends);
    busy.sort_unstable();
    busy.dedup();
    for stack in busy {
        let bytes_in = u64::from(chance.below(60_000)) + 600;
        changes.push(Change {
            process: ProcessKey(0),
            stack,
            meter: meter(stack.0),
            counters: Counters {
                bytes_in,
                count_in: bytes_in / 600,
                bytes_out: bytes_in / 2,
                count_out: bytes_in / 1200,
                samples: 3,
            },
        });
    }
    Interval {
        start: Duration::from_secs(second.into()),
        end,
        changes,
        censuses: vec![Census {
            time: end,
            rss: (200 << 20) + u64::from(second) * 20_000,
            cpu: end / 2,
            blocks_observed: end,
            objects_observed: end / 50,
            object_windows: u64::from(second) * 4,
            ..Census::default()
        }],
        ..Interval::default()
    }
}

/// One of eight threads at each stack.
fn threads(table: &StackTable, chance: &mut Chance) -> Threads {
    let stacks = (1..u32::try_from(table.stack_count()).unwrap_or(u32::MAX)).map(StackId);
    let uses = stacks.map(|stack| ThreadUse {
        process: ProcessKey(0),
        stack,
        tid: 4711 + chance.below(8),
        seen: 10,
    });
    Threads {
        names: Vec::new(),
        uses: uses.collect(),
    }
}

fn survivors(table: &StackTable, chance: &mut Chance) -> Vec<Survivor> {
    let mut survivors = Vec::new();
    for stack in (1..u32::try_from(table.stack_count()).unwrap_or(u32::MAX)).map(StackId) {
        survivors.push(Survivor {
            process: ProcessKey(0),
            stack,
            meter: meter(stack.0),
            born: Duration::from_secs(chance.below(SECONDS).into()),
            bytes: u64::from(chance.below(9000)) + 600,
            count: 10,
        });
    }
    survivors.sort_by_key(|it| (it.process, it.stack, it.meter.name(), it.born));
    survivors
}
