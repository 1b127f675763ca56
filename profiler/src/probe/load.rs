//! Loads the object: the built-in one, or the one that `HEAPTIDE_EBPF_OBJECT` names.

use std::{borrow::Cow, env, fs, thread};

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, MapData, PerCpuArray, RingBuf},
    programs::{Program, ProgramError},
};
use aya_log::EbpfLogger;
use profiler_common::config::{KernelLayout, ProcessConfig, ThreadSlot};

use super::{
    ProbeError, kernel,
    links::{Site, SiteProgram},
};
use crate::profile::Losses;

/// The object that was built from the sources of the kernel half.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/heaptide.bpf.o");

/// Names another object file, for those who change the kernel half.
const OBJECT_VARIABLE: &str = "HEAPTIDE_EBPF_OBJECT";

/// With another so many bytes of records in the ring, user space is woken before its time: about
/// 600 hits with stacks, in a millisecond of a target that is busy where nobody expected it.
const RING_WAKE_BYTES: u32 = 1 << 18;

/// The programs of the host: raw tracepoints, tracepoints and software perf events.
const HOST_PROGRAMS: [&str; 7] = [
    "process_forked",
    "process_execed",
    "process_exited",
    "address_space_changed",
    "connection_accepted",
    "data_received",
    "sample_taken",
];

/// What can be chosen when the kernel half is loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Bytes of the ring buffer, a power of two.
    pub ring_bytes: u32,
    /// Whether the kernel half writes diagnostics.
    pub diagnostics: bool,
    /// Use one link for each site, as if the kernel knew no other.
    pub single_site_links: bool,
}

/// The loaded kernel half.
pub struct Probe {
    pub(super) ebpf: Ebpf,
    /// Whether a link can have many sites.
    pub(super) multi: bool,
    pub(super) processes: HashMap<MapData, u32, ProcessConfig>,
    pub(super) threads: HashMap<MapData, u32, ThreadSlot>,
    pub(super) ports: HashMap<MapData, u32, u32>,
    pub(super) losses: PerCpuArray<MapData, u64>,
    pub(super) ring: RingBuf<MapData>,
    diagnostics: Option<EbpfLogger<&'static dyn log::Log>>,
    /// The losses that were handed on already.
    pub(super) known_losses: Losses,
    /// A place in heaptide itself that can be probed, if there is one.
    pub(super) own_site: Option<Site>,
}

impl Probe {
    /// Loads all programs; nothing is attached yet.
    pub fn load(options: LoadOptions) -> Result<Self, ProbeError> {
        let mut layout = kernel::read_layout()?;
        layout.ring_wake_bytes = RING_WAKE_BYTES;
        layout.ring_crowded_bytes = options.ring_bytes / 2;
        let mut ebpf = open_object(options, layout)?;
        let multi = !options.single_site_links && load_programs(&mut ebpf, true).is_ok();
        if !multi {
            load_programs(&mut ebpf, false)?;
        }
        Ok(Self {
            multi,
            processes: take(&mut ebpf, "PROCESSES")?,
            threads: take(&mut ebpf, "THREADS")?,
            ports: take(&mut ebpf, "PORTS")?,
            losses: take(&mut ebpf, "LOSSES")?,
            ring: take(&mut ebpf, "EVENTS")?,
            diagnostics: if options.diagnostics {
                EbpfLogger::init(&mut ebpf).ok()
            } else {
                None
            },
            known_losses: Losses::default(),
            own_site: None,
            ebpf,
        })
    }

    /// Whether one link can have many sites, which makes it cheap to open and close.
    pub fn has_multi_links(&self) -> bool {
        self.multi
    }

    /// Hands the diagnostics that the kernel half has written on to the log.
    pub fn show_diagnostics(&mut self) {
        if let Some(diagnostics) = &mut self.diagnostics {
            diagnostics.flush();
        }
    }
}

fn open_object(options: LoadOptions, layout: KernelLayout) -> Result<Ebpf, ProbeError> {
    let object = match env::var(OBJECT_VARIABLE) {
        Err(_unset) => Cow::Borrowed(OBJECT),
        Ok(path) => match fs::read(&path) {
            Ok(bytes) => Cow::Owned(bytes),
            Err(source) => return Err(ProbeError::NoObject { path, source }),
        },
    };
    // The levels of the `log` crate; zero is silence.
    let log_level: u8 = if options.diagnostics { 5 } else { 0 };
    EbpfLoader::new()
        .override_global("KERNEL", &layout, true)
        .override_global(aya_log::LEVEL, &log_level, false)
        .map_max_entries("EVENTS", options.ring_bytes)
        .load(&object)
        .map_err(|source| ProbeError::Object(Box::new(source)))
}

/// Loads the programs that are not loaded yet, side by side: the verifier takes tenths of a second
/// for each that walks a stack.
fn load_programs(ebpf: &mut Ebpf, multi: bool) -> Result<(), ProbeError> {
    let sites = SiteProgram::ALL.map(|program| {
        if multi {
            program.name()
        } else {
            program.single_name()
        }
    });
    let names: Vec<&'static str> = HOST_PROGRAMS.into_iter().chain(sites).collect();
    for name in &names {
        ebpf.program(name).ok_or(ProbeError::Missing { name })?;
    }
    let wanted = ebpf.programs_mut().filter_map(|(name, program)| {
        Some((*names.iter().find(|wanted| **wanted == name)?, program))
    });
    thread::scope(|scope| {
        let loads: Vec<_> = wanted
            .map(|(name, program)| scope.spawn(move || load_program(name, program)))
            .collect();
        loads.into_iter().try_for_each(|load| {
            load.join()
                .expect("the thread passes errors on and does not panic")
        })
    })
}

fn load_program(name: &'static str, program: &mut Program) -> Result<(), ProbeError> {
    let loaded = match program {
        Program::RawTracePoint(program) => program.load(),
        Program::TracePoint(program) => program.load(),
        Program::PerfEvent(program) => program.load(),
        Program::UProbe(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    match loaded {
        // The first attempt to load site programs has failed, but the others are in place.
        Err(ProgramError::AlreadyLoaded) | Ok(()) => Ok(()),
        Err(source) => Err(ProbeError::Program {
            program: name,
            source: Box::new(source),
        }),
    }
}

fn take<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, ProbeError>
where
    M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = ebpf.take_map(name).ok_or(ProbeError::Missing { name })?;
    M::try_from(map).map_err(|source| ProbeError::Map { name, source })
}
