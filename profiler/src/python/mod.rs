//! To be written.

pub mod sites;
