//! Turns records into events: process ids into keys, raw stacks into stacks.

use std::{collections::HashMap, rc::Rc, time::Duration};

use super::{Event, Symbolizer, What};
use crate::{
    probe::{Happening, RawStack, Record},
    process::memory::Memory,
    profile::{Losses, ProcessKey, SizeClass, StackId, StackTable},
    python::Interpreter,
    units::Pid,
};

/// A process whose records can be understood.
pub struct Traced {
    /// Its key.
    pub key: ProcessKey,
    /// Its memory, where code objects are read.
    pub memory: Memory,
    /// Its Python, if it runs one.
    pub interpreter: Option<Rc<Interpreter>>,
}

/// Turns records into events.
#[derive(Default)]
pub struct Translator {
    symbolizer: Symbolizer,
    traced: HashMap<Pid, Traced>,
}

impl Translator {
    /// From now on, records of `pid` are those of this process.
    pub fn trace(&mut self, pid: Pid, traced: Traced) {
        self.traced.insert(pid, traced);
    }

    /// The process that `pid` is now.
    pub fn traced(&self, pid: Pid) -> Option<&Traced> {
        self.traced.get(&pid)
    }

    /// A child has the code objects of its parent, at the same addresses.
    pub fn inherit(&mut self, parent: ProcessKey, child: ProcessKey) {
        self.symbolizer.inherit(parent, child);
    }

    /// The process has no code objects any more that were read before.
    pub fn forget_code(&mut self, process: ProcessKey) {
        self.symbolizer.forget(process);
    }

    /// All stacks so far.
    pub fn stacks(&self) -> &StackTable {
        self.symbolizer.stacks()
    }

    /// Takes the losses that occurred since the last call.
    pub fn take_losses(&mut self) -> Losses {
        self.symbolizer.take_losses()
    }

    /// Whether code objects were read since the last call that were not known before.
    pub fn take_has_learned(&mut self) -> bool {
        self.symbolizer.take_has_learned()
    }

    /// Turns a record into an event; `None` for records of processes that are not traced, and for
    /// those that say what became of a process. `time` is when it happened, from the start of the
    /// recording.
    pub fn translate(&mut self, record: &Record, time: Duration) -> Option<Event> {
        let traced = self.traced.get(&record.pid)?;
        let what = what(&record.what, |raw| match record.what {
            Happening::TimeSampled { .. } => self.symbolizer.resolve_quietly(traced, raw),
            _ => self.symbolizer.resolve(traced, raw),
        })?;
        Some(Event {
            process: traced.key,
            time,
            what,
        })
    }
}

/// What a record tells; `None` if it says what became of a process.
fn what(happening: &Happening, mut stack: impl FnMut(&RawStack) -> StackId) -> Option<What> {
    Some(match happening {
        Happening::BlockAllocated {
            address,
            size,
            previous,
            stack: raw,
        } => What::BlockAllocated {
            address: *address,
            size: *size,
            previous: *previous,
            stack: stack(raw),
        },
        Happening::BlockFreed { address } => What::BlockFreed { address: *address },
        Happening::PoolOpened {
            address,
            size_class,
            stack: raw,
        } => What::PoolOpened {
            address: *address,
            size_class: SizeClass::new(*size_class),
            stack: stack(raw),
        },
        Happening::ObjectTaken(object) => What::ObjectTaken {
            address: object.address,
            size: object.size,
            stack: object.stack.as_ref().map(&mut stack),
            times: 1,
        },
        Happening::Mapped {
            address,
            size,
            origin,
            stack: raw,
        } => What::Mapped {
            address: *address,
            size: *size,
            origin: *origin,
            stack: stack(raw),
        },
        Happening::Unmapped { address, size } => What::Unmapped {
            address: *address,
            size: *size,
        },
        Happening::Remapped {
            address,
            size,
            previous,
            previous_size,
            stack: raw,
        } => What::Remapped {
            address: *address,
            size: *size,
            previous: *previous,
            previous_size: *previous_size,
            stack: stack(raw),
        },
        Happening::BreakMoved {
            address,
            stack: raw,
        } => What::BreakMoved {
            address: *address,
            stack: stack(raw),
        },
        Happening::PageTouched {
            address,
            faults,
            stack: raw,
        } => What::PagesTouched {
            address: *address,
            pages: *faults,
            copied: None,
            stack: stack(raw),
        },
        Happening::TimeSampled { stack: raw } => What::TimeSampled { stack: stack(raw) },
        Happening::Forked { .. } | Happening::Execed | Happening::Exited => return None,
    })
}
