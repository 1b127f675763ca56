//! The same scenarios with every CPython of the list, and what must be found there with each.

use std::{env, panic};

use crate::support::{
    Heaptide, Program, Python, Report,
    host::every_python,
    program::{Place, place},
    report::Site,
};

/// Something that a program does while heaptide watches.
struct Scenario {
    name: &'static str,
    /// Lets a program do it, and checks what is found.
    check: fn(&Python),
}

impl Scenario {
    const fn new(name: &'static str, check: fn(&Python)) -> Self {
        Self { name, check }
    }
}

const SCENARIOS: [Scenario; 11] = [
    Scenario::new("leak of dicts", |python| check_leak(python, "dicts", 2)),
    Scenario::new("leak of instances", |python| {
        check_leak(python, "instances", 1);
    }),
    Scenario::new("objects used again", check_reuse),
    Scenario::new("large blocks", check_large_blocks),
    Scenario::new("growth in place", check_growth_in_place),
    Scenario::new("mappings", check_mappings),
    Scenario::new("threads", check_threads),
    Scenario::new("generators", check_code_of_every_kind),
    Scenario::new("deep stacks", check_deep_stack),
    Scenario::new("too deep stacks", check_too_deep_stack),
    Scenario::new("fork", check_fork),
];

/// A part of the name of an interpreter, a slash, and a part of the name of a scenario; to test no
/// others.
const ONLY: &str = "HEAPTIDE_MATRIX";

fn is_wanted(python: &Python, scenario: &Scenario) -> bool {
    let only = env::var(ONLY).unwrap_or_default();
    let (interpreter, name) = only.split_once('/').unwrap_or((&only, ""));
    python.name.contains(interpreter) && scenario.name.contains(name)
}

/// Tests all before it fails, and prints a table of what held.
#[test]
fn each_scenario_holds_with_each_interpreter() {
    let mut failures = Vec::new();
    let names = SCENARIOS.map(|scenario| scenario.name);
    eprintln!(
        "\n| | {} |\n|---{}|",
        names.join(" | "),
        "|---".repeat(names.len())
    );
    for python in every_python() {
        let row = SCENARIOS.map(|scenario| {
            if !is_wanted(&python, &scenario) {
                return "";
            }
            if panic::catch_unwind(|| (scenario.check)(&python)).is_ok() {
                return "yes";
            }
            failures.push(format!("{}: {}", python.name, scenario.name));
            "no"
        });
        eprintln!("| {} | {} |", python.name, row.join(" | "));
    }
    assert!(failures.is_empty(), "these do not hold: {failures:#?}");
}

/// Lets a program do something while heaptide watches.
fn watch(program: &mut Program, orders: &[&str]) -> Report {
    let heaptide = Heaptide::attach(program);
    for order in orders {
        program.step(order);
    }
    heaptide.stop().report()
}

#[track_caller]
fn expect_near(found: u64, expected: u64, percent: u64) {
    let is_near = found.abs_diff(expected) * 100 <= expected * percent;
    assert!(is_near, "{found} instead of {expected}");
}

/// What a program has got at a site by `make`.
fn made(python: &Python, site: &Site) -> u64 {
    if python.is_free_threaded() {
        site.mapped
    } else {
        site.retained()
    }
}

/// How far a block may be from what `sys.getsizeof` says: the object's head, and rounding, which
/// mimalloc does by up to a quarter.
fn expect_size(python: &Python, what: &str, found: u64, size: u64) {
    let slack = if python.is_free_threaded() {
        size / 4
    } else {
        4096
    };
    let is_close = found.abs_diff(size) <= slack;
    assert!(is_close, "{what}: {found} instead of {size}");
}

/// What is added to each block in a build with assertions.
const HOOK_BYTES: u64 = 24;

/// Checks what is found of small objects, of so many blocks each, against what the interpreter
/// itself says.
fn check_leak(python: &Python, kind: &str, blocks: u64) {
    let hooks = u64::from(python.has_assertions()) * 20_000 * blocks * HOOK_BYTES;
    let keeps = place("keeps_small_objects", &format!("keeps {kind}"));
    let mut program = Program::start_with(python, "keeps_small_objects", &["tracemalloc"]);
    program.step(kind);
    let expected: u64 = program.ask(&format!("traced {}", keeps.line));
    drop(program);

    let mut program = Program::start(python, "keeps_small_objects");
    let report = watch(&mut program, &[kind]);
    report.expect_no_losses();
    let first = &report.sites[0];
    assert!(first.is_at(&keeps), "{first:?}");
    let (found, total) = (first.retained(), report.totals.retained.estimate);
    assert!(found * 100 >= total * 80, "{found} of {total}");
    expect_near(found, expected + hooks, 25);
}

