//! What is known about `CPython`.
pub mod allocator;
mod check;
pub mod code;
pub mod debug_offsets;
mod decode;
pub mod error;
pub mod layouts;
pub mod line_table;
mod other;
pub mod pools;
pub mod runtime;
pub mod sites;
pub mod text;
pub mod version;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
