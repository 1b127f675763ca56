//! What is left on the screen of a terminal.

/// The lines on a screen, high enough for all, after this was sent to it.
pub(crate) fn after(sent: &str) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut rest = sent.chars();
    while let Some(character) = rest.next() {
        match character {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' => {
                let (argument, order) = control(rest.by_ref());
                match order {
                    'A' => row = row.saturating_sub(argument.max(1)),
                    'B' => row += argument.max(1),
                    'K' if argument == 2 => lines[row].clear(),
                    'K' => lines[row].truncate(column),
                    _ => {}
                }
            }
            other => {
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = other;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    lines.into_iter().map(String::from_iter).collect()
}

/// The number and the letter of a control sequence, of which the escape was taken.
fn control(rest: &mut impl Iterator<Item = char>) -> (usize, char) {
    let mut argument = 0;
    for character in rest {
        match character {
            '[' | '?' | ';' => argument = 0,
            digit if digit.is_ascii_digit() => {
                argument = 10 * argument + digit as usize - '0' as usize;
            }
            order => return (argument, order),
        }
    }
    (argument, ' ')
}

#[test]
fn a_line_that_is_cleared_is_gone() {
    let sent = "one\r\nbar\r\u{1b}[2Ktwo\r\n\u{1b}[1mthree\u{1b}[0m\u{1b}[1A\rT\u{1b}[K";
    assert_eq!(after(sent), ["one", "T", "three"]);
}
