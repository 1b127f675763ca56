//! Small objects, one by one: how many there are, where they are, and how long they live.

use std::collections::{BTreeMap, HashMap};

use profiler::{
    probe::{Happening, Links, LoadOptions, Probe},
    process,
    profile::SizeClass,
    source::{Planner, SiteClass},
    units::Pid,
};

use crate::support::{
    Heaptide, Program, Python, Report,
    host::{pythons, two_builds},
    program::place,
    report::Site,
};

/// A thousandth may be missed; what the interpreter does besides must not count here.
#[track_caller]
pub(crate) fn expect_all(what: &str, python: &Python, found: u64, expected: u64) {
    let is_all = found.abs_diff(expected) * 1000 <= expected;
    assert!(is_all, "{}: {found} {what}, not {expected}", python.name);
}

#[test]
fn each_object_is_counted_whatever_the_build() {
    for python in pythons() {
        let mut program = Program::start(&python, "counts_objects");
        let heaptide = Heaptide::attach(&program);
        let dropped: u64 = program.ask("drop");
        let kept: u64 = program.ask("keep");
        let report = heaptide.stop().report();
        report.expect_no_losses();
        let drops = report.site(&place("counts_objects", "drops"));
        let keeps = report.site(&place("counts_objects", "keeps"));
        expect_all("dropped", &python, drops.allocations.estimate, dropped);
        expect_all("kept", &python, keeps.allocations.estimate, dropped);
        expect_all("bytes kept", &python, keeps.retained(), kept);
        for exact in [drops.allocations, keeps.retained] {
            assert_eq!((exact.low, exact.high), (exact.estimate, exact.estimate));
        }
        assert!(drops.retained() <= 512, "{}: {drops:?}", python.name);
    }
}

/// How many rounds of 12,000 objects are compared with each interpreter.
pub(crate) const ROUNDS: usize = 12;

#[test]
fn addresses_are_those_that_the_program_gets() {
    let (mut compared, mut wrong) = (0, 0);
    for python in pythons() {
        let mut program = Program::start(&python, "counts_objects");
        let mut watcher = Watcher::new(&program);
        for _ in 0..ROUNDS {
            let told: Vec<u64> = program.ask("tell");
            let missing = watcher.missing(&told, |bytes| bytes);
            assert!(missing * 1000 <= told.len(), "{}: {missing}", python.name);
            compared += told.len();
            wrong += missing;
        }
    }
    assert!(wrong * 1000 <= compared, "{wrong} of {compared}");
}

/// Sees what a program hands out, with nothing between it and the kernel half.
pub(crate) struct Watcher {
    probe: Probe,
    /// The probes are there as long as it is.
    _links: Links,
}

impl Watcher {
    pub(crate) fn new(program: &Program) -> Self {
        let pid = Pid(program.pid());
        let identity = process::check(pid).expect("the program runs");
        let mut planner = Planner::default();
        let plan = planner.plan(&identity).expect("it can be measured");
        let mut probe = Probe::load(LoadOptions {
            ring_bytes: 1 << 26,
            diagnostics: false,
            single_site_links: false,
        })
        .expect("this host can record");
        probe.follow(pid, &plan.config).expect("it can be followed");
        let mut links = Links::default();
        let objects = |class: SiteClass| class == SiteClass::Objects;
        for planned in plan.sites.iter().filter(|planned| objects(planned.class)) {
            let attached =
                probe.attach_sites(planned.program, pid, &planned.path(), &planned.sites);
            links.append(attached.expect("probes can be attached"));
        }
        Self {
            probe,
            _links: links,
        }
    }

    /// How many of the objects were not seen at these addresses, in this order within their size
    /// class. The interpreter hands out others in between. `rounded` tells which size of block the
    /// allocator takes for a size that is one of pymalloc's.
    pub(crate) fn missing(&mut self, told: &[u64], rounded: fn(u64) -> u64) -> usize {
        let mut seen = HashMap::<SizeClass, Vec<u64>>::new();
        while let Some(record) = self.probe.next_record() {
            if let Some(Happening::ObjectTaken(object)) = record.map(|record| record.what) {
                let class = SizeClass::of(object.size);
                seen.entry(class).or_default().push(object.address);
            }
        }
        let mut by_class = BTreeMap::<SizeClass, Vec<u64>>::new();
        let count = told.len() / OF_EACH_CLASS;
        let classes = SizeClass::small().skip(SizeClass::small().count() - count);
        for (told, class) in told.chunks(OF_EACH_CLASS).zip(classes) {
            let class = SizeClass::of(rounded(class.bytes()));
            by_class.entry(class).or_default().extend(told);
        }
        by_class
            .into_iter()
            .map(|(class, told)| {
                let seen = seen.remove(&class).unwrap_or_default();
                told.len() - in_order(&told, &seen)
            })
            .sum()
    }
}

/// How many objects of a size class the program makes one after the other.
const OF_EACH_CLASS: usize = 400;

/// How far to look for the next address: others hand out objects, too.
const REACH: usize = 2000;

/// How many of the addresses occur in the order in which they were told.
fn in_order(told: &[u64], seen: &[u64]) -> usize {
    let mut next = 0;
    let mut found = 0;
    for address in told {
        let ahead = seen.iter().skip(next).take(REACH);
        if let Some(distance) = ahead.clone().position(|other| other == address) {
            next += distance + 1;
            found += 1;
        }
    }
    found
}

/// The lines of the program with lives of every length.
pub(crate) const LIVES: [&str; 5] = ["transient", "medium", "reused", "kept", "arenas"];

/// What each line retains, by a report and by the program.
pub(crate) fn compare(report: &Report, left: &HashMap<String, u64>) -> [(u64, u64); 5] {
    LIVES.map(|line| {
        let site = report.find(&place("lives_of_objects", line));
        (site.map_or(0, Site::retained), left[line])
    })
}

#[test]
fn what_is_still_there_is_known_to_the_byte_where_all_is_seen() {
    for python in two_builds() {
        let mut program = Program::start(&python, "lives_of_objects");
        let heaptide = Heaptide::attach(&program);
        let left: HashMap<String, u64> = program.ask("work 2");
        let report = heaptide.stop().report();
        report.expect_no_losses();
        for (line, (found, truth)) in LIVES.iter().zip(compare(&report, &left)) {
            // The list that grows is no object of that size.
            let slack = 16 << 10;
            let name = &python.name;
            assert!(
                found.abs_diff(truth) <= truth / 100 + slack,
                "{name}: {line}: {found} instead of {truth}"
            );
        }
    }
}

#[test]
fn what_windows_show_tells_the_kept_from_the_transient() {
    for python in two_builds() {
        let mut program = Program::start(&python, "lives_of_objects");
        let heaptide = Heaptide::attach_with(&program, &["--max-overhead", "20"]);
        program.step("live_for 8");
        let left: HashMap<String, u64> = program.ask("left");
        let report = heaptide.stop().report();
        let [transient, medium, reused, kept, arenas] = compare(&report, &left);
        let name = &python.name;
        let figures = format!("{name}: {transient:?} {medium:?} {reused:?} {kept:?} {arenas:?}");
        let all = kept.1 + medium.1 + reused.1;
        // In so short a time, some of it may count for the line whose objects live a second.
        assert!(kept.0 * 3 > kept.1 && kept.0 < kept.1 * 2, "{figures}");
        assert!(transient.0 * 50 <= all, "{figures}");
        assert!(arenas.0 * 5 <= all, "{figures}");
    }
}
