//! What windows showed, by how long each kind of work lasted.

use super::{ProcessKey, StackId};

/// What a process got at a stack in small objects, as windows showed it, and as it is reckoned if
/// each kind of work weighs as much as it lasted. By the quotient, windows showed too little.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reckoned {
    /// The process.
    pub process: ProcessKey,
    /// The stack.
    pub stack: StackId,
    /// Bytes, by the windows that happened to come.
    pub shown: u64,
    /// Bytes, if as many windows had come to each kind of work as it lasted long.
    pub reckoned: u64,
}
