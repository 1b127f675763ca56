//! One recording from start to end: it wires the kernel half, the books and the file together, and
//! it is the only place that knows the time.

mod causes;
mod cgroups;
mod channel;
mod clock;
mod close_hits;
mod cost;
mod doctor;
mod elders;
mod error;
mod exact;
mod followed;
mod gauge;
mod launch;
mod ledger;
mod limits;
mod naming;
mod notes;
mod observer;
mod options;
mod pace;
mod places;
mod recorder;
mod reference;
mod self_test;
mod signals;
mod threads;
mod tracker;
mod traffic;
mod urgency;

pub use cost::{CostModel, Costs};
pub use doctor::examine;
pub use error::SessionError;
pub use launch::{HANDSHAKE_VERB, become_command};
pub use observer::{Ending, Finished, Observer, Progress};
pub use options::{Options, Target};
pub use recorder::record;

use crate::{process::image, units::Pid};

/// Where an address of heaptide's own code is in its file.
fn own_file_offset(address: u64) -> Option<u64> {
    let image = image::executable(Pid(std::process::id())).ok()?;
    let elf = image.elf().ok()?;
    elf.file_offset(image.vaddr(address))
}
