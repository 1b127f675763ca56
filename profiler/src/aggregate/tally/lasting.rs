//! How much of each kind of work windows happened to see.

use std::collections::HashMap;

use crate::{
    aggregate::estimate::as_float,
    profile::{ProcessKey, Reckoned, StackId},
};

/// By what to multiply what windows showed, so that each kind of work weighs as much as it lasted.
pub(super) struct Lasting(HashMap<(ProcessKey, StackId), f64>);

impl Lasting {
    /// What a recording tells of all of it holds for its parts, too.
    pub(super) fn new(reckoned: &[Reckoned]) -> Self {
        let known = reckoned.iter().filter(|it| it.shown > 0);
        let factor = |it: &Reckoned| as_float(it.reckoned) / as_float(it.shown);
        Self(
            known
                .map(|it| ((it.process, it.stack), factor(it)))
                .collect(),
        )
    }

    /// The factor of a stack.
    pub(super) fn of(&self, process: ProcessKey, stack: StackId) -> f64 {
        self.0.get(&(process, stack)).copied().unwrap_or(1.0)
    }
}
