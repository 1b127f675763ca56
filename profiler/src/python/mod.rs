//! What is known about `CPython`.
pub mod debug_offsets;
pub mod layouts;
pub mod line_table;
pub mod sites;
pub mod text;
pub mod version;
