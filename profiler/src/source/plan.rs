//! How a process can be measured: what the kernel half must know of it, and where probes stand.

use std::{
    collections::HashMap, fs::File, io, os::fd::AsRawFd as _, path::PathBuf, rc::Rc, sync::Arc,
};

use profiler_common::{config::ProcessConfig, cookie::Place, layout::InterpreterLayout};
use thiserror::Error;

use super::{
    blocks::{BlockSites, arena_site},
    files::{FileId, Files, OpenFile, file_id},
    hidden,
    small::{PageSites, SmallObjectSites},
};
use crate::{
    probe::{Site, SiteProgram},
    process::{ProcessError, elf::ElfError, identity::Identity, image, memory::Memory},
    python::{
        Interpreter, PythonError, allocator::Allocators, fates::FateReader, mimalloc::Mimalloc,
        pools::Pools, small_heap::SmallHeap,
    },
    units::Pid,
};

/// What the probes of a site are for, which decides when they are open.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SiteClass {
    /// Pools and arenas: rare enough to be open always.
    Pools,
    /// Blocks over 512 bytes: open while their rate fits the budget.
    Blocks,
    /// Small objects: open in windows that the budget pays for.
    Objects,
}

impl SiteClass {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Pools, Self::Blocks, Self::Objects];
}

/// Probes that are attached together.
#[derive(Clone, Debug)]
pub struct PlannedSites {
    /// What they are for.
    pub class: SiteClass,
    /// The program that stands there.
    pub program: SiteProgram,
    /// The file. It is kept open, so that it can be found whatever becomes of its name and of the
    /// process that mapped it: a forked worker may outlive both.
    pub file: Arc<File>,
    /// The places in it.
    pub sites: Vec<Site>,
}

impl PlannedSites {
    /// A path that leads to the file, for this process only.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// How a process can be measured.
#[derive(Clone)]
pub struct Plan {
    /// Its memory.
    pub memory: Memory,
    /// Its Python.
    pub interpreter: Rc<Interpreter>,
    /// Its small-object heap, if it uses pymalloc and it could be found.
    pub pools: Option<Rc<Pools>>,
    /// Its heap, if mimalloc takes pymalloc's place.
    pub mimalloc: Option<Mimalloc>,
    /// What tells which small objects live, if that can be told.
    pub fates: Option<FateReader>,
    /// What the kernel half must know.
    pub config: ProcessConfig,
    /// Where probes stand.
    pub sites: Vec<PlannedSites>,
    /// Where they stand instead of those of small objects, if these do not see all.
    fallback: Vec<PlannedSites>,
    /// Whether blocks come from glibc, whose heap can be read from outside.
    pub glibc_heap: bool,
    /// What a person should know about what is not measured, a sentence each.
    pub notes: Vec<String>,
}

impl Plan {
    /// The plan without blocks over 512 bytes, for a process that a return probe would kill.
    #[must_use]
    pub fn without_blocks(mut self) -> Self {
        self.sites
            .retain(|planned| planned.class != SiteClass::Blocks);
        self.notes.push(
            "blocks over 512 bytes are not measured: on this kernel a return probe would kill a \
             process under a seccomp filter"
                .to_owned(),
        );
        self
    }

    /// The heap that objects live in, if that is known.
    pub fn heap(&self) -> Option<SmallHeap> {
        heap(self.pools.as_deref(), self.mimalloc)
    }

    /// Looks at pools, since the probes of small objects did not see so many of them.
    pub fn fall_back(&mut self, missed: u64, counted: u64) {
        self.sites
            .retain(|planned| planned.class != SiteClass::Objects);
        self.sites.append(&mut self.fallback);
        self.notes.push(format!(
            "small objects are seen through their pools only: probes missed {missed} of {counted} \
             that pools had counted"
        ));
    }

