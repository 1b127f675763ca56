//! Pythons that are not `CPython`, told by the names of their files.

use std::path::Path;

use crate::process::{elf::ElfFile, image::Image};

/// A Python that is not `CPython`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Other {
    PyPy,
    GraalPy,
}

/// What a person calls the Python that these binaries belong to, if it is not `CPython`: its name,
/// and its release if any of them tells.
pub(super) fn implementation(images: &[Image]) -> Option<String> {
    let other = |image: &Image| Other::of(&image.path);
    let mut of_other = images.iter().filter(|image| other(image).is_some());
    let found = other(of_other.clone().next()?)?;
    let name = match found {
        Other::PyPy => "PyPy",
        Other::GraalPy => "GraalPy",
    };
    let release = of_other.find_map(|image| found.release(image));
    Some(release.map_or_else(|| name.to_owned(), |release| format!("{name} {release}")))
}

impl Other {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name.starts_with("libpypy") || name.starts_with("pypy") {
            return Some(Self::PyPy);
        }
        let is_graal = name.starts_with("graalpy") || name == "libpythonvm.so";
        is_graal.then_some(Self::GraalPy)
    }

    fn release(self, image: &Image) -> Option<String> {
        let named = release_in_path(image.path.to_str()?);
        let in_file = || match self {
            Self::PyPy => release_in_file(&image.elf().ok()?),
            Self::GraalPy => None,
        };
        named.map(str::to_owned).or_else(in_file)
    }
}

/// The release in the path of a distribution: 7.3.9 of `…/pypy3.9-v7.3.9-linux64/bin/pypy3`, or
/// 24.1.0 of `…/graalpy-community-24.1.0-linux-amd64/bin/graalpy`.
fn release_in_path(path: &str) -> Option<&str> {
    let parts = path
        .split(['/', '-'])
        .map(|part| part.strip_prefix('v').unwrap_or(part));
    parts.into_iter().find(|part| is_release(part))
}

/// The release in what `sys.version` says: `[PyPy 7.3.11 with GCC 12.2.0]`.
fn release_in_file(file: &ElfFile) -> Option<String> {
    let sections = [".rodata", ".data"].into_iter();
    let found = sections.filter_map(|name| {
        let section = file.section(name)?;
        file.bytes_at(section.address, usize::try_from(section.size).ok()?)
    });
    found.into_iter().find_map(release_in_data)
}

fn release_in_data(data: &[u8]) -> Option<String> {
    let mut texts = data.split(|byte| *byte == b'[');
    texts.find_map(|text| {
        let tail = text.strip_prefix(b"PyPy ")?;
        let word = tail
            .get(..tail.len().min(RELEASE_LIMIT))?
            .split(|byte| *byte == b' ')
            .next()?;
        let release = std::str::from_utf8(word).ok()?;
        is_release(release).then(|| release.to_owned())
    })
}

/// How long a release can be.
const RELEASE_LIMIT: usize = 16;

/// Whether a text is digits, with points between them.
fn is_release(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    text.contains('.') && text.split('.').all(is_number)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn other_pythons_are_told_by_name_and_release() {
        let pypy = Some(Other::PyPy);
        let graal = Some(Other::GraalPy);
        let cases = [
            (
                "/opt/pypy3.9-v7.3.9-linux64/bin/pypy3.9",
                pypy,
                Some("7.3.9"),
            ),
            ("/usr/lib/x86_64-linux-gnu/libpypy3.9-c.so", pypy, None),
            ("/opt/graalpy-24.1/bin/graalpy", graal, Some("24.1")),
            (
                "/opt/graalpy-community-24.1.0-linux-amd64/lib/libpythonvm.so",
                graal,
                Some("24.1.0"),
            ),
            ("/usr/local/bin/graalpy", graal, None),
            ("/usr/bin/python3.11", None, None),
            ("/usr/bin/uwsgi", None, None),
            ("/", None, None),
        ];
        for (path, other, release) in cases {
            assert_eq!(Other::of(Path::new(path)), other, "{path}");
            assert_eq!(release_in_path(path), release, "{path}");
        }
    }

    #[test]
    fn the_release_is_read_from_what_the_binary_says_of_itself() {
        let release = |text: &str| release_in_data(text.as_bytes());
        let text = "\0[PyPy\0x [PyPy version\n[PyPy 7.3.11 with GCC 12.2.0]\0";
        assert_eq!(release(text).as_deref(), Some("7.3.11"));
        assert_eq!(release("[PyPy 7.3.11"), Some("7.3.11".to_owned()));
        assert_eq!(release("[PyPy with GCC]"), None);
        assert_eq!(release("[PyPy 7..3 with"), None);
    }

    proptest! {
        #[test]
        fn any_data_has_a_release_or_none(
            before in vec(any::<u8>(), 0..64),
            text in "[PyPy .0-9]*",
        ) {
            let data = [&before[..], b"[PyPy ", text.as_bytes()].concat();
            let found = release_in_data(&data);
            prop_assert!(found.is_none_or(|release| is_release(&release)));
        }
    }
}
