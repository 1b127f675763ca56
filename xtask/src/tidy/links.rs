//! Relative links in Markdown lead to files that exist, and to headings that exist.

use super::{Fault, File, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    let pages = tree.files.iter().filter(|file| file.is("md"));
    pages.flat_map(|page| check_page(tree, page)).collect()
}

fn check_page(tree: &Tree, page: &File) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (line, text) in prose(page) {
        for target in targets(text) {
            if !leads_somewhere(tree, page, target) {
                faults.push(page.fault(line, format!("the link to `{target}` leads nowhere")));
            }
        }
    }
    faults
}

/// The lines of a page that are not in a block of code.
fn prose(page: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    page.lines().filter(move |(_, text)| {
        let is_fence = text.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The targets of the links in a line; code between backticks is left out.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let outside_code = text.split('`').step_by(2);
    outside_code
        .flat_map(|part| part.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .filter_map(|target| target.split_whitespace().next())
}

fn leads_somewhere(tree: &Tree, page: &File, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = resolve(&page.path, path);
    if heading.is_empty() {
        let folder = format!("{path}/");
        return path.is_empty()
            || tree
                .paths
                .iter()
                .any(|file| *file == path || file.starts_with(&folder));
    }
    let found = tree.files.iter().find(|file| file.path == path);
    found.is_some_and(|file| headings(file).any(|known| known == heading))
}

/// A path as seen from a page, as one seen from the root; a page leads to itself with nothing.
fn resolve(page: &str, path: &str) -> String {
    if path.is_empty() {
        return page.to_owned();
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    if path.starts_with('/') {
        parts.clear();
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The names by which a page's headings are linked to.
fn headings(page: &File) -> impl Iterator<Item = String> {
    prose(page)
        .filter(|(_, text)| text.starts_with('#'))
        .map(|(_, text)| anchor(text.trim_start_matches('#').trim()))
}

fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::shown;

    fn faults_of(text: &str) -> Vec<String> {
        let other = "# Set-up\n\n## `cargo xtask`, and more\n";
        shown(check(&Tree::planted(&[
            ("docs/page.md", text),
            ("docs/other.md", other),
            ("src/main.rs", ""),
        ])))
    }

    #[test]
    fn links_that_lead_somewhere_are_left_alone() {
        let good = [
            "[a](other.md) and [b](../src/main.rs \"title\")",
            "[folder](../src) [folder](../src/) [root](/src/main.rs)",
            "[heading](other.md#set-up) [heading](other.md#cargo-xtask-and-more)",
            "# Here\n[here](#here)",
            "[out](https://example.org/no) [mail](mailto:a@example.org)",
            "```\n[code](no.md)\n```\nand `[code](no.md)`",
        ];
        for text in good {
            assert_eq!(faults_of(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_named_with_their_line() {
        let bad = [
            "no.md",
            "../other.md",
            "other.md#no-such-heading",
            "#no",
            "../sr",
        ];
        for target in bad {
            let expected = format!("docs/page.md:2: the link to `{target}` leads nowhere");
            assert_eq!(faults_of(&format!("\n![a]({target})")), [expected]);
        }
    }
}
