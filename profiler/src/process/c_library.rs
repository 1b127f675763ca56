//! What differs between C libraries. Only that of the GNU project has been tried.

use super::elf::ElfFile;

/// A C library.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CLibrary {
    /// That of the GNU project, whose heap can be read from outside.
    Gnu,
    /// musl, which is the dynamic linker as well. Its `malloc` is a jump to what does the work,
    /// which is as good a place for a probe as any.
    Musl,
}

impl CLibrary {
    /// The one that this file is, if it is one.
    pub fn of(file: &ElfFile) -> Option<Self> {
        Self::named(&file.soname()?)
    }

    /// The one that is linked by this name.
    fn named(name: &str) -> Option<Self> {
        match name {
            "libc.so.6" => Some(Self::Gnu),
            // As distributions name it, which is `libc.musl-x86_64.so.1` on x86-64.
            _ if name.starts_with("libc.musl-") => Some(Self::Musl),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_libraries_are_known_by_the_name_that_programs_are_linked_with() {
        let cases = [
            ("libc.so.6", Some(CLibrary::Gnu)),
            ("libc.musl-x86_64.so.1", Some(CLibrary::Musl)),
            ("libc.musl-aarch64.so.1", Some(CLibrary::Musl)),
            ("libc.so.60", None),
            ("libm.so.6", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(CLibrary::named(name), expected, "{name}");
        }
    }
}
