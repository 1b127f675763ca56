//! What a measurement consists of: pure values, without I/O, clock or terminal.
//!
//! [`Recorded`] is all of it: what a recording file holds and what a report is made from.

mod allocator;
mod cgroup;
mod interval;
mod losses;
mod meter;
mod reckoned;
mod recorded;
mod sharing;
mod size_class;
mod sockets;
mod stack;
mod survivor;
mod threads;

pub use allocator::{AllocatorCensus, ArenaTotals, LibcHeap, PythonHeap};
pub use cgroup::CgroupCensus;
pub use interval::{Census, Change, Counters, Interval, Lifecycle, LifecycleKind, own_time};
pub use losses::Losses;
pub use meter::Metered;
pub use reckoned::Reckoned;
pub use recorded::{Facts, ProcessKey, ProcessRecord, Recorded, Remains};
pub use sharing::{CopyCause, SharingCensus};
pub use size_class::{ClassCensus, SizeClass};
pub use sockets::{SocketCensus, TrafficChoice};
pub use stack::{Frame, FrameId, StackId, StackTable};
pub use survivor::Survivor;
pub use threads::{ThreadName, ThreadUse, Threads};
