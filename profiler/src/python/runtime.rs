//! The interpreter inside a process: where it is and of which version.

use std::io;

use profiler_common::layout::InterpreterLayout;

use super::{
    check,
    code::CodeLayout,
    debug_offsets::{self, HEAD_BYTES, Head},
    error::PythonError,
    layouts::{HolderPath, Layout, RuntimeLayout},
    other,
    version::{self, FeatureVersion, Version},
};
use crate::{
    process::{
        architecture::PROBED,
        elf::{ElfFile, Section},
        image::{self, Image},
        memory::Memory,
    },
    units::Pid,
};

/// `CPython` inside one process.
///
/// With sub-interpreters, this is the main one: threads of others are not in its list.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// Its process.
    pub pid: Pid,
    /// Its version.
    pub version: Version,
    /// The binary that holds it: the program, or `libpython`.
    pub image: Image,
    /// The address of the runtime.
    pub runtime: u64,
    /// Where the walk over frames finds things.
    pub layout: InterpreterLayout,
    /// Where reading a code object finds things.
    pub code: CodeLayout,
    /// Where everything else is.
    pub places: RuntimeLayout,
    /// The address of the word that names the thread state which holds the GIL.
    pub holder: u64,
    /// The address of the word that names the first thread state.
    pub threads_head: u64,
    /// The address of the main interpreter.
    pub main_interpreter: u64,
}

/// Behind the head of the list of interpreters: the main one.
const MAIN_INTERPRETER: u64 = 8;

/// The most of a binary's variables that is searched for its version.
const VARIABLES_LIMIT: u64 = 16 << 20;

impl Interpreter {
    /// Finds the interpreter of a process among its binaries.
    pub fn find(pid: Pid, memory: &Memory, images: &[Image]) -> Result<Self, PythonError> {
        let program = image::executable(pid)?;
        if let Some(name) = other::implementation(images) {
            return Err(PythonError::Unsupported { pid, name });
        }
        let mut reason = PythonError::NotPython {
            pid,
            program: program.path.clone(),
        };
        // Whoever embeds Python may have loaded it late, or more than once.
        let libraries = images.iter().filter(|image| is_library(image));
        for image in libraries.chain([&program]) {
            match Self::find_in(pid, memory, image) {
                Ok(interpreter) => return Ok(interpreter),
                Err(error) if error.weight() > reason.weight() => reason = error,
                Err(_lighter) => {}
            }
        }
        Err(reason)
    }

    fn find_in(pid: Pid, memory: &Memory, image: &Image) -> Result<Self, PythonError> {
        let elf = image
            .elf()
            .map_err(|source| PythonError::File { pid, source })?;
        let candidate = Candidate {
            pid,
            memory,
            image,
            elf: &elf,
        };
        let (version, row) = candidate.row()?;
        candidate.interpreter(version, row)
    }
}

/// A binary that may hold an interpreter.
struct Candidate<'a> {
    pid: Pid,
    memory: &'a Memory,
    image: &'a Image,
    elf: &'a ElfFile,
}

