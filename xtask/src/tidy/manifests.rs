//! Every member of the workspace opts into the lints of the workspace.

use super::{Fault, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    let members = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"));
    members
        .filter(|file| !file.text.contains("[lints]\nworkspace = true"))
        .map(|file| file.fault(1, "`[lints] workspace = true` is missing"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::shown;

    #[test]
    fn members_must_opt_into_the_lints() {
        let tree = Tree::planted(&[
            ("Cargo.toml", "[workspace]"),
            (
                "good/Cargo.toml",
                "[package]\n\n[lints]\nworkspace = true\n",
            ),
            (
                "bad/Cargo.toml",
                "[package]\n\n[lints]\nrust.unsafe_code = \"deny\"\n",
            ),
        ]);
        assert_eq!(
            shown(check(&tree)),
            ["bad/Cargo.toml:1: `[lints] workspace = true` is missing"]
        );
    }
}
