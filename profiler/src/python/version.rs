//! Which version of `CPython` a file or a running interpreter is.
//!
//! Here and in the layouts are the only places that compare version numbers; all others look at
//! a row of facts.

use std::fmt;

use super::layouts::Layout;

/// The part of a version that decides about layouts, such as 3.12.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FeatureVersion {
    /// The 3 of 3.12.
    pub major: u8,
    /// The 12 of 3.12.
    pub minor: u8,
}

impl FeatureVersion {
    /// The version `major.minor`.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for FeatureVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// How far a version is from its release.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// An alpha.
    Alpha,
    /// A beta.
    Beta,
    /// A release candidate.
    Candidate,
    /// The release.
    Final,
}

/// A version, such as 3.12.1 or 3.15.0rc2.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// The 3 of 3.12.1.
    pub major: u8,
    /// The 12 of 3.12.1.
    pub minor: u8,
    /// The 1 of 3.12.1.
    pub micro: u8,
    /// How far it is from its release.
    pub level: Level,
    /// The 2 of 3.15.0rc2.
    pub serial: u8,
}

impl Version {
    /// The release `major.minor.micro`.
    pub const fn new(major: u8, minor: u8, micro: u8) -> Self {
        Self {
            major,
            minor,
            micro,
            level: Level::Final,
            serial: 0,
        }
    }

    /// Reads what `CPython` calls `PY_VERSION_HEX`; `None` if that is no version of `CPython`.
    pub const fn from_hex(hex: u32) -> Option<Self> {
        let [major, minor, micro, release] = hex.to_be_bytes();
        if major == 0 || major > MAJOR_LIMIT {
            return None;
        }
        let level = match release >> 4 {
            0xa => Level::Alpha,
            0xb => Level::Beta,
            0xc => Level::Candidate,
            0xf => Level::Final,
            _ => return None,
        };
        Some(Self {
            major,
            minor,
            micro,
            level,
            serial: release & 0xf,
        })
    }

    /// The part that decides about layouts.
    pub const fn feature(self) -> FeatureVersion {
        FeatureVersion::new(self.major, self.minor)
    }

    /// What a person calls an interpreter of this version that heaptide cannot follow.
    pub fn unsupported_name(self) -> String {
        if self.feature() < OLDEST {
            format!("CPython {self}")
        } else {
            format!("CPython {self} (not yet)")
        }
    }

    /// The facts about this version, if they are known, or those to try for a newer one.
    pub fn layout(self, free_threaded: bool) -> Option<&'static Layout> {
        Layout::of(self.feature(), free_threaded)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)?;
        match self.level {
            Level::Alpha => write!(f, "a{}", self.serial),
            Level::Beta => write!(f, "b{}", self.serial),
            Level::Candidate => write!(f, "rc{}", self.serial),
            Level::Final => Ok(()),
        }
    }
}

/// What a person calls the interpreters that heaptide can follow, such as `CPython 3.8 to 3.13`.
pub fn supported() -> String {
    let mut features = Layout::all().iter().map(|row| row.feature);
    match (features.next(), features.next_back()) {
        (Some(first), Some(last)) => format!("CPython {first} to {last}"),
        (only, _) => only.map_or_else(String::new, |only| format!("CPython {only}")),
    }
}

/// The first version that heaptide means to follow.
const OLDEST: FeatureVersion = FeatureVersion::new(3, 8);

/// No `CPython` has a higher major version.
const MAJOR_LIMIT: u8 = 3;

/// The feature version in the name of a program or library: `python3.12`,
/// `libpython3.11.so.1.0`, `libpython3.7m.so`, `python2.7`.
pub fn from_file_name(name: &str) -> Option<FeatureVersion> {
    let (_, tail) = name.rsplit_once("python")?;
    let (major, tail) = number(tail)?;
    let (minor, _) = number(tail.strip_prefix('.')?)?;
    Some(FeatureVersion::new(major, minor))
}

/// Looks for the text that `Py_GetVersion` has left in the interpreter's data, such as
/// `3.8.18 (default, …`, of the feature version that its file's name gives.
pub fn from_text(data: &[u8], feature: FeatureVersion) -> Option<Version> {
    let prefix = format!("{feature}.");
    let mut rest = data;
    loop {
        let start = find(rest, prefix.as_bytes())?;
        let (before, found) = rest.split_at(start);
        rest = found.get(1..)?;
        let head = found.get(..found.len().min(TEXT_LIMIT))?;
        if before.last().is_none_or(|&byte| byte == 0)
            && let Some(version) = parse_text(head, feature)
        {
            return Some(version);
        }
    }
}

/// How long a version can be as text, such as `3.10.13rc12+ (`.
const TEXT_LIMIT: usize = 16;

