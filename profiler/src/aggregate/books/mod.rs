//! The books of all processes: what each holds, and what changed during the current interval.

mod desk;

use std::{collections::HashMap, time::Duration};

use self::desk::{Desk, block_meter, given_back};
use super::{
    blocks::LiveBlocks,
    collector::Collector,
    mappings::MappingLedger,
    objects::ObjectBook,
    phases::Phases,
    pools::PoolBook,
    survivors::SurvivorCensus,
    windows::{Comparison, Correction, Window, Windows},
};
use crate::{
    profile::{Interval, Losses, ProcessKey, Reckoned, StackTable, Survivor},
    python::fates::{Fate, SmallBlock},
    source::{Event, SiteClass, What},
};

/// How many blocks of one process are followed: 32 bytes each, so 64 MB at the very most.
const MAX_BLOCKS: usize = 1 << 21;

/// Times at which things were got are not told apart within that …
const SHORTEST_SLICE: Duration = Duration::from_secs(1);

/// … nor within one part in so many of a recording.
const SLICES: u32 = 256;

/// The books of all processes.
#[derive(Debug)]
pub struct Books {
    page_size: u64,
    /// Whether the stacks of only some objects are looked at, by chance.
    draws_objects: bool,
    by_process: HashMap<ProcessKey, Book>,
    /// What was held by those whose books were closed, …
    departed: Vec<Survivor>,
    /// … and what kind of work they had done when.
    departed_phases: Vec<(ProcessKey, Phases)>,
    collector: Collector,
    losses: Losses,
}

/// What one process holds.
#[derive(Debug)]
struct Book {
    blocks: LiveBlocks,
    mappings: MappingLedger,
    pools: PoolBook,
    objects: ObjectBook,
    block_windows: Windows,
    pool_windows: Windows,
    object_windows: Windows,
    phases: Phases,
    opened: Duration,
    /// For how long all small objects were seen, in windows.
    watched: Duration,
}

impl Book {
    fn count_survivors(&self, process: ProcessKey, now: Duration, census: &mut SurvivorCensus) {
        for (_, block) in self.blocks.iter() {
            let counters = given_back(block);
            let key = (process, block.stack, block_meter(block));
            census.add(
                key,
                block.born,
                (counters.bytes_out, counters.count_out),
                1.0,
            );
        }
        let span = now.saturating_sub(self.opened).as_secs_f64();
        let unseen = if self.watched.is_zero() {
            0.0
        } else {
            (1.0 - self.watched.as_secs_f64() / span).max(0.0)
        };
        for (object, chance) in self.objects.survivors(now, unseen) {
            let counters = object.given_back();
            let key = (process, object.stack, object.meter());
            census.add(
                key,
                object.born(),
                (counters.bytes_out, counters.count_out),
                chance,
            );
        }
    }

    fn windows(&mut self, class: SiteClass) -> &mut Windows {
        match class {
            SiteClass::Blocks => &mut self.block_windows,
            SiteClass::Pools => &mut self.pool_windows,
            SiteClass::Objects => &mut self.object_windows,
        }
    }

    /// Holds an event back, if it is not known yet for how much it stands. Says whether it did.
    fn hold_back(&mut self, event: &Event) -> bool {
        match event.what {
            What::BlockAllocated { .. } | What::BlockFreed { .. } => {
                self.block_windows.hold_back(event)
            }
            What::PoolOpened { .. } => self.pool_windows.hold_back(event),
            What::ObjectTaken { .. } => self.object_windows.hold_back(event),
            _ => false,
        }
    }
}

impl Books {
    /// No books; pages have this size.
    pub fn new(page_size: u64) -> Self {
        Self {
            page_size,
            draws_objects: true,
            by_process: HashMap::new(),
            departed: Vec::new(),
            departed_phases: Vec::new(),
            collector: Collector::default(),
            losses: Losses::default(),
        }
    }

    /// The same, for stacks of all objects.
    #[must_use]
    pub fn with_all_stacks(self) -> Self {
        Self {
            draws_objects: false,
            ..self
        }
    }

    /// Opens the book of a process, whose heap ends here now, if that is known. A book that is
    /// open already goes on.
    pub fn open(&mut self, process: ProcessKey, heap_end: Option<u64>, now: Duration) {
        self.by_process.entry(process).or_insert_with(|| Book {
            blocks: LiveBlocks::new(MAX_BLOCKS),
            mappings: MappingLedger::new(self.page_size).with_break(heap_end),
            pools: PoolBook::default(),
            objects: ObjectBook::default(),
            block_windows: Windows::default(),
            pool_windows: Windows::default(),
            object_windows: Windows::default(),
            phases: Phases::default(),
            opened: now,
            watched: Duration::ZERO,
        });
    }

