//! Files, functions and lines of Rust stay short enough to be read.
//!
//! Relies on rustfmt: a function ends with the first brace that stands as far left as it began.

use super::{Fault, File, Tree};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 80;
const LINE_COLUMNS: usize = 100;

pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    tree.files
        .iter()
        .filter(|file| file.is("rs"))
        .flat_map(check_file)
        .collect()
}

fn check_file(file: &File) -> Vec<Fault> {
    let mut faults = Vec::new();
    let length = file.text.lines().count();
    if length > FILE_LINES {
        faults.push(file.fault(length, format!("{length} lines, {FILE_LINES} are allowed")));
    }
    for (line, text) in file.lines() {
        let columns = text.chars().count();
        if columns > LINE_COLUMNS {
            faults.push(file.fault(
                line,
                format!("{columns} columns, {LINE_COLUMNS} are allowed"),
            ));
        }
        if let Some((name, length)) = function_at(file, line, text).filter(|f| f.1 > FUNCTION_LINES)
        {
            let text = format!("`{name}` has {length} lines, {FUNCTION_LINES} are allowed");
            faults.push(file.fault(line, text));
        }
    }
    faults
}

/// Name and length of the function that begins here, if one does and has a body.
fn function_at<'file>(file: &File, line: usize, text: &'file str) -> Option<(&'file str, usize)> {
    let code = text.trim_start();
    let (_, after) = code
        .split_once("fn ")
        .filter(|(before, _)| is_modifiers(before))?;
    let name = after
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()?;
    let indent = &text[..text.len() - code.len()];
    for (length, (_, text)) in (1..).zip(file.lines().skip(line - 1)) {
        let rest = text.strip_prefix(indent).unwrap_or_default();
        let is_whole_in_one_line = length == 1 && rest.ends_with('}');
        if is_whole_in_one_line || rest.starts_with('}') {
            return Some((name, length));
        }
        // A declaration without a body, in a trait or in an `extern` block.
        if rest.ends_with(';') && !rest.starts_with(' ') {
            return None;
        }
    }
    None
}

/// Whether this may stand before `fn`.
fn is_modifiers(text: &str) -> bool {
    text.split_whitespace().all(|word| {
        word.starts_with("pub")
            || word.starts_with('"')
            || word.ends_with(')')
            || ["async", "const", "extern", "unsafe"].contains(&word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::shown;

    fn faults_of(text: &str) -> Vec<String> {
        shown(check(&Tree::planted(&[("a.rs", text)])))
    }

    fn function(head: &str, lines: usize) -> String {
        let body = "        call();\n".repeat(lines - 2);
        format!("impl A {{\n    {head} {{\n{body}    }}\n}}\n")
    }

    #[test]
    fn a_function_may_have_80_lines_and_no_more() {
        assert!(faults_of(&function("fn short()", 80)).is_empty());
        let heads = [
            "fn long(self)",
            "pub(crate) const unsafe fn long<T>()",
            "pub(in crate::a) async fn long()",
            "extern \"C\" fn long()",
        ];
        for head in heads {
            let faults = faults_of(&function(head, 81));
            assert_eq!(
                faults,
                ["a.rs:2: `long` has 81 lines, 80 are allowed"],
                "{head}"
            );
        }
    }

    #[test]
    fn only_functions_with_a_body_have_a_length() {
        let many = "call();\n".repeat(100);
        assert!(
            faults_of(&format!(
                "trait A {{\n    fn a(\n        b: u8,\n    );\n{many}}}"
            ))
            .is_empty()
        );
        assert!(faults_of(&format!("fn a() {{}}\n{many}")).is_empty());
        assert!(faults_of(&format!("// a fn is\n{many}")).is_empty());
        assert!(faults_of(&format!("type A = fn (u8);\n{many}")).is_empty());
    }

    #[test]
    fn a_file_may_have_500_lines_and_a_line_100_columns() {
        assert!(faults_of(&"\n".repeat(500)).is_empty());
        assert_eq!(
            faults_of(&"\n".repeat(501)),
            ["a.rs:501: 501 lines, 500 are allowed"]
        );
        assert!(faults_of(&"ü".repeat(100)).is_empty());
        assert_eq!(
            faults_of(&"ü".repeat(101)),
            ["a.rs:1: 101 columns, 100 are allowed"]
        );
    }
}
