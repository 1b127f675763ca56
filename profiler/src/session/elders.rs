//! Watches the small blocks that were there before a process was followed.

use std::{io, time::Duration};

use crate::{
    aggregate::Elders,
    process::memory::Memory,
    profile::ClassCensus,
    python::{fates::FateReader, small_heap::SmallHeap},
};

/// The shortest time between two looks at them …
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);

/// … and the longest, as a part of the time for which they were watched.
const PAUSES_IN_AGE: u32 = 8;

/// The elders of one process, and when to look at them again.
pub(super) struct ElderWatch {
    elders: Elders,
    since: Duration,
    next: Duration,
}

impl ElderWatch {
    /// Begins to watch.
    pub(super) fn start(
        heap: &SmallHeap,
        fates: &mut FateReader,
        memory: &Memory,
        now: Duration,
    ) -> io::Result<Self> {
        let sample = heap.sample(memory)?;
        let read = |pool| fates.living(memory, &[pool]);
        Ok(Self {
            elders: Elders::new(sample.into_iter(), read),
            since: now,
            next: now,
        })
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.next
    }

    /// Looks at those that are left, and counts all blocks.
    pub(super) fn look(
        &mut self,
        heap: &SmallHeap,
        fates: &mut FateReader,
        memory: &Memory,
        now: Duration,
    ) -> io::Result<Vec<ClassCensus>> {
        let age = now.saturating_sub(self.since);
        self.next = now.saturating_add(SHORTEST_PAUSE.max(age / PAUSES_IN_AGE));
        self.elders.look(|blocks| fates.fates(memory, blocks));
        Ok(self.elders.census(&heap.blocks_by_class(memory)?))
    }
}
