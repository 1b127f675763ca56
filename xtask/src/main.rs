//! heaptide's chores: `cargo xtask <chore>`.

mod bench;
mod build_ebpf;
mod ci;
mod demo;
mod docs;
mod exec;
mod interpreters;
mod layouts;
mod packages;
mod readers;
mod test;
mod tidy;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

use self::interpreters::Which;

/// The chores of heaptide's workspace.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Measure what heaptide's own work takes, and judge it against its bounds
    Bench(bench::Options),
    /// Compile the kernel half into the object that is committed
    BuildEbpf(build_ebpf::Options),
    /// Run cargo with the flags that the workspace needs from this compiler
    Cargo {
        /// What cargo gets, from the subcommand on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<OsString>,
    },
    /// Run what CI runs: `test`, where nothing may be left out
    Ci,
    /// Show heaptide at work on a service with a leak
    Demo,
    /// Check or write docs/cli.md, which is what `heaptide --help` says
    Docs(docs::Options),
    /// Get the interpreters that the tests use, and list them
    Interpreters(interpreters::Options),
    /// Compare the rows of interpreter layouts with the headers of every CPython here
    Layouts(layouts::Options),
    /// Install what the tests need and run everything: checks, unit tests, integration tests
    Test(test::Options),
    /// Check what no compiler checks: module order, sizes, links, words
    Tidy,
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::Bench(options) => bench::run(&options),
        Chore::BuildEbpf(options) => build_ebpf::run(&options),
        Chore::Cargo { args } => exec::cargo(&args),
        Chore::Ci => test::all(Which::All, true),
        Chore::Demo => demo::run(),
        Chore::Docs(options) => docs::run(&options),
        Chore::Interpreters(options) => interpreters::run(&options, exec::is_ci()),
        Chore::Layouts(options) => layouts::run(&options, exec::is_ci()),
        Chore::Test(options) => test::run(&options, exec::is_ci()),
        Chore::Tidy => tidy::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            exec::say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