    /// Probes of a process were opened.
    pub fn open_window(&mut self, process: ProcessKey, class: SiteClass, window: Window) {
        if let Some(book) = self.by_process.get_mut(&process) {
            book.windows(class).open(window);
            if class == SiteClass::Objects {
                book.phases.see_all(!window.is_sample());
            }
        }
    }

    /// Probes of a process that may still be open are closed at this time. What was seen in them
    /// stands for so many times as much as by their weight alone.
    pub fn close_window(
        &mut self,
        process: ProcessKey,
        class: SiteClass,
        at: Duration,
        correction: Correction,
    ) {
        let Some(mut desk) = self.desk(process) else {
            return;
        };
        if class == SiteClass::Objects
            && let Some(window) = desk.book.object_windows.open_sample()
        {
            desk.book.phases.looked(window, at, correction);
        }
        for event in desk.book.windows(class).close(at, correction) {
            desk.enter(&event);
        }
        if class == SiteClass::Objects
            && let Some(window) = desk.book.object_windows.last_sample()
        {
            let length = window.end.saturating_sub(window.start);
            desk.book.watched = desk.book.watched.saturating_add(length);
            desk.book
                .objects
                .watched(window, correction.times.max(1.0).recip());
        }
    }

    /// It is known how much slower a process was in a window of small objects.
    pub fn compare(&mut self, process: ProcessKey, comparison: &Comparison) {
        if let Some(book) = self.by_process.get_mut(&process) {
            book.phases.compare(comparison);
        }
    }

    /// Takes in what is held back until windows of a process close: it ends, or the recording.
    pub fn settle(&mut self, process: ProcessKey, at: Duration) {
        for class in SiteClass::ALL {
            self.close_window(process, class, at, Correction::of(1.0));
        }
    }

    /// Closes the book of a process. What it held to the end stays on record.
    pub fn close(&mut self, process: ProcessKey, now: Duration) {
        if let Some(book) = self.by_process.remove(&process) {
            let mut census = SurvivorCensus::new(SHORTEST_SLICE);
            book.count_survivors(process, now, &mut census);
            self.departed.extend(census.into_survivors());
            self.departed_phases.push((process, book.phases));
        }
    }

    /// What all processes hold now, or held when their books were closed, by when they had got it,
    /// to within a small part of the time since the start.
    pub fn survivors(&self, now: Duration) -> Vec<Survivor> {
        let mut census = SurvivorCensus::new(SHORTEST_SLICE.max(now / SLICES));
        for survivor in &self.departed {
            census.take_over(survivor);
        }
        for (process, book) in &self.by_process {
            book.count_survivors(*process, now, &mut census);
        }
        census.into_survivors()
    }

    /// Finds out what kind of work processes did until now; `stacks` are those of the events.
    pub fn tell_phases_apart(&mut self, now: Duration, stacks: &StackTable) {
        for book in self.by_process.values_mut() {
            book.phases.settle(now, stacks);
        }
    }

    /// What processes got, if each kind of work weighs as much as it lasted. Nothing comes to the
    /// books after this.
    pub fn reckon(&mut self, stacks: &StackTable) -> Vec<Reckoned> {
        let departed = std::mem::take(&mut self.departed_phases);
        let others = (self.by_process.iter_mut())
            .map(|(process, book)| (*process, std::mem::take(&mut book.phases)));
        let mut reckoned: Vec<Reckoned> = (departed.into_iter().chain(others))
            .flat_map(|(process, phases)| phases.reckon(process, stacks))
            .collect();
        reckoned.sort_by_key(|it| (it.process, it.stack));
        reckoned
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
            draws_objects: self.draws_objects,
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

    /// Looks at the small objects whose time has come. `read` gets them, and answers for each what
    /// became of it.
    pub fn observe_objects(
        &mut self,
        process: ProcessKey,
        now: Duration,
        read: impl FnOnce(&[SmallBlock]) -> Vec<Fate>,
    ) {
        let Some(mut desk) = self.desk(process) else {
            return;
        };
        let due = desk.book.objects.due(now);
        if due.is_empty() {
            return;
        }
        for ((address, _), fate) in due.iter().zip(read(&due)) {
            desk.look_at_object(*address, fate, now);
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
