//! Where blocks are handed out that do not come from pools: the functions of the C library, or of
//! what stands in front of it.

use std::{rc::Rc, sync::Arc};

use iced_x86::Register;
use profiler_common::config::Request;

use super::{
    files::{Files, OpenFile},
    plan::{PlannedSites, SiteClass},
};
use crate::{
    probe::{Site, SiteProgram},
    process::{
        elf::ElfFile, heap, image::Image, instruction::entry_site, link_map, memory::Memory,
    },
    python::allocator::Allocators,
};

/// The functions of an allocator, the names of their counterparts in the interpreter, and which
/// registers a probe needs there.
const BLOCK_FUNCTIONS: [(Request, &str, &str, &[Register]); 4] = [
    (
        Request::Malloc,
        "malloc",
        "PyMem_RawMalloc",
        &[Register::RDI],
    ),
    (
        Request::Calloc,
        "calloc",
        "PyMem_RawCalloc",
        &[Register::RDI, Register::RSI],
    ),
    (
        Request::Realloc,
        "realloc",
        "PyMem_RawRealloc",
        &[Register::RDI, Register::RSI],
    ),
    (Request::Free, "free", "PyMem_RawFree", &[Register::RDI]),
];

/// How much of a function is decoded to find a place for a probe in it.
const FUNCTION_BYTES: usize = 256;

/// The place where pymalloc asks for an arena. Without it, arenas count as mappings of the
/// program, which is no great harm.
pub(super) fn arena_site(
    allocators: &Allocators,
    images: &[Image],
    files: &mut Files,
) -> Option<PlannedSites> {
    let function = allocators.arena.alloc;
    let image = images.iter().find(|image| image.contains(function))?;
    let opened = files.open(image).ok()?;
    let site = function_site(&opened.elf, image.vaddr(function), &[Register::RSI], true)?;
    Some(PlannedSites {
        class: SiteClass::Pools,
        program: SiteProgram::RequestEntered,
        file: Arc::clone(&opened.file),
        sites: vec![Site {
            file_offset: site,
            cookie: Request::Arena as u64,
        }],
    })
}

/// The file offset of the place in a function where a probe is cheap and its arguments are known.
fn function_site(
    elf: &ElfFile,
    vaddr: u64,
    arguments: &[Register],
    keep_stack: bool,
) -> Option<u64> {
    let code = elf.bytes_at(vaddr, FUNCTION_BYTES)?;
    elf.file_offset(entry_site(code, vaddr, arguments, keep_stack)?)
}

/// What a person should know about an allocator that cannot be probed.
const NO_CHEAP_PLACE: &str = "blocks over 512 bytes are not measured: no function of the \
     allocator has a place where a probe is cheap enough";

/// Where blocks over 512 bytes are handed out and given back.
#[derive(Default)]
pub(super) struct BlockSites {
    pub(super) sites: Vec<PlannedSites>,
    /// Whether all of it is the GNU C library.
    pub(super) glibc: bool,
    /// What a person should know.
    pub(super) note: Option<String>,
}

impl BlockSites {
    /// The allocator that the dynamic linker gave to the program, because what native libraries
    /// allocate goes there, too; or the interpreter's own functions if there is none to be found,
    /// in a static program for example.
    ///
    /// An allocator that was found and has no cheap place is not replaced by those functions: a
    /// compiler that optimizes at link time goes past them, and most blocks would be missed.
    pub(super) fn find(
        memory: &Memory,
        images: &[Image],
        library: &Rc<OpenFile>,
        files: &mut Files,
    ) -> Self {
        let names = BLOCK_FUNCTIONS.map(|(_, name, ..)| name);
        let resolved = link_map::resolve_all(memory.pid(), memory, images, &names);
        let functions: Option<Vec<Function>> = resolved
            .into_iter()
            .map(|found| {
                let found = found?;
                Some((files.open(&found.image).ok()?, found.vaddr))
            })
            .collect();
        let functions = functions.or_else(|| {
            let own = BLOCK_FUNCTIONS.iter().map(|(_, _, name, _)| {
                Some((Rc::clone(library), library.elf.symbol(name)?.address))
            });
            own.collect()
        });
        functions
            .and_then(|functions| Self::at(&functions))
            .unwrap_or_else(|| Self {
                note: Some(NO_CHEAP_PLACE.to_owned()),
                ..Self::default()
            })
    }

    /// The sites in these functions, in the order of [`BLOCK_FUNCTIONS`]; `None` unless each has
    /// one, because half of the functions would give wrong sums.
    fn at(functions: &[Function]) -> Option<Self> {
        let mut found = Self {
            glibc: true,
            ..Self::default()
        };
        let mut entries = Vec::new();
        for ((opened, vaddr), (request, _, _, arguments)) in functions.iter().zip(BLOCK_FUNCTIONS) {
            found.glibc &= heap::is_glibc(&opened.elf);
            let returns = request != Request::Free;
            let file_offset = function_site(&opened.elf, *vaddr, arguments, returns)?;
            let site = Site {
                file_offset,
                cookie: request as u64,
            };
            // The return probes come first: an entry without its return leaves a request pending.
            if returns {
                add_site(&mut found.sites, SiteProgram::RequestReturned, opened, site);
            }
            add_site(&mut entries, SiteProgram::RequestEntered, opened, site);
        }
        found.sites.append(&mut entries);
        Some(found)
    }
}

/// A function: the file that holds it, and its address there.
type Function = (Rc<OpenFile>, u64);

/// Adds a site to those of the same file.
fn add_site(planned: &mut Vec<PlannedSites>, program: SiteProgram, opened: &OpenFile, site: Site) {
    if let Some(group) = planned
        .iter_mut()
        .find(|group| Arc::ptr_eq(&group.file, &opened.file))
    {
        group.sites.push(site);
        return;
    }
    planned.push(PlannedSites {
        class: SiteClass::Blocks,
        program,
        file: Arc::clone(&opened.file),
        sites: vec![site],
    });
}
