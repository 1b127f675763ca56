//! Pythons that are not `CPython`, told by the names of their files.

use std::path::Path;

/// What a person calls the Python that a binary belongs to, if it is not `CPython`.
pub(super) fn implementation(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    if name.starts_with("libpypy") || name.starts_with("pypy") {
        let release = release(path.to_str()?);
        return Some(release.map_or_else(|| "PyPy".into(), |release| format!("PyPy {release}")));
    }
    let is_graal = name.starts_with("graalpy") || name == "libpythonvm.so";
    is_graal.then(|| "GraalPy".into())
}

/// The release in the path of a distribution: 7.3.9 of `…/pypy3.9-v7.3.9-linux64/bin/pypy3`.
fn release(path: &str) -> Option<&str> {
    let (_, tail) = path.split_once("-v")?;
    let end = tail.find(|character: char| character != '.' && !character.is_ascii_digit());
    let release = tail.get(..end.unwrap_or(tail.len()))?;
    release.contains('.').then_some(release)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::implementation;

    #[test]
    fn other_pythons_are_told_by_name() {
        let cases = [
            (
                "/opt/pypy3.9-v7.3.9-linux64/bin/pypy3.9",
                Some("PyPy 7.3.9"),
            ),
            ("/usr/lib/x86_64-linux-gnu/libpypy3.9-c.so", Some("PyPy")),
            ("/opt/graalpy-24.1/bin/graalpy", Some("GraalPy")),
            ("/usr/bin/python3.11", None),
            ("/usr/bin/uwsgi", None),
        ];
        for (path, expected) in cases {
            assert_eq!(
                implementation(Path::new(path)).as_deref(),
                expected,
                "{path}"
            );
        }
    }
}
