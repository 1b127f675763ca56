//! Runs other programs, and is the one place that knows how cargo must be called here.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt,
    io::{self, Write as _},
    path::{self, Path, PathBuf},
    process::{Command, Output},
    sync::Once,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    interpreters::{self, environment::ENVIRONMENTS, services},
    readers,
};

/// The compiler that aya names as its minimum. An older one, from 1.95 on, builds it all the
/// same once [`EARLY_FLAGS`] let aya use a feature that was stabilised in between.
const AYA_MINIMUM: (u32, u32) = (1, 98);
const EARLY_FLAGS: [&str; 2] = [
    "-Zcrate-attr=feature(result_option_map_or_default)",
    // All other crates get the attribute too, and do not use it.
    "-Aunused_features",
];

/// How much of a quiet program's output is worth showing when it fails.
const SHOWN_LINES: usize = 40;

/// Subcommands of cargo that compile something, and so ask for the compiler's version.
const COMPILING: [&str; 16] = [
    "b", "bench", "build", "c", "check", "clippy", "d", "doc", "fix", "install", "r", "run",
    "rustc", "rustdoc", "t", "test",
];

/// Tells the developer something; chores' results are files and exit codes, so it is never stdout.
pub(crate) fn say(text: impl fmt::Display) {
    // Nobody is left to tell that standard error is closed.
    drop(writeln!(io::stderr(), "{text}"));
}

/// Whether this is the run that decides about a change; then nothing may be left out.
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest_dir
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or(manifest_dir)
}

/// The folder for everything that is built.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => path::absolute(&dir).unwrap_or_else(|_| dir.into()),
        None => root().join("target"),
    }
}

/// Where a program stands on the `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Builds heaptide with cargo's profile for development, and says where it is.
pub(crate) fn heaptide() -> Result<PathBuf> {
    Tool::cargo("build")?
        .args(["--quiet", "--package", "profiler"])
        .run()?;
    Ok(target().join("debug/heaptide"))
}

/// The packages that checks need. Cargo unites the features of what is built together: with another
/// choice for each check, everything would be compiled for each.
pub(crate) const TOGETHER: [&str; 5] = [
    "--workspace",
    "--exclude",
    "profiler-ebpf",
    "--exclude",
    "heaptide-fuzz",
];

/// Builds heaptide, its examples and all tests, and says in which folder it is.
pub(crate) fn build_together() -> Result<PathBuf> {
    Tool::cargo("build")?
        .arg("--quiet")
        .args(TOGETHER)
        .args(["--bins", "--examples", "--tests"])
        .run()?;
    Ok(target().join("debug"))
}

/// A program to be run in the workspace's folder; prints as what a developer would type.
pub(crate) struct Tool {
    command: Command,
    shown: Vec<String>,
}

