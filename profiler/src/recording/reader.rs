//! Reading a recording: finished ones, those of a killed heaptide, and those still being written.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    RecordingError,
    checked::Fault,
    create::beside,
    facts, schema,
    tables::{self, Intervals},
    threads,
};
use crate::profile::Recorded;

/// How every `SQLite` file starts.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// How long the header of an `SQLite` file is.
const HEADER: u64 = 100;

/// Reads a recording, but for which threads were seen. Nothing in the file is believed: whatever
/// its bytes are, this returns.
pub fn read(path: &Path) -> Result<Recorded, RecordingError> {
    read_by(path, |connection, reopen| read_from(connection, reopen))
}

/// Reads all of a recording.
pub fn read_with_threads(path: &Path) -> Result<Recorded, RecordingError> {
    read_by(path, |connection, reopen| {
        let mut recorded = read_from(connection, reopen)?;
        if check_kind(connection)? >= schema::HAS_THREADS {
            recorded.threads = threads::read(connection, &recorded)?;
        }
        Ok(recorded)
    })
}

/// Opens the file once more.
type Reopen<'a> = &'a dyn Fn() -> Option<Connection>;

fn read_by(
    path: &Path,
    read: impl FnOnce(&Connection, Reopen<'_>) -> Result<Recorded, Fault>,
) -> Result<Recorded, RecordingError> {
    check_start(path)?;
    // Names like `:memory:` and `file:x` mean something else to SQLite.
    let absolute = std::path::absolute(path).unwrap_or_else(|_no_folder| path.to_owned());
    open(&absolute)
        .map_err(Fault::from)
        .and_then(|connection| read(&connection, &|| open(&absolute).ok()))
        .map_err(|fault| fault.at(path))
}

/// Looks at the first bytes, because `SQLite` would take an empty file for an empty database.
fn check_start(path: &Path) -> Result<(), RecordingError> {
    let not_readable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => RecordingError::NotFound {
            path: path.to_owned(),
        },
        _ => RecordingError::NotReadable {
            path: path.to_owned(),
            source: source.into(),
        },
    };
    let is_not = |what| {
        Err(RecordingError::NotARecording {
            path: path.to_owned(),
            what,
        })
    };
    let metadata = path.metadata().map_err(not_readable)?;
    if metadata.is_dir() {
        return is_not("it is a folder");
    }
    if !metadata.is_file() {
        return is_not("it is not a file");
    }
    let mut start = Vec::new();
    let mut file = File::open(path).map_err(not_readable)?.take(HEADER);
    file.read_to_end(&mut start).map_err(not_readable)?;
    if start.is_empty() {
        return is_not("it is empty");
    }
    if !start.starts_with(MAGIC) {
        return is_not("it is not an SQLite file");
    }
    // SQLite reads zeros where the last page is cut. A log may hold the page once more.
    if metadata.len() % page_size(&start) != 0 && !beside(path, "-wal").exists() {
        return Err(RecordingError::Damaged {
            path: path.to_owned(),
            what: "it is cut short".to_owned(),
        });
    }
    Ok(())
}

/// The size of a page as the header of an `SQLite` file tells it.
fn page_size(header: &[u8]) -> u64 {
    match header.get(16..18) {
        Some(&[0, 1]) => 65_536,
        Some(&[high, low]) => u64::from(u16::from_be_bytes([high, low]).max(1)),
        _ => u64::MAX,
    }
}

/// Opens a file and begins to read, so that all queries see the same moment of it.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    match connect(path.to_owned(), OpenFlags::empty()) {
        // With a `-wal` file but without a way to lock, on read-only media for example: what is
        // in the main file can be read all the same.
        Err(error) if cannot_lock(&error) => {
            connect(immutable(path), OpenFlags::SQLITE_OPEN_URI).map_err(|_worse| error)
        }
        opened => opened,
    }
}

fn cannot_lock(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure)
    )
}