impl Candidate<'_> {
    /// The version, and what is known about this very build.
    fn row(&self) -> Result<(Version, Layout), PythonError> {
        let unsupported = |name| PythonError::Unsupported {
            pid: self.pid,
            name,
        };
        let Some((version, free_threaded)) = self.version() else {
            return Err(self.unknown());
        };
        let name = || {
            let kind = if free_threaded { "free-threaded " } else { "" };
            format!("{kind}{}", version.unsupported_name())
        };
        let row = match version.layout(free_threaded) {
            Some(_) if self.elf.machine() != PROBED.machine => {
                let name = format!("CPython {version}, not for {}", PROBED.name);
                return Err(unsupported(name));
            }
            Some(row) if self.runtime().is_some() => row,
            _ => return Err(unsupported(name())),
        };
        let mut row = row.clone().on(self.elf.machine());
        if self.has_assertions() {
            row = row.with_assertions();
        }
        if let Some(positions) = row.runtime.debug_offsets {
            let table = self.start_of_runtime(usize::from(positions.size));
            if version.feature() != row.feature
                && !table
                    .as_ref()
                    .is_some_and(|table| debug_offsets::has_size(table, &positions))
            {
                return Err(unsupported(name()));
            }
            table
                .and_then(|table| debug_offsets::apply(&table, &positions, &mut row))
                .ok_or_else(|| {
                    self.inconsistent(version, "its table of offsets contradicts itself".into())
                })?;
        }
        Ok((version, row))
    }

    fn interpreter(&self, version: Version, row: Layout) -> Result<Interpreter, PythonError> {
        let pid = self.pid;
        let missing = |what: &str| self.inconsistent(version, format!("its file has no {what}"));
        let runtime = self.runtime().ok_or_else(|| missing("runtime"))?;
        let code_type = self
            .elf
            .symbol("PyCode_Type")
            .ok_or_else(|| missing("PyCode_Type"))?;
        let layout = row.walk().ok_or_else(|| {
            let what = "its frames are not laid out as the walk needs it";
            self.inconsistent(version, what.into())
        })?;
        let list = runtime.wrapping_add(u64::from(row.runtime.interpreters));
        let main_interpreter = self.pointer(list.wrapping_add(MAIN_INTERPRETER))?;
        let threads_head = u64::from(row.runtime.threads_head);
        let interpreter = Interpreter {
            pid,
            version,
            image: self.image.clone(),
            runtime,
            layout,
            code: CodeLayout {
                offsets: row.code,
                code_type: self.image.address(code_type.address),
            },
            holder: self.holder(row.runtime.holder, runtime, main_interpreter)?,
            threads_head: main_interpreter.wrapping_add(threads_head),
            main_interpreter,
            places: row.runtime,
        };
        check::check(&interpreter, self.memory)?;
        Ok(interpreter)
    }

    /// The address of the word that names the thread state which holds the GIL.
    fn holder(&self, path: HolderPath, runtime: u64, main: u64) -> Result<u64, PythonError> {
        match path {
            HolderPath::InRuntime { offset } => Ok(runtime.wrapping_add(u64::from(offset))),
            HolderPath::InGil { gil, holder } => {
                let gil = self.pointer(main.wrapping_add(u64::from(gil)))?;
                Ok(gil.wrapping_add(u64::from(holder)))
            }
        }
    }

    /// Reads a pointer that is zero only while there is no interpreter.
    fn pointer(&self, address: u64) -> Result<u64, PythonError> {
        match read_word(self.pid, self.memory, address, "Python runtime")? {
            0 => Err(PythonError::NotReady { pid: self.pid }),
            pointer => Ok(pointer),
        }
    }

    /// The version, and whether it was built to run without a GIL.
    fn version(&self) -> Option<(Version, bool)> {
        let head = self.start_of_runtime(HEAD_BYTES);
        if let Some(head) = head.and_then(|bytes| Head::parse(&bytes)) {
            return Some((head.version, head.free_threaded));
        }
        let version = self.version_constant().or_else(|| self.version_text())?;
        Some((version, false))
    }

    /// The version that the binary exports, since 3.11.
    fn version_constant(&self) -> Option<Version> {
        let symbol = self.elf.export("Py_Version")?;
        let bytes = self.elf.bytes_at(symbol.address, 4)?.first_chunk()?;
        Version::from_hex(u32::from_le_bytes(*bytes))
    }

    /// The version that the interpreter has made a text of.
    fn version_text(&self) -> Option<Version> {
        let feature = self.feature()?;
        let sections = [".bss", ".data"];
        sections
            .into_iter()
            .filter_map(|name| self.elf.section(name))
            .find_map(|section| version::from_text(&self.variables(section)?, feature))
    }

    /// The feature version that the names of the file give, if an interpreter is in it.
    fn feature(&self) -> Option<FeatureVersion> {
        self.elf.export("Py_GetVersion")?;
        let names = [self.elf.soname(), file_name(self.image)];
        let mut names = names.into_iter().flatten();
        names.find_map(|name| version::from_file_name(&name))
    }

    fn variables(&self, section: Section) -> Option<Vec<u8>> {
        let size = usize::try_from(section.size.min(VARIABLES_LIMIT)).ok()?;
        let address = self.image.address(section.address);
        self.memory.read_bytes(address, size).ok()
    }

    /// Why there is no version.
    fn unknown(&self) -> PythonError {
        let (pid, path) = (self.pid, &self.image.path);
        if self.elf.export("Py_GetVersion").is_none() {
            return PythonError::NotPython {
                pid,
                program: path.clone(),
            };
        }
        // It makes its text while it is set up.
        let row = self.feature().and_then(|it| Layout::of(it, false));
        if row.is_some() {
            return PythonError::NotReady { pid };
        }
        let name = path.display();
        PythonError::Unsupported {
            pid,
            name: format!("a Python of unknown version ({name})"),
        }
    }

    /// Whether it was built with `Py_DEBUG`: its objects check their numbers of references.
    fn has_assertions(&self) -> bool {
        self.elf.export("_Py_NegativeRefcount").is_some()
    }

    /// The first bytes of the runtime: as in the file, and otherwise as they are now.
    fn start_of_runtime(&self, size: usize) -> Option<Vec<u8>> {
        let vaddr = self.runtime_vaddr()?;
        if let Some(bytes) = self.elf.bytes_at(vaddr, size) {
            return Some(bytes.to_owned());
        }
        self.memory.read_bytes(self.image.address(vaddr), size).ok()
    }

    fn runtime(&self) -> Option<u64> {
        Some(self.image.address(self.runtime_vaddr()?))
    }

    fn runtime_vaddr(&self) -> Option<u64> {
        let symbol = self.elf.symbol("_PyRuntime").map(|found| found.address);
        symbol.or_else(|| Some(self.elf.section(".PyRuntime")?.address))
    }

    fn inconsistent(&self, version: Version, what: String) -> PythonError {
        PythonError::Inconsistent {
            pid: self.pid,
            name: format!("CPython {version}"),
            what,
        }
    }
}

/// Reads a word that must be there.
pub(super) fn read_word(
    pid: Pid,
    memory: &Memory,
    address: u64,
    what: &'static str,
) -> Result<u64, PythonError> {
    let unreadable = |source: io::Error| PythonError::Unreadable { pid, what, source };
    let bytes = memory.read_bytes(address, 8).map_err(unreadable)?;
    bytes.first_chunk().copied().map_or_else(
        || Err(unreadable(io::ErrorKind::UnexpectedEof.into())),
        |bytes| Ok(u64::from_le_bytes(bytes)),
    )
}

fn is_library(image: &Image) -> bool {
    file_name(image).is_some_and(|name| name.starts_with("libpython"))
}

fn file_name(image: &Image) -> Option<String> {
    Some(image.path.file_name()?.to_str()?.to_owned())
}
