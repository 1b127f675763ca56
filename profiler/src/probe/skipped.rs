//! Runs of programs that the kernel skipped, because another one of heaptide's was at work on that
//! processor: what they would have told is lost, and no program can count it.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use super::Probe;

/// The line that tells of them, since Linux 5.12.
const FIELD: &str = "recursion_misses:";

impl Probe {
    /// How many runs of any of its programs were skipped so far.
    pub(super) fn skipped_runs(&self) -> u64 {
        let loaded = (self.ebpf.programs()).filter_map(|(_, program)| program.fd().ok());
        let texts = loaded.filter_map(|program| {
            let descriptor = program.as_fd().as_raw_fd();
            fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()
        });
        texts.map(|text| skipped_in(&text)).sum()
    }
}

/// What the kernel tells of a program's descriptor; nothing if it does not count.
fn skipped_in(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix(FIELD));
    count
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_runs_are_read_where_the_kernel_counts_them() {
        let old = "pos:\t0\nflags:\t02000002\nprog_type:\t17\nprog_jited:\t1\n";
        let new = "prog_id:\t7\nrun_cnt:\t40\nrecursion_misses:\t12\nverified_insns:\t3000\n";
        assert_eq!(skipped_in(&format!("{old}{new}")), 12);
        assert_eq!(skipped_in(old), 0);
        assert_eq!(skipped_in("recursion_misses:\tmany\n"), 0);
    }
}
