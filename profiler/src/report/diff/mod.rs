//! Two recordings compared, for people and for programs.

mod json;
#[cfg(test)]
mod tests;
pub(super) mod text;

pub use json::json as diff_json;
pub use text::text as diff_text;

use super::Subject;
use crate::compare::Comparison;

/// What the report on a comparison is made from.
#[derive(Clone, Copy, Debug)]
pub struct DiffSubject<'a> {
    /// What was before.
    pub before: Subject<'a>,
    /// What is after.
    pub after: Subject<'a>,
    /// What changed.
    pub comparison: &'a Comparison,
}
