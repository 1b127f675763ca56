//! `/proc/PID/maps`: what a process has mapped.

use std::{ffi::OsString, io, ops::Range, os::unix::ffi::OsStringExt as _, path::PathBuf};

use super::{ProcessError, proc_file};
use crate::units::Pid;

const WHAT: &str = "the memory map";

/// What a mapping is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MappingKind {
    /// What `brk` moves the end of.
    Heap,
    /// The main thread's stack.
    Stack,
    /// Memory without a file.
    Anonymous,
    /// A file.
    File,
    /// Something of the kernel: the vDSO, a ring buffer, a device without a path.
    Special,
}

/// A range of addresses with one origin and one protection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent, as in the kernel's line"
)]
pub struct Mapping {
    /// The first address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be written.
    pub writable: bool,
    /// Whether it can be executed.
    pub executable: bool,
    /// Whether others see what is written to it.
    pub shared: bool,
    /// Where in the file it starts.
    pub offset: u64,
    /// The device of the file, as major and minor number.
    pub device: (u32, u32),
    /// The number of the file on its device; zero if there is no file.
    pub inode: u64,
    /// The file, as the process would name it; also what stands in brackets there, as it stands.
    pub path: Option<PathBuf>,
    /// Whether the file has no name any more.
    pub deleted: bool,
    /// What it is for.
    pub kind: MappingKind,
}

impl Mapping {
    /// The addresses.
    pub const fn range(&self) -> Range<u64> {
        self.start..self.end
    }

    /// Whether the address lies in it.
    pub const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }
}

/// Reads what a process has mapped, in the order of addresses.
pub fn read(pid: Pid) -> Result<Vec<Mapping>, ProcessError> {
    let bytes = proc_file::read(pid, "maps", WHAT)?;
    parse(&bytes).map_err(|line| ProcessError::Unreadable {
        pid,
        what: WHAT,
        source: io::Error::other(format!("line {line} is not a mapping")),
    })
}

/// What `brk` has moved the end of so far. In a forked process that is more than one mapping: what
/// it has from its parent, and what it got itself.
pub fn heap(mappings: &[Mapping]) -> Option<Range<u64>> {
    let mut parts = mappings.iter().filter(|it| it.kind == MappingKind::Heap);
    let first = parts.next()?;
    let last = parts.next_back().unwrap_or(first);
    Some(first.start..last.end)
}

/// Reads the whole file, or says which line is not a mapping, counted from one.
fn parse(bytes: &[u8]) -> Result<Vec<Mapping>, usize> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines
        .map(|(index, line)| parse_line(line).ok_or(index + 1))
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut field = || str::from_utf8(fields.next()?).ok();
    let (start, end) = field()?.split_once('-')?;
    let [r, w, x, s] = *field()?.as_bytes() else {
        return None;
    };
    let offset = u64::from_str_radix(field()?, 16).ok()?;
    let (major, minor) = field()?.split_once(':')?;
    let inode = field()?.parse().ok()?;
    let name = fields.next().unwrap_or_default().trim_ascii_start();
    let (name, deleted) = match name.strip_suffix(b" (deleted)") {
        Some(name) if inode != 0 => (name, true),
        _ => (name, false),
    };
    let mapping = Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        readable: r == b'r',
        writable: w == b'w',
        executable: x == b'x',
        shared: s == b's',
        offset,
        device: (
            u32::from_str_radix(major, 16).ok()?,
            u32::from_str_radix(minor, 16).ok()?,
        ),
        inode,
        kind: kind(name, deleted),
        path: (!name.is_empty()).then(|| PathBuf::from(OsString::from_vec(unescape(name)))),
        deleted,
    };
    (mapping.start <= mapping.end).then_some(mapping)
}

fn kind(name: &[u8], deleted: bool) -> MappingKind {
    match name {
        b"[heap]" => MappingKind::Heap,
        b"[stack]" => MappingKind::Stack,
        b"" => MappingKind::Anonymous,
        // Shared anonymous memory and huge pages are files which the kernel made up.
        b"/dev/zero" | b"/anon_hugepage" if deleted => MappingKind::Anonymous,
        _ if name.starts_with(b"[anon") => MappingKind::Anonymous,
        _ if name.starts_with(b"[stack:") => MappingKind::Stack,
        _ if name.starts_with(b"/") => MappingKind::File,
        _ => MappingKind::Special,
    }
}

