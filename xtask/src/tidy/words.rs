//! Text that must not be in the tree, and work left open without an issue that says so.

use super::{Fault, File, Tree};

/// Marks of work left open. All words here are put together, so that this file may stay.
const OPEN_WORK: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// What must not be in the tree, and why.
const FORBIDDEN: [(&str, &str); 8] = [
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/tmp/bash", "_jobs"), "a path of one machine"),
    (concat!("arti", "factory"), "a registry of one network"),
    (concat!("<<<<", "<<< "), "a conflict that was not resolved"),
    (concat!(">>>>", ">>> "), "a conflict that was not resolved"),
    (
        concat!("#[al", "low("),
        "`#[expect(…, reason = …)]` complains when it is stale",
    ),
    (
        concat!("#![al", "low("),
        "`#![expect(…, reason = …)]` complains when it is stale",
    ),
];

pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    tree.files.iter().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (line, text) in file.lines() {
        for word in OPEN_WORK {
            let lacks_issue = text
                .match_indices(word)
                .any(|(at, _)| !is_owned(text, at, word));
            if lacks_issue {
                faults
                    .push(file.fault(line, format!("`{word}` names no issue, as in {word}(#12)")));
            }
        }
        for (word, reason) in FORBIDDEN {
            if text.contains(word) {
                faults.push(file.fault(line, format!("`{word}` must not be here: {reason}")));
            }
        }
    }
    faults
}

/// Whether the mark at this place names its issue, or is but a part of a longer word.
fn is_owned(text: &str, at: usize, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let after = &text[at + word.len()..];
    let issue = after
        .strip_prefix("(#")
        .and_then(|rest| rest.split_once(')'))
        .is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    issue || text[..at].ends_with(is_part) || after.starts_with(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::shown;

    fn faults_of(text: &str) -> Vec<String> {
        shown(check(&Tree::planted(&[("a.py", text)])))
    }

    #[test]
    fn open_work_names_its_issue() {
        let [todo, fixme] = OPEN_WORK;
        assert!(faults_of(&format!("# {todo}(#12): later, MY{fixme}S")).is_empty());
        for text in [
            format!("# {todo}: later"),
            format!("{todo}(#)"),
            format!("{todo}(anna)"),
        ] {
            let expected = format!("a.py:2: `{todo}` names no issue, as in {todo}(#12)");
            assert_eq!(faults_of(&format!("\n{text}")), [expected]);
        }
        assert_eq!(faults_of(&format!("{fixme} {todo}(#1)")).len(), 1);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let path = concat!("/wo", "rk/main");
        let faults = faults_of(&format!("open('{path}')\n/workers/"));
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("a.py:1: "), "{faults:?}");
    }
}
