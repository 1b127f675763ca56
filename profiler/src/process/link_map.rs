//! What the dynamic linker of a process resolves symbols to.
//!
//! It takes the first definition in the order in which it has loaded the files, and that order
//! stands in a list which it keeps for debuggers. So a preloaded allocator is found before libc.

use std::collections::HashSet;

use object::elf;

use super::{
    image::{Image, executable_among},
    memory::Memory,
};
use crate::units::Pid;

/// More entries than any program has.
const DYNAMIC_LIMIT: u64 = 1024;
const OBJECTS_LIMIT: usize = 1 << 14;

/// A definition, and where it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resolved {
    /// The binary that defines it.
    pub image: Image,
    /// Its address in the process.
    pub address: u64,
    /// Its address in the file.
    pub vaddr: u64,
}

/// Finds out what a symbol means to the main program; `images` are all of the process.
///
/// `None` if nothing defines it, if the program is static, or if what defines it selects one of
/// several functions when the program starts, as the symbol's address is not theirs.
pub fn resolve(pid: Pid, memory: &Memory, images: &[Image], symbol: &str) -> Option<Resolved> {
    resolve_all(pid, memory, images, &[symbol]).pop()?
}

/// Finds out what several symbols mean to the main program, and opens each binary only once.
pub fn resolve_all(
    pid: Pid,
    memory: &Memory,
    images: &[Image],
    symbols: &[&str],
) -> Vec<Option<Resolved>> {
    // The outer `None` is for what was not met yet, the inner one for what cannot be used.
    let mut found: Vec<Option<Option<Resolved>>> = vec![None; symbols.len()];
    for image in load_order(pid, memory, images) {
        if found.iter().all(Option::is_some) {
            break;
        }
        let Some(exports) = image.outline().ok().and_then(|outline| outline.exports()) else {
            continue;
        };
        for (name, place) in symbols.iter().zip(&mut found) {
            if place.is_none()
                && let Some(symbol) = exports.find(name)
            {
                *place = Some((!symbol.indirect).then(|| Resolved {
                    address: image.address(symbol.address),
                    vaddr: symbol.address,
                    image: image.clone(),
                }));
            }
        }
    }
    found.into_iter().map(Option::flatten).collect()
}

/// The images in the order in which the dynamic linker searches them; none if there is no
/// dynamic linker, or if it has not started yet.
pub fn load_order<'a>(pid: Pid, memory: &Memory, images: &'a [Image]) -> Vec<&'a Image> {
    let debug = debug_address(pid, memory, images);
    debug.map_or_else(Vec::new, |debug| walk(memory, debug, images))
}

/// Follows the list from the dynamic linker's `struct r_debug` on.
fn walk<'a>(memory: &Memory, debug: u64, images: &'a [Image]) -> Vec<&'a Image> {
    let mut known = HashSet::new();
    let mut order = Vec::new();
    // The first object stands behind the version.
    let mut next = memory.read_word(debug.wrapping_add(8)).unwrap_or(0);
    while next != 0 && known.len() < OBJECTS_LIMIT && known.insert(next) {
        // The head of `struct link_map`: bias, name, dynamic table, next.
        let Some([_, _, dynamic, following]) = memory.read_words(next) else {
            break;
        };
        // By its table, as the name may be anything. The vDSO has one too, and no file.
        order.extend(images.iter().find(|image| image.contains(dynamic)));
        next = following;
    }
    order
}

/// The address of the dynamic linker's `struct r_debug`.
fn debug_address(pid: Pid, memory: &Memory, images: &[Image]) -> Option<u64> {
    let program = images.get(executable_among(pid, images).ok()?)?;
    let by_program = || {
        let dynamic = program.outline().ok()?.dynamic_address()?;
        debug_entry(memory, program.address(dynamic))
    };
    // Whoever starts `ld.so program` runs the dynamic linker, which has no such entry itself.
    let by_linker = || {
        let exports = program.outline().ok()?.exports()?;
        Some(program.address(exports.find("_r_debug")?.address))
    };
    by_program().or_else(by_linker)
}

