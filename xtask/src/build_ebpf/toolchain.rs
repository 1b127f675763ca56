//! The two ways to compile for BPF: a nightly of rustup, or Debian's packages.
//!
//! Both need the sources of `core`, and a `bpf-linker` for the compiler's own LLVM.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    exec::{Tool, compiler_version, early_flags, find, say, target},
    packages::{Package, require},
};

const LINKER_VERSION: &str = "^0.13";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// The compiler of these packages has the same LLVM as the library.
const PACKAGES: [Package; 5] = [
    Package {
        name: "cargo-web",
        file: "/usr/bin/cargo",
    },
    Package {
        name: "g++",
        file: "/usr/bin/g++",
    },
    Package {
        name: "llvm-22-dev",
        file: "/usr/include/llvm-22/llvm/Config/llvm-config.h",
    },
    Package {
        name: "rust-web-src",
        file: "/usr/lib/rustlib/src/rust/library/core/Cargo.toml",
    },
    Package {
        name: "rustc-web",
        file: "/usr/bin/rustc",
    },
];

/// What compiles the kernel half, and the linker that goes with it.
pub(super) struct Toolchain {
    compiler: Compiler,
    linker: PathBuf,
}

#[derive(Clone, Copy)]
enum Compiler {
    /// `rustup`'s nightly, which has its own sources.
    Nightly,
    /// Debian's stable compiler, told to behave like a nightly.
    Debian,
}

impl Toolchain {
    /// The first that is there; Debian's if none is and it may be installed.
    pub(super) fn choose(may_install: bool) -> Result<Self> {
        let linker = find("bpf-linker");
        if let Some(linker) = linker.clone().filter(|_| nightly_has_sources()) {
            return Ok(Self {
                compiler: Compiler::Nightly,
                linker,
            });
        }
        let what_for = "compiling the kernel half without a bpf-linker and a rustup nightly \
                        with rust-src";
        require(&PACKAGES, what_for, may_install)?;
        let linker = linker.map_or_else(linker_of_our_own, Ok)?;
        Ok(Self {
            compiler: Compiler::Debian,
            linker,
        })
    }

    /// `cargo build` of this toolchain, with these flags and its own for the compiler.
    pub(super) fn cargo(&self, flags: &[String]) -> Result<Tool> {
        let mut flags = flags.to_vec();
        flags.push(format!("-Clinker={}", self.linker.display()));
        let sysroot = self.compiler.sysroot()?;
        flags.push(format!(
            "--remap-path-prefix={sysroot}/lib/rustlib/src/rust=rust"
        ));
        let mut cargo = self
            .compiler
            .tool("cargo")
            .arg("build")
            .without_env("RUSTFLAGS");
        if let Some(early) = early_flags(compiler_version(self.compiler.tool("rustc"))?) {
            flags.extend(early.map(String::from));
            cargo = cargo.arg("--ignore-rust-version");
        }
        // Unlike RUSTFLAGS this lets a path have spaces.
        Ok(cargo.hidden_env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")))
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compiler = match self.compiler {
            Compiler::Nightly => "rustup's nightly",
            Compiler::Debian => "Debian's /usr/bin/rustc",
        };
        write!(f, "{compiler} and {}", self.linker.display())
    }
}

impl Compiler {
    /// A program of the compiler's distribution.
    fn tool(self, program: &str) -> Tool {
        match self {
            Self::Nightly => Tool::new(program).env("RUSTUP_TOOLCHAIN", "nightly"),
            Self::Debian => Tool::new(format!("/usr/bin/{program}"))
                .env("RUSTC", "/usr/bin/rustc")
                .hidden_env("RUSTC_BOOTSTRAP", "1"),
        }
    }

    /// The folder that the compiler and its sources are installed in.
    fn sysroot(self) -> Result<String> {
        let sysroot = self.tool("rustc").args(["--print", "sysroot"]).capture()?;
        Ok(sysroot.trim().to_owned())
    }
}

/// Whether rustup has a nightly that can build `core`; not asked of rustup, which might want to
/// download one.
fn nightly_has_sources() -> bool {
    let core = "lib/rustlib/src/rust/library/core";
    Compiler::Nightly
        .sysroot()
        .is_ok_and(|sysroot| Path::new(&sysroot).join(core).is_dir())
}

/// The linker below `target/tools`, built if it is not there yet.
fn linker_of_our_own() -> Result<PathBuf> {
    let tools = target().join("tools");
    let linker = tools.join("bin/bpf-linker");
    if !linker.is_file() {
        say("building bpf-linker, which takes about a minute");
        Tool::new("cargo")
            .args([
                "install",
                "bpf-linker",
                "--locked",
                "--quiet",
                "--version",
                LINKER_VERSION,
            ])
            .args(["--no-default-features", "--features", "llvm-22", "--root"])
            .arg(&tools)
            .env("LLVM_PREFIX", LLVM_PREFIX)
            .run()?;
    }
    Ok(linker)
}

/// Takes out what a debugger wants, nine tenths of an object; the kernel wants its BTF alone.
pub(super) fn strip(object: &Path) -> Result<()> {
    let in_prefix = Path::new(LLVM_PREFIX).join("bin/llvm-strip");
    let Some(strip) = find("llvm-strip").or_else(|| in_prefix.is_file().then_some(in_prefix))
    else {
        say("no llvm-strip is there: the object keeps its debugging sections, and is just larger");
        return Ok(());
    };
    Tool::new(strip)
        .arg("--strip-debug")
        .arg(object)
        .capture()?;
    Ok(())
}