/// Parses text that starts with `3.8.18 (`, `3.9.0rc1 (` or `3.9.0+ (`.
fn parse_text(text: &[u8], feature: FeatureVersion) -> Option<Version> {
    let end = find(text, b" (")?;
    let text = std::str::from_utf8(text.get(..end)?).ok()?;
    let tail = text.strip_prefix(&format!("{feature}."))?;
    let (micro, tail) = number(tail)?;
    let tail = tail.strip_suffix('+').unwrap_or(tail);
    let levels = [
        ("a", Level::Alpha),
        ("b", Level::Beta),
        ("rc", Level::Candidate),
    ];
    let mut version = Version::new(feature.major, feature.minor, micro);
    if tail.is_empty() {
        return Some(version);
    }
    let (level, tail) = levels
        .into_iter()
        .find_map(|(name, level)| Some((level, tail.strip_prefix(name)?)))?;
    let (serial, tail) = number(tail)?;
    version.level = level;
    version.serial = serial;
    tail.is_empty().then_some(version)
}

/// The number that a text starts with, and the rest.
fn number(text: &str) -> Option<(u8, &str)> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

fn find(data: &[u8], pattern: &[u8]) -> Option<usize> {
    data.windows(pattern.len())
        .position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FeatureVersion, Layout, Level, Version, from_file_name, from_text, supported};

    #[test]
    fn versions_read_like_python_prints_them() {
        let cases = [
            (0x030c_01f0, "3.12.1"),
            (0x030d_12f0, "3.13.18"),
            (0x030f_00c2, "3.15.0rc2"),
            (0x030e_00a7, "3.14.0a7"),
            (0x0308_00b1, "3.8.0b1"),
        ];
        for (hex, expected) in cases {
            assert_eq!(Version::from_hex(hex).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for hex in [0, u32::MAX, 0x030c_0110, 0x0400_00f0] {
            assert_eq!(Version::from_hex(hex), None, "{hex:#x}");
        }
    }

    #[test]
    fn releases_come_after_their_candidates() {
        assert!(Version::from_hex(0x030f_00c2) < Version::from_hex(0x030f_00f0));
    }

    #[test]
    fn a_file_name_tells_the_feature_version() {
        let cases = [
            ("python3.12", Some((3, 12))),
            ("libpython3.11.so.1.0", Some((3, 11))),
            ("libpython3.7m.so.1.0", Some((3, 7))),
            ("python2.7", Some((2, 7))),
            ("python3", None),
            ("libpython3.so", None),
            ("uwsgi", None),
        ];
        for (name, expected) in cases {
            let expected = expected.map(|(major, minor)| FeatureVersion::new(major, minor));
            assert_eq!(from_file_name(name), expected, "{name}");
        }
    }

    #[test]
    fn the_text_of_a_running_interpreter_tells_the_rest() {
        let feature = FeatureVersion::new(3, 8);
        let cases: [(&[u8], Option<Version>); 6] = [
            (
                b"\x003.8.18\x00\x003.8.18 (default, May  9 2026)",
                Some(Version::new(3, 8, 18)),
            ),
            (b"3.8.2+ (heads/3.8)", Some(Version::new(3, 8, 2))),
            (
                b"3.8.0rc1 (",
                Some(Version {
                    level: Level::Candidate,
                    serial: 1,
                    ..Version::new(3, 8, 0)
                }),
            ),
            (b"/opt/3.8.18 (x", None),
            (b"3.8.999 (", None),
            (b"3.8.", None),
        ];
        for (data, expected) in cases {
            assert_eq!(from_text(data, feature), expected, "{data:?}");
        }
    }

    #[test]
    fn every_version_between_the_first_and_the_last_is_supported() {
        let mut features: Vec<_> = Layout::all().iter().map(|row| row.feature).collect();
        features.dedup();
        let (first, last) = (features[0], features[features.len() - 1]);
        assert_eq!(supported(), format!("CPython {first} to {last}"));
        let all = (first.minor..=last.minor).map(|minor| FeatureVersion::new(first.major, minor));
        assert_eq!(features, all.collect::<Vec<_>>());
    }

    #[test]
    fn what_will_come_is_told_from_what_is_too_old() {
        let name = |major, minor, micro| Version::new(major, minor, micro).unsupported_name();
        assert_eq!(name(2, 7, 18), "CPython 2.7.18");
        assert_eq!(name(3, 99, 1), "CPython 3.99.1 (not yet)");
    }

    proptest! {
        #[test]
        fn any_bytes_are_searched(data in prop::collection::vec(any::<u8>(), 0..200)) {
            from_text(&data, FeatureVersion::new(3, 8));
            from_file_name(&String::from_utf8_lossy(&data));
        }
    }
}
