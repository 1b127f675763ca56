//! The tests, by tier; without a tier all that has to pass before a change may land.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    build_ebpf, ci,
    exec::{TOGETHER, Tool, build_together, say, target},
    interpreters::{self, Which},
    packages::{BROWSER, Package, require},
    readers,
};

/// What the tests need beside the toolchain of the kernel half, which `build-ebpf` knows.
const PACKAGES: [Package; 13] = [
    // A C compiler, for SQLite and for the headers of interpreters.
    Package {
        name: "gcc",
        file: "/usr/bin/cc",
    },
    // And one for C++, for the fuzzer.
    Package {
        name: "g++",
        file: "/usr/bin/c++",
    },
    Package {
        name: "git",
        file: "/usr/bin/git",
    },
    // Tells whether programs are left in the kernel.
    Package {
        name: "bpftool",
        file: "/usr/sbin/bpftool",
    },
    // The one interpreter among those tried that is static, stripped and built with PGO and LTO.
    Package {
        name: "python3.11",
        file: "/usr/bin/python3.11",
    },
    // The same with assertions and without optimization for speed.
    Package {
        name: "python3.11-dbg",
        file: "/usr/bin/python3.11d",
    },
    // One that is not CPython, and has to be refused by name.
    Package {
        name: "pypy3",
        file: "/usr/bin/pypy3",
    },
    // A server that embeds CPython, in a library that is built with PGO but without LTO.
    Package {
        name: "uwsgi-core",
        file: "/usr/bin/uwsgi-core",
    },
    Package {
        name: "uwsgi-plugin-python3",
        file: "/usr/lib/uwsgi/plugins/python3_plugin.so",
    },
    // Allocators that stand in front of the C library's.
    Package {
        name: "libjemalloc2",
        file: "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
    },
    Package {
        name: "libmimalloc2.0",
        file: "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2",
    },
    // `go tool pprof`, which reads an export.
    Package {
        name: "golang-go",
        file: "/usr/bin/go",
    },
    // Gets the schema of another export.
    Package {
        name: "npm",
        file: "/usr/bin/npm",
    },
];

/// Which tests to run.
#[derive(Args)]
pub(crate) struct Options {
    /// One tier alone; without it, everything that CI runs
    tier: Option<Tier>,
    /// Which interpreters to test with
    #[arg(long, value_enum, default_value_t = Which::Quick)]
    interpreters: Which,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tier {
    /// What needs no privileges and no other process
    Unit,
    /// The binary from the outside, on live processes: needs root
    Integration,
}

/// Does what the options say.
///
/// A strict run fails where another one leaves out what this machine cannot do.
pub(crate) fn run(options: &Options, is_strict: bool) -> Result<()> {
    let which = options.interpreters;
    match options.tier {
        None => all(which, is_strict),
        Some(tier) => {
            let list = interpreters::prepare(which, is_strict)?;
            match tier {
                Tier::Unit => unit(&list),
                Tier::Integration => integration(which, &list, is_strict),
            }
        }
    }
}

/// Everything that CI runs. What the tests found is printed last.
pub(crate) fn all(which: Which, is_strict: bool) -> Result<()> {
    require(&PACKAGES, "testing", true)?;
    require(&BROWSER, "testing pages", true)?;
    let list = interpreters::prepare(which, is_strict)?;
    ci::check(is_strict)?;
    unit(&list)?;
    integration(which, &list, is_strict)
}

fn unit(list: &str) -> Result<()> {
    Tool::cargo("test")?
        .args(TOGETHER)
        .args(["--lib", "--bins"])
        .with_interpreters(list)
        .run()
}

/// Tests the binary with a kernel half that was built just now.
fn integration(which: Which, list: &str, is_strict: bool) -> Result<()> {
    require(&PACKAGES, "testing", true)?;
    readers::prepare(is_strict)?;
    require(&BROWSER, "testing pages", true)?;
    let tests = Tool::cargo("test")?
        .args(TOGETHER)
        .args(["--test", "integration", "--", "--test-threads=1"])
        .with_interpreters(&interpreters::live(which, list))
        .env("HEAPTIDE_EBPF_OBJECT", kernel_half()?)
        .env("HEAPTIDE_BIN", build_together()?.join("heaptide"));
    let tests = if is_strict {
        tests.env("HEAPTIDE_REQUIRE", "all")
    } else {
        say("what this machine cannot do is left out; CI=true makes that a failure");
        tests
    };
    tests.run()
}

/// Builds the kernel half from its sources, beside the object that is committed.
fn kernel_half() -> Result<PathBuf> {
    let object = target().join("heaptide.bpf.o");
    build_ebpf::build(&object, true)?;
    Ok(object)
}
