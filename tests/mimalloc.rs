//! What mimalloc hands out, one by one: in builds without a GIL, and in others that are told to.

use std::collections::HashMap;

use crate::{
    objects::{LIVES, ROUNDS, Watcher, compare, expect_all},
    support::{
        Heaptide, Program, Python,
        host::{can_record, find},
        program::{place, script},
        report::Site,
    },
};

/// Programs that allocate with mimalloc, in each build whose mimalloc is recognised.
fn programs(name: &str) -> Vec<(Python, Program)> {
    in_versions(&["3.13", "3.13t"], name)
}

fn in_versions(versions: &[&str], name: &str) -> Vec<(Python, Program)> {
    if !can_record() {
        return Vec::new();
    }
    let start = |python: Python| {
        let mut command = python.command();
        let command = command.arg(script(name)).env("PYTHONMALLOC", "mimalloc");
        let program = Program::spawn(command);
        (python, program)
    };
    let versions = versions.iter().copied();
    versions.flat_map(find).map(start).collect()
}

/// The size of the block that mimalloc takes: of more than 64 bytes, four to each power of two.
fn rounded(bytes: u64) -> u64 {
    let step = match bytes {
        0..=64 => 16,
        _ => 1 << ((bytes - 1).ilog2() - 2),
    };
    bytes.next_multiple_of(step)
}

#[test]
fn sizes_are_rounded_as_mimalloc_does() {
    let sizes = [16, 48, 64, 80, 128, 144, 160, 272, 512, 528].map(rounded);
    assert_eq!(sizes, [16, 48, 64, 80, 128, 160, 160, 320, 512, 640]);
}

#[test]
fn each_block_is_counted_whatever_the_build() {
    for (python, mut program) in programs("counts_objects") {
        let heaptide = Heaptide::attach(&program);
        let dropped: u64 = program.ask("drop");
        let kept: u64 = program.ask("keep");
        let report = heaptide.stop().report();
        report.expect_no_losses();
        let drops = report.site(&place("counts_objects", "drops"));
        let keeps = report.site(&place("counts_objects", "keeps"));
        expect_all("dropped", &python, drops.allocations.estimate, dropped);
        expect_all("kept", &python, keeps.allocations.estimate, dropped);
        // As many of each size up to 512 bytes, and nothing else.
        let classes = dropped / 400;
        let sizes = (33 - classes..=32).map(|class| class * 16);
        assert_eq!(sizes.clone().sum::<u64>() * 400, kept);
        let kept = sizes.map(rounded).sum::<u64>() * 400;
        expect_all("bytes kept", &python, keeps.retained(), kept);
        assert!(drops.retained() <= 512, "{}: {drops:?}", python.name);
    }
}

#[test]
fn a_build_of_which_a_part_is_recognised_is_left_alone_and_it_is_said() {
    for (python, mut program) in in_versions(&["3.14", "3.15"], "counts_objects") {
        let heaptide = Heaptide::attach(&program);
        program.step("keep");
        let report = heaptide.stop().report();
        let notes = report.recording.notes.join("\n");
        assert!(notes.contains("not recognised"), "{}: {notes}", python.name);
        let keeps = report.find(&place("counts_objects", "keeps"));
        assert_eq!(keeps.map_or(0, |it| it.allocations.estimate), 0);
    }
}

#[test]
fn addresses_are_those_that_the_program_gets() {
    let (mut compared, mut wrong) = (0, 0);
    for (python, mut program) in programs("counts_objects") {
        let mut watcher = Watcher::new(&program);
        for _ in 0..ROUNDS {
            let told: Vec<u64> = program.ask("tell");
            let missing = watcher.missing(&told, rounded);
            assert!(missing * 1000 <= told.len(), "{}: {missing}", python.name);
            compared += told.len();
            wrong += missing;
        }
    }
    assert!(wrong * 1000 <= compared, "{wrong} of {compared}");
}

#[test]
fn what_is_still_there_is_known_to_the_byte_where_all_is_seen() {
    for (python, mut program) in programs("lives_of_objects") {
        let heaptide = Heaptide::attach(&program);
        let left: HashMap<String, u64> = program.ask("work 2");
        let report = heaptide.stop().report();
        report.expect_no_losses();
        for (line, (found, truth)) in LIVES.iter().zip(compare(&report, &left)) {
            // The list that grows is no object of that size.
            let slack = 64 << 10;
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
    for (python, mut program) in programs("lives_of_objects") {
        let heaptide = Heaptide::attach_with(&program, &["--max-overhead", "20"]);
        program.step("live_for 16");
        let left: HashMap<String, u64> = program.ask("left");
        let report = heaptide.stop().report();
        let [transient, medium, reused, kept, arenas] = compare(&report, &left);
        let name = &python.name;
        let figures = format!("{name}: {transient:?} {medium:?} {reused:?} {kept:?} {arenas:?}");
        eprintln!("{figures}");
        let all = kept.1 + medium.1 + reused.1;
        assert!(kept.0 * 3 > kept.1 && kept.0 < kept.1 * 2, "{figures}");
        assert!(transient.0 * 50 <= all, "{figures}");
        assert!(arenas.0 * 5 <= all, "{figures}");
    }
}

#[test]
fn large_blocks_that_are_kept_are_told_from_those_that_are_dropped() {
    for (python, mut program) in programs("keeps_large_strings") {
        let heaptide = Heaptide::attach(&program);
        let mut held: u64 = 0;
        for _ in 0..20 {
            held = program.ask("handle");
        }
        let report = heaptide.stop().report();
        report.expect_no_losses();
        let keeps = report.site(&place("keeps_large_strings", "keeps"));
        let name = &python.name;
        // Blocks of this size are a multiple of 64 KiB.
        let retained = keeps.retained();
        assert!(
            (held..held + held / 15).contains(&retained),
            "{name}: {retained} for {held}"
        );
        let drops = report.find(&place("keeps_large_strings", "drops"));
        assert_eq!(drops.map(Site::retained), Some(0), "{name}: {drops:?}");
    }
}
