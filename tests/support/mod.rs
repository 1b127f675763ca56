//! What all tests need: a program under test, heaptide beside it, and what this host can do.

pub(crate) mod browser;
pub(crate) mod disk;
pub(crate) mod golden;
pub(crate) mod heaptide;
pub(crate) mod host;
pub(crate) mod kernel;
mod lines;
pub(crate) mod program;
pub(crate) mod report;
pub(crate) mod screen;
pub(crate) mod traces;
pub(crate) mod workload;

pub(crate) use self::{
    heaptide::{Ended, Heaptide},
    host::Python,
    program::Program,
    report::Report,
};
