//! Which threads got memory.

use super::{ProcessKey, StackId};

/// Which threads were seen at which stacks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Threads {
    /// The threads that have a name.
    pub names: Vec<ThreadName>,
    /// What was seen, in the order of process, stack and thread.
    pub uses: Vec<ThreadUse>,
}

/// What a thread calls itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ThreadName {
    /// Its process.
    pub process: ProcessKey,
    /// Its id, as the initial pid namespace numbers it.
    pub tid: u32,
    /// The name, in 15 characters at most. Python itself sets it since 3.14.
    pub name: String,
}

/// How often a thread was seen at a stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ThreadUse {
    /// The process.
    pub process: ProcessKey,
    /// The stack.
    pub stack: StackId,
    /// The thread; [`ThreadUse::OTHERS`] for those beyond what is told apart.
    pub tid: u32,
    /// How often.
    pub seen: u64,
}

impl ThreadUse {
    /// Stands for all threads that are not told apart: no thread has this id.
    pub const OTHERS: u32 = 0;
}
