//! Debian packages that a chore needs, and how they get onto the machine.

use std::path::Path;

use anyhow::{Result, bail};

use crate::exec::{Tool, find, say};

/// A Debian package and a file of it that tells whether it is there.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
}

/// A browser for pages and drawings, and what drives it.
pub(crate) const BROWSER: [Package; 2] = [
    Package {
        name: "chromium",
        file: "/usr/bin/chromium",
    },
    Package {
        name: "chromium-driver",
        file: "/usr/bin/chromedriver",
    },
];

/// Sees to it that the packages are there: names those that are missing, and installs them if
/// that is wanted and possible.
pub(crate) fn require(packages: &[Package], what_for: &str, may_install: bool) -> Result<()> {
    let missing: Vec<_> = packages
        .iter()
        .filter(|package| !Path::new(package.file).exists())
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !may_install || !can_install() {
        bail!(
            "{what_for} needs Debian's packages {names}; as root: \
             apt-get update && apt-get install --no-install-recommends {names}"
        );
    }
    say(format_args!(
        "{what_for} needs Debian's packages {names}: installing them"
    ));
    Tool::new("apt-get").args(["update", "-qq"]).run()?;
    Tool::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(missing)
        .hidden_env("DEBIAN_FRONTEND", "noninteractive")
        .run()
}

/// Whether this user may install packages on this machine.
fn can_install() -> bool {
    find("apt-get").is_some() && is_root()
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // The owner of its entry in /proc is a process's effective user.
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_are_there_need_nothing() {
        let shell = Package {
            name: "dash",
            file: "/bin/sh",
        };
        require(&[shell], "a shell", false).unwrap();
    }

    #[test]
    fn names_the_missing_packages_and_the_command_that_installs_them() {
        let packages = [
            Package {
                name: "dash",
                file: "/bin/sh",
            },
            Package {
                name: "no-such-package",
                file: "/no/such/file",
            },
        ];
        let error = require(&packages, "the test", false)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the test needs Debian's packages no-such-package;"),
            "{error}"
        );
        assert!(error.contains("apt-get install --no-install-recommends no-such-package"));
        assert!(!error.contains("dash"), "{error}");
    }
}
