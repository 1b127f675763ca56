//! Makes text that comes from the target fit for a terminal and for XML: what would control
//! either is spelled out, and what is too wide is cut in the middle.

/// Spells out what a terminal or an XML reader would act upon instead of showing it: control
/// characters, marks that turn the direction of writing, and code points that are no characters.
pub(crate) fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => plain.push_str("\\n"),
            '\r' => plain.push_str("\\r"),
            '\t' => plain.push_str("\\t"),
            // All kinds of space look alike, and only the plain one is as wide as it seems.
            c if c.is_whitespace() => plain.push(' '),
            c if acts(c) => plain.extend(c.escape_unicode()),
            c => plain.push(c),
        }
    }
    plain
}

/// Whether a character does something rather than being something.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fdd0}'..='\u{fdef}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
        || (u32::from(character) & 0xfffe) == 0xfffe
}

/// How many columns a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// How many columns a character takes: East Asian ones and pictures take two. A mark that is
/// drawn over another character is counted as one, so that a line is rather too short.
fn columns(character: char) -> usize {
    let wide = matches!(u32::from(character),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
        | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    if wide { 2 } else { 1 }
}

/// Cuts a text in its middle, so that it takes at most `room` columns.
pub(crate) fn shorten(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let Some(kept) = room.checked_sub(1) else {
        return String::new();
    };
    // The end tells more than the beginning: the line of a file, the method of a class.
    let head = take(text.chars(), kept / 3);
    let tail = cut_front(text, kept - width(&head));
    format!("{head}…{tail}")
}

/// Cuts the end of a text, so that it takes at most `room` columns.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    match room.checked_sub(1) {
        Some(kept) => take(text.chars(), kept) + "…",
        None => String::new(),
    }
}

/// The end of a text, in at most `room` columns, with nothing to show that it was cut.
pub(crate) fn cut_front(text: &str, room: usize) -> String {
    let end = take(text.chars().rev(), room);
    end.chars().rev().collect()
}

/// The first characters that fit into `room` columns.
fn take(characters: impl Iterator<Item = char>, room: usize) -> String {
    let mut used = 0;
    characters
        .take_while(|character| {
            used += columns(*character);
            used <= room
        })
        .collect()
}

/// Breaks a text into lines of at most `room` columns, between words where that is possible.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = shorten(word, room);
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= room => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_would_control_the_terminal_is_spelled_out() {
        assert_eq!(printable("a\x1b[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("one\ntwo\t3\r"), "one\\ntwo\\t3\\r");
        assert_eq!(printable("\u{202e}cba"), "\\u{202e}cba");
        assert_eq!(printable("x\u{ffff}y\u{0}"), "x\\u{ffff}y\\u{0}");
        assert_eq!(printable("größe 名前"), "größe 名前");
    }

    #[test]
    fn the_end_of_what_is_too_wide_stays_readable() {
        assert_eq!(shorten("short", 10), "short");
        assert_eq!(shorten("abcdefghijklmnop.py:42", 13), "abcd…op.py:42");
        assert_eq!(shorten("abc", 1), "…");
        assert_eq!(shorten("abc", 0), "");
        assert_eq!(cut("abcdef", 4), "abc…");
    }

    #[test]
    fn words_stay_whole_when_a_text_is_wrapped() {
        assert_eq!(wrap("one two  three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("", 9), Vec::<String>::new());
        assert_eq!(wrap("abcdefghijklmnop", 9).len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_its_room(text in any::<String>(), room in 0_usize..100) {
            prop_assert!(width(&shorten(&text, room)) <= room);
            prop_assert!(width(&cut(&text, room)) <= room);
            prop_assert!(wrap(&text, room).iter().all(|line| width(line) <= room));
        }

        #[test]
        fn nothing_that_acts_is_left(text in any::<String>()) {
            let plain = printable(&text);
            prop_assert!(!plain.chars().any(acts));
            prop_assert_eq!(printable(&plain), plain);
        }
    }
}
