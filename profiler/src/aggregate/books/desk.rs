//! How events of one process are entered: its book is looked up once, and then written to.

use std::time::Duration;

use profiler_common::loss::Loss;

use super::{
    super::{
        blocks::Block,
        collector::Collector,
        estimate::as_float,
        mappings::Remapped,
        objects::{Object, millis},
        phases::Shown,
        pools::pool_meter,
        windows::Share,
    },
    Book,
};
use crate::{
    profile::{Counters, Losses, Metered, ProcessKey, StackId},
    python::fates::Fate,
    source::{Event, What},
};

/// The book of one process, open to be written to.
pub(super) struct Desk<'a> {
    pub(super) process: ProcessKey,
    pub(super) page_size: u64,
    pub(super) draws_objects: bool,
    pub(super) book: &'a mut Book,
    pub(super) collector: &'a mut Collector,
    pub(super) losses: &'a mut Losses,
}

impl Desk<'_> {
    /// Enters what happened.
    pub(super) fn enter(&mut self, event: &Event) {
        match event.what {
            What::BlockAllocated {
                address,
                size,
                previous,
                stack,
            } => {
                let share = self.book.block_windows.share(event.time);
                self.free_block(previous);
                self.allocate_block(address, (size, stack), (share, event.time));
            }
            What::BlockFreed { address } => self.free_block(address),
            What::PoolOpened {
                address,
                size_class,
                stack,
            } => {
                if let Some(share) = self.book.pool_windows.share(event.time) {
                    let class = size_class.and_then(|class| u8::try_from(class.index()).ok());
                    self.book.pools.opened(address, class, (stack, share));
                    self.add(stack, pool_meter(share), sample());
                }
            }
            What::ObjectTaken {
                address,
                size,
                stack,
                times,
            } => self.take_object(event.time, (address, size), (stack, times)),
            What::Mapped {
                address,
                size,
                stack,
                origin: _,
            } => {
                let change = self.book.mappings.map(range(address, size), stack);
                self.remapped(stack, &change);
            }
            What::Unmapped { address, size } => {
                let change = self.book.mappings.unmap(range(address, size));
                self.remapped(StackId::ROOT, &change);
            }
            What::Remapped {
                address,
                size,
                previous,
                previous_size,
                stack,
            } => {
                let (old, new) = (range(previous, previous_size), range(address, size));
                let change = self.book.mappings.remap(old, new, stack);
                self.remapped(stack, &change);
            }
            What::BreakMoved { address, stack } => {
                let change = self.book.mappings.set_break(address, stack);
                self.remapped(stack, &change);
            }
            What::PagesTouched {
                address: _,
                pages,
                copied,
                stack,
            } => {
                let touched = Counters {
                    bytes_in: pages.saturating_mul(self.page_size),
                    count_in: pages,
                    ..sample()
                };
                self.add(stack, Metered::Page, touched);
                if let Some(cause) = copied {
                    self.add(stack, Metered::Copied(cause), touched);
                }
            }
            What::TimeSampled { stack } => self.sampled(event.time, stack),
        }
    }

    fn allocate_block(
        &mut self,
        address: u64,
        (size, stack): (u64, StackId),
        (share, time): (Option<Share>, Duration),
    ) {
        // Whatever was here before is gone, also if what is here now does not count.
        self.free_block(address);
        let Some(share) = share else { return };
        let block = Block {
            size,
            stack,
            copies: share.copies,
            is_sampled: share.is_sampled,
            born: millis(time),
        };
        let is_followed = self.book.blocks.allocate(address, block);
        let copies = u64::from(block.copies);
        let got = Counters {
            bytes_in: size.saturating_mul(copies),
            count_in: copies,
            ..sample()
        };
        self.add(stack, block_meter(&block), got);
        if !is_followed {
            // It would count as retained for ever.
            self.losses.add(Loss::LiveTableFull, 1);
            self.given_back(block);
        }
    }

    pub(super) fn free_block(&mut self, address: u64) {
        if let Some(block) = self.book.blocks.free(address) {
            self.given_back(block);
        }
    }

    fn given_back(&mut self, block: Block) {
        self.add(block.stack, block_meter(&block), given_back(&block));
    }

    fn sampled(&mut self, time: Duration, stack: StackId) {
        let weight = self.book.object_windows.weight(time);
        let is_in_window = weight.is_some_and(|(_, correction)| correction.is_some());
        self.book.phases.sampled(time, stack, is_in_window);
    }

    fn take_object(
        &mut self,
        time: Duration,
        (address, size): (u64, u64),
        (stack, times): (Option<StackId>, u32),
    ) {
        let weight = self.book.object_windows.weight(time);
        // Whatever was here before is gone, also if what is here now does not count.
        if let Some(gone) = self.book.objects.replace(address, weight.is_some(), time) {
            self.object_gone(&gone);
        }
        let (Some(stack), Some((weight, correction))) = (stack, weight) else {
            return;
        };
        if size == 0 || address == 0 {
            self.losses.add(Loss::ObjectUnknown, 1);
            return;
        }
        let weights = (weight * f64::from(times), self.draws_objects);
        let block = (address, size);
        let (object, is_followed) = self.book.objects.take(block, stack, weights, time);
        let got = object.got();
        if let Some(correction) = correction {
            let shown = Shown::new(as_float(got.bytes_in), correction);
            self.book.phases.saw(time, stack, shown);
        }
        self.add(stack, object.meter(), got);
        if !is_followed {
            self.losses.add(Loss::LiveTableFull, 1);
            self.object_gone(&object);
        }
    }

    /// A small object was looked at.
    pub(super) fn look_at_object(&mut self, address: u64, fate: Fate, now: Duration) {
        // Where every object is seen, nothing else can have taken its place unseen.
        let fate = match fate {
            Fate::Alive(_) if !self.draws_objects => Fate::Alive(None),
            fate => fate,
        };
        if let Some(gone) = self.book.objects.look(address, fate, now) {
            self.object_gone(&gone);
        }
    }

    fn object_gone(&mut self, object: &Object) {
        self.add(object.stack, object.meter(), object.given_back());
    }

    fn remapped(&mut self, stack: StackId, change: &Remapped) {
        if change.got > 0 {
            let got = Counters {
                bytes_in: change.got,
                count_in: 1,
                ..sample()
            };
            self.add(stack, Metered::Mapping, got);
        }
        for (owner, bytes) in &change.removed {
            let back = Counters {
                bytes_out: *bytes,
                count_out: 1,
                ..Counters::default()
            };
            self.add(*owner, Metered::Mapping, back);
        }
    }

    fn add(&mut self, stack: StackId, meter: Metered, counters: Counters) {
        self.collector.add(self.process, stack, meter, counters);
    }
}

/// What the end of a block counts.
pub(super) fn given_back(block: &Block) -> Counters {
    let copies = u64::from(block.copies);
    Counters {
        bytes_out: block.size.saturating_mul(copies),
        count_out: copies,
        ..Counters::default()
    }
}

/// The meter of a block.
pub(super) const fn block_meter(block: &Block) -> Metered {
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
