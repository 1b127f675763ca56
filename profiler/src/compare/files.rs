//! Which file of one recording is which of another: the same path, or else one that was renamed
//! or moved.

use std::collections::{BTreeMap, BTreeSet};

/// The functions of each file.
pub(super) type Files<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Finds for each file of before the one after.
pub(super) fn pair<'a>(before: &Files<'a>, after: &Files<'a>) -> BTreeMap<&'a str, &'a str> {
    let mut pairs: BTreeMap<&str, &str> = (before.keys())
        .filter(|file| after.contains_key(*file))
        .map(|file| (*file, *file))
        .collect();
    let gone: Vec<&str> = before
        .keys()
        .copied()
        .filter(|it| !after.contains_key(it))
        .collect();
    let mut come: BTreeSet<&str> = after
        .keys()
        .copied()
        .filter(|it| !before.contains_key(it))
        .collect();
    // First files that went elsewhere under their name, then those with the same functions.
    let by_name = index(&come, |file| vec![name(file)]);
    for file in &gone {
        let candidates = by_name.get(name(file)).into_iter().flatten().copied();
        let likeness = |other: &&str| {
            let shared = before[file].intersection(&after[*other]).count();
            (common_tail(file, other), shared)
        };
        let left = candidates.filter(|other| come.contains(other));
        if let Some(other) = left.max_by_key(likeness) {
            come.remove(other);
            pairs.insert(*file, other);
        }
    }
    let by_function = index(&come, |file| after[file].iter().copied().collect());
    for file in gone {
        if pairs.contains_key(file) {
            continue;
        }
        let mut shared = BTreeMap::<&str, usize>::new();
        for function in before[file].iter().filter(|function| is_telling(function)) {
            for other in by_function.get(function).into_iter().flatten() {
                *shared.entry(other).or_default() += 1;
            }
        }
        let most = shared.into_iter().filter(|(other, _)| come.contains(other));
        let most = most.max_by_key(|(other, count)| (*count, std::cmp::Reverse(*other)));
        if let Some((other, count)) = most
            && 2 * count >= telling(&before[file]).min(telling(&after[other]))
        {
            come.remove(other);
            pairs.insert(file, other);
        }
    }
    pairs
}

/// Files by something that they have.
fn index<'a>(
    files: &BTreeSet<&'a str>,
    of: impl Fn(&'a str) -> Vec<&'a str>,
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut index = BTreeMap::<_, Vec<_>>::new();
    for file in files {
        for key in of(file) {
            index.entry(key).or_default().push(*file);
        }
    }
    index
}

/// Whether the name of a function tells files apart.
fn is_telling(function: &str) -> bool {
    !function.starts_with('<') && !["main", "__init__", "__call__", "run"].contains(&function)
}

fn telling(functions: &BTreeSet<&str>) -> usize {
    functions
        .iter()
        .filter(|function| is_telling(function))
        .count()
}

fn name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// How many parts of two paths are the same, from the end.
fn common_tail(one: &str, other: &str) -> usize {
    let parts = one.rsplit('/').zip(other.rsplit('/'));
    parts.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    type List = &'static [(&'static str, &'static [&'static str])];

    #[track_caller]
    fn check(before: List, after: List, expected: &[(&str, &str)]) {
        let files = |list: List| -> Files<'static> {
            let one = |(file, functions): &(&'static str, &'static [&'static str])| {
                (*file, functions.iter().copied().collect())
            };
            list.iter().map(one).collect()
        };
        let pairs = pair(&files(before), &files(after));
        assert_eq!(pairs, expected.iter().copied().collect());
    }

    #[test]
    fn a_file_that_is_there_is_itself() {
        const SAME: List = &[("/a.py", &["f"]), ("/b.py", &["f"])];
        check(SAME, SAME, &[("/a.py", "/a.py"), ("/b.py", "/b.py")]);
    }

    #[test]
    fn a_folder_may_have_another_name() {
        check(
            &[("/srv/1/app/x.py", &["f"]), ("/srv/1/lib/x.py", &["g"])],
            &[("/srv/2/app/x.py", &["f"]), ("/srv/2/lib/x.py", &["g"])],
            &[
                ("/srv/1/app/x.py", "/srv/2/app/x.py"),
                ("/srv/1/lib/x.py", "/srv/2/lib/x.py"),
            ],
        );
    }

    #[test]
    fn a_renamed_file_is_known_by_its_functions() {
        check(
            &[("/app/cache.py", &["remember", "forget", "<module>"])],
            &[("/app/store.py", &["remember", "drop", "<module>"])],
            &[("/app/cache.py", "/app/store.py")],
        );
        check(
            &[("/app/cache.py", &["remember", "<module>", "main"])],
            &[("/app/new.py", &["other", "<module>", "main"])],
            &[],
        );
    }
}
