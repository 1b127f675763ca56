//! heaptide, tried from the outside: the binary, on real processes.
//!
//! The tests share the kernel, so they run one after another: `--test-threads=1`.

#![cfg(test)]

mod builds;
mod cli;
mod compare;
mod frames;
mod growth;
mod hooks;
mod mappings;
mod matrix;
mod objects;
mod places;
mod processes;
mod robust;
mod run;
mod support;
mod versions;
mod windows;
