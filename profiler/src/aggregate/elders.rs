//! The small blocks that were there before a process was followed: how many of them are left.
//!
//! Whatever else pymalloc has handed out by then was got since. So many blocks are retained, and
//! that is known without any probe: it is what estimates by line have to add up to.

use super::estimate::{as_float, rounded};
use crate::{
    profile::{ClassCensus, SizeClass},
    python::{
        fates::{Fate, Identity, SmallBlock},
        pool_sample::ClassSample,
    },
};

/// Where not a single block of the sample died, so large a part of the others may have, as one
/// standard deviation.
const LEAST_ERROR: f64 = 0.005;

/// The elders of a process, of which a sample of pools tells.
#[derive(Clone, Debug)]
pub struct Elders {
    classes: Vec<Class>,
}

/// The elders of a size class.
#[derive(Clone, Debug)]
struct Class {
    /// How many pools held them, and how many there were.
    pools: u64,
    blocks: u64,
    sampled: Vec<Pool>,
}

/// The elders of a pool.
#[derive(Clone, Debug, Default)]
struct Pool {
    /// How many there were.
    blocks: u64,
    /// Those that were not found dead.
    living: Vec<Elder>,
}

#[derive(Clone, Copy, Debug)]
struct Elder {
    block: SmallBlock,
    /// Only if it cannot change: most elders live long, and change.
    identity: Option<Identity>,
    /// Whether no object lived there, but a dead one was kept. Later, about as many blocks will be
    /// kept, which belong to no line: whichever these are, such elders stand for them.
    was_kept: bool,
}

impl Elder {
    /// Takes in what was seen. Whether it is still there.
    fn sees(&mut self, fate: Fate) -> bool {
        match fate {
            Fate::Dead => false,
            Fate::Unknown => true,
            Fate::Alive(_) if self.was_kept => true,
            Fate::Kept => self.was_kept,
            Fate::Alive(found) => {
                let was = self.identity;
                let found = found.filter(Identity::is_firm);
                self.identity = found.or(was);
                was.is_none_or(|was| found.is_some_and(|found| was.may_become(&found)))
            }
        }
    }
}

impl Pool {
    fn new(blocks: Vec<(SmallBlock, Fate)>) -> Self {
        let living = blocks.into_iter().map(|(block, fate)| Elder {
            block,
            identity: match fate {
                Fate::Alive(identity) => identity.filter(Identity::is_firm),
                Fate::Dead | Fate::Unknown | Fate::Kept => None,
            },
            was_kept: fate == Fate::Kept,
        });
        let living: Vec<Elder> = living.collect();
        Self {
            blocks: living.len() as u64,
            living,
        }
    }
}

impl Elders {
    /// Those in a sample, by size class; `read` gets a pool, and tells the blocks that live there.
    pub fn new(
        samples: impl Iterator<Item = ClassSample>,
        mut read: impl FnMut(u64) -> Vec<(SmallBlock, Fate)>,
    ) -> Self {
        let classes = samples.map(|sample| {
            let sampled = sample.sampled.into_iter().map(|pool| Pool::new(read(pool)));
            Class {
                pools: sample.pools,
                blocks: sample.blocks,
                sampled: sampled.filter(|pool| pool.blocks > 0).collect(),
            }
        });
        Self {
            classes: classes.collect(),
        }
    }

    /// Looks at those that are left. `read` gets them, and answers for each what became of it.
    pub fn look(&mut self, read: impl FnOnce(&[SmallBlock]) -> Vec<Fate>) {
        let blocks: Vec<SmallBlock> = (self.pools())
            .flat_map(|pool| pool.living.iter().map(|elder| elder.block))
            .collect();
        let mut fates = read(&blocks).into_iter();
        for pool in self.pools_mut() {
            pool.living
                .retain_mut(|elder| elder.sees(fates.next().unwrap_or(Fate::Unknown)));
        }
    }

    /// What is known of the size classes, if so many blocks of each are handed out now.
    pub fn census(&self, blocks: &[u64]) -> Vec<ClassCensus> {
        let classes = self.classes.iter().zip(blocks);
        classes
            .map(|(class, blocks)| class.census(*blocks))
            .collect()
    }

    fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.classes.iter().flat_map(|class| &class.sampled)
    }

    fn pools_mut(&mut self) -> impl Iterator<Item = &mut Pool> {
        self.classes.iter_mut().flat_map(|class| &mut class.sampled)
    }
}

