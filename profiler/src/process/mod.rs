//! What the operating system knows about processes, and what their binaries hold.
//!
//! Nothing here knows Python or BPF. Whatever a process or a file says is checked before it is
//! used: a target can be hostile, and it can end at any moment.

pub mod elf;
