//! How much memory a process's control group uses, and how much it may use.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{ProcessError, proc_file};
use crate::units::Pid;

/// Where heaptide's own mounts are listed.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Limits from here on are none: the first version writes the largest number of pages.
const UNLIMITED: u64 = 1 << 60;

/// Groups are no deeper than this.
const DEEPEST: usize = 64;

/// The memory of a control group, in bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// The group: of those that the process is in, the one with the least room left, or the
    /// innermost one if none has a limit.
    pub path: String,
    /// What is charged to it.
    pub current: u64,
    /// The part of that which the kernel takes back when room gets scarce: file pages that were
    /// not used lately.
    pub reclaimable: u64,
    /// What it may use at most.
    pub limit: Option<u64>,
    /// From where on the kernel slows it down.
    pub high: Option<u64>,
}

impl Usage {
    /// How much may still be added before the limit.
    fn room(&self) -> Option<u64> {
        let needed = self.current.saturating_sub(self.reclaimable);
        self.limit.map(|limit| limit.saturating_sub(needed))
    }
}

/// Where the control groups of memory are mounted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hierarchies {
    /// The unified one: where it is, and which group is its root there.
    second: Option<(PathBuf, String)>,
    /// That of the memory controller alone.
    first: Option<(PathBuf, String)>,
}

/// A version's names for the same things.
struct Names {
    current: &'static str,
    limit: &'static str,
    high: Option<&'static str>,
    inactive_file: &'static str,
}

const FIRST: Names = Names {
    current: "memory.usage_in_bytes",
    limit: "memory.limit_in_bytes",
    high: None,
    inactive_file: "total_inactive_file",
};

const SECOND: Names = Names {
    current: "memory.current",
    limit: "memory.max",
    high: Some("memory.high"),
    inactive_file: "inactive_file",
};

impl Hierarchies {
    /// Finds them; none if nothing is mounted that can be seen.
    pub fn find() -> Self {
        fs::read_to_string(MOUNTS).map_or(Self::default(), |text| Self::parse(&text))
    }

    fn parse(mounts: &str) -> Self {
        let mut found = Self::default();
        for line in mounts.lines() {
            let Some((mount, kind)) = line.split_once(" - ") else {
                continue;
            };
            let mut kind = kind.split(' ');
            let (file_system, options) = (kind.next(), kind.nth(1).unwrap_or_default());
            let mut fields = mount.split(' ').skip(3);
            let (Some(root), Some(place)) = (fields.next(), fields.next()) else {
                continue;
            };
            let place = Some((PathBuf::from(place), root.to_owned()));
            match file_system {
                Some("cgroup2") if found.second.is_none() => found.second = place,
                Some("cgroup") if options.split(',').any(|option| option == "memory") => {
                    found.first = found.first.or(place);
                }
                _ => {}
            }
        }
        found
    }

    /// The groups of a process, as the kernel lists them.
    pub fn groups(pid: Pid) -> Result<String, ProcessError> {
        let groups = proc_file::read(pid, "cgroup", "the control groups")?;
        Ok(String::from_utf8_lossy(&groups).into_owned())
    }

    /// What the group of a process in these groups uses; nothing if none tells.
    pub fn usage(&self, groups: &str) -> Option<Usage> {
        let in_first = || {
            let group = group_of(groups, |controllers| {
                controllers.split(',').any(|it| it == "memory")
            })?;
            tightest(self.first.as_ref()?, group, &FIRST)
        };
        let in_second = || {
            let group = group_of(groups, str::is_empty)?;
            tightest(self.second.as_ref()?, group, &SECOND)
        };
        in_first().or_else(in_second)
    }
}

/// The group of a process in the hierarchy of which the controllers are such.
fn group_of(groups: &str, are_such: impl Fn(&str) -> bool) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        are_such(controllers).then(|| parts.next())?
    })
}

/// Of a group and those around it, the one with the least room.
fn tightest((mount, root): &(PathBuf, String), group: &str, names: &Names) -> Option<Usage> {
    // What is mounted may be a part of the hierarchy, and a group may be outside of what can be
    // seen: then the root of what is mounted is the nearest that is known.
    let below = match group.strip_prefix(root.as_str()) {
        Some(rest) if root == "/" || rest.is_empty() || rest.starts_with('/') => rest,
        _ => "",
    };
    let below = below.trim_start_matches('/');
    let is_plain = below.split('/').all(|part| part != "..") && mount.join(below).is_dir();
    let below = if is_plain { below } else { "" };
    let levels = Path::new(below).ancestors().take(DEEPEST);
    let known = levels.filter_map(|level| read(&mount.join(level), level, names));
    known.reduce(|inner, outer| match (inner.room(), outer.room()) {
        (Some(inner_room), Some(outer_room)) if outer_room < inner_room => outer,
        (None, Some(_)) => outer,
        _ => inner,
    })
}

