//! The modules of the user half use only those before them.
//!
//! An import is found in the text: `crate::name`, `crate::{name, …}`, and `super::…` where it
//! leads up to the crate.

use super::{Fault, File, Tree};

/// The modules in the order in which data passes through them. A module may use those before it
/// and itself.
const ORDER: [&str; 13] = [
    "units",
    "profile",
    "process",
    "python",
    "probe",
    "source",
    "recording",
    "aggregate",
    "classify",
    "compare",
    "report",
    "session",
    "cli",
];

/// Files that belong to no module and use them all.
const EXEMPT: [&str; 2] = ["lib.rs", "main.rs"];

const SOURCES: &str = "profiler/src/";

pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    let files = tree.files.iter().filter(|file| file.is("rs"));
    files
        .filter_map(|file| Some((file, file.path.strip_prefix(SOURCES)?)))
        .filter(|(_, name)| !EXEMPT.contains(name))
        .flat_map(|(file, name)| check_file(file, name))
        .collect()
}

fn check_file(file: &File, name: &str) -> Vec<Fault> {
    let module = name.split(['/', '.']).next().unwrap_or_default();
    let Some(place) = ORDER.iter().position(|known| *known == module) else {
        return vec![file.fault(
            1,
            format!("`{module}` has no place in the order of modules"),
        )];
    };
    let code = without_comments(&file.text);
    let mut faults: Vec<_> = imports(&code, depth(name))
        .into_iter()
        .filter(|(_, used)| ORDER[place + 1..].contains(used))
        .map(|(at, used)| {
            let line = code[..at].lines().count().max(1);
            file.fault(
                line,
                format!("`{module}` must not use `{used}`, which comes after it"),
            )
        })
        .collect();
    faults.dedup();
    faults
}

/// How many modules a file is inside of.
fn depth(name: &str) -> usize {
    let parts = name.split('/').count();
    if name.ends_with("/mod.rs") {
        parts - 1
    } else {
        parts
    }
}

/// The text with nothing in the place of comments, line for line.
fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let code = line.find("//").map_or(line, |at| &line[..at]);
        format!("{code}\n")
    });
    lines.collect()
}

/// The modules of the crate that the code names, each with where it does.
fn imports(code: &str, depth: usize) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        found.extend(names_after(code, at + prefix.len()));
    }
    for (at, _) in code.match_indices("super::") {
        let is_continued = code[..at].ends_with("super::");
        let rest = code[at..].trim_start_matches("super::");
        let end = code.len() - rest.len();
        let levels = (end - at) / "super::".len();
        if !is_continued && levels >= depth + inline_modules(&code[..at]) {
            found.extend(names_after(code, end));
        }
    }
    found
}

/// How many modules are open at the end of a piece of code, beside that of the file.
fn inline_modules(code: &str) -> usize {
    let mut open = Vec::new();
    for line in code.lines() {
        let indent = line.len() - line.trim_start().len();
        let is_module = line
            .trim_start_matches("pub ")
            .trim_start()
            .starts_with("mod ");
        if is_module && line.ends_with('{') {
            open.push(indent);
        } else if line.trim_end() == format!("{}}}", " ".repeat(open.last().map_or(0, |i| *i))) {
            open.pop();
        }
    }
    open.len()
}

/// The names that a path goes on with at this place: one, or those of a list in braces.
fn names_after(code: &str, at: usize) -> Vec<(usize, &str)> {
    let Some(list) = code[at..].strip_prefix('{') else {
        return vec![(at, name_at(code, at))];
    };
    let mut names = Vec::new();
    let mut level = 0_usize;
    let mut is_start = true;
    for (offset, c) in list.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => break,
            '}' => level -= 1,
            ',' if level == 0 => is_start = true,
            c if is_start && !c.is_whitespace() => {
                let at = at + 1 + offset;
                names.push((at, name_at(code, at)));
                is_start = false;
            }
            _ => {}
        }
    }
    names
}

fn name_at(code: &str, at: usize) -> &str {
    let rest = &code[at..];
    rest.split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::shown;

    fn faults_of(path: &str, text: &str) -> Vec<String> {
        shown(check(&Tree::planted(&[(path, text)])))
    }

    #[test]
    fn an_import_that_points_the_wrong_way_is_named_with_its_line() {
        let faults = faults_of(
            "profiler/src/profile/series.rs",
            "\n\nuse crate::report::Text;\n",
        );
        assert_eq!(
            faults,
            ["profiler/src/profile/series.rs:3: \
              `profile` must not use `report`, which comes after it"]
        );
    }

    #[test]
    fn every_form_of_import_is_seen() {
        let wrong = [
            "use crate::{profile::Site, cli};",
            "use crate::{\n    profile::{Site, Stack},\n    cli::Flags,\n};",
            "pub use crate::cli::Flags;",
            "fn a() {\n    crate::cli::run();\n}",
            "use super::cli::Flags;",
            "use super::{cli, units};",
            "mod tests {\n    use super::super::cli::Flags;\n}",
        ];
        for text in wrong {
            assert_eq!(
                faults_of("profiler/src/process/mod.rs", text).len(),
                1,
                "{text}"
            );
        }
        let deep = "use super::super::cli::Flags;";
        assert_eq!(faults_of("profiler/src/process/maps.rs", deep).len(), 1);
    }

    #[test]
    fn what_comes_before_and_what_is_inside_may_be_used() {
        let right = [
            "use crate::units::Pid;",
            "use crate::{process::Maps, units::{Pid, cli}};",
            "//! See `crate::cli`.\nuse crate::units; // not crate::cli",
            "use super::cli;",
            "mod tests {\n    use super::super::cli;\n}",
            "mod tests {\n    use super::*;\n}\nuse super::cli;",
        ];
        for text in right {
            assert_eq!(
                faults_of("profiler/src/process/maps.rs", text),
                [""; 0],
                "{text}"
            );
        }
        assert_eq!(faults_of("profiler/src/lib.rs", "use crate::cli;"), [""; 0]);
        assert_eq!(faults_of("xtask/src/units.rs", "use crate::cli;"), [""; 0]);
    }

    #[test]
    fn a_module_without_a_place_is_a_fault() {
        assert_eq!(
            faults_of("profiler/src/util.rs", ""),
            ["profiler/src/util.rs:1: `util` has no place in the order of modules"]
        );
    }
}