impl Tool {
    /// The program as it is found on the `PATH`.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let shown = vec![program.as_ref().to_string_lossy().into_owned()];
        let mut command = Command::new(program);
        command.current_dir(root());
        Self { command, shown }
    }

    /// Cargo, with what the workspace needs from this compiler.
    pub(crate) fn cargo(subcommand: &str) -> Result<Self> {
        let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut tool = Self::new(program);
        tool.shown = ["cargo", "xtask", "cargo", "--", subcommand]
            .map(String::from)
            .to_vec();
        tool.command.arg(subcommand);
        let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = compiler_version(Self::new(compiler))?;
        let is_compiling = COMPILING.contains(&subcommand);
        if is_compiling && is_early(version) {
            say_once_that_it_is_early(version);
            tool.command.arg("--ignore-rust-version");
            tool.command.env("RUSTC_BOOTSTRAP", "1");
            let inherited = env::var("RUSTFLAGS").unwrap_or_default();
            tool.command
                .env("RUSTFLAGS", with_flags(inherited, EARLY_FLAGS));
        }
        Ok(tool)
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(quoted(&arg.as_ref().to_string_lossy()));
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let shown = format!("{name}={}", quoted(&value.as_ref().to_string_lossy()));
        self.shown.insert(0, shown);
        self.command.env(name, value);
        self
    }

    /// Sets a variable of the environment that says nothing to whoever reads the command.
    pub(crate) fn hidden_env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Tells tests which interpreters there are: this list, and the environments with packages and
    /// servers; and where is what reads exports.
    pub(crate) fn with_interpreters(self, list: &str) -> Self {
        let tool = self.hidden_env(interpreters::VARIABLE, list);
        let programs = ENVIRONMENTS.iter().filter_map(|environment| {
            let program = environment.program()?;
            Some((environment.variable, program))
        });
        let others = [
            (services::VARIABLE, services::program()),
            (readers::VARIABLE, readers::place()),
        ];
        let others = (others.into_iter()).filter_map(|(name, place)| Some((name, place?)));
        (programs.chain(others)).fold(tool, |tool, (name, value)| tool.hidden_env(name, value))
    }

    /// Runs the program in this folder.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Takes a variable out of the environment.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Shows the command and runs it with the terminal as its own.
    pub(crate) fn run(mut self) -> Result<()> {
        say(format_args!("$ {self}"));
        let status = self
            .command
            .status()
            .with_context(|| format!("cannot start `{self}`"))?;
        if !status.success() {
            bail!("`{self}` failed ({status})");
        }
        Ok(())
    }

    /// Runs the command and returns what it printed to stdout; shows its output only if it fails.
    pub(crate) fn capture(mut self) -> Result<String> {
        let output = self
            .command
            .output()
            .with_context(|| format!("cannot start `{self}`"))?;
        if !output.status.success() {
            bail!(
                "`{self}` failed ({})\n{}",
                output.status,
                last_lines(&output)
            );
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{self}` printed no UTF-8"))
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown.join(" "))
    }
}

/// Runs cargo for a developer, who need not know the flags.
pub(crate) fn cargo(args: &[OsString]) -> Result<()> {
    let Some((subcommand, rest)) = args.split_first() else {
        bail!("say what cargo should do, for example `cargo xtask cargo -- test -p profiler`");
    };
    let subcommand = subcommand
        .to_str()
        .context("cargo has no such subcommand")?;
    let tool = Tool::cargo(subcommand)?.args(rest);
    if ["t", "test"].contains(&subcommand) {
        let list = interpreters::list(interpreters::Which::Quick);
        return tool.with_interpreters(&list).run();
    }
    tool.run()
}

/// Release and minor version of a compiler, or nothing if it says something unknown.
pub(crate) fn compiler_version(compiler: Tool) -> Result<Option<(u32, u32)>> {
    let text = compiler.arg("--version").capture()?;
    Ok(parse_version(&text))
}

/// What a compiler needs on its command line for aya, if it needs anything.
pub(crate) fn early_flags(version: Option<(u32, u32)>) -> Option<[&'static str; 2]> {
    is_early(version).then_some(EARLY_FLAGS)
}

fn is_early(version: Option<(u32, u32)>) -> bool {
    version.is_some_and(|version| version < AYA_MINIMUM)
}

fn say_once_that_it_is_early(version: Option<(u32, u32)>) {
    static SAID: Once = Once::new();
    let (major, minor) = version.unwrap_or_default();
    SAID.call_once(|| {
        say(format_args!(
            "rustc {major}.{minor} is older than aya asks for: adding --ignore-rust-version, \
             RUSTC_BOOTSTRAP=1 and {}",
            EARLY_FLAGS.join(" ")
        ));
    });
}

/// Reads `rustc 1.95.0 (59807616e 2026-04-14)`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let number = text.strip_prefix("rustc ")?.split_whitespace().next()?;
    let mut parts = number.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn with_flags<const N: usize>(mut flags: String, more: [&str; N]) -> String {
    for flag in more {
        if !flags.split_whitespace().any(|known| known == flag) {
            flags.push(' ');
            flags.push_str(flag);
        }
    }
    flags
}

fn quoted(value: &str) -> String {
    if value.contains([' ', '\'', '"', '$']) {
        format!("'{}'", value.replace('\'', r"'\''"))
    } else {
        value.to_owned()
    }
}

fn last_lines(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_every_channel() {
        let cases = [
            ("rustc 1.95.0 (59807616e 2026-04-14)\n", Some((1, 95))),
            (
                "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\n",
                Some((1, 97)),
            ),
            (
                "rustc 1.96.0 (ac68faa20) (built from a source tarball)",
                Some((1, 96)),
            ),
            ("clang version 22.1.8", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_version(text), expected, "{text}");
        }
    }

    #[test]
    fn only_compilers_that_are_older_than_aya_asks_for_get_flags() {
        assert_eq!(early_flags(Some((1, 97))), Some(EARLY_FLAGS));
        assert_eq!(early_flags(Some((1, 98))), None);
        assert_eq!(early_flags(Some((2, 0))), None);
        assert_eq!(early_flags(None), None);
    }

    #[test]
    fn a_flag_that_is_set_already_is_not_set_twice() {
        let with = |flags: &str| with_flags(flags.to_owned(), ["-Zx", "-Ay"]);
        assert_eq!(with(""), " -Zx -Ay");
        assert_eq!(with("-Dwarnings -Ay"), "-Dwarnings -Ay -Zx");
        assert_eq!(with("-Zx -Ay"), "-Zx -Ay");
    }

    #[test]
    fn a_quiet_program_that_fails_shows_its_command_and_its_last_lines() {
        let error = Tool::new("sh")
            .args(["-c", "seq 1 100; echo went wrong >&2; exit 3"])
            .capture()
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("`sh -c"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.ends_with("99\n100\nwent wrong"), "{error}");
        assert!(!error.contains("\n10\n"), "{error}");
    }
}
