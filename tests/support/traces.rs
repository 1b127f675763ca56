//! What heaptide could leave behind on the host and in a program.

use std::fs;

use super::{Program, kernel::Holdings};

/// The host and a program before heaptide came.
#[derive(Debug)]
pub(crate) struct Traces {
    mounts: String,
    code: Vec<String>,
}

impl Traces {
    /// Looks before heaptide comes.
    pub(crate) fn before(program: &Program) -> Self {
        Self {
            mounts: mounts(),
            code: mapped_files(program),
        }
    }

    /// Checks that all is as it was, and that what heaptide held in the kernel is gone.
    #[track_caller]
    pub(crate) fn expect_none_left(&self, program: &Program, held: &Holdings) {
        assert!(
            !held.is_empty(),
            "programs, maps and links are held by descriptors"
        );
        held.expect_gone();
        assert_eq!(mounts(), self.mounts);
        assert_eq!(mapped_files(program), self.code);
    }
}

fn mounts() -> String {
    fs::read_to_string("/proc/mounts").expect("/proc is mounted")
}

/// The code of a program, without what the kernel keeps there for probes.
fn mapped_files(program: &Program) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", program.pid())).expect("it runs");
    let lines = maps
        .lines()
        .filter(|line| line.contains(" r-xp ") && line.contains('/'));
    lines.map(str::to_owned).collect()
}
