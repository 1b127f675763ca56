//! What is known about `CPython`: versions, layouts, code objects, allocators, pools, probe sites.
//!
//! It all starts at [`Interpreter::find`], which looks through a process' binaries, reads the
//! version and refuses what it does not know. A version is a row of facts; only the modules
//! `version` and `layouts` compare version numbers. Builds that carry a table of their own
//! offsets (since 3.13) are read by it, and every build is checked against the type of its code
//! objects before it is believed.
//!
//! Everything here reads the memory of a process that runs on and can be hostile: lengths are
//! bounded before they are used, and no bytes make the decoders fail otherwise than by saying
//! so.

pub mod allocator;
mod check;
pub mod code;
mod code_copies;
pub mod debug_offsets;
mod decode;
pub mod error;
pub mod fates;
#[cfg(any(test, feature = "fuzzing"))]
pub mod hostile;
pub mod layouts;
pub mod line_table;
pub mod mimalloc;
mod other;
pub mod pool_heap;
pub mod pool_sample;
pub mod pools;
pub mod runtime;
pub mod sites;
pub mod small_heap;
mod statics;
pub mod text;
pub mod version;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use self::{
    allocator::{AllocatorKind, Allocators},
    code::{CodeInfo, CodeLayout},
    error::PythonError,
    pools::{PoolCensus, Pools},
    runtime::Interpreter,
    version::Version,
};
