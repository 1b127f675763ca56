//! Which part of a recording a question is about.

use std::time::Duration;

use crate::{
    profile::{Census, Interval, ProcessKey, ProcessRecord, Reckoned, Recorded, Survivor},
    units::Pid,
};

/// A part of a recording; by default all of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Selection {
    /// Only this process.
    pub pid: Option<Pid>,
    /// Only what happened after this, from the start of the recording.
    pub from: Option<Duration>,
    /// Only what happened before this, from the start of the recording.
    pub to: Option<Duration>,
}

/// The part of a recording that a selection stands for.
///
/// An interval belongs to it as a whole or not at all, by its middle: so parts that follow one
/// another share nothing and miss nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    recorded: &'a Recorded,
    pid: Option<Pid>,
    /// What went before.
    before: &'a [Interval],
    /// The selected intervals.
    pub(super) intervals: &'a [Interval],
    /// When it starts.
    pub(super) start: Duration,
    /// When it ends.
    pub(super) end: Duration,
}

impl<'a> Part<'a> {
    /// Selects.
    pub(super) fn new(recorded: &'a Recorded, selection: &Selection) -> Self {
        let all = recorded.intervals.as_slice();
        let middle = |interval: &Interval| (interval.start + interval.end) / 2;
        let before = |time| all.partition_point(|interval| middle(interval) < time);
        let last = selection.to.map_or(all.len(), before);
        let first = selection.from.map_or(0, before).min(last);
        let intervals = &all[first..last];
        let last_end = all.last().map_or(Duration::ZERO, |interval| interval.end);
        let whole = recorded.facts.duration.max(last_end);
        let start = selection.from.map_or(Duration::ZERO, |from| {
            let found = intervals.first().map(|interval| interval.start);
            found.unwrap_or(from.min(whole))
        });
        let end = selection.to.map_or(whole, |to| {
            let found = intervals.last().map(|interval| interval.end);
            found.unwrap_or(to.min(whole))
        });
        Self {
            recorded,
            pid: selection.pid,
            before: &all[..first],
            intervals,
            start,
            end: end.max(start),
        }
    }

    /// How windows showed what was got, in all of the recording.
    pub(super) fn reckoned(&self) -> &'a [Reckoned] {
        &self.recorded.reckoned
    }

    /// What is held at the end of what was got in the part, if the part reaches to the end of a
    /// recording that tells.
    pub(super) fn survivors(&self) -> Option<impl Iterator<Item = &'a Survivor>> {
        let part = *self;
        let all = &self.recorded.survivors;
        let last = self.recorded.intervals.last()?;
        let reaches_end = self.intervals.last().is_some_and(|it| it.end >= last.end);
        (reaches_end && !all.is_empty()).then(|| {
            let is_asked = move |it: &&Survivor| it.born >= part.start && part.has(it.process);
            all.iter().filter(is_asked)
        })
    }

    /// All intervals up to the end of the part.
    pub(super) fn until_end(&self) -> impl Iterator<Item = &'a Interval> + use<'a> {
        self.before.iter().chain(self.intervals)
    }

    /// The number of the interval in which something happened.
    pub(super) fn interval_of(&self, time: Duration) -> usize {
        let after = self.intervals.partition_point(|it| it.end <= time);
        after.min(self.intervals.len().saturating_sub(1))
    }

    /// How long it is.
    pub(super) fn duration(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }

    /// Whether a process is asked for.
    pub(super) fn has(&self, process: ProcessKey) -> bool {
        let record = self.recorded.processes.get(process.0 as usize);
        record.is_some_and(|record| self.pid.is_none_or(|pid| pid == record.pid))
    }

    /// The processes that are asked for and ran during the part.
    pub(super) fn processes(&self) -> impl Iterator<Item = (ProcessKey, &'a ProcessRecord)> {
        let part = *self;
        (0..)
            .map(ProcessKey)
            .zip(&self.recorded.processes)
            .filter(move |(key, record)| {
                let ran = record.started <= part.end
                    && record.ended.is_none_or(|ended| ended >= part.start);
                part.has(*key) && ran
            })
    }

    /// The censuses of each process in the order of time, by the number of its key: the last one
    /// before the part, and those in it.
    pub(super) fn censuses(&self) -> Vec<Vec<&'a Census>> {
        let mut by_process = vec![Vec::new(); self.recorded.processes.len()];
        let asked = |census: &&Census| self.has(census.process);
        for census in (self.before.iter().flat_map(|one| &one.censuses)).filter(asked) {
            by_process[census.process.0 as usize] = vec![census];
        }
        for census in (self.intervals.iter().flat_map(|one| &one.censuses)).filter(asked) {
            by_process[census.process.0 as usize].push(census);
        }
        for censuses in &mut by_process {
            censuses.sort_by_key(|census| census.time);
        }
        by_process
    }
}

#[cfg(test)]
mod tests {
    use super::{super::test_data::*, *};

    fn part(recorded: &Recorded, from: Option<u64>, to: Option<u64>) -> (usize, u64, u64) {
        let selection = Selection {
            pid: None,
            from: from.map(Duration::from_millis),
            to: to.map(Duration::from_millis),
        };
        let part = Part::new(recorded, &selection);
        (
            part.intervals.len(),
            part.start.as_secs(),
            part.end.as_secs(),
        )
    }

    #[test]
    fn nothing_asked_is_all() {
        assert_eq!(part(&recorded(10), None, None), (10, 0, 10));
        assert_eq!(part(&Recorded::default(), None, None), (0, 0, 0));
    }

    #[test]
    fn parts_that_follow_one_another_miss_nothing() {
        let recorded = recorded(10);
        for middle in (0..12_000).step_by(100) {
            let (early, _, end) = part(&recorded, None, Some(middle));
            let (late, start, _) = part(&recorded, Some(middle), None);
            assert_eq!(early + late, 10, "{middle}");
            if early > 0 && late > 0 {
                assert_eq!(start, end);
            }
        }
    }

    #[test]
    fn intervals_belong_by_their_middle() {
        assert_eq!(part(&recorded(10), Some(2400), Some(4600)), (3, 2, 5));
        assert_eq!(part(&recorded(10), Some(2600), Some(4400)), (1, 3, 4));
        assert_eq!(part(&recorded(10), Some(5000), Some(2000)), (0, 5, 5));
        assert_eq!(part(&recorded(10), Some(50_000), None), (0, 10, 10));
    }

    #[test]
    fn the_census_before_a_part_is_its_start() {
        let recorded = recorded(10);
        let selection = Selection {
            from: Some(Duration::from_secs(4)),
            ..Selection::default()
        };
        let censuses = Part::new(&recorded, &selection).censuses();
        let times: Vec<_> = censuses[0].iter().map(|one| one.time.as_secs()).collect();
        assert_eq!(times, [4, 5, 6, 7, 8, 9, 10]);
    }
}
