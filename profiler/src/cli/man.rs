//! `heaptide man`.

use std::{io, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::Man;

use super::{exit::Misuse, output};

/// Prints the manual page of heaptide, or of a verb.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  heaptide man attach | man -l -")]
pub(super) struct ManArgs {
    /// The verb
    verb: Option<String>,
}

/// Prints the page.
pub(super) fn run(args: ManArgs, heaptide: Command) -> anyhow::Result<ExitCode> {
    let ManArgs { verb } = args;
    let page = page(verb.as_deref(), heaptide)?;
    output::print(&page)?;
    Ok(ExitCode::SUCCESS)
}

fn page(verb: Option<&str>, mut heaptide: Command) -> anyhow::Result<String> {
    // Flags of all verbs come to the verbs only when it is built.
    heaptide.build();
    let command = match verb {
        None => heaptide,
        Some(verb) => heaptide.find_subcommand(verb).cloned().ok_or_else(|| {
            let message = format!("there is no verb `{verb}`");
            Misuse::new(&message, "`heaptide --help` lists the verbs")
        })?,
    };
    let mut page = Vec::new();
    let rendered: io::Result<()> = Man::new(command).render(&mut page);
    rendered.context("cannot write the manual page")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{super::Cli, *};

    #[test]
    fn each_verb_has_a_page() {
        let whole = page(None, Cli::command()).unwrap();
        for verb in Cli::command().get_subcommands() {
            let page = page(Some(verb.get_name()), Cli::command()).unwrap();
            assert!(page.contains("Example"), "{page}");
            assert!(page.contains("quiet"), "{page}");
            assert!(whole.contains(verb.get_name()), "{whole}");
        }
    }

    #[test]
    fn a_verb_that_is_not_there_is_wrong_use() {
        let refused = page(Some("record"), Cli::command()).unwrap_err();
        assert!(refused.is::<Misuse>(), "{refused}");
    }
}