/// The memory of an object that was dropped, put aside and used again is its last user's.
fn check_reuse(python: &Python) {
    for kind in ["tuples", "lists", "dicts", "floats"] {
        let mut program = Program::start(python, "drops_and_keeps");
        let heaptide = Heaptide::attach_with(&program, &["--exact"]);
        program.step(kind);
        let report = heaptide.stop().report();
        report.expect_no_losses();
        let site = |does: &str| report.find(&place("drops_and_keeps", &format!("{does} {kind}")));
        let [kept, dropped] = ["keeps", "drops"].map(|does| site(does).map_or(0, Site::retained));
        assert!(kept + dropped >= 20_000 * 24, "{kind}: {kept}, {dropped}");
        // Without a GIL, and in builds that are not optimized, memory counts for the line that had
        // it first.
        if python.is_free_threaded() || python.has_assertions() {
            continue;
        }
        assert!(dropped * 100 <= kept, "{kind}: {kept}, {dropped}");
        let allocations = site("keeps").map_or(0, |site| site.allocations.estimate);
        expect_near(allocations, 20_000, 1);
    }
}

/// What is kept is told from what is dropped at once.
fn check_large_blocks(python: &Python) {
    let mut program = Program::start(python, "keeps_large_strings");
    let heaptide = Heaptide::attach(&program);
    let mut held: u64 = 0;
    for _ in 0..20 {
        held = program.ask("handle");
    }
    let report = heaptide.stop().report();
    report.expect_no_losses();
    let total = report.totals.retained.estimate;
    let keeps = report.site(&place("keeps_large_strings", "keeps"));
    assert_eq!(keeps.function, "keep");
    assert!(keeps.retained() * 100 >= total * 95, "{keeps:?} of {total}");
    // Mimalloc's blocks of this size are a multiple of 64 KiB.
    let percent = if python.is_free_threaded() { 8 } else { 5 };
    expect_near(total, held, percent);
    let drops = report.site(&place("keeps_large_strings", "drops"));
    assert!(drops.allocated.estimate >= 400_000_000, "{drops:?}");
    // The last one lives until the function returns, and it has returned.
    assert_eq!(drops.retained(), 0);
}

/// What moves while it grows counts once.
fn check_growth_in_place(python: &Python) {
    let mut program = Program::start(python, "grows_in_place");
    let heaptide = Heaptide::attach(&program);
    let sizes = ["list", "bytearray"].map(|kind| (kind, program.ask::<u64>(kind)));
    let report = heaptide.stop().report();
    report.expect_no_losses();
    for (kind, size) in sizes {
        let grows = report.site(&place("grows_in_place", &format!("grows the {kind}")));
        expect_size(python, kind, grows.retained(), size);
    }
}

/// A gibibyte that is kept is told from one that is unmapped.
fn check_mappings(python: &Python) {
    let mut program = Program::start(python, "maps_memory");
    let heaptide = Heaptide::attach(&program);
    let before = program.address_space();
    for order in ["drop", "keep", "drop"] {
        program.step(order);
    }
    let grown = program.address_space() - before;
    let report = heaptide.stop().report();
    report.expect_no_losses();
    let mapped = |comment| {
        let site = report.find(&place("maps_memory", comment));
        site.map_or(0, |site| site.mapped)
    };
    assert_eq!(mapped("keeps"), 1 << 30);
    assert_eq!(mapped("drops"), 0);
    let process = report.process(program.pid()).mapped;
    assert_eq!(process, grown);
    assert_eq!(report.totals.mapped, process);
}

/// Threads are followed whether they started before or after the attach.
fn check_threads(python: &Python) {
    let mut program = Program::start(python, "works_in_threads");
    let report = watch(&mut program, &["start", "keep early", "keep late"]);
    report.expect_no_losses();
    for (comment, size) in [
        ("the early thread", 1_000_000),
        ("the late thread", 2_000_000),
    ] {
        let site = report.site(&place("works_in_threads", comment));
        expect_near(made(python, site), size, 1);
    }
}

