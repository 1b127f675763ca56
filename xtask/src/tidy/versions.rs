//! Versions of Python are compared in few places; all others look at a row of facts.
//!
//! A comparison is a line of code that has both a part of a version and something that compares.
//! Tests may compare whatever they like.

use super::{Fault, File, Tree};

/// The files that may compare: what a version means, which row it has, and whether the row is for
/// the very version that was found.
const COMPARING: [&str; 3] = [
    "profiler/src/python/layouts/mod.rs",
    "profiler/src/python/runtime.rs",
    "profiler/src/python/version.rs",
];

/// The crates that know Python.
const SOURCES: [&str; 3] = [
    "profiler/src/",
    "profiler-common/src/",
    "profiler-ebpf/src/",
];

/// What a version is asked for, or made of.
const PARTS: [&str; 7] = [
    ".major",
    ".minor",
    ".micro",
    ".feature",
    "FeatureVersion::new(",
    "Version::new(",
    "\"3.",
];

const COMPARISONS: [&str; 14] = [
    " == ",
    " != ",
    " < ",
    " > ",
    " <= ",
    " >= ",
    " =>",
    "..",
    "match ",
    "matches!(",
    ".cmp(",
    ".eq(",
    ".contains(",
    ".starts_with(",
];

pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    let sources = tree.files.iter().filter(|file| is_source(file));
    let others = sources.filter(|file| !COMPARING.contains(&file.path.as_str()));
    others.flat_map(check_file).collect()
}

fn is_source(file: &File) -> bool {
    let is_test = file.path.contains("/tests") || file.path.ends_with("/testing.rs");
    file.is("rs") && !is_test && SOURCES.iter().any(|folder| file.path.starts_with(folder))
}

fn check_file(file: &File) -> Vec<Fault> {
    let code = file
        .lines()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    code.filter(|(_, line)| compares(line))
        .map(|(line, _)| {
            let files = COMPARING.join(", ");
            file.fault(
                line,
                format!("versions of Python are compared in {files} alone"),
            )
        })
        .collect()
}

fn compares(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let has = |words: &[&str]| words.iter().any(|word| code.contains(word));
    has(&PARTS) && has(&COMPARISONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::shown;

    fn faults_in(path: &str, text: &str) -> Vec<String> {
        shown(check(&Tree::planted(&[(path, text)])))
    }

    #[test]
    fn a_comparison_is_found_wherever_it_is_not_allowed() {
        let comparisons = [
            "if version.minor >= 12 {",
            "version.feature() == FeatureVersion::new(3, 11)",
            "    Version::new(3, 12, 0) < version,",
            "match version.feature {",
            "name.starts_with(\"3.8\")",
            "matches!(feature.minor, 8 | 9)",
        ];
        for text in comparisons {
            let faults = faults_in("profiler/src/source/plan.rs", &format!("\n{text}"));
            assert_eq!(faults.len(), 1, "{text}");
            assert!(
                faults[0].starts_with("profiler/src/source/plan.rs:2: versions"),
                "{faults:?}"
            );
            for path in [
                COMPARING[0],
                "tests/versions.rs",
                "profiler/src/python/tests/mod.rs",
            ] {
                assert!(faults_in(path, text).is_empty(), "{path}: {text}");
            }
        }
    }

    #[test]
    fn what_is_no_comparison_is_allowed_everywhere() {
        let others = [
            "feature: FeatureVersion::new(3, 13),",
            "// since 3.11, version.minor == 11",
            "let version = interpreter.version.to_string();",
            "#[cfg(test)]\nmod tests { assert_eq!(version.minor == 12, true) }",
        ];
        for text in others {
            assert_eq!(
                faults_in("profiler/src/python/text.rs", text),
                [""; 0],
                "{text}"
            );
        }
    }
}