impl Class {
    fn census(&self, blocks: u64) -> ClassCensus {
        let (part, error) = self.part_left();
        let older = rounded(part * as_float(self.blocks));
        ClassCensus {
            blocks,
            older: older.min(blocks),
            older_error: rounded(error * as_float(self.blocks)),
        }
    }

    /// Which part is left, and the standard error of that: pools are clusters of blocks of about
    /// the same age, so it is their differences that count, and not how many blocks they hold.
    fn part_left(&self) -> (f64, f64) {
        let sum = |of: fn(&Pool) -> u64| as_float(self.sampled.iter().map(of).sum());
        let (were, left) = (
            sum(|pool| pool.blocks),
            sum(|pool| pool.living.len() as u64),
        );
        let pools = as_float(self.sampled.len() as u64);
        if were <= 0.0 {
            return (1.0, 1.0);
        }
        let part = left / were;
        let unseen = (1.0 - pools / as_float(self.pools)).max(0.0);
        if self.sampled.len() < 2 {
            return (part, unseen.sqrt());
        }
        let residues = self.sampled.iter().map(|pool| {
            let residue = as_float(pool.living.len() as u64) - part * as_float(pool.blocks);
            residue * residue
        });
        let variance = unseen * pools / (pools - 1.0) * residues.sum::<f64>() / (were * were);
        (part, variance.sqrt().max(LEAST_ERROR * unseen))
    }
}

/// The bytes of a class that were got since a process was followed and are still held, and the
/// standard error of that.
pub(super) fn got_since(class: SizeClass, census: ClassCensus) -> (f64, f64) {
    let bytes = as_float(class.bytes());
    let younger = as_float(census.blocks.saturating_sub(census.older));
    (younger * bytes, as_float(census.older_error) * bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL_BLOCKS: u64 = 50;

    /// The elders of `sampled` out of `pools` pools of one class.
    fn elders(pools: u64, sampled: u64) -> Elders {
        let sample = ClassSample {
            pools,
            blocks: pools * POOL_BLOCKS,
            sampled: (0..sampled).collect(),
        };
        let class = SizeClass::new(3).unwrap();
        let block = |pool: u64, number: u64| ((pool << 12) + number * 64, class);
        Elders::new(std::iter::once(sample), |pool| {
            let blocks = (0..POOL_BLOCKS).map(|number| (block(pool, number), Fate::Alive(None)));
            blocks.collect()
        })
    }

    /// Looks, and finds those dead whose pool and number say so.
    fn bury(elders: &mut Elders, is_dead: impl Fn(u64, u64) -> bool) {
        elders.look(|blocks| {
            let fates = blocks.iter().map(|(address, _)| {
                let (pool, number) = (address >> 12, (address & 0xfff) / 64);
                if is_dead(pool, number) {
                    Fate::Dead
                } else {
                    Fate::Alive(None)
                }
            });
            fates.collect()
        });
    }

    #[test]
    fn all_pools_tell_all() {
        let mut elders = elders(20, 20);
        bury(&mut elders, |pool, number| pool < 5 && number < 10);
        let census = elders.census(&[1200])[0];
        let expected = ClassCensus {
            blocks: 1200,
            older: 950,
            older_error: 0,
        };
        assert_eq!(census, expected);
    }

    #[test]
    fn some_pools_tell_of_all_how_many_are_left_and_how_sure_that_is() {
        let mut elders = elders(1000, 25);
        bury(&mut elders, |pool, _| pool % 5 == 0);
        let census = elders.census(&[70_000])[0];
        assert_eq!((census.blocks, census.older), (70_000, 40_000));
        // A fifth of the pools are empty: sqrt(0.2 * 0.8 / 24), of 50,000 blocks.
        assert!((3900..4200).contains(&census.older_error), "{census:?}");
        bury(&mut elders, |_, number| number % 2 == 0);
        assert_eq!(elders.census(&[70_000])[0].older, 20_000);
    }

    #[test]
    fn who_is_somebody_else_now_is_no_elder() {
        let mut elders = elders(4, 4);
        let number = |value| Fate::Alive(Some(Identity::new(0x1000, [1, value])));
        elders.look(|blocks| vec![number(5); blocks.len()]);
        elders.look(|blocks| vec![number(5); blocks.len()]);
        assert_eq!(elders.census(&[200])[0].older, 200);
        elders.look(|blocks| vec![number(6); blocks.len()]);
        assert_eq!(elders.census(&[200])[0].older, 0);
    }

    #[test]
    fn without_any_sample_nothing_is_sure() {
        let census = elders(10, 0).census(&[500])[0];
        assert_eq!((census.older, census.older_error), (500, 500));
    }
}
