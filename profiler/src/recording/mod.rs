//! The recording: one `SQLite` file, described in `docs/recording-format.md`.
//!
//! It knows the file, not where data come from. [`Writer`] adds an interval at a time, so that a
//! killed heaptide loses at most the last one; [`read`] gives back what was written, or says why
//! it cannot, and trusts nothing that stands in the file.

mod causes;
mod changes;
mod checked;
mod classes;
mod create;
mod error;
mod facts;
mod merge;
mod reader;
mod rows;
mod schema;
mod series;
mod tables;
#[cfg(test)]
mod test_data;
mod threads;
mod timeline;
mod writer;

pub use error::RecordingError;
pub use reader::{read, read_with_threads};
pub use writer::Writer;
