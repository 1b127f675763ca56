//! Where blocks are handed out that do not come from pools: the functions of the C library, or of
//! what stands in front of it.

use std::{rc::Rc, sync::Arc};

use iced_x86::Register;
use profiler_common::{config::Request, cookie::RequestCookie};

use super::{
    files::{Files, OpenFile},
    plan::{PlannedSites, SiteClass},
};
use crate::{
    probe::{Site, SiteProgram},
    process::{
        elf::ElfFile,
        heap,
        image::Image,
        instruction::{EntrySite, entry_site},
        link_map,
        memory::Memory,
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
    let vaddr = image.vaddr(function);
    let site = function_site(&opened.elf, vaddr, (Request::Arena, &[Register::RSI]))?;
    Some(PlannedSites {
        class: SiteClass::Pools,
        program: SiteProgram::RequestEntered,
        file: Arc::clone(&opened.file),
        sites: vec![site],
    })
}

/// The place in a function where a probe is cheap and its arguments are known.
fn function_site(
    elf: &ElfFile,
    vaddr: u64,
    (request, arguments): (Request, &[Register]),
) -> Option<Site> {
    let code = elf.bytes_at(vaddr, FUNCTION_BYTES)?;
    let entry = entry_site(code, vaddr, arguments, returns(request))?;
    Some(Site {
        file_offset: elf.file_offset(entry.address)?,
        cookie: cookie(request, arguments, &entry),
    })
}

/// Whether something comes back from a function that matters.
fn returns(request: Request) -> bool {
    request != Request::Free
}

/// The cookie of a place: where the arguments are, if they were moved.
fn cookie(request: Request, arguments: &[Register], entry: &EntrySite) -> u64 {
    let place = |argument: Register| {
        let moved = (arguments.iter().zip(&entry.arguments)).find(|(from, _)| **from == argument);
        let register = moved.map_or(argument, |(_, to)| *to);
        u8::try_from(register.number()).expect("there are few registers")
    };
    let is_moved = entry.arguments != arguments;
    let places = is_moved.then(|| [Register::RDI, Register::RSI].map(place));
    RequestCookie {
        request,
        arguments: places,
    }
    .to_wire()
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
            let site = function_site(&opened.elf, *vaddr, (request, arguments))?;
            // The return probes come first: an entry without its return leaves a request pending.
            if returns(request) {
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
