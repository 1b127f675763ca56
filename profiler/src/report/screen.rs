//! A terminal's screen: so many lines, and colours if they are wanted.

use super::plain::{cut, width, wrap};

/// Columns of a screen.
pub(crate) const COLUMNS: usize = 80;
/// Lines of a screen.
pub(crate) const LINES: usize = 24;
/// Columns in front of what a label says.
const INDENT: usize = 14;
/// Columns for what a label says.
pub(crate) const ROOM: usize = COLUMNS - INDENT;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    Plain,
    Dim,
    Bold,
    Good,
    Warning,
    Bad,
}

impl Look {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
        }
    }
}

/// What is worth a line when there are too few; the last of the least worth goes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Worth {
    /// A detail that other forms of output have too.
    Detail,
    /// An empty line.
    Space,
    /// What is useful, but not the result.
    Advice,
    /// The result.
    Result,
}

/// A line: pieces of text, each with its look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pieces: Vec<(Look, String)>,
    uncut: bool,
}

impl Line {
    /// A line of one piece.
    pub(crate) fn new(look: Look, text: impl Into<String>) -> Self {
        Self::default().and(look, text)
    }

    /// Adds a piece.
    pub(crate) fn and(mut self, look: Look, text: impl Into<String>) -> Self {
        self.pieces.push((look, text.into()));
        self
    }

    /// Lets it be wider than the screen.
    pub(crate) fn uncut(mut self) -> Self {
        self.uncut = true;
        self
    }

    /// Prints it in at most [`COLUMNS`] columns, unless it may be wider.
    fn print(&self, color: bool) -> String {
        let mut printed = String::new();
        let mut room = if self.uncut { usize::MAX } else { COLUMNS };
        for (look, text) in &self.pieces {
            let text = cut(text, room);
            room -= width(&text);
            if color && *look != Look::Plain && !text.trim().is_empty() {
                printed.extend([look.code(), &text, "\x1b[0m"]);
            } else {
                printed.push_str(&text);
            }
        }
        printed.truncate(printed.trim_end().len());
        printed
    }
}

/// The lines of a screen, in blocks that stay or go as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Screen(Vec<(Worth, Vec<Line>)>);

impl Screen {
    /// Adds a line.
    pub(crate) fn line(&mut self, worth: Worth, line: Line) {
        self.0.push((worth, vec![line]));
    }

    /// Adds an empty line.
    pub(crate) fn space(&mut self) {
        self.line(Worth::Space, Line::default());
    }

    /// Adds a line that begins with a label.
    pub(crate) fn labelled(&mut self, worth: Worth, label: &str, line: Line) {
        self.line(worth, with_label(label, line));
    }

    /// Adds a sentence behind a label, in as many lines as it needs, at most three.
    pub(crate) fn sentence(&mut self, worth: Worth, label: &str, text: &str) {
        let labels = std::iter::once(label).chain(std::iter::repeat(""));
        let lines = labels
            .zip(wrap(text, ROOM))
            .take(3)
            .map(|(label, part)| with_label(label, Line::new(Look::Plain, part)))
            .collect();
        self.0.push((worth, lines));
    }

    /// Prints what fits: everything that is a result, and of the rest what is worth most.
    pub(crate) fn print(mut self, color: bool) -> String {
        while self.0.iter().map(|(_, lines)| lines.len()).sum::<usize>() > LINES {
            let least = (0..self.0.len())
                .rev()
                .min_by_key(|index| self.0[*index].0)
                .filter(|index| self.0[*index].0 < Worth::Result);
            match least {
                Some(index) => drop(self.0.remove(index)),
                None => break,
            }
        }
        let lines = self.0.iter().flat_map(|(_, lines)| lines);
        lines.map(|line| line.print(color) + "\n").collect()
    }
}

/// A line that begins with a label.
fn with_label(label: &str, line: Line) -> Line {
    let label = format!("  {label:<width$}", width = INDENT - 2);
    let mut labelled = Line::new(Look::Dim, label);
    labelled.pieces.extend(line.pieces);
    labelled.uncut = line.uncut;
    labelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_detail_goes_first_and_results_stay() {
        let mut screen = Screen::default();
        for number in 0..LINES {
            screen.line(Worth::Result, Line::new(Look::Plain, number.to_string()));
        }
        screen.line(Worth::Detail, Line::new(Look::Plain, "detail"));
        screen.space();
        let printed = screen.print(false);
        assert_eq!(printed.lines().count(), LINES);
        assert_eq!(printed.lines().last(), Some("23"));
    }

    #[test]
    fn a_sentence_stays_or_goes_as_a_whole() {
        let mut screen = Screen::default();
        for number in 1..LINES {
            screen.line(Worth::Result, Line::new(Look::Plain, number.to_string()));
        }
        screen.sentence(Worth::Advice, "next", &"word ".repeat(20));
        assert_eq!(screen.print(false).lines().last(), Some("23"));
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let line = Line::new(Look::Bold, "x".repeat(50)).and(Look::Dim, "y".repeat(50));
        let printed = line.print(false);
        assert_eq!(width(&printed), COLUMNS);
        assert!(printed.ends_with("y…"));
    }

    #[test]
    fn colours_are_only_used_when_they_are_wanted() {
        let line = Line::new(Look::Bad, "lost");
        assert_eq!(line.print(false), "lost");
        assert_eq!(line.print(true), "\x1b[1;31mlost\x1b[0m");
    }
}
