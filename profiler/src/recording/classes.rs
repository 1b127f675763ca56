//! The census of size classes as one text: `SIZE:BLOCKS:OLDER:ERROR` for each class that has any,
//! with blanks in between.

use super::checked::{size, stored};
use crate::profile::{ClassCensus, SizeClass};

/// The text for a census of all classes; `None` if there is none.
pub(super) fn to_text(classes: &[ClassCensus]) -> Option<String> {
    if classes.is_empty() {
        return None;
    }
    let parts: Vec<String> = SizeClass::all()
        .zip(classes)
        .filter(|(_, census)| **census != ClassCensus::default())
        .map(|(class, census)| {
            let [blocks, older, error] =
                [census.blocks, census.older, census.older_error].map(stored);
            format!("{}:{blocks}:{older}:{error}", class.bytes())
        })
        .collect();
    Some(parts.join(" "))
}

/// The census that a text tells; `None` if it is none.
pub(super) fn from_text(text: &str) -> Option<Vec<ClassCensus>> {
    let mut classes = vec![ClassCensus::default(); SizeClass::COUNT];
    for part in text.split_ascii_whitespace() {
        let mut numbers = part.split(':').map(|number| number.parse::<i64>().ok());
        let mut next = || size(numbers.next()??);
        let (bytes, blocks, older, older_error) = (next()?, next()?, next()?, next()?);
        let class = Some(SizeClass::of(bytes)).filter(|class| class.bytes() == bytes)?;
        classes[class.index()] = ClassCensus {
            blocks,
            older,
            older_error,
        };
    }
    Some(classes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_census_survives_the_journey() {
        let mut classes = vec![ClassCensus::default(); SizeClass::COUNT];
        classes[0].blocks = 7;
        classes[31] = ClassCensus {
            blocks: 1000,
            older: 20,
            older_error: 3,
        };
        let text = to_text(&classes).unwrap();
        assert_eq!(text, "16:7:0:0 512:1000:20:3");
        assert_eq!(from_text(&text), Some(classes));
        assert_eq!(to_text(&[]), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_census_or_none(text in "[0-9: x-]{0,40}") {
            let _census = from_text(&text);
        }
    }
}
