//! Writing a recording, an interval at a time.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode};

use super::{
    RecordingError,
    checked::stored_time,
    create::{claim, prepare},
    facts,
    merge::merge,
    rows, threads,
    timeline::{Bounds, Timeline},
};
use crate::profile::{Facts, Interval, ProcessRecord, Remains, StackTable};

/// How many pairs of intervals one append may merge: more than one only when a recording holds
/// much in few intervals.
const MERGES_PER_APPEND: usize = 4;

/// A recording that is being written.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    connection: Connection,
    written: Written,
    timeline: Timeline,
    bounds: Bounds,
    /// When the first census of each process was, which merging keeps.
    first_censuses: HashMap<u32, i64>,
}

/// What the file holds for certain. An append that fails leaves it as it is, so that the next one
/// writes what is still missing.
#[derive(Clone, Debug, Default)]
struct Written {
    frames: u32,
    /// With the root, which has no row.
    stacks: u32,
    processes: Vec<ProcessRecord>,
    intervals: i64,
    lifecycles: i64,
}

impl Writer {
    /// Creates a recording. A file of this name is refused, or with `force` replaced; anything
    /// else of this name is refused in any case.
    pub fn create(path: &Path, force: bool, facts: &Facts) -> Result<Self, RecordingError> {
        claim(path, force)?;
        let connection = prepare(path, facts).map_err(|source| {
            // Nothing of worth is in it, and the error says more than an empty file.
            let _still_there: io::Result<()> = fs::remove_file(path);
            RecordingError::NotWritten {
                path: path.to_owned(),
                source,
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            connection,
            written: Written::default(),
            timeline: Timeline::default(),
            bounds: Bounds::default(),
            first_censuses: HashMap::new(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an interval, with the processes and the stacks that the file does not hold yet: all of
    /// it or nothing. After a failure the writer can be used as before, and the next interval
    /// brings along the processes and stacks of the failed one.
    pub fn append(
        &mut self,
        interval: &Interval,
        processes: &[ProcessRecord],
        stacks: &StackTable,
    ) -> Result<(), RecordingError> {
        self.written = self
            .write(interval, processes, stacks)
            .map_err(|source| self.not_written(source))?;
        let bytes = rows::bytes(interval.changes.len(), interval.censuses.len());
        self.timeline.push(self.written.intervals, bytes);
        for census in &interval.censuses {
            let time = stored_time(census.time);
            self.first_censuses.entry(census.process.0).or_insert(time);
        }
        self.shrink();
        Ok(())
    }

    fn write(
        &mut self,
        interval: &Interval,
        processes: &[ProcessRecord],
        stacks: &StackTable,
    ) -> rusqlite::Result<Written> {
        let before = &self.written;
        let after = Written {
            frames: count(stacks.frame_count()),
            stacks: count(stacks.stack_count()),
            processes: processes.to_vec(),
            intervals: before.intervals + 1,
            lifecycles: before
                .lifecycles
                .saturating_add_unsigned(interval.lifecycles.len() as u64),
        };
        let transaction = self.connection.transaction()?;
        rows::frames(&transaction, stacks, before.frames..after.frames)?;
        rows::stacks(&transaction, stacks, before.stacks..after.stacks)?;
        for (id, process) in processes.iter().enumerate() {
            if before.processes.get(id) != Some(process) {
                rows::process(&transaction, id, process)?;
            }
        }
        rows::interval(&transaction, after.intervals, interval, before.lifecycles)?;
        transaction.commit()?;
        Ok(after)
    }

    /// Merges intervals while there are too many. If that fails, nothing is lost: the next append
    /// tries again.
    fn shrink(&mut self) {
        for _ in 0..MERGES_PER_APPEND {
            let Some(pair) = self.timeline.next_merge(self.bounds) else {
                return;
            };
            let merged = self.connection.transaction().and_then(|transaction| {
                let bytes = merge(&transaction, pair.first, pair.second, &self.first_censuses)?;
                transaction.commit()?;
                Ok(bytes)
            });
            match merged {
                Ok(bytes) => self.timeline.merged(pair, bytes),
                Err(error) => {
                    tracing::warn!(%error, "cannot merge intervals of the recording");
                    return;
                }
            }
        }
    }

    /// Frees what the file that `SQLite` keeps beside the main one takes, for which there may be
    /// better use on a full disk.
    pub fn make_room(&self) {
        // Where even that is not possible, the next attempt to write says so.
        let _frames: rusqlite::Result<i64> = checkpoint(&self.connection);
    }

    /// Completes the recording: writes what is known at the end, and makes one plain file of it.
    ///
    /// If that fails, the file still holds all that was appended, and says that it is incomplete.
    /// It says so too if the facts do, because something could not be appended.
    pub fn finish(mut self, facts: &Facts, remains: &Remains) -> Result<(), RecordingError> {
        let is_plain = self
            .complete(facts, remains)
            .map_err(|source| self.not_written(source))?;
        if is_plain {
            Ok(())
        } else {
            Err(RecordingError::StillRead { path: self.path })
        }
    }

    fn complete(&mut self, facts: &Facts, remains: &Remains) -> rusqlite::Result<bool> {
        // First the step that needs most space: should it fail, the facts say so.
        let is_plain = leave_wal(&self.connection)?;
        let transaction = self.connection.transaction()?;
        facts::write(&transaction, facts)?;
        rows::survivors(&transaction, &remains.survivors)?;
        rows::reckoned(&transaction, &remains.reckoned)?;
        threads::write(&transaction, &remains.threads)?;
        transaction.commit()?;
        Ok(is_plain)
    }

    fn not_written(&self, source: rusqlite::Error) -> RecordingError {
        RecordingError::NotWritten {
            path: self.path.clone(),
            source,
        }
    }
}

/// Stack and frame ids are 32 bits wide.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Moves what can be moved into the main file. This waits for readers, for a while.
fn checkpoint(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
}

/// Moves everything into the main file; `false` if a reader is in the way.
fn leave_wal(connection: &Connection) -> rusqlite::Result<bool> {
    let _frames: i64 = checkpoint(connection)?;
    let journal: rusqlite::Result<String> =
        connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0));
    match journal {
        Ok(mode) => Ok(mode == "delete"),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use profiler_common::loss::Loss;

    use super::{
        super::{create::beside, read, read_with_threads, test_data::*},
        *,
    };
    use crate::profile::{Metered, Recorded};

    fn sum(intervals: &[Interval], meter: Metered) -> [u64; 3] {
        let changes = intervals.iter().flat_map(|interval| &interval.changes);
        changes
            .filter(|change| change.meter == meter)
            .map(|change| change.counters)
            .fold([0; 3], |[bytes, out, samples], counters| {
                let bytes = bytes + counters.bytes_in;
                [bytes, out + counters.bytes_out, samples + counters.samples]
            })
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let (_folder, path) = place();
        let mut writer = Writer::create(&path, false, &facts()).unwrap();
        let (stacks, intervals) = (stacks(40), [interval(0, 30, 40), interval(1, 30, 40)]);
        let mut processes = vec![process(4711)];
        writer.append(&intervals[0], &processes, &stacks).unwrap();
        processes[0].ended = Some(Duration::from_secs(2));
        processes.push(process(4712));
        writer.append(&intervals[1], &processes, &stacks).unwrap();
        writer.finish(&facts(), &remains()).unwrap();
        let recorded = read_with_threads(&path).unwrap();
        assert_eq!(recorded.facts, facts());
        assert_eq!(recorded.processes, processes);
        assert_eq!(recorded.intervals, intervals);
        assert_eq!(recorded.reckoned, remains().reckoned);
        assert_eq!(recorded.threads, remains().threads);
        assert_eq!(recorded.stacks.stack_count(), stacks.stack_count());
        let last = crate::profile::StackId(40);
        let frame = |table: &StackTable| {
            let (frame, caller) = table.innermost(last).unwrap();
            (table.frame(frame).clone(), caller)
        };
        assert_eq!(frame(&recorded.stacks), frame(&stacks));
    }

    #[test]
    fn one_plain_file_remains() {
        let (folder, path) = place();
        let mut writer = Writer::create(&path, false, &facts()).unwrap();
        writer
            .append(&interval(0, 3, 3), &[process(1)], &stacks(3))
            .unwrap();
        assert!(beside(&path, "-wal").exists());
        writer.finish(&facts(), &Remains::default()).unwrap();
        let names: Vec<_> = folder.path().read_dir().unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[test]
    fn an_existing_file_is_replaced_by_force_alone() {
        let (_folder, path) = place();
        fs::write(&path, "precious").unwrap();
        fs::write(beside(&path, "-wal"), "stale").unwrap();
        let refused = Writer::create(&path, false, &facts()).unwrap_err();
        assert!(matches!(refused, RecordingError::AlreadyExists { .. }));
        assert!(refused.to_string().contains("a service's.heaptide"));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let writer = Writer::create(&path, true, &facts()).unwrap();
        writer.finish(&facts(), &Remains::default()).unwrap();
        assert_eq!(read(&path).unwrap().facts, facts());
    }

    #[test]
    fn folders_and_devices_are_never_replaced() {
        let (folder, _) = place();
        for path in [folder.path(), Path::new("/dev/null")] {
            let refused = Writer::create(path, true, &facts()).unwrap_err();
            assert!(matches!(refused, RecordingError::NotAFile { .. }));
            assert!(path.exists());
        }
    }

    #[test]
    fn a_missing_or_unwritable_folder_is_named() {
        let (folder, _) = place();
        let path = folder.path().join("none/x.heaptide");
        let refused = Writer::create(&path, false, &facts()).unwrap_err();
        assert!(matches!(refused, RecordingError::NoFolder { .. }));
        // Not even root may create files there.
        let path = Path::new("/sys/x.heaptide");
        let refused = Writer::create(path, false, &facts()).unwrap_err();
        assert!(matches!(refused, RecordingError::FolderNotWritable { .. }));
        assert!(refused.to_string().contains("/sys/x.heaptide"));
    }

    #[test]
    fn an_interval_after_a_full_disk_brings_the_stacks_along() {
        let (_folder, path) = place();
        let mut writer = Writer::create(&path, false, &facts()).unwrap();
        let processes = [process(1)];
        writer
            .connection
            .pragma_update(None, "max_page_count", 1)
            .unwrap();
        let failed = writer.append(&interval(0, 500, 2000), &processes, &stacks(2000));
        assert!(matches!(failed, Err(RecordingError::NotWritten { .. })));
        writer
            .connection
            .pragma_update(None, "max_page_count", 1_000_000)
            .unwrap();
        let second = interval(1, 500, 2000);
        writer.append(&second, &processes, &stacks(2000)).unwrap();
        writer.finish(&facts(), &Remains::default()).unwrap();
        let recorded = read(&path).unwrap();
        assert_eq!(recorded.intervals, [second]);
        assert_eq!(recorded.stacks.stack_count(), 2002);
        assert_eq!(recorded.processes, processes);
    }

    #[test]
    fn a_recording_that_cannot_be_completed_says_so() {
        let (_folder, path) = place();
        let mut writer = Writer::create(&path, false, &facts()).unwrap();
        let first = interval(0, 3, 3);
        writer.append(&first, &[process(1)], &stacks(3)).unwrap();
        writer
            .connection
            .pragma_update(None, "max_page_count", 1)
            .unwrap();
        let too_large = Facts {
            notes: vec!["x".repeat(100_000)],
            ..facts()
        };
        let failed = writer.finish(&too_large, &Remains::default());
        assert!(matches!(failed, Err(RecordingError::NotWritten { .. })));
        let recorded = read(&path).unwrap();
        assert!(!recorded.facts.complete);
        assert_eq!(recorded.facts.duration, Duration::from_secs(1));
        assert_eq!(recorded.intervals, [first]);
    }

    #[test]
    fn what_lacks_an_interval_is_not_complete() {
        let (_folder, path) = place();
        let writer = Writer::create(&path, false, &facts()).unwrap();
        let lacking = Facts {
            complete: false,
            ..facts()
        };
        writer.finish(&lacking, &Remains::default()).unwrap();
        assert!(!read(&path).unwrap().facts.complete);
    }

    #[test]
    fn a_reader_in_the_way_costs_no_data() {
        let (_folder, path) = place();
        let mut writer = Writer::create(&path, false, &facts()).unwrap();
        writer
            .append(&interval(0, 3, 3), &[process(1)], &stacks(3))
            .unwrap();
        writer.connection.busy_timeout(Duration::ZERO).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM change").unwrap();
        let finished = writer.finish(&facts(), &Remains::default());
        assert!(matches!(finished, Err(RecordingError::StillRead { .. })));
        drop(reader);
        assert!(read(&path).unwrap().facts.complete);
    }

    #[test]
    fn a_killed_writer_leaves_all_but_the_end() {
        let (folder, path) = place();
        let mut writer = Writer::create(&path, false, &facts()).unwrap();
        let intervals = [interval(0, 30, 40), interval(1, 30, 40)];
        for interval in &intervals {
            writer.append(interval, &[process(1)], &stacks(40)).unwrap();
        }
        // While it is being written,
        assert_eq!(read(&path).unwrap().intervals, intervals);
        // and as it lies there when the writer never gets to close it.
        let left = folder.path().join("left");
        fs::copy(&path, &left).unwrap();
        fs::copy(beside(&path, "-wal"), beside(&left, "-wal")).unwrap();
        let recorded = read(&left).unwrap();
        assert!(!recorded.facts.complete);
        assert_eq!(recorded.facts.duration, Duration::from_secs(2));
        assert_eq!(recorded.intervals, intervals);
    }

    #[test]
    fn merging_loses_no_sum_and_no_lifecycle() {
        let (_folder, path) = place();
        let mut writer = Writer::create(&path, false, &facts()).unwrap();
        writer.bounds.intervals = 8;
        let mut intervals: Vec<_> = (0..100).map(|second| interval(second, 40, 60)).collect();
        intervals[41].censuses[0].rss = 1 << 30;
        for interval in &intervals {
            writer.append(interval, &[process(1)], &stacks(60)).unwrap();
        }
        writer.finish(&facts(), &Remains::default()).unwrap();
        let Recorded {
            intervals: merged, ..
        } = read(&path).unwrap();
        assert_eq!(merged.len(), 8);
        for meter in Metered::all() {
            assert_eq!(sum(&merged, meter), sum(&intervals, meter));
        }
        assert!(merged.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(merged[7].end, Duration::from_secs(100));
        let rings = merged.iter().map(|one| one.losses.count(Loss::RingFull));
        assert_eq!(rings.sum::<u64>(), 99);
        let lifecycles = merged.iter().flat_map(|one| &one.lifecycles);
        assert!(lifecycles.eq(intervals.iter().flat_map(|one| &one.lifecycles)));
        let looks: usize = merged.iter().map(|one| one.allocators.len()).sum();
        let shares: usize = merged.iter().map(|one| one.sharings.len()).sum();
        assert!((8..=16).contains(&looks) && looks == shares, "{looks}");
        let first = merged[0].allocators[0].time;
        assert_eq!(first, Duration::from_secs(1), "the first one stays");
        let censuses: Vec<_> = merged.iter().flat_map(|one| &one.censuses).collect();
        assert_eq!(
            censuses.len(),
            8 + 2,
            "the first and the peak besides the last ones"
        );
        assert!(censuses.iter().all(|it| it.sockets.accepts.is_some()));
        let cgroups = merged.iter().map(|one| one.cgroups.len());
        assert!(cgroups.eq([1; 8]), "the last of each");
        assert_eq!(
            censuses.iter().map(|census| census.rss).max(),
            Some(1 << 30)
        );
    }

    /// The size of the file in MB after so many seconds with so many changes each.
    fn busy_megabytes(seconds: u32, changes: u32, stack_count: u32) -> f64 {
        let (_folder, path) = place();
        let mut writer = Writer::create(&path, false, &facts()).unwrap();
        let stacks = stacks(stack_count);
        for second in 0..seconds {
            let interval = interval(second, changes, stack_count);
            writer.append(&interval, &[process(1)], &stacks).unwrap();
        }
        writer.finish(&facts(), &Remains::default()).unwrap();
        let size = fs::metadata(&path).unwrap().len();
        println!("{seconds} s, {changes} changes at {stack_count} stacks: {size} bytes");
        f64::from(u32::try_from(size).unwrap()) / 1e6
    }

    #[test]
    fn ten_busy_minutes_stay_below_50_megabytes() {
        assert!(busy_megabytes(600, 300, 5000) < 50.0);
    }

    #[test]
    #[ignore = "takes a minute"]
    fn hours_stay_below_200_megabytes() {
        assert!(busy_megabytes(600, 1500, 10_000) < 50.0);
        assert!(busy_megabytes(3 * 3600, 300, 20_000) < 200.0);
        assert!(busy_megabytes(3600, 3000, 50_000) < 200.0);
    }
}
