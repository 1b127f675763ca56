//! Findings for people and for programs: text, JSON and flamegraphs, as functions of their input.

mod place;
mod plain;

pub use place::{Owner, Places};
