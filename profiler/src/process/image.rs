//! The binaries that a process has mapped, and where.
//!
//! They are told apart by device and inode, and opened through `/proc/PID/map_files`. That finds
//! the very file that is mapped: deleted, replaced, or in a mount namespace of its own.

use std::{
    collections::HashMap,
    fs, io,
    ops::Range,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    ProcessError,
    elf::{ElfError, ElfFile, Outline},
    maps::{self, Mapping, MappingKind},
    proc_file,
};
use crate::units::Pid;

/// A binary that a process has mapped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// The file, as the kernel names it.
    pub path: PathBuf,
    /// The device of the file, as major and minor number.
    pub device: (u32, u32),
    /// The number of the file on its device.
    pub inode: u64,
    /// Whether the file has no name any more.
    pub deleted: bool,
    /// What is added, with wrapping, to an address in the file to get one in the process.
    pub bias: u64,
    /// Where the file can be opened while the process keeps it mapped.
    pub open_path: PathBuf,
    /// The addresses of its mappings, in order.
    pub ranges: Vec<Range<u64>>,
}

impl Image {
    /// Reads the file.
    pub fn elf(&self) -> Result<ElfFile, ElfError> {
        ElfFile::open(&self.open_path)
    }

    /// Reads the headers of the file, which is much less.
    pub fn outline(&self) -> Result<Outline, ElfError> {
        Outline::open(&self.open_path)
    }

    /// Whether one of its mappings holds the address.
    pub fn contains(&self, address: u64) -> bool {
        self.ranges.iter().any(|range| range.contains(&address))
    }

    /// Where in the process an address of the file is.
    pub const fn address(&self, vaddr: u64) -> u64 {
        vaddr.wrapping_add(self.bias)
    }

    /// Which address of the file an address in the process is.
    pub const fn vaddr(&self, address: u64) -> u64 {
        address.wrapping_sub(self.bias)
    }
}

/// Finds the binaries that a process has mapped, in the order of addresses.
///
/// A file that cannot be opened is left out. One that is loaded twice stands for its first copy.
pub fn images(pid: Pid) -> Result<Vec<Image>, ProcessError> {
    let mappings = maps::read(pid)?;
    let files = by_file(&mappings);
    Ok(files.iter().filter_map(|file| image(pid, file)).collect())
}

/// The program that a process runs.
pub fn executable(pid: Pid) -> Result<Image, ProcessError> {
    let mut images = images(pid)?;
    let place = executable_among(pid, &images)?;
    Ok(images.swap_remove(place))
}

/// Which of its images is the program that a process runs.
pub(super) fn executable_among(pid: Pid, images: &[Image]) -> Result<usize, ProcessError> {
    let what = "the program";
    let program = fs::metadata(proc_file::path(pid, "exe"))
        .map_err(|source| ProcessError::new(pid, what, source))?;
    // The device in the memory map need not be the one that a file says it is on.
    let is_program = |image: &Image| {
        fs::metadata(&image.open_path)
            .is_ok_and(|file| (file.dev(), file.ino()) == (program.dev(), program.ino()))
    };
    let place = images.iter().position(is_program);
    place.ok_or_else(|| ProcessError::Unreadable {
        pid,
        what,
        source: io::Error::other("its file is not mapped as a 64-bit binary"),
    })
}

/// The mappings of each file that is mapped as code or more than once.
fn by_file(mappings: &[Mapping]) -> Vec<Vec<&Mapping>> {
    let mut files: Vec<Vec<&Mapping>> = Vec::new();
    let mut places = HashMap::new();
    for mapping in mappings {
        if mapping.kind != MappingKind::File || mapping.inode == 0 {
            continue;
        }
        let key = (mapping.device, mapping.inode);
        let place = *places.entry(key).or_insert(files.len());
        match files.get_mut(place) {
            Some(file) => file.push(mapping),
            None => files.push(vec![mapping]),
        }
    }
    files.retain(|file| file.len() > 1 || file.iter().any(|mapping| mapping.executable));
    files
}

fn image(pid: Pid, mappings: &[&Mapping]) -> Option<Image> {
    let code = mappings.iter().find(|mapping| mapping.executable);
    let main = code.or(mappings.first())?;
    let path = main.path.clone()?;
    let open_path = open_path(pid, main, &path)?;
    let outline = Outline::open(&open_path).ok()?;
    Some(Image {
        bias: bias(&outline, mappings)?,
        path,
        device: main.device,
        inode: main.inode,
        deleted: main.deleted,
        open_path,
        ranges: mappings.iter().map(|mapping| mapping.range()).collect(),
    })
}

