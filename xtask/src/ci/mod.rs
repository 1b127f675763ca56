//! What CI checks before it tests.

mod elsewhere;

use anyhow::Result;

use crate::{build_ebpf, docs, exec::Tool, layouts, tidy};

/// Makes every check, the cheapest first, and stops at the first that fails; its message has the
/// command that repeats it.
///
/// A strict run fails where another one leaves out what this machine cannot do.
pub(crate) fn check(is_strict: bool) -> Result<()> {
    format()?;
    tidy::run()?;
    build_ebpf::check()?;
    lint()?;
    lint_kernel_half()?;
    elsewhere::check(is_strict)?;
    docs::check()?;
    layouts::check(is_strict)?;
    document()
}

fn format() -> Result<()> {
    Tool::cargo("fmt")?.args(["--all", "--check"]).run()
}

fn lint() -> Result<()> {
    Tool::cargo("clippy")?
        .args(["--quiet", "--workspace", "--exclude", "profiler-ebpf"])
        .args(["--all-targets", "--", "-Dwarnings"])
        .run()
}

/// The kernel half type-checks for this machine too, once it need not unwind.
fn lint_kernel_half() -> Result<()> {
    Tool::cargo("clippy")?
        .args(["--quiet", "--package", "profiler-ebpf"])
        .args(["--config", "profile.dev.panic='abort'", "--", "-Dwarnings"])
        .run()
}

fn document() -> Result<()> {
    Tool::cargo("doc")?
        .args(["--quiet", "--workspace", "--exclude", "profiler-ebpf"])
        .args(["--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "-Dwarnings")
        .run()
}