fn connect(path: PathBuf, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; BEGIN; \
         SELECT count(*) FROM sqlite_schema;",
    )?;
    Ok(connection)
}

/// The path as a URI that tells `SQLite` that nobody changes the file.
fn immutable(path: &Path) -> PathBuf {
    let mut uri = "file://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a string takes everything");
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}

fn read_from(connection: &Connection, reopen: Reopen<'_>) -> Result<Recorded, Fault> {
    let format = check_kind(connection)?;
    let mut recorded = Recorded {
        facts: facts::read(connection)?,
        processes: tables::processes(connection)?,
        ..Recorded::default()
    };
    let mut intervals = Intervals::read(connection, recorded.processes.len())?;
    let changes = intervals.changes(tables::stack_count(connection)?);
    // Of a file that is still being written, a second connection may see more.
    let second = recorded.facts.complete.then(reopen).flatten();
    thread::scope(|scope| {
        let changes = &changes;
        let others = second.map(|second| scope.spawn(move || changes.read(&second)));
        recorded.stacks = tables::stacks(connection)?;
        recorded.survivors = tables::survivors(connection, &recorded)?;
        let mut totals = changes.read(connection)?;
        if let Some(others) = others {
            let others = others.join().unwrap_or_else(|panic| resume_unwind(panic));
            totals.add(others?.sum())?;
        }
        Ok::<_, Fault>(())
    })?;
    drop(changes);
    if format >= schema::HAS_RECKONED {
        recorded.reckoned = tables::reckoned(connection, &recorded)?;
    }
    recorded.intervals = intervals.fill(connection, format)?;
    if !recorded.facts.complete {
        let last = recorded.intervals.last();
        recorded.facts.duration = last.map(|interval| interval.end).unwrap_or_default();
    }
    Ok(recorded)
}

