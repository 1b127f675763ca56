//! heaptide, tried from the outside: the binary, on real processes.
//!
//! The tests share the kernel, so they run one after another: `--test-threads=1`.

#![cfg(test)]

mod browser;
mod budget;
mod builds;
mod causes;
mod cli;
mod compare;
mod exports;
mod frames;
mod growth;
mod hooks;
mod mappings;
mod matrix;
mod mimalloc;
mod numpy;
mod objects;
mod places;
mod processes;
mod replay;
mod robust;
mod run;
mod support;
mod traffic;
mod versions;
mod windows;
