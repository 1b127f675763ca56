//! What a measurement consists of: pure values, without I/O, clock or terminal.
//!
//! [`Recorded`] is all of it: what a recording file holds and what a report is made from.

mod interval;
mod losses;
mod recorded;
mod stack;

pub use interval::{
    Census, Change, Counters, Interval, Lifecycle, LifecycleKind, Metered, own_time,
};
pub use losses::Losses;
pub use recorded::{Facts, ProcessKey, ProcessRecord, Recorded};
pub use stack::{Frame, FrameId, StackId, StackTable};