/// Where the dynamic linker has written its address into the program's table.
fn debug_entry(memory: &Memory, dynamic: u64) -> Option<u64> {
    for index in 0..DYNAMIC_LIMIT {
        let [tag, value] = memory.read_words(dynamic.wrapping_add(16 * index))?;
        let tag = elf::DynamicTag(tag.cast_signed());
        if tag == elf::DT_NULL {
            return None;
        }
        if tag == elf::DT_DEBUG {
            return Some(value).filter(|address| *address != 0);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process::{
        image::images,
        testing::{Program, compile},
    };

    const PRELOADED: &str = "#include <stddef.h>\n\
        void *__libc_malloc(size_t);\n\
        void *malloc(size_t size) { return __libc_malloc(size); }\n\
        static void *hidden(void) { return hidden; }\n\
        __attribute__((visibility(\"hidden\"))) void *free(void *p) { return hidden(); }\n\
        int only_here(void) { return 1; }";

    fn named(program: &Program, symbol: &str) -> Option<String> {
        let images = images(program.pid()).unwrap();
        let memory = Memory::of(program.pid());
        let found = resolve(program.pid(), &memory, &images, symbol)?;
        assert_eq!(found.address, found.image.address(found.vaddr));
        assert!(found.image.contains(found.address));
        let code = found.image.elf().unwrap();
        let in_file = code.bytes_at(found.vaddr, 8).unwrap();
        assert_eq!(memory.read_bytes(found.address, 8).unwrap(), in_file);
        let name = found.image.path.file_name().unwrap();
        Some(name.to_str().unwrap().to_owned())
    }

    #[test]
    fn libc_is_what_an_ordinary_program_uses() {
        let program = Program::start();
        assert_eq!(named(&program, "malloc").as_deref(), Some("libc.so.6"));
        assert_eq!(named(&program, "no_such_symbol"), None);
    }

    #[test]
    fn a_preloaded_library_wins_over_libc_with_what_it_exports() {
        let folder = tempfile::tempdir().unwrap();
        let flags = ["-shared", "-fPIC"];
        let library = compile(folder.path(), "preloaded.so", PRELOADED, &flags);
        let program = Program::spawn(Command::new("cat").env("LD_PRELOAD", &library));
        assert_eq!(named(&program, "malloc").as_deref(), Some("preloaded.so"));
        assert_eq!(
            named(&program, "only_here").as_deref(),
            Some("preloaded.so")
        );
        assert_eq!(named(&program, "free").as_deref(), Some("libc.so.6"));

        std::fs::remove_file(&library).unwrap();
        assert_eq!(named(&program, "malloc").as_deref(), Some("preloaded.so"));
    }

    #[test]
    fn functions_chosen_at_start_are_not_resolved() {
        let program = Program::start();
        let images = images(program.pid()).unwrap();
        let memory = Memory::of(program.pid());
        let symbols = ["memcpy", "free", "no_such_symbol", "calloc"];
        let found = resolve_all(program.pid(), &memory, &images, &symbols);
        let found: Vec<bool> = found.iter().map(Option::is_some).collect();
        assert_eq!(found, [false, true, false, true]);
    }

    #[test]
    fn the_program_stands_first_and_the_linker_among_the_last() {
        let program = Program::start();
        let images = images(program.pid()).unwrap();
        let order = load_order(program.pid(), &Memory::of(program.pid()), &images);
        assert_eq!(order.len(), images.len());
        assert_eq!(order[0].path, images[0].path);
    }

    #[test]
    fn a_program_started_by_naming_the_linker_has_a_list_too() {
        let cat = Program::start();
        let images = images(cat.pid()).unwrap();
        let linker = images
            .iter()
            .find(|image| image.path.to_str().unwrap().contains("/ld-"))
            .unwrap();
        let program = Program::spawn(Command::new(&linker.path).arg(&images[0].path));
        assert_eq!(named(&program, "malloc").as_deref(), Some("libc.so.6"));
    }

    #[test]
    fn a_static_program_has_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let source = "#include <unistd.h>\n\
            int main() { char b[99]; int n; while ((n = read(0, b, 99)) > 0) write(1, b, n); }";
        for kind in ["-static", "-static-pie"] {
            let path = compile(folder.path(), "static", source, &[kind]);
            let program = Program::spawn(&mut Command::new(&path));
            assert_eq!(named(&program, "malloc"), None, "{kind}");
        }
    }

    #[test]
    fn a_list_that_leads_back_into_itself_ends() {
        // Two objects in this process that follow each other.
        let mut objects = Box::new([[0_u64; 4]; 2]);
        let addresses = objects
            .each_ref()
            .map(|object| object.as_ptr().addr() as u64);
        objects[0][3] = addresses[1];
        objects[1][3] = addresses[0];
        let memory = Memory::of(Pid(std::process::id()));
        let debug = [1, std::hint::black_box(&objects)[1][3]];
        let order = walk(&memory, debug.as_ptr().addr() as u64, &[]);
        assert!(order.is_empty());
    }
}
