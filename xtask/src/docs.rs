//! `docs/cli.md`: what the binary says about itself, as a page.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::exec::{Tool, build_together, root, say};

const PAGE: &str = "docs/cli.md";

const HEAD: &str = "\
# The command line

What `heaptide --help` and `heaptide <verb> --help` print. Written by `cargo xtask docs --write`:
change the texts in the code, not here.
";

/// What to do with the page.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Options {
    /// Fail if the page is not what the binary says
    #[arg(long)]
    check: bool,
    /// Write the page
    #[arg(long)]
    write: bool,
}

/// Does what the options say.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.write { write() } else { check() }
}

/// Fails if the page is not what the binary says now.
pub(crate) fn check() -> Result<()> {
    let committed = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    let expected = page_of_binary()?;
    let lines = (1..).zip(expected.lines().zip(committed.lines()));
    if committed == expected {
        return Ok(());
    }
    let differing = lines
        .into_iter()
        .find(|(_, (expected, committed))| expected != committed);
    let (line, text) = differing.map_or((committed.lines().count() + 1, ""), |d| (d.0, d.1.0));
    bail!("{PAGE}:{line} should say `{text}`: run `cargo xtask docs --write` and commit {PAGE}");
}

fn write() -> Result<()> {
    fs::write(root().join(PAGE), page_of_binary()?)
        .with_context(|| format!("cannot write {PAGE}"))?;
    say(format_args!("wrote {PAGE}"));
    Ok(())
}

/// The page as the binary of these sources would have it.
fn page_of_binary() -> Result<String> {
    let heaptide = build_together()?.join("heaptide");
    page(&|verbs| {
        // Without the variable the width of the terminal would be part of the page.
        let asked = Tool::new(&heaptide)
            .args(verbs)
            .arg("--help")
            .env("COLUMNS", "100");
        let help = asked.capture()?;
        ensure!(
            !help.trim().is_empty(),
            "`heaptide {} --help` prints nothing",
            verbs.join(" ")
        );
        Ok(help)
    })
}

/// The whole page, from whoever answers for the binary.
fn page(ask: &dyn Fn(&[&str]) -> Result<String>) -> Result<String> {
    let mut page = HEAD.to_owned();
    append(&mut page, &[], ask)?;
    Ok(page)
}

/// Appends the section of a verb, and those of the verbs below it.
fn append(
    page: &mut String,
    verbs: &[&str],
    ask: &dyn Fn(&[&str]) -> Result<String>,
) -> Result<()> {
    let help = ask(verbs)?;
    let title = ["heaptide"]
        .iter()
        .chain(verbs)
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    writeln!(page, "\n## `{title}`\n\n```text")?;
    for line in help.trim_end().lines() {
        writeln!(page, "{}", line.trim_end())?;
    }
    writeln!(page, "```")?;
    for verb in subcommands(&help) {
        append(page, &[verbs, &[verb]].concat(), ask)?;
    }
    Ok(())
}

/// The verbs that a help text lists under `Commands:`, but for `help` itself.
fn subcommands(help: &str) -> impl Iterator<Item = &str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  ") || line.is_empty())
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Profiles\n\nUsage: heaptide <COMMAND>\n\nCommands:\n  attach  Records \
                        live\n          processes\n  man     Prints\n  help    Print this\n\n\
                        Options:\n  -h, --help  Print help\n";

    #[test]
    fn finds_the_verbs_of_a_help_text() {
        assert_eq!(subcommands(HELP).collect::<Vec<_>>(), ["attach", "man"]);
        assert_eq!(subcommands("Options:\n  -h\n").count(), 0);
    }

    #[test]
    fn each_verb_gets_a_section_without_trailing_blanks() {
        let page = page(&|verbs| match verbs {
            [] => Ok(HELP.to_owned()),
            [verb] => Ok(format!("Help of {verb}:  \n\n")),
            _ => bail!("no such verb"),
        })
        .unwrap();
        assert!(page.starts_with(HEAD));
        assert!(page.contains("\n## `heaptide`\n\n```text\nProfiles\n"));
        assert!(
            page.ends_with("\n## `heaptide man`\n\n```text\nHelp of man:\n```\n"),
            "{page}"
        );
        assert_eq!(page.matches("## ").count(), 3);
    }

    #[test]
    fn a_verb_without_help_is_an_error() {
        assert!(page(&|_| bail!("no help")).is_err());
    }
}
