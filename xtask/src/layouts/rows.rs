//! The rows as text: what `{:#?}` makes of them, so that a new number is seen without a word
//! about it here.

use std::fmt;

use anyhow::{Context as _, Result, ensure};

/// A feature release of `CPython`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Version {
    pub(super) major: u8,
    pub(super) minor: u8,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// All numbers of a row, each with the path of fields that leads to it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) version: Version,
    /// Whether it is about builds that run without a GIL.
    pub(super) free_threaded: bool,
    /// Whether it is about builds with assertions.
    pub(super) assertions: bool,
    pub(super) numbers: Vec<(String, i64)>,
}

/// Reads rows, one after another.
pub(super) fn parse(text: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    let mut numbers = Vec::new();
    for line in text.lines() {
        let line = line.trim().trim_end_matches(',');
        let (name, value) = line.split_once(": ").unwrap_or(("", line));
        if value.ends_with(['{', '(', '[']) {
            path.push(name);
        } else if [")", "]", "}"].contains(&value) {
            ensure!(
                path.pop().is_some(),
                "more is closed than opened in the rows' text"
            );
            if path.is_empty() {
                rows.push(row(std::mem::take(&mut numbers))?);
            }
        } else if let Some(number) = number(value) {
            let names = path
                .iter()
                .copied()
                .chain([name])
                .filter(|name| !name.is_empty());
            numbers.push((names.collect::<Vec<_>>().join("."), number));
        }
    }
    ensure!(
        path.is_empty(),
        "the rows' text ends in the middle of a row"
    );
    ensure!(!rows.is_empty(), "there are no rows");
    Ok(rows)
}

/// A number; a choice counts as one.
fn number(value: &str) -> Option<i64> {
    match value {
        "true" => Some(1),
        "false" => Some(0),
        _ => value.parse().ok(),
    }
}

fn row(mut numbers: Vec<(String, i64)>) -> Result<Row> {
    let mut take = |name: &str| {
        let at = numbers.iter().position(|(known, _)| known == name);
        let (_, number) = numbers.remove(at.with_context(|| format!("a row has no `{name}`"))?);
        u8::try_from(number).with_context(|| format!("`{name}` is {number}"))
    };
    let version = Version {
        major: take("feature.major")?,
        minor: take("feature.minor")?,
    };
    let free_threaded = take("free_threaded")? != 0;
    let assertions = take("assertions")? != 0;
    Ok(Row {
        version,
        free_threaded,
        assertions,
        numbers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "Layout {\n    feature: FeatureVersion {\n        major: 3,\n        \
                       minor: 13,\n    },\n    free_threaded: true,\n    assertions: false,\n    \
                       runtime: RuntimeLayout {\n        holder: InGil {\n            gil: \
                       16,\n        },\n        allocators: Static,\n        debug_offsets: \
                       Some(\n            DebugOffsetsLayout {\n                \
                       size: 584,\n            },\n        ),\n        threads: 7344,\n    },\n}\n";

    #[test]
    fn every_number_has_the_path_of_its_fields() {
        let rows = parse(&[ROW, ROW].concat()).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].version.to_string(), "3.13");
        assert!(rows[1].free_threaded);
        assert!(!rows[1].assertions);
        let expected = [
            ("runtime.holder.gil", 16),
            ("runtime.debug_offsets.size", 584),
            ("runtime.threads", 7344),
        ];
        let numbers = rows[1]
            .numbers
            .iter()
            .map(|(name, number)| (name.as_str(), *number));
        assert_eq!(numbers.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn text_that_is_not_rows_is_refused() {
        for text in [
            "",
            "Layout {\n}\n",
            "}\n",
            "Layout {\n    feature: V {\n    major: 3,\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
