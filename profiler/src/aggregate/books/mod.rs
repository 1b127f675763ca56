//! The books of all processes: what each holds, and what changed during the current interval.

mod desk;

use std::{collections::HashMap, time::Duration};

use self::desk::Desk;
use super::{
    blocks::LiveBlocks,
    collector::Collector,
    mappings::MappingLedger,
    pools::PoolBook,
    windows::{Window, Windows},
};
use crate::{
    profile::{Interval, Losses, ProcessKey},
    source::{Event, SiteClass, What},
};

/// How many blocks of one process are followed: 32 bytes each, so 64 MB at the very most.
const MAX_BLOCKS: usize = 1 << 21;

/// The books of all processes.
#[derive(Debug)]
pub struct Books {
    page_size: u64,
    by_process: HashMap<ProcessKey, Book>,
    collector: Collector,
    losses: Losses,
}

/// What one process holds.
#[derive(Debug)]
struct Book {
    blocks: LiveBlocks,
    mappings: MappingLedger,
    pools: PoolBook,
    block_windows: Windows,
    pool_windows: Windows,
}

impl Book {
    fn windows(&mut self, class: SiteClass) -> &mut Windows {
        match class {
            SiteClass::Blocks => &mut self.block_windows,
            SiteClass::Pools => &mut self.pool_windows,
        }
    }

    /// Holds an event back, if it is not known yet for how much it stands. Says whether it did.
    fn hold_back(&mut self, event: &Event) -> bool {
        match event.what {
            What::BlockAllocated { .. } | What::BlockFreed { .. } => {
                self.block_windows.hold_back(event)
            }
            What::PoolOpened { .. } => self.pool_windows.hold_back(event),
            _ => false,
        }
    }
}

impl Books {
    /// No books; pages have this size.
    pub fn new(page_size: u64) -> Self {
        Self {
            page_size,
            by_process: HashMap::new(),
            collector: Collector::default(),
            losses: Losses::default(),
        }
    }

    /// Opens the book of a process, whose heap ends here now, if that is known. A book that is
    /// open already goes on.
    pub fn open(&mut self, process: ProcessKey, heap_end: Option<u64>) {
        self.by_process.entry(process).or_insert_with(|| Book {
            blocks: LiveBlocks::new(MAX_BLOCKS),
            mappings: MappingLedger::new(self.page_size).with_break(heap_end),
            pools: PoolBook::default(),
            block_windows: Windows::default(),
            pool_windows: Windows::default(),
        });
    }

    /// Probes of a process were opened.
    pub fn open_window(&mut self, process: ProcessKey, class: SiteClass, window: Window) {
        if let Some(book) = self.by_process.get_mut(&process) {
            book.windows(class).open(window);
        }
    }

    /// Probes of a process that may still be open are closed at this time. What was seen in them
    /// stands for so many times as much as by their weight alone.
    pub fn close_window(
        &mut self,
        process: ProcessKey,
        class: SiteClass,
        at: Duration,
        correction: f64,
    ) {
        let Some(mut desk) = self.desk(process) else {
            return;
        };
        for event in desk.book.windows(class).close(at, correction) {
            desk.enter(&event);
        }
    }

    /// Takes in what is held back until windows of a process close: it ends, or the recording.
    pub fn settle(&mut self, process: ProcessKey, at: Duration) {
        for class in [SiteClass::Blocks, SiteClass::Pools] {
            self.close_window(process, class, at, 1.0);
        }
    }

    /// Closes the book of a process. What it held to the end stays on record.
    pub fn close(&mut self, process: ProcessKey) {
        self.by_process.remove(&process);
    }

    /// Enters what happened.
    pub fn apply(&mut self, event: &Event) {
        let Some(mut desk) = self.desk(event.process) else {
            return;
        };
        if !desk.book.hold_back(event) {
            desk.enter(event);
        }
    }

    /// The desk of a process, if it has a book.
    fn desk(&mut self, process: ProcessKey) -> Option<Desk<'_>> {
        Some(Desk {
            process,
            page_size: self.page_size,
            book: self.by_process.get_mut(&process)?,
            collector: &mut self.collector,
            losses: &mut self.losses,
        })
    }

    /// Looks at the pools that a process opened while recording. `read` gets their addresses, and
    /// answers for each with how many blocks live in it and of which class.
    pub fn observe_pools(
        &mut self,
        process: ProcessKey,
        read: impl FnOnce(&[u64]) -> Vec<Option<(u32, u8)>>,
    ) {
        let Some(book) = self.by_process.get_mut(&process) else {
            return;
        };
        let addresses: Vec<u64> = book.pools.addresses().collect();
        if addresses.is_empty() {
            return;
        }
        for (address, header) in addresses.iter().zip(read(&addresses)) {
            for change in book.pools.observe(*address, header) {
                (self.collector).add(process, change.stack, change.meter, change.counters);
            }
        }
    }

    /// Looks for blocks whose end was not seen. `is_dead` gets addresses and sizes, and answers for
    /// each whether the block is gone.
    pub fn bury_blocks(
        &mut self,
        process: ProcessKey,
        is_dead: impl FnOnce(&[(u64, u64)]) -> Vec<bool>,
    ) {
        let Some(mut desk) = self.desk(process) else {
            return;
        };
        let blocks: Vec<(u64, u64)> = (desk.book.blocks)
            .iter()
            .map(|(address, block)| (address, block.size))
            .collect();
        for ((address, _), dead) in blocks.iter().zip(is_dead(&blocks)) {
            if dead {
                desk.free_block(*address);
            }
        }
    }

    /// Takes the losses that occurred since the last call.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// Closes the current interval.
    pub fn take_interval(&mut self, start: Duration, end: Duration) -> Interval {
        self.collector.take(start, end)
    }
}

#[cfg(test)]
mod tests;