/// What was added to the addresses of the file.
///
/// A binary can be mapped as data too, by a program that inspects it, so the mapping of code is
/// asked first. One that has moved its code to large pages has no such mapping.
fn bias(outline: &Outline, mappings: &[&Mapping]) -> Option<u64> {
    if outline.is_executable_type() {
        return Some(0);
    }
    let code = mappings.iter().filter(|mapping| mapping.executable);
    let by_code = code.filter_map(|mapping| {
        let address = outline.code_address(mapping.offset)?;
        Some(mapping.start.wrapping_sub(address))
    });
    let by_start = mappings.iter().filter_map(|mapping| {
        let address = outline.first_address(mapping.offset)?;
        Some(mapping.start.wrapping_sub(address))
    });
    by_code.chain(by_start).next()
}

/// Where the mapped file can be opened.
fn open_path(pid: Pid, mapping: &Mapping, path: &Path) -> Option<PathBuf> {
    let range = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
    let exact = proc_file::path(pid, &range);
    if fs::metadata(&exact).is_ok() {
        return Some(exact);
    }
    path_by_name(pid, path, mapping.inode)
}

/// Where to open the file for whoever may not use `map_files`: its names may be those of others.
fn path_by_name(pid: Pid, path: &Path, inode: u64) -> Option<PathBuf> {
    let below_root = path.strip_prefix("/").ok()?;
    let candidates = [
        proc_file::path(pid, "root").join(below_root),
        path.to_owned(),
        proc_file::path(pid, "exe"),
    ];
    let is_file = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.ino() == inode);
    candidates.into_iter().find(is_file)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process::{
        memory::Memory,
        testing::{Program, compile},
    };

    const ECHO: &str = "#include <unistd.h>\n\
        int landmark = 0x12345678;\n\
        int main() { char b[99]; int n; while ((n = read(0, b, 99)) > 0) write(1, b, n); }";

    /// Reads a word of the program at the address that its image gives to a symbol.
    fn landmark(program: &Program) -> (Image, u64) {
        let image = executable(program.pid()).unwrap();
        let symbol = image.elf().unwrap().symbol("landmark").unwrap();
        let memory = Memory::of(program.pid());
        let word = memory.read_word(image.address(symbol.address)).unwrap();
        assert!(image.contains(image.address(symbol.address)));
        assert_eq!(image.vaddr(image.address(symbol.address)), symbol.address);
        (image, word & 0xffff_ffff)
    }

    #[test]
    fn each_binary_is_found_once_and_in_order() {
        let program = Program::start();
        let images = images(program.pid()).unwrap();
        assert!(images.is_sorted_by(|a, b| a.ranges[0].end <= b.ranges[0].start));
        let named = |part: &str| {
            let mut names = images.iter().map(|image| image.path.to_str().unwrap());
            names.any(|name| name.contains(part))
        };
        assert!(named("/cat") && named("/libc.so.6") && named("/ld-linux"));
        assert!(!named("locale"));
        assert_eq!(executable(program.pid()).unwrap().path, images[0].path);
    }

    #[test]
    fn symbols_of_programs_of_every_kind_are_where_they_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let kinds: [(&str, &[&str]); 4] = [
            ("pie", &["-pie", "-fPIE"]),
            ("fixed", &["-no-pie", "-fno-pie"]),
            ("static", &["-static"]),
            ("unaligned", &["-pie", "-fPIE", "-Wl,-z,noseparate-code"]),
        ];
        for (name, flags) in kinds {
            let path = compile(folder.path(), name, ECHO, flags);
            let program = Program::spawn(&mut Command::new(&path));
            let (image, word) = landmark(&program);
            assert_eq!(word, 0x1234_5678, "{name}");
            assert_eq!(
                image.bias == 0,
                ["fixed", "static"].contains(&name),
                "{name}"
            );
            assert!(!image.deleted);
        }
    }

    #[test]
    fn a_binary_that_was_replaced_is_still_the_one_that_is_mapped() {
        let folder = tempfile::tempdir().unwrap();
        let path = compile(folder.path(), "with space", ECHO, &[]);
        let program = Program::spawn(&mut Command::new(&path));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "something else").unwrap();
        let (image, word) = landmark(&program);
        assert_eq!(word, 0x1234_5678);
        assert!(image.deleted);
        assert_eq!(image.path, path);
    }

    #[test]
    fn a_name_is_only_used_for_the_file_that_is_mapped() {
        let program = Program::start();
        let image = executable(program.pid()).unwrap();
        let found = path_by_name(program.pid(), &image.path, image.inode).unwrap();
        assert!(found.starts_with(format!("/proc/{}/root", program.pid())));
        let gone = Path::new("/no/such/file");
        let found = path_by_name(program.pid(), gone, image.inode).unwrap();
        assert_eq!(found, proc_file::path(program.pid(), "exe"));
        assert_eq!(path_by_name(program.pid(), &image.path, u64::MAX), None);
    }

    #[test]
    fn a_process_that_is_gone_has_no_images() {
        let mut program = Program::start();
        program.end();
        let error = images(program.pid()).unwrap_err();
        assert!(matches!(error, ProcessError::NoSuchProcess { .. }));
        let error = executable(program.pid()).unwrap_err();
        assert!(matches!(error, ProcessError::NoSuchProcess { .. }));
    }
}
