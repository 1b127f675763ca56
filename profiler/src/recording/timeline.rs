//! Which intervals of a recording are merged, so that its size stays bounded.

/// How large a recording may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How many intervals it has at most.
    pub(super) intervals: usize,
    /// How many bytes their rows take at most, about: pages are two thirds full after merges.
    pub(super) bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            intervals: 512,
            bytes: 24 << 20,
        }
    }
}

/// However much they hold, so many intervals are kept apart: fewer tell nothing about growth.
const FEWEST: usize = 16;

/// An interval on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Piece {
    id: i64,
    /// How often it was merged: it spans about two to the power of this seconds.
    level: u32,
    bytes: u64,
}

/// The intervals on disk, in the order of time.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pieces: Vec<Piece>,
    bytes: u64,
}

/// Two neighbours to be merged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Merge {
    position: usize,
    /// The earlier interval, which stays.
    pub(super) first: i64,
    /// The later one, which goes.
    pub(super) second: i64,
}

impl Timeline {
    /// Adds a new interval at the end.
    pub(super) fn push(&mut self, id: i64, bytes: u64) {
        self.bytes += bytes;
        self.pieces.push(Piece {
            id,
            level: 0,
            bytes,
        });
    }

    /// The next pair to merge, if there is more than the bounds allow.
    ///
    /// One pair for each new interval is enough to keep the bound, so no second has to pay for a
    /// great clean-up. The oldest of the shortest pairs goes first: details of long ago matter
    /// least, and no interval grows much longer than the others.
    pub(super) fn next_merge(&self, bounds: Bounds) -> Option<Merge> {
        let is_long = self.pieces.len() > bounds.intervals;
        let is_large = self.bytes > bounds.bytes && self.pieces.len() > FEWEST;
        if !is_long && !is_large {
            return None;
        }
        let level_of = |pair: &[Piece]| (pair[0].level.max(pair[1].level), pair[0].level);
        let (position, pair) = (self.pieces.windows(2).enumerate())
            .min_by_key(|(_, pair)| (pair[0].level != pair[1].level, level_of(pair)))?;
        Some(Merge {
            position,
            first: pair[0].id,
            second: pair[1].id,
        })
    }

    /// Notes that a pair was merged, and how many bytes the result takes.
    pub(super) fn merged(&mut self, merge: Merge, bytes: u64) {
        let gone = self.pieces.remove(merge.position + 1);
        let kept = &mut self.pieces[merge.position];
        self.bytes = self.bytes - gone.bytes - kept.bytes + bytes;
        kept.level = kept.level.max(gone.level) + 1;
        kept.bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The levels after so many intervals of equal size.
    fn levels(intervals: usize, bounds: Bounds) -> Vec<u32> {
        let mut timeline = Timeline::default();
        for id in 0..intervals {
            timeline.push(i64::try_from(id).unwrap(), 1);
            while let Some(merge) = timeline.next_merge(bounds) {
                assert!(merge.first < merge.second);
                timeline.merged(merge, 1);
            }
        }
        timeline.pieces.iter().map(|piece| piece.level).collect()
    }

    fn at_most(intervals: usize) -> Bounds {
        Bounds {
            intervals,
            bytes: u64::MAX,
        }
    }

    #[test]
    fn the_oldest_of_the_shortest_are_merged_first() {
        assert_eq!(levels(4, at_most(4)), [0, 0, 0, 0]);
        assert_eq!(levels(5, at_most(4)), [1, 0, 0, 0]);
        assert_eq!(levels(6, at_most(4)), [1, 1, 0, 0]);
        assert_eq!(levels(8, at_most(4)), [1, 1, 1, 1]);
        assert_eq!(levels(9, at_most(4)), [2, 1, 1, 0]);
    }

    #[test]
    fn hours_stay_evenly_divided() {
        let levels = levels(6 * 3600, at_most(512));
        assert!(levels.len() <= 512);
        assert_eq!(levels[..500].iter().max(), Some(&6), "a minute each");
        assert_eq!(levels[..500].iter().min(), Some(&5), "half a minute each");
    }

    #[test]
    fn much_in_few_intervals_is_merged_but_not_into_one() {
        let bounds = Bounds {
            intervals: 512,
            bytes: 20,
        };
        assert_eq!(levels(100, bounds).len(), 20);
        let bounds = Bounds { bytes: 0, ..bounds };
        assert_eq!(levels(100, bounds).len(), FEWEST);
    }
}