fn read(folder: &Path, name: &Path, names: &Names) -> Option<Usage> {
    let number = |file: &str| -> Option<u64> {
        let text = fs::read_to_string(folder.join(file)).ok()?;
        text.trim().parse().ok()
    };
    let limit = |file: &str| number(file).filter(|limit| *limit < UNLIMITED);
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let reclaimable = stat.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == names.inactive_file).then(|| value.parse().ok())?
    });
    Some(Usage {
        path: format!("/{}", name.display()),
        current: number(names.current)?,
        reclaimable: reclaimable.unwrap_or(0),
        limit: limit(names.limit),
        high: names.high.and_then(limit),
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// A folder that looks like a hierarchy.
    struct Fake(TempDir);

    impl Fake {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, group: &str, files: &[(&str, &str)]) {
            let folder = self.0.path().join(group);
            fs::create_dir_all(&folder).unwrap();
            for (name, content) in files {
                fs::write(folder.join(name), content).unwrap();
            }
        }

        fn second(&self, root: &str) -> Hierarchies {
            Hierarchies {
                second: Some((self.0.path().to_owned(), root.to_owned())),
                first: None,
            }
        }
    }

    /// A service in a slice that has a limit, in the second version.
    fn service() -> Fake {
        let fake = Fake::new();
        let leaf = [
            ("memory.current", "209715200\n"),
            ("memory.max", "max\n"),
            ("memory.high", "314572800\n"),
            (
                "memory.stat",
                "anon 1048576\ninactive_file 104857600\nactive_file 7\n",
            ),
        ];
        fake.write("app.slice/web", &leaf);
        let slice = [
            ("memory.current", "419430400\n"),
            ("memory.max", "536870912\n"),
            ("memory.high", "max\n"),
            ("memory.stat", "inactive_file 0\n"),
        ];
        fake.write("app.slice", &slice);
        fake
    }

    #[test]
    fn the_nearest_limit_is_that_of_an_ancestor() {
        let fake = service();
        let found = fake.second("/").usage("0::/app.slice/web\n").unwrap();
        assert_eq!((found.path.as_str(), found.high), ("/app.slice", None));
        assert_eq!(found.limit, Some(512 * MIB));
        assert_eq!((found.current, found.reclaimable), (400 * MIB, 0));
    }

    #[test]
    fn of_two_limits_the_one_with_less_room_counts() {
        let fake = service();
        fake.write("app.slice/web", &[("memory.max", "115343360")]);
        let found = fake.second("/").usage("0::/app.slice/web\n").unwrap();
        assert_eq!(found.path, "/app.slice/web");
        assert_eq!(found.limit, Some(110 * MIB));
        assert_eq!(found.high, Some(300 * MIB));
        assert_eq!(found.reclaimable, 100 * MIB);
        fake.write("app.slice", &[("memory.max", "420000000")]);
        let found = fake.second("/").usage("0::/app.slice/web\n").unwrap();
        assert_eq!(found.path, "/app.slice");
    }

    #[test]
    fn without_a_limit_the_group_itself_is_told() {
        let fake = service();
        fake.write("app.slice", &[("memory.max", "max")]);
        let found = fake.second("/").usage("0::/app.slice/web\n").unwrap();
        assert_eq!((found.path.as_str(), found.limit), ("/app.slice/web", None));
    }

    #[test]
    fn inside_of_a_container_paths_are_relative_to_what_is_mounted() {
        let fake = Fake::new();
        fake.write("", &[("memory.current", "5"), ("memory.max", "10")]);
        let hierarchies = fake.second("/docker/abc");
        for groups in ["0::/docker/abc\n", "0::/\n", "0::/../other\n", "0::/gone\n"] {
            let found = hierarchies.usage(groups).unwrap();
            assert_eq!((found.path.as_str(), found.limit), ("/", Some(10)));
        }
    }

    #[test]
    fn the_first_version_has_names_of_its_own() {
        let fake = Fake::new();
        let files = [
            ("memory.usage_in_bytes", "1000"),
            ("memory.limit_in_bytes", "2000"),
            ("memory.stat", "inactive_file 1\ntotal_inactive_file 300"),
        ];
        fake.write("box", &files);
        let root = [
            ("memory.usage_in_bytes", "9000"),
            ("memory.limit_in_bytes", "9223372036854771712"),
        ];
        fake.write("", &root);
        let hierarchies = Hierarchies {
            first: Some((fake.0.path().to_owned(), "/".to_owned())),
            second: None,
        };
        let groups = "5:cpu,memory:/box\n0::/elsewhere\n";
        let found = hierarchies.usage(groups).unwrap();
        assert_eq!((found.path.as_str(), found.reclaimable), ("/box", 300));
        assert_eq!((found.limit, found.room()), (Some(2000), Some(1300)));
        assert_eq!(hierarchies.usage("0::/box\n"), None);
    }

    #[test]
    fn mounts_of_both_versions_are_found() {
        let mounts = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
41 31 0:38 /a /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        let found = Hierarchies::parse(mounts);
        let place = |path: &str, root: &str| Some((PathBuf::from(path), root.to_owned()));
        assert_eq!(found.first, place("/sys/fs/cgroup/memory", "/"));
        assert_eq!(found.second, place("/sys/fs/cgroup/unified", "/a"));
        assert_eq!(
            Hierarchies::parse("nothing of the kind").usage("0::/"),
            None
        );
    }

    #[test]
    fn this_process_is_in_groups_or_none_is_mounted() {
        let hierarchies = Hierarchies::find();
        let groups = Hierarchies::groups(Pid(std::process::id())).unwrap();
        let usage = hierarchies.usage(&groups);
        assert!(usage.is_none_or(|usage| usage.current > 0));
    }
}
