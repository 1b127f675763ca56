//! What a control group uses of the memory that it may use.

use std::time::Duration;

/// The memory of the control group that limits processes, at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CgroupCensus {
    /// The group, as heaptide sees it.
    pub path: String,
    /// When, from the start of the recording.
    pub time: Duration,
    /// Bytes charged to it.
    pub current: u64,
    /// The part that the kernel takes back when room gets scarce.
    pub reclaimable: u64,
    /// The most that it may use; `None` if there is no limit.
    pub limit: Option<u64>,
    /// From where on the kernel slows it down.
    pub high: Option<u64>,
}

impl CgroupCensus {
    /// The bytes that would not go away by themselves.
    pub const fn needed(&self) -> u64 {
        self.current.saturating_sub(self.reclaimable)
    }
}
