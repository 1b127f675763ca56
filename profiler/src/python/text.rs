//! `str` objects of the target as strings of ours.

/// Where a `str` object holds what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TextLayout {
    /// The number of code points.
    pub length: u16,
    /// The word whose bits say how the text is stored.
    pub state: u16,
    /// State: the lowest of the three bits that hold the bytes per code point.
    pub kind_shift: u8,
    /// State: the bit that says that the text follows its header.
    pub compact_bit: u8,
    /// State: the bit that says that the text is ASCII.
    pub ascii_bit: u8,
    /// Where the text begins if it is compact and ASCII; also the least size of an object.
    pub ascii_text: u16,
    /// Where the text begins if it is compact and not ASCII.
    pub compact_text: u16,
    /// Where the pointer to the text stands if it is not compact.
    pub pointer: u16,
}

/// How many bytes each code point takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Latin-1.
    One,
    /// UCS-2.
    Two,
    /// UCS-4.
    Four,
}

/// Where the text of a `str` object is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// At this address.
    At(u64),
    /// Where the word at this address points.
    Through(u64),
}

/// How a `str` object stores its text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Text {
    /// Where it is.
    pub place: Place,
    /// How it is encoded.
    pub kind: Kind,
    /// How many bytes it has; never more than was allowed.
    pub size: usize,
}

impl Text {
    /// Reads the head of the `str` object at `address`: its first [`TextLayout::ascii_text`]
    /// bytes.
    ///
    /// `None` if it is none, as far as can be seen, or has more than `limit` code points.
    /// Legacy strings without a kind are `None` too: only old C code makes them, and never for
    /// names.
    pub fn parse(layout: &TextLayout, address: u64, head: &[u8], limit: usize) -> Option<Self> {
        let length = usize::try_from(word(head, layout.length)?).ok()?;
        if length > limit {
            return None;
        }
        let state = half(head, layout.state)?;
        let bit = |number: u8| state.checked_shr(u32::from(number)).unwrap_or(0) & 1 != 0;
        let kind = match state.checked_shr(u32::from(layout.kind_shift)).unwrap_or(0) & 7 {
            1 => Kind::One,
            2 => Kind::Two,
            4 => Kind::Four,
            _ => return None,
        };
        let at = |offset: u16| address.wrapping_add(u64::from(offset));
        let place = match (bit(layout.compact_bit), bit(layout.ascii_bit)) {
            (true, true) => Place::At(at(layout.ascii_text)),
            (true, false) => Place::At(at(layout.compact_text)),
            (false, _) => Place::Through(at(layout.pointer)),
        };
        Some(Self {
            place,
            kind,
            size: length.checked_mul(kind.size())?,
        })
    }
}

impl Kind {
    const fn size(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Decodes text. What is no character, such as a lone surrogate, becomes U+FFFD; a code
    /// point that is cut off is left out.
    pub fn decode(self, bytes: &[u8]) -> String {
        let replaced = |code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        match self {
            Self::One => bytes.iter().copied().map(char::from).collect(),
            Self::Two => {
                let (units, _) = bytes.as_chunks::<2>();
                units
                    .iter()
                    .map(|&unit| replaced(u32::from(u16::from_le_bytes(unit))))
                    .collect()
            }
            Self::Four => {
                let (units, _) = bytes.as_chunks::<4>();
                units
                    .iter()
                    .map(|&unit| replaced(u32::from_le_bytes(unit)))
                    .collect()
            }
        }
    }
}

fn word(bytes: &[u8], offset: u16) -> Option<u64> {
    let bytes = bytes.get(usize::from(offset)..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

fn half(bytes: &[u8], offset: u16) -> Option<u32> {
    let bytes = bytes.get(usize::from(offset)..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Kind, Place, Text, TextLayout};

    const LAYOUT: TextLayout = TextLayout {
        length: 16,
        state: 32,
        kind_shift: 2,
        compact_bit: 5,
        ascii_bit: 6,
        ascii_text: 40,
        compact_text: 56,
        pointer: 56,
    };

    fn head(length: u64, state: u32) -> Vec<u8> {
        let mut head = vec![0; 40];
        head[16..24].copy_from_slice(&length.to_le_bytes());
        head[32..36].copy_from_slice(&state.to_le_bytes());
        head
    }

    #[track_caller]
    fn check(state: u32, place: Place, kind: Kind, size: usize) {
        let text = Text::parse(&LAYOUT, 0x1000, &head(3, state), 100);
        assert_eq!(text, Some(Text { place, kind, size }));
    }

    #[test]
    fn the_state_says_where_the_text_is() {
        let (compact, ascii) = (1 << 5, 1 << 6);
        check((1 << 2) | compact | ascii, Place::At(0x1028), Kind::One, 3);
        check((1 << 2) | compact, Place::At(0x1038), Kind::One, 3);
        check((2 << 2) | compact | 1, Place::At(0x1038), Kind::Two, 6);
        check((4 << 2) | compact, Place::At(0x1038), Kind::Four, 12);
        check((1 << 2) | ascii, Place::Through(0x1038), Kind::One, 3);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for kind in [0, 3, 5, 6, 7] {
            let head = head(3, kind << 2 | 1 << 5);
            assert_eq!(
                Text::parse(&LAYOUT, 0x1000, &head, 100),
                None,
                "kind {kind}"
            );
        }
        let long = head(101, 1 << 2 | 1 << 5);
        assert_eq!(Text::parse(&LAYOUT, 0x1000, &long, 100), None);
        assert_eq!(Text::parse(&LAYOUT, 0x1000, &long[..30], 1000), None);
    }

    #[test]
    fn every_kind_is_decoded() {
        let two: Vec<u8> = "añ→".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let four: Vec<u8> = "a🐍"
            .chars()
            .flat_map(|c| u32::from(c).to_le_bytes())
            .collect();
        assert_eq!(Kind::One.decode(b"caf\xe9"), "café");
        assert_eq!(Kind::Two.decode(&two), "añ→");
        assert_eq!(Kind::Four.decode(&four), "a🐍");
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        assert_eq!(
            Kind::Two.decode(&[0x61, 0, 0x00, 0xd8, 0x62, 0]),
            "a\u{fffd}b"
        );
        assert_eq!(Kind::Four.decode(&[0xff; 9]), "\u{fffd}\u{fffd}");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_bounded_text(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            limit in 0_usize..1000,
        ) {
            if let Some(text) = Text::parse(&LAYOUT, 0, &bytes, limit) {
                prop_assert!(text.size <= 4 * limit);
            }
            for kind in [Kind::One, Kind::Two, Kind::Four] {
                prop_assert!(kind.decode(&bytes).chars().count() <= bytes.len());
            }
        }
    }
}
