//! The books of all processes: what each holds, and what changed during the current interval.

use std::{collections::HashMap, time::Duration};

use profiler_common::loss::Loss;

use super::{
    Collector,
    blocks::{Block, LiveBlocks},
    mappings::{MappingLedger, Remapped},
    pools::{PoolBook, pool_meter},
    windows::{Share, Window, Windows},
};
use crate::{
    profile::{Counters, Interval, Losses, Metered, ProcessKey, StackId},
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

    /// Probes of a process that may still be open are closed at this time.
    /// What was seen in them stands for so many times as much as by their weight alone.
    pub fn close_window(
        &mut self,
        process: ProcessKey,
        class: SiteClass,
        at: Duration,
        correction: f64,
    ) {
        let Some(book) = self.by_process.get_mut(&process) else {
            return;
        };
        for event in book.windows(class).close(at, correction) {
            self.enter(&event);
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
        let Some(book) = self.by_process.get_mut(&event.process) else {
            return;
        };
        let is_held_back = match event.what {
            What::BlockAllocated { .. } | What::BlockFreed { .. } => {
                book.block_windows.hold_back(event)
            }
            What::PoolOpened { .. } => book.pool_windows.hold_back(event),
            _ => false,
        };
        if !is_held_back {
            self.enter(event);
        }
    }

    fn enter(&mut self, event: &Event) {
        let process = event.process;
        let Some(book) = self.by_process.get_mut(&process) else {
            return;
        };
        match event.what {
            What::BlockAllocated {
                address,
                size,
                previous,
                stack,
            } => {
                let share = book.block_windows.share(event.time);
                self.free_block(process, previous);
                self.allocate_block(process, address, (size, stack), share);
            }
            What::BlockFreed { address } => self.free_block(process, address),
            What::PoolOpened {
                address,
                size_class,
                stack,
            } => {
                if let Some(share) = book.pool_windows.share(event.time) {
                    book.pools.opened(address, size_class, (stack, share));
                    self.add(process, stack, pool_meter(share), sample());
                }
            }
            What::Mapped {
                address,
                size,
                stack,
                origin: _,
            } => {
                let change = book.mappings.map(range(address, size), stack);
                self.remapped(process, stack, &change);
            }
            What::Unmapped { address, size } => {
                let change = book.mappings.unmap(range(address, size));
                self.remapped(process, StackId::ROOT, &change);
            }
            What::Remapped {
                address,
                size,
                previous,
                previous_size,
                stack,
            } => {
                let (old, new) = (range(previous, previous_size), range(address, size));
                let change = book.mappings.remap(old, new, stack);
                self.remapped(process, stack, &change);
            }
            What::BreakMoved { address, stack } => {
                let change = book.mappings.set_break(address, stack);
                self.remapped(process, stack, &change);
            }
            What::PagesTouched { pages, stack } => {
                let touched = Counters {
                    bytes_in: pages.saturating_mul(self.page_size),
                    count_in: pages,
                    ..sample()
                };
                self.add(process, stack, Metered::Page, touched);
            }
        }
    }

    fn allocate_block(
        &mut self,
        process: ProcessKey,
        address: u64,
        (size, stack): (u64, StackId),
        share: Option<Share>,
    ) {
        // Whatever was here before is gone, also if what is here now does not count.
        self.free_block(process, address);
        let (Some(share), Some(book)) = (share, self.by_process.get_mut(&process)) else {
            return;
        };
        let block = Block {
            size,
            stack,
            copies: share.copies,
            is_sampled: share.is_sampled,
        };
        let is_followed = book.blocks.allocate(address, block);
        let copies = u64::from(block.copies);
        let got = Counters {
            bytes_in: size.saturating_mul(copies),
            count_in: copies,
            ..sample()
        };
        self.add(process, stack, block_meter(&block), got);
        if !is_followed {
            // It would count as retained for ever.
            self.losses.add(Loss::LiveTableFull, 1);
            self.given_back(process, block);
        }
    }

    fn free_block(&mut self, process: ProcessKey, address: u64) {
        let freed = self
            .by_process
            .get_mut(&process)
            .and_then(|book| book.blocks.free(address));
        if let Some(block) = freed {
            self.given_back(process, block);
        }
    }

    fn given_back(&mut self, process: ProcessKey, block: Block) {
        let copies = u64::from(block.copies);
        let back = Counters {
            bytes_out: block.size.saturating_mul(copies),
            count_out: copies,
            ..Counters::default()
        };
        self.add(process, block.stack, block_meter(&block), back);
    }

    fn remapped(&mut self, process: ProcessKey, stack: StackId, change: &Remapped) {
        if change.got > 0 {
            let got = Counters {
                bytes_in: change.got,
                count_in: 1,
                ..sample()
            };
            self.add(process, stack, Metered::Mapping, got);
        }
        for (owner, bytes) in &change.removed {
            let back = Counters {
                bytes_out: *bytes,
                count_out: 1,
                ..Counters::default()
            };
            self.add(process, *owner, Metered::Mapping, back);
        }
    }

    fn add(&mut self, process: ProcessKey, stack: StackId, meter: Metered, counters: Counters) {
        self.collector.add(process, stack, meter, counters);
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
        let Some(book) = self.by_process.get(&process) else {
            return;
        };
        let blocks: Vec<(u64, u64)> = book
            .blocks
            .iter()
            .map(|(address, block)| (address, block.size))
            .collect();
        for ((address, _), dead) in blocks.iter().zip(is_dead(&blocks)) {
            if dead {
                self.free_block(process, *address);
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

/// The meter of a block.
const fn block_meter(block: &Block) -> Metered {
    if block.is_sampled {
        Metered::SampledBlock
    } else {
        Metered::Block
    }
}

/// The counters of one observation that has counted nothing yet.
fn sample() -> Counters {
    Counters {
        samples: 1,
        ..Counters::default()
    }
}

fn range(address: u64, size: u64) -> std::ops::Range<u64> {
    address..address.saturating_add(size)
}

#[cfg(test)]
mod tests;
