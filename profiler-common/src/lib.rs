//! What the kernel half and the user half share: the records that cross the ring buffer, the
//! maps' keys and values, the interpreter layout row, the catalogue of losses, and the walk
//! over Python frames.
//!
//! Nothing here does I/O, allocates or knows a Python version. What only one half needs
//! belongs to that half.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(test)]
extern crate std;

pub mod config;
pub mod cookie;
pub mod event;
#[cfg(test)]
mod fake;
pub mod layout;
pub mod loss;
pub mod memory;
pub mod sampling;
pub mod walk;
