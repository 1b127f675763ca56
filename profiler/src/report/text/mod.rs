//! The summary for people: on one screen, what grew, by how much, where, and how far to trust it.

mod causes;
mod chart;
mod growth;
mod processes;
pub(super) mod sites;
#[cfg(test)]
mod tests;
pub(super) mod traffic;
pub(super) mod trust;

use super::{Subject, screen::Screen};

/// What the summary depends on besides what was recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextOptions<'a> {
    /// Whether to colour it, for a terminal.
    pub color: bool,
    /// The files to point to: what each is, in a word, and its path.
    pub files: &'a [(&'a str, &'a str)],
}

/// Writes the summary: at most 80 columns and, unless many files are named, 24 lines.
pub fn text(subject: &Subject<'_>, options: &TextOptions<'_>) -> String {
    let mut screen = Screen::default();
    growth::heading(&mut screen, subject);
    growth::resident(&mut screen, subject);
    growth::retained(&mut screen, subject);
    growth::unexplained(&mut screen, subject);
    growth::verdict(&mut screen, subject);
    causes::kept(&mut screen, subject);
    causes::shared(&mut screen, subject);
    traffic::limit(&mut screen, subject);
    chart::of_single(&mut screen, subject);
    traffic::traffic(&mut screen, subject);
    processes::processes(&mut screen, subject);
    sites::sites(&mut screen, subject);
    trust::cost(&mut screen, subject);
    trust::losses(&mut screen, subject);
    trust::notes(&mut screen, subject);
    trust::files(&mut screen, options.files);
    screen.print(options.color)
}
