//! The parser on binaries of this machine, and on what is left of them after an accident.

use std::{env, sync::LazyLock};

use proptest::prelude::*;

use super::*;

/// The running test: a real binary with all tables.
static OWN: LazyLock<Vec<u8>> =
    LazyLock::new(|| std::fs::read(env::current_exe().unwrap()).unwrap());

/// The start of the running test, short enough to be changed many times.
static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| std::fs::read("/bin/true").unwrap());

#[unsafe(no_mangle)]
#[used]
static HEAPTIDE_ELF_LANDMARK: [u8; 24] = *b"a landmark for the test\0";

fn own() -> ElfFile {
    ElfFile::parse(OWN.clone()).unwrap()
}

/// Asks for everything that a file can be asked for.
fn ask_everything(file: &ElfFile) {
    let symbol = file.symbol("malloc");
    let address = symbol.map_or(0, |symbol| symbol.address);
    assert!(
        file.bytes_at(address, 16)
            .is_none_or(|bytes| bytes.len() == 16)
    );
    assert!(
        file.section(".text")
            .is_none_or(|section| section.size < u64::MAX)
    );
    assert_eq!(file.defines("free"), file.export("free").is_some());
    assert!(file.build_id().is_none_or(|id| id.len() <= 64));
    for segment in file.executable_segments() {
        assert!(segment.bytes.len() as u64 <= SIZE_LIMIT);
    }
    assert!(file.needed().len() <= 4096);
    let _rest = (file.soname(), file.machine(), file.is_executable_type());
}

#[test]
fn a_symbol_leads_to_its_bytes() {
    let file = own();
    let symbol = file.symbol("HEAPTIDE_ELF_LANDMARK").unwrap();
    assert_eq!(symbol.size, 24);
    assert!(!symbol.indirect);
    let bytes = file.bytes_at(symbol.address, 24).unwrap();
    assert_eq!(bytes, HEAPTIDE_ELF_LANDMARK);
    let offset = usize::try_from(file.file_offset(symbol.address).unwrap()).unwrap();
    assert_eq!(OWN[offset..offset + 24], HEAPTIDE_ELF_LANDMARK);
}

#[test]
fn undefined_symbols_are_not_found() {
    let file = own();
    assert_eq!(file.symbol("malloc"), None);
    assert!(!file.defines("malloc"));
    assert_eq!(file.symbol(""), None);
}

#[test]
fn the_libc_defines_malloc_and_selects_memcpy() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps
        .lines()
        .find(|line| line.contains("/libc.so.6"))
        .unwrap();
    let file = ElfFile::open(Path::new(&line[line.find('/').unwrap()..])).unwrap();
    assert!(file.defines("malloc"));
    assert!(!file.symbol("malloc").unwrap().indirect);
    assert!(file.symbol("memcpy").unwrap().indirect);
    assert_eq!(file.soname().as_deref(), Some("libc.so.6"));
    assert!(!file.is_executable_type());
    let code = file.executable_segments();
    let malloc = file.symbol("malloc").unwrap().address;
    assert!(
        code.iter()
            .any(|code| malloc >= code.address && malloc < code.address + code.bytes.len() as u64)
    );
}

#[test]
fn sections_segments_and_needs_of_the_running_binary() {
    let file = own();
    let text = file.section(".text").unwrap();
    assert_eq!(file.file_offset(text.address), Some(text.file_offset));
    assert_eq!(file.section(".tex"), None);
    assert!(file.needed().contains(&"libc.so.6".to_owned()));
    assert_eq!(
        file.machine() == Machine::X86_64,
        cfg!(target_arch = "x86_64")
    );
    assert_eq!(file.build_id().unwrap().len(), 20);
    assert!(file.dynamic_address().is_some());
    let bss = file.section(".bss").unwrap();
    assert_eq!(file.bytes_at(bss.address + bss.size - 1, 1), None);
}

#[test]
fn what_is_no_elf_file_is_refused_with_its_name() {
    let text = |error: ElfError| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    };
    let error = ElfFile::open(Path::new("/proc/self/status")).unwrap_err();
    assert_eq!(
        text(error),
        "cannot use /proc/self/status: it is not an ELF file"
    );
    let error = ElfFile::open(Path::new("/no/such/file")).unwrap_err();
    assert!(text(error).starts_with("cannot read /no/such/file: No such file"));
    let error = ElfFile::open(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(error.to_string(), "/dev/zero is not a regular file");
    assert!(matches!(
        ElfFile::parse(b"\x7fELF\x01\x01\x01".to_vec()),
        Err(ElfError::WrongClass)
    ));
    assert!(matches!(
        ElfFile::parse(b"\x7fELF\x02\x01\x01".to_vec()),
        Err(ElfError::Malformed { .. })
    ));
}

#[test]
fn the_outline_tells_what_the_whole_file_tells() {
    let path = env::current_exe().unwrap();
    let (outline, file) = (Outline::open(&path).unwrap(), own());
    let text = file.section(".text").unwrap();
    assert_eq!(outline.code_address(text.file_offset), Some(text.address));
    assert_eq!(outline.code_address(0), None);
    assert_eq!(
        Some((outline.first_address(0).unwrap(), 0)),
        file.first_load()
    );
    assert_eq!(outline.is_executable_type(), file.is_executable_type());
    let exports = outline.exports().unwrap();
    assert_eq!(exports.find("malloc"), None);
    for name in ["HEAPTIDE_ELF_LANDMARK", "main", "free"] {
        assert_eq!(exports.find(name), file.export(name), "{name}");
    }
}

#[test]
fn too_large_files_are_not_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(SIZE_LIMIT + 1).unwrap();
    let error = ElfFile::open(file.path()).unwrap_err();
    assert!(matches!(error, ElfError::TooLarge { size, .. } if size == SIZE_LIMIT + 1));
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.extend(&bytes);
        if let Ok(file) = ElfFile::parse(file) {
            ask_everything(&file);
        }
        prop_assert!(bytes.starts_with(b"\x7fELF") || ElfFile::parse(bytes).is_err());
    }

    #[test]
    fn a_damaged_binary_is_parsed_or_refused(
        length in any::<proptest::sample::Index>(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..64),
        // The headers are where damage matters most.
        head in proptest::collection::vec((0..1024_usize, any::<u8>()), 0..8),
        tail in proptest::collection::vec((0..2048_usize, any::<u8>()), 0..8),
    ) {
        let mut bytes = SMALL.clone();
        for (index, value) in damage {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        let end = bytes.len() - 1;
        for (index, value) in head {
            bytes[index] = value;
        }
        for (index, value) in tail {
            bytes[end - index] = value;
        }
        if length.index(4) == 0 {
            bytes.truncate(length.index(end));
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        if let Ok(outline) = Outline::open(file.path()) {
            let _answers = (outline.code_address(4096), outline.first_address(u64::MAX));
            let symbol = outline.exports().and_then(|exports| exports.find("free"));
            let whole = ElfFile::parse(bytes.clone()).unwrap();
            prop_assert_eq!(symbol, whole.export("free"));
            prop_assert_eq!(outline.dynamic_address(), whole.dynamic_address());
        }
        if let Ok(file) = ElfFile::parse(bytes) {
            ask_everything(&file);
        }
    }
}
