//! What the rows say of release builds, moved to where builds with assertions (`Py_DEBUG`) have it.

use super::{Layout, Obmalloc};

/// The number of all references, which such builds keep before pymalloc's state once an
/// interpreter points to that.
const REFERENCES: u32 = 8;

impl Layout {
    /// The same row for builds with assertions.
    ///
    /// They encode mimalloc's lists of free blocks with secrets of each page, so what lives cannot
    /// be told from outside.
    #[must_use]
    pub fn with_assertions(mut self) -> Self {
        if let Obmalloc::Pointer { offset, .. } = &mut self.runtime.obmalloc {
            *offset += REFERENCES;
        }
        self.runtime.mimalloc = None;
        self.assertions = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_behind_the_number_of_references_has_moved() {
        for row in Layout::all() {
            let moved = row.clone().with_assertions();
            match (row.runtime.obmalloc, moved.runtime.obmalloc) {
                (Obmalloc::Pointer { offset, state }, found) => {
                    let offset = offset + 8;
                    assert_eq!(found, Obmalloc::Pointer { offset, state });
                }
                (same, found) => assert_eq!(found, same),
            }
            assert_eq!(moved.walk(), row.walk());
            assert_eq!(moved.code, row.code);
        }
    }
}