    /// The plan for a child that was forked from the process: everything is where it was.
    #[must_use]
    pub fn for_child(&self, child: Pid) -> Self {
        Self {
            memory: Memory::of(child),
            notes: Vec::new(),
            ..self.clone()
        }
    }
}

/// Why a process cannot be measured.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The process itself is the reason.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Its Python is.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// One of its files is.
    #[error(transparent)]
    File(#[from] ElfError),
    /// One of its files cannot be opened.
    #[error("cannot open {}, which it has mapped", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes plans, and remembers what it found out about files that many processes share.
pub struct Planner {
    small: HashMap<FileId, SmallObjectSites>,
    pages: HashMap<FileId, PageSites>,
    max_object_sites: usize,
    /// Whether everything is followed, whatever it costs.
    is_exact: bool,
    /// Whether every other place where objects are handed out is left out.
    leaves_out_sites: bool,
}

/// With fewer places, some are taken not to be recognised. It rests on counts of builds alone: with
/// four places, Debian's 3.13 shows every block; with one, Debian's 3.14 shows 7 of 10, and its
/// 3.15 none that is kept.
const LEAST_PAGE_SITES: usize = 3;

/// So many probes with a link for each can be opened and closed all the time.
const MAX_SINGLE_LINKS: usize = 8;

impl Default for Planner {
    fn default() -> Self {
        Self {
            small: HashMap::new(),
            pages: HashMap::new(),
            max_object_sites: usize::MAX,
            is_exact: false,
            leaves_out_sites: false,
        }
    }
}

impl Planner {
    /// The same for a kernel that wants a link for each probe.
    #[must_use]
    pub const fn with_single_links(mut self) -> Self {
        self.max_object_sites = MAX_SINGLE_LINKS;
        self
    }

    /// The same where everything is followed, whatever it costs.
    #[must_use]
    pub const fn following_everything(mut self) -> Self {
        self.is_exact = true;
        self
    }

    /// The same, as if the scan of the code had missed every other place where objects are handed
    /// out: the self-test has to notice.
    #[must_use]
    pub const fn with_sites_left_out(mut self) -> Self {
        self.leaves_out_sites = true;
        self
    }

    /// Finds out how a process can be measured.
    pub fn plan(&mut self, identity: &Identity) -> Result<Plan, PlanError> {
        let interpreter = self.find(identity.pid)?;
        self.plan_with(interpreter)
    }

    /// Finds the Python of a process.
    pub fn find(&self, pid: Pid) -> Result<Interpreter, PlanError> {
        let images = image::images(pid)?;
        Ok(Interpreter::find(pid, &Memory::of(pid), &images)?)
    }

    /// Finds out how a process with this Python can be measured, which takes several times as long.
    pub fn plan_with(&mut self, interpreter: Interpreter) -> Result<Plan, PlanError> {
        let pid = interpreter.pid;
        let memory = Memory::of(pid);
        // One that was still starting has loaded the rest of its libraries since.
        let images = image::images(pid)?;
        let mut files = Files::default();
        let library = files.open(&interpreter.image)?;
        let allocators = Allocators::read(&interpreter, &library.elf, &memory).ok();
        let mut notes = Vec::new();
        let (mut sites, mut fallback) = (Vec::new(), Vec::new());
        notes.extend((allocators.as_ref()).and_then(|it| hidden::hidden_by(it, self.is_exact)));
        let uses_malloc = allocators.as_ref().is_some_and(Allocators::uses_malloc);
        let uses_mimalloc = allocators.as_ref().is_some_and(Allocators::uses_mimalloc);
        let mimalloc = Mimalloc::of(&interpreter).filter(|_| uses_mimalloc);
        if let Some(mimalloc) = &mimalloc {
            sites.extend(self.page_sites(&interpreter, &library, mimalloc, &mut notes));
        } else if uses_mimalloc {
            notes.push(hidden::MIMALLOC_ENCODED.to_owned());
        } else if allocators.as_ref().is_none_or(Allocators::may_use_pymalloc) {
            (sites, fallback) = self.pool_sites(&interpreter, &library, &mut notes);
            sites.extend(allocators.and_then(|it| arena_site(&it, &images, &mut files)));
        }
        let blocks = BlockSites::find(&memory, &images, &library, &mut files);
        notes.extend(blocks.note);
        sites.extend(blocks.sites);
        let config = ProcessConfig {
            holder: interpreter.holder,
            threads_head: interpreter.threads_head,
            layout: interpreter.layout,
            wants_all_stacks: self.is_exact.into(),
            counts_small_requests: (uses_malloc && self.is_exact).into(),
            ..ProcessConfig::default()
        };
        debug_assert_ne!(config.layout, InterpreterLayout::default());
        let pools = Pools::find(&interpreter, &library.elf, &memory)
            .ok()
            .map(Rc::new);
        let heap = heap(pools.as_deref(), mimalloc);
        let fates = heap.map(|heap| FateReader::new(&interpreter, &library.elf, heap));
        Ok(Plan {
            memory,
            interpreter: Rc::new(interpreter),
            pools,
            mimalloc,
            fates,
            config,
            sites,
            fallback,
            glibc_heap: blocks.glibc,
            notes,
        })
    }

    /// Where small objects are seen, and where their pools are if the former are not enough.
    fn pool_sites(
        &mut self,
        interpreter: &Interpreter,
        library: &OpenFile,
        notes: &mut Vec<String>,
    ) -> (Vec<PlannedSites>, Vec<PlannedSites>) {
        let elf = &library.elf;
        let found = self
            .small
            .entry(file_id(&interpreter.image))
            .or_insert_with(|| SmallObjectSites::find(elf));
        if found.is_empty() {
            notes.push(hidden::PYMALLOC_UNKNOWN.to_owned());
            return Default::default();
        }
        let planned = |class, program, sites| PlannedSites {
            class,
            program,
            file: Arc::clone(&library.file),
            sites,
        };
        let pools = planned(
            SiteClass::Pools,
            SiteProgram::PoolOpened,
            found.of_pools(elf),
        );
        let mut objects = found.of_objects(elf);
        let reuses = found.of_reuses(elf, interpreter.places.pool_bits);
        if objects.len() + reuses.len() <= self.max_object_sites {
            objects.extend(reuses);
        } else if objects.len() <= self.max_object_sites {
            notes.push(hidden::NOT_SEEN_AGAIN.to_owned());
        }
        if self.leaves_out_sites {
            objects = objects.into_iter().skip(1).step_by(2).collect();
        }
        let is_feasible = !objects.is_empty() && objects.len() <= self.max_object_sites;
        if !is_feasible && !objects.is_empty() {
            notes.push(hidden::SEEN_THROUGH_POOLS.to_owned());
        }
        // Who sees objects one by one need not look at their pools.
        if is_feasible {
            let objects = planned(
                SiteClass::Objects,
                SiteProgram::ObjectTaken,
                numbered(objects),
            );
            (vec![objects], vec![pools])
        } else {
            (vec![pools], Vec::new())
        }
    }

    /// Where mimalloc hands out blocks.
    fn page_sites(
        &mut self,
        interpreter: &Interpreter,
        library: &OpenFile,
        mimalloc: &Mimalloc,
        notes: &mut Vec<String>,
    ) -> Option<PlannedSites> {
        let elf = &library.elf;
        let found = self.pages.entry(file_id(&interpreter.image));
        let found = found.or_insert_with(|| PageSites::find(elf, mimalloc.layout()));
        let sites = found.of_objects(elf);
        let (note, is_feasible) = if sites.len() < LEAST_PAGE_SITES {
            (hidden::MIMALLOC_UNKNOWN, false)
        } else if sites.len() > self.max_object_sites {
            (hidden::TOO_MANY_PAGE_SITES, false)
        } else {
            (hidden::SEEN_LIKE_SMALL, true)
        };
        notes.push(note.to_owned());
        is_feasible.then(|| PlannedSites {
            class: SiteClass::Objects,
            program: SiteProgram::ObjectTaken,
            file: Arc::clone(&library.file),
            sites: numbered(sites),
        })
    }
}

/// Tells each probe of objects which one it is.
fn numbered(mut sites: Vec<Site>) -> Vec<Site> {
    for (place, site) in (0..).map(Place).zip(&mut sites) {
        site.cookie = place.put_into(site.cookie);
    }
    sites
}

/// The heap that objects live in, if that is known.
fn heap(pools: Option<&Pools>, mimalloc: Option<Mimalloc>) -> Option<SmallHeap> {
    let pages = mimalloc.map(SmallHeap::Pages);
    pages.or_else(|| pools.copied().map(SmallHeap::Pools))
}