/// Checks the marks of the file, and that its tables are those that this heaptide knows. Returns
/// its format.
fn check_kind(connection: &Connection) -> Result<i64, Fault> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    if number("PRAGMA application_id")? != schema::APPLICATION_ID {
        return Err(Fault::NotARecording("it belongs to another program"));
    }
    let format = number("PRAGMA user_version")?;
    if format > schema::FORMAT {
        return Err(Fault::FromNewer(format));
    }
    if format < 1 {
        return Err(Fault::Damaged(format!("there is no format {format}")));
    }
    let mut statement = connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 AND sql = ?2")?;
    for (table, sql) in schema::tables(format) {
        if !statement.exists([table, sql])? {
            return Err(Fault::Damaged(format!(
                "table {table} is missing or altered"
            )));
        }
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::{
        super::{Writer, test_data::*},
        *,
    };
    use crate::profile::{Remains, Threads};

    /// The bytes of a small finished recording.
    fn recording() -> Vec<u8> {
        let (_folder, path) = place();
        let mut writer = Writer::create(&path, false, &facts()).unwrap();
        for second in 0..8 {
            let interval = interval(second, 60, 100);
            writer
                .append(&interval, &[process(1)], &stacks(100))
                .unwrap();
        }
        writer.finish(&facts(), &remains()).unwrap();
        fs::read(&path).unwrap()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Recorded, RecordingError> {
        let (_folder, path) = place();
        fs::write(&path, bytes).unwrap();
        read(&path)
    }

    /// Reads a good recording after a change by SQL.
    #[track_caller]
    fn read_after(sql: &str) -> RecordingError {
        let (_folder, path) = place();
        fs::write(&path, recording()).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        read(&path).map(|_| sql).unwrap_err()
    }

    #[track_caller]
    fn check_damaged(sql: &str, expected: &str) {
        let error = read_after(sql);
        let RecordingError::Damaged { what, .. } = &error else {
            panic!("{error}");
        };
        assert!(what.contains(expected), "{what}");
    }

    #[test]
    fn what_is_no_recording_is_told_from_one() {
        let (folder, path) = place();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, RecordingError::NotFound { .. }));
        assert!(error.to_string().contains("a service's.heaptide"));
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, RecordingError::NotARecording { .. }));
        for (bytes, what) in [
            (b"".as_slice(), "empty"),
            (b"SQLite", "not an SQLite file"),
            (b"import os\nprint(os.getpid())\n", "not an SQLite file"),
        ] {
            let error = read_bytes(bytes).unwrap_err();
            assert!(matches!(error, RecordingError::NotARecording { .. }));
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn another_programs_database_is_no_recording() {
        let error = read_after("PRAGMA application_id = 0");
        assert!(matches!(error, RecordingError::NotARecording { .. }));
    }

    #[test]
    fn a_newer_format_is_refused_by_its_number() {
        let error = read_after("PRAGMA user_version = 7");
        let numbers = match error {
            RecordingError::FromNewer { found, known, .. } => (found, known),
            other => panic!("{other}"),
        };
        assert_eq!(numbers, (7, schema::FORMAT));
    }

    #[test]
    fn a_file_of_the_first_format_is_read() {
        let (_folder, path) = place();
        fs::write(&path, recording()).unwrap();
        let connection = Connection::open(&path).unwrap();
        let older = [
            "DROP TABLE thread; DROP TABLE thread_stack; PRAGMA user_version = 3",
            "DROP TABLE socket; DROP TABLE cgroup; PRAGMA user_version = 2; \
             DELETE FROM meta WHERE key = 'traffic'",
        ];
        for older in older {
            connection.execute_batch(older).unwrap();
            let recorded = read_with_threads(&path).unwrap();
            assert_eq!(recorded.threads, Threads::default());
        }
        drop(connection);
        let recorded = read(&path).unwrap();
        assert_eq!(recorded.intervals.len(), 8);
        let is_bare = |interval: &crate::profile::Interval| {
            interval.cgroups.is_empty() && interval.censuses[0].sockets.accepts.is_none()
        };
        assert!(recorded.intervals.iter().all(is_bare));
        assert!(recorded.intervals.iter().any(|it| !it.sharings.is_empty()));
        let set = |sql: &str| {
            let connection = Connection::open(&path).unwrap();
            connection.execute_batch(sql).unwrap();
        };
        set(
            "DROP TABLE allocator; DROP TABLE sharing; PRAGMA user_version = 1; \
             DELETE FROM change WHERE meter LIKE 'copied%'",
        );
        let recorded = read(&path).unwrap();
        assert!(recorded.intervals.iter().all(|it| it.sharings.is_empty()));
        set("PRAGMA user_version = 0");
        let error = read(&path).unwrap_err();
        assert!(matches!(error, RecordingError::Damaged { .. }), "{error}");
    }

    #[test]
    fn dangling_ids_are_damage() {
        check_damaged("UPDATE OR REPLACE change SET stack = 9999", "table change");
        check_damaged("UPDATE OR REPLACE change SET process = 1", "table change");
        check_damaged("UPDATE reckoned SET stack = 9999", "table reckoned");
        check_damaged("UPDATE reckoned SET process = 1", "table reckoned");
        check_damaged("UPDATE reckoned SET shown_bytes = -1", "shown_bytes");
        check_damaged("DELETE FROM interval WHERE id = 3", "interval");
        check_damaged("UPDATE stack SET caller = id", "caller");
        check_damaged("UPDATE stack SET frame = 4000 WHERE id = 2", "frame");
        check_damaged("DELETE FROM frame WHERE id = 5", "table frame");
        check_damaged("DELETE FROM process", "process");
    }

    #[test]
    fn impossible_numbers_and_names_are_damage() {
        check_damaged("UPDATE change SET bytes_in = -1", "bytes_in");
        check_damaged("UPDATE change SET samples = 1e300", "samples");
        check_damaged(
            "UPDATE change SET count_in = 9223372036854775807",
            "count_in",
        );
        check_damaged("UPDATE OR REPLACE change SET meter = 'guess'", "meter");
        check_damaged("UPDATE census SET rss = 'much'", "rss");
        check_damaged("UPDATE socket SET accepts = -1", "accepts");
        check_damaged("UPDATE OR REPLACE socket SET process = 1", "table socket");
        check_damaged("UPDATE socket SET time_ns = time_ns + 1", "table socket");
        check_damaged("UPDATE cgroup SET current = 'much'", "current");
        check_damaged("UPDATE cgroup SET interval = 99", "table cgroup");
        check_damaged("UPDATE process SET pid = 5000000000", "pid");
        check_damaged("UPDATE frame SET function = x'ff' WHERE id = 1", "function");
        check_damaged(
            "UPDATE frame SET function = CAST(x'ff' AS TEXT) WHERE id = 1",
            "function",
        );
        check_damaged("UPDATE interval SET end_ns = 1 WHERE id = 4", "end_ns");
        check_damaged("UPDATE interval SET start_ns = 0 WHERE id = 4", "start_ns");
        check_damaged(
            "UPDATE loss SET reason = 'bad luck' WHERE interval = 2",
            "reason",
        );
        check_damaged("UPDATE lifecycle SET kind = ''", "kind");
        check_damaged(
            "UPDATE meta SET value = 'x' WHERE key = 'duration_ns'",
            "duration_ns",
        );
    }

    #[test]
    fn sums_that_overflow_are_damage() {
        // Each value is possible, but not all of them at once.
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000) \
                   INSERT INTO interval SELECT i + 100, 8000000000, 8000000000 FROM n; \
                   INSERT INTO change SELECT id, 0, 1, 'block', 1 << 50, 1, 1, 1, 1 \
                   FROM interval WHERE id > 100";
        check_damaged(sql, "larger than any memory");
    }

    #[test]
    fn a_schema_that_was_tampered_with_is_not_run() {
        let sql = "ALTER TABLE loss RENAME TO other; \
                   CREATE VIEW loss AS SELECT * FROM other";
        check_damaged(sql, "table loss is missing");
        check_damaged(
            "ALTER TABLE frame ADD COLUMN x",
            "table frame is missing or altered",
        );
    }

    #[test]
    fn names_that_mean_something_to_sqlite_are_file_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in [":memory:", "file:x?mode=memory", "100 % süß?.heaptide"] {
            let path = folder.path().join(name);
            Writer::create(&path, false, &facts())
                .unwrap()
                .finish(&facts(), &Remains::default())
                .unwrap();
            assert_eq!(read(&path).unwrap().facts, facts());
            let connection = connect(immutable(&path), OpenFlags::SQLITE_OPEN_URI).unwrap();
            assert_eq!(read_from(&connection, &|| None).unwrap().facts, facts());
        }
    }

    #[test]
    fn a_truncated_recording_is_damaged() {
        let bytes = recording();
        for length in [
            16,
            100,
            4095,
            4096,
            bytes.len() / 2,
            bytes.len() - 4096,
            bytes.len() - 1,
        ] {
            let error = read_bytes(&bytes[..length]).map(|_| length).unwrap_err();
            assert!(
                matches!(error, RecordingError::Damaged { .. }),
                "{length}: {error}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn no_bytes_make_the_reader_panic(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
            length in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = SMALL.with(Clone::clone);
            for (position, value) in flips {
                let position = position.index(bytes.len());
                bytes[position] = value;
            }
            if let Some(length) = length {
                bytes.truncate(length.index(bytes.len()));
            }
            if let Ok(recorded) = read_bytes(&bytes) {
                for change in recorded.intervals.iter().flat_map(|one| &one.changes) {
                    recorded.process(change.process);
                    prop_assert!(recorded.stacks.frames_of(change.stack).count() < 1000);
                }
            }
        }
    }

    thread_local! {
        static SMALL: Vec<u8> = recording();
    }
}
