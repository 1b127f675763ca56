//! heaptide's chores: `cargo xtask <chore>`.

mod build_ebpf;
mod exec;
mod packages;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

/// The chores of heaptide's workspace.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Compile the kernel half into the object that is committed
    BuildEbpf(build_ebpf::Options),
    /// Run cargo with the flags that the workspace needs from this compiler
    Cargo {
        /// What cargo gets, from the subcommand on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::BuildEbpf(options) => build_ebpf::run(&options),
        Chore::Cargo { args } => exec::cargo(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            exec::say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