/// Undoes what the kernel does to a name that would break the line.
fn unescape(name: &[u8]) -> Vec<u8> {
    const NEWLINE: &[u8] = b"\\012";
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(NEWLINE) {
            plain.push(b'\n');
            rest = tail;
        } else {
            plain.push(*first);
            rest = tail;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::{os::unix::ffi::OsStrExt as _, path::Path};

    use proptest::prelude::*;

    use super::*;
    use crate::process::testing::Program;

    fn line(text: &str) -> Mapping {
        parse_line(text.as_bytes()).unwrap()
    }

    #[test]
    fn all_fields_of_a_line_are_read() {
        let read =
            line("7f0a1c000000-7f0a1c021000 r-xp 00026000 fe:0a 247774         /usr/lib/libc.so.6");
        let expected = Mapping {
            start: 0x7f0a_1c00_0000,
            end: 0x7f0a_1c02_1000,
            readable: true,
            writable: false,
            executable: true,
            shared: false,
            offset: 0x26000,
            device: (0xfe, 0x0a),
            inode: 247_774,
            path: Some(PathBuf::from("/usr/lib/libc.so.6")),
            deleted: false,
            kind: MappingKind::File,
        };
        assert_eq!(read, expected);
        assert_eq!(read.range(), read.start..read.end);
        assert!(read.contains(read.start) && !read.contains(read.end));
    }

    #[test]
    fn names_are_read_as_they_are() {
        let cases = [
            ("/a b  c", "/a b  c", false),
            ("/a\\012b", "/a\nb", false),
            ("/a\\01b", "/a\\01b", false),
            ("/a (deleted)", "/a", true),
            ("/memfd:x y (deleted)", "/memfd:x y", true),
            ("/a (deleted) ", "/a (deleted) ", false),
        ];
        for (text, path, deleted) in cases {
            let read = line(&format!("10-20 rw-s 0 00:01 5      {text}"));
            assert_eq!(read.path.as_deref(), Some(Path::new(path)), "{text}");
            assert_eq!(read.deleted, deleted, "{text}");
            assert!(read.shared);
        }
    }

    #[test]
    fn a_name_need_not_be_unicode() {
        let read = parse_line(b"10-20 rw-p 0 00:01 5 /\xff").unwrap();
        assert_eq!(read.path.unwrap().as_os_str().as_bytes(), b"/\xff");
    }

    #[test]
    fn the_heap_of_a_forked_process_has_parts() {
        let parts =
            b"10-20 rw-p 0 00:00 0 [heap]\n20-50 rw-p 0 00:00 0 [heap]\n60-70 rw-p 0 00:00 0";
        let mappings = parse(parts).unwrap();
        assert_eq!(heap(&mappings), Some(0x10..0x50));
        assert_eq!(heap(&mappings[1..]), Some(0x20..0x50));
        assert_eq!(heap(&mappings[2..]), None);
    }

    #[test]
    fn every_mapping_is_of_some_kind() {
        let cases = [
            ("0", "", MappingKind::Anonymous),
            ("0", " [heap]", MappingKind::Heap),
            ("0", " [stack]", MappingKind::Stack),
            ("0", " [stack:77]", MappingKind::Stack),
            ("0", " [anon:glibc: malloc]", MappingKind::Anonymous),
            ("0", " [anon_shmem:x]", MappingKind::Anonymous),
            ("9", " /dev/zero (deleted)", MappingKind::Anonymous),
            ("9", " /dev/zero", MappingKind::File),
            ("9", " /x", MappingKind::File),
            ("0", " [vdso]", MappingKind::Special),
            ("7", " anon_inode:[perf_event]", MappingKind::Special),
        ];
        for (inode, name, kind) in cases {
            let read = line(&format!("10-20 ---p 0 00:00 {inode}{name}"));
            assert_eq!(read.kind, kind, "{name}");
        }
    }

    #[test]
    fn the_line_that_is_not_a_mapping_is_named() {
        let good = "10-20 rw-p 0 00:01 5\n";
        assert_eq!(parse(b""), Ok(Vec::new()));
        assert_eq!(parse(good.as_bytes()).unwrap().len(), 1);
        for bad in ["x", "10-20", "20-10 rw-p 0 0:1 5", "1-2 rw 0 0:1 5", ""] {
            let text = format!("{good}{bad}\n{good}");
            assert_eq!(parse(text.as_bytes()), Err(2), "{bad}");
        }
    }

    #[test]
    fn the_mappings_of_a_process_stand_in_order() {
        let program = Program::start();
        let mappings = read(program.pid()).unwrap();
        assert!(mappings.is_sorted_by(|a, b| a.end <= b.start));
        let of_kind = |kind| mappings.iter().filter(move |mapping| mapping.kind == kind);
        assert_eq!(of_kind(MappingKind::Stack).count(), 1);
        assert!(of_kind(MappingKind::File).any(|mapping| mapping.executable));
    }

    #[test]
    fn a_process_that_is_gone_has_no_mappings() {
        let mut program = Program::start();
        program.end();
        let error = read(program.pid()).unwrap_err();
        assert!(matches!(error, ProcessError::NoSuchProcess { pid } if pid == program.pid()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            match parse(&bytes) {
                Ok(mappings) => prop_assert!(mappings.len() <= lines),
                Err(line) => prop_assert!((1..=lines).contains(&line)),
            }
        }

        #[test]
        fn any_file_name_is_read_as_it_is(name in "/[^\n\\\\]{0,40}[^\n\\\\ )]") {
            let read = line(&format!("10-20 rw-p 00000000 00:01 5 {name}"));
            prop_assert_eq!(read.path.unwrap(), PathBuf::from(name));
        }
    }
}
