//! What of a path everybody has, and what only this company does.

use super::{Numbers, modules::is_standard};

/// Folders that say nothing about whose machine it is.
const PUBLIC: [&str; 8] = [
    "",
    ".",
    "/bin",
    "/sbin",
    "/usr",
    "/usr/bin",
    "/usr/local",
    "/usr/local/bin",
];

/// What CPython calls code that did not come from a file but from the user.
const TYPED_IN: [&str; 3] = ["<string>", "<stdin>", "<console>"];

/// What CPython calls code without a name of its own.
const NAMELESS: [&str; 6] = [
    "<module>",
    "<lambda>",
    "<listcomp>",
    "<setcomp>",
    "<dictcomp>",
    "<genexpr>",
];

/// A path in pieces: where it is, a part that everybody has, and the rest.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Parts<'a> {
    /// The folder, which is hidden.
    pub(super) folder: &'a str,
    /// What stays: `/lib/python3.12/`, `/lib/python3.12/site-packages/`, or a slash.
    pub(super) known: &'a str,
    /// The file, with the folders of a package.
    pub(super) rest: &'a str,
    /// Whether it is of the standard library.
    pub(super) is_standard: bool,
    /// Whether it is no path at all: `<string>`.
    pub(super) is_made_up: bool,
}

/// Takes a path to pieces.
pub(super) fn parts(file: &str) -> Parts<'_> {
    if file.is_empty() || file.starts_with('<') {
        let frozen = file.strip_prefix("<frozen ");
        let frozen = frozen.and_then(|module| module.strip_suffix('>'));
        return Parts {
            folder: "",
            known: "",
            rest: file,
            is_standard: file.is_empty()
                || TYPED_IN.contains(&file)
                || frozen.is_some_and(is_standard),
            is_made_up: true,
        };
    }
    let library = library(file);
    let packages = ["/site-packages/", "/dist-packages/"]
        .into_iter()
        .filter_map(|folder| Some((file.rfind(folder)?, folder.len())))
        .max();
    if let Some((start, length)) = packages
        && !goes_up(&file[start + length..])
    {
        // `/lib/python3.12` before it says as little.
        let known = match library {
            Some((from, to)) if to == start + 1 => from,
            _ => start,
        };
        return pieces(file, known, start + length, false);
    }
    if let Some((from, to)) = library
        && is_of_library(&file[to..])
    {
        return pieces(file, from, to, true);
    }
    match file.rfind('/') {
        Some(slash) => pieces(file, slash, slash + 1, false),
        None => pieces(file, 0, 0, false),
    }
}

fn pieces(file: &str, known: usize, rest: usize, is_standard: bool) -> Parts<'_> {
    Parts {
        folder: &file[..known],
        known: &file[known..rest],
        rest: &file[rest..],
        is_standard,
        is_made_up: false,
    }
}

/// Where the folder, or the archive, of the standard library begins, and where it ends.
fn library(file: &str) -> Option<(usize, usize)> {
    ["/lib/python3", "/lib64/python3"]
        .into_iter()
        .find_map(|folder| {
            let from = file.find(folder)?;
            let rest = &file[from + folder.len()..];
            let end = rest.find('/')?;
            let version = rest[..end].trim_end_matches("zip");
            let is_version = |c: char| c.is_ascii_digit() || ".t".contains(c);
            let is_library = version.chars().all(is_version);
            is_library.then_some((from, from + folder.len() + end + 1))
        })
}

/// Whether a path leads out of where it seems to be.
fn goes_up(rest: &str) -> bool {
    rest.split('/').any(|part| part == "..")
}

/// Whether a file in that folder is really of the standard library.
fn is_of_library(rest: &str) -> bool {
    !goes_up(rest) && (rest.split('/').next()).is_some_and(is_standard)
}

/// Whether a function may be called by its name: it is Python's own, or heaptide's.
pub(super) fn keeps_its_name(function: &str, file: &str) -> bool {
    if file.is_empty() {
        return function.starts_with('[') && function.ends_with(']');
    }
    let parts = parts(file);
    let is_python = parts.is_standard && !TYPED_IN.contains(&file);
    is_python || NAMELESS.contains(&function)
}

/// The folders of a path, with the last slash, and the name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
}

/// Folders, and what they are called.
#[derive(Debug)]
pub(super) struct Folders(Numbers);

impl Default for Folders {
    fn default() -> Self {
        Self(Numbers::of("dir"))
    }
}

impl Folders {
    /// What a folder is called, if it says something.
    pub(super) fn hide(&mut self, folder: &str) -> String {
        if PUBLIC.contains(&folder) {
            folder.to_owned()
        } else {
            self.number(folder)
        }
    }

    /// What any folder is called.
    pub(super) fn number(&mut self, folder: &str) -> String {
        self.0.name(folder)
    }

    /// Hides the folders in a command line. What stands behind the last slash stays only if it
    /// looks like a file or is the program: it could be a folder, too.
    pub(super) fn hide_in_command(&mut self, command: &str) -> String {
        let words = command.split(' ').enumerate();
        let words: Vec<String> = words
            .map(|(position, word)| match word.split_once('=') {
                _ if word.contains("://") => self.number(word),
                Some((option, value)) if !option.contains('/') => {
                    format!("{option}={}", self.hide_in_word(value, false))
                }
                _ => self.hide_in_word(word, position == 0),
            })
            .collect();
        words.join(" ")
    }

    fn hide_in_word(&mut self, word: &str, is_program: bool) -> String {
        let (folder, name) = split(word);
        if folder.is_empty() {
            return word.to_owned();
        }
        let looks_like_a_file = name.trim_start_matches('.').contains('.');
        if is_program || looks_like_a_file || name.starts_with("python") {
            let folder = folder.trim_end_matches('/');
            format!("{}/{name}", self.hide(folder))
        } else {
            self.hide(word.trim_end_matches('/'))
        }
    }

    /// Hides the paths in a sentence of heaptide's own.
    pub(super) fn hide_in_text(&mut self, text: &str) -> String {
        let words = text.split(' ').map(|word| {
            let start = word.find(|c: char| !"`'\"(".contains(c));
            let (opening, path) = word.split_at(start.unwrap_or(word.len()));
            if path.starts_with('/') {
                format!("{opening}{}", self.number(path))
            } else {
                word.to_owned()
            }
        });
        let words: Vec<String> = words.collect();
        words.join(" ")
    }
}