/// Generators, and whatever else code can stand in, are found by name and line.
fn check_code_of_every_kind(python: &Python) {
    const EXPECTED: [(&str, &str); 7] = [
        ("generator", "generate"),
        ("coroutine", "fetch"),
        ("thread", "work"),
        ("method of a nested class", "Outer.Inner.method"),
        ("class method", "Outer.make"),
        ("enclosed function", "enclosing.<locals>.enclosed"),
        ("lambda", "<lambda>"),
    ];
    let mut program = Program::start(python, "allocates_everywhere");
    let is_qualified: bool = program.ask("qualified");
    let report = watch(&mut program, &["everywhere"]);
    report.expect_no_losses();
    for (comment, function) in EXPECTED {
        let site = report.site(&place("allocates_everywhere", comment));
        // Code objects have no qualified names before 3.11.
        let plain = function.rsplit('.').next().unwrap();
        assert_eq!(site.function, if is_qualified { function } else { plain });
        expect_near(made(python, site), 1_000_000, 1);
    }
}

/// The lines of `recurses`: where it keeps, and where it calls itself.
fn descent() -> [Place; 2] {
    ["the bottom", "the way down"].map(|comment| place("recurses", comment))
}

/// A stack of a hundred frames is complete.
fn check_deep_stack(python: &Python) {
    let mut program = Program::start(python, "recurses");
    let report = watch(&mut program, &["descend 100"]);
    assert_eq!(report.loss("stack-too-deep"), 0);
    let [bottom, way] = descent();
    let stack = &report.site(&bottom).stack;
    let (last, rest) = stack.split_last().unwrap();
    assert!(last.is_at(&bottom), "{last:?}");
    assert_eq!(stack[0].function, "<module>");
    let descents = rest.iter().filter(|frame| frame.is_at(&way)).count();
    assert_eq!(descents, 99);
}

/// A stack beyond the limit is cut at its outer end, and says how many frames are missing there.
fn check_too_deep_stack(python: &Python) {
    let mut program = Program::start(python, "recurses");
    let depth: u64 = program.ask("depth");
    let report = watch(&mut program, &["descend 300"]);
    assert!(report.loss("stack-too-deep") > 0);
    let [bottom, _] = descent();
    let bottom = report.site(&bottom);
    expect_near(made(python, bottom), 1_000_000, 1);
    let (cut_off, known) = bottom.stack.split_first().unwrap();
    assert!((100..=128).contains(&known.len()), "{}", known.len());
    // What is known of the stack is its inner part, and it does not pretend to be all.
    let missing = depth + 300 - known.len() as u64;
    assert_eq!(
        cut_off.function,
        format!("[{missing} outer frames cut off]")
    );

    let report = watch(&mut program, &["descend 2000"]);
    let (bottom, _) = report.site(&descent()[0]).stack.split_first().unwrap();
    let count = bottom.function.strip_prefix("[at least ");
    let count = count.and_then(|text| text.strip_suffix(" outer frames cut off]"));
    let count: usize = count.and_then(|count| count.parse().ok()).unwrap();
    assert!((512..1872).contains(&count), "{}", bottom.function);
}

/// Each forked worker has its own figures.
fn check_fork(python: &Python) {
    let mut program = Program::start(python, "forks_workers");
    let mut heaptide = Heaptide::attach_with(&program, &["--verbose"]);
    let workers: Vec<u32> = program.ask("fork");
    for pid in &workers {
        heaptide.wait_for(&format!("process {pid} is measured"));
    }
    program.step("work");
    let report = heaptide.stop().report();
    let lines = ["first", "second", "third"];
    for ((pid, line), size) in workers
        .iter()
        .zip(lines)
        .zip([1_000_000, 2_000_000, 3_000_000])
    {
        let site = report.site(&place("forks_workers", line));
        assert_eq!(site.pids, [*pid], "{line}");
        expect_size(python, line, site.retained(), size);
        let process = report.process(*pid);
        assert_eq!(process.parent, program.pid());
        let beside = process.retained.estimate.checked_sub(site.retained());
        assert!(beside.is_some_and(|beside| beside < 100_000), "{process:?}");
    }
    assert!(report.process(program.pid()).retained.estimate < 100_000);
}
