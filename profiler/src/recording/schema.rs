//! The tables of a recording and the numbers that mark the file.

/// The mark of a recording in the header of an `SQLite` file: `heap`.
pub(super) const APPLICATION_ID: i64 = 0x6865_6170;

/// The format that this heaptide writes, and the newest that it reads. It reads all before it, too:
/// in format 1 no object was larger than 512 bytes.
pub(super) const FORMAT: i64 = 5;

/// The tables by name, each with the statement that creates it: those of the first format.
///
/// `SQLite` keeps these texts in the file. The reader wants to find them unchanged, so that a
/// forged or broken schema cannot make it run anything but plain reads of plain tables.
const FIRST_TABLES: [(&str, &str); 10] = [
    (
        "meta",
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    ),
    (
        "frame",
        "CREATE TABLE frame (id INTEGER PRIMARY KEY, function TEXT NOT NULL, file TEXT NOT NULL, \
         line INTEGER NOT NULL)",
    ),
    (
        "stack",
        "CREATE TABLE stack (id INTEGER PRIMARY KEY, caller INTEGER NOT NULL, \
         frame INTEGER NOT NULL)",
    ),
    (
        "process",
        "CREATE TABLE process (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, inner_pid INTEGER, \
         parent INTEGER NOT NULL, command TEXT NOT NULL, python TEXT, \
         started_ns INTEGER NOT NULL, ended_ns INTEGER)",
    ),
    (
        "interval",
        "CREATE TABLE interval (id INTEGER PRIMARY KEY, start_ns INTEGER NOT NULL, \
         end_ns INTEGER NOT NULL)",
    ),
    (
        "change",
        "CREATE TABLE change (interval INTEGER NOT NULL, process INTEGER NOT NULL, \
         stack INTEGER NOT NULL, meter TEXT NOT NULL, bytes_in INTEGER NOT NULL, \
         count_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, count_out INTEGER NOT NULL, \
         samples INTEGER NOT NULL, PRIMARY KEY (interval, process, stack, meter)) WITHOUT ROWID",
    ),
    (
        "census",
        "CREATE TABLE census (interval INTEGER NOT NULL, process INTEGER NOT NULL, \
         time_ns INTEGER NOT NULL, rss INTEGER NOT NULL, pss INTEGER, uss INTEGER, \
         anonymous INTEGER, swap INTEGER, threads INTEGER NOT NULL, cpu_ns INTEGER NOT NULL, \
         pymalloc_live INTEGER, pymalloc_arenas INTEGER, probe_runs INTEGER NOT NULL, \
         probe_cost_ns INTEGER NOT NULL, blocks_observed_ns INTEGER NOT NULL, \
         pools_observed_ns INTEGER NOT NULL, objects_observed_ns INTEGER NOT NULL, \
         object_windows INTEGER NOT NULL, \
         size_classes TEXT, \
         PRIMARY KEY (interval, process, time_ns)) WITHOUT ROWID",
    ),
    (
        "lifecycle",
        "CREATE TABLE lifecycle (interval INTEGER NOT NULL, position INTEGER NOT NULL, \
         process INTEGER NOT NULL, time_ns INTEGER NOT NULL, kind TEXT NOT NULL, \
         PRIMARY KEY (interval, position)) WITHOUT ROWID",
    ),
    (
        "loss",
        "CREATE TABLE loss (interval INTEGER NOT NULL, reason TEXT NOT NULL, \
         times INTEGER NOT NULL, PRIMARY KEY (interval, reason)) WITHOUT ROWID",
    ),
    (
        "survivor",
        "CREATE TABLE survivor (process INTEGER NOT NULL, stack INTEGER NOT NULL, \
         meter TEXT NOT NULL, born_ns INTEGER NOT NULL, bytes INTEGER NOT NULL, \
         count INTEGER NOT NULL, PRIMARY KEY (process, stack, meter, born_ns)) WITHOUT ROWID",
    ),
];

/// What the second format has besides. It also knows meters of copied pages.
const SECOND_TABLES: [(&str, &str); 2] = [
    (
        "allocator",
        "CREATE TABLE allocator (interval INTEGER NOT NULL, process INTEGER NOT NULL, \
         time_ns INTEGER NOT NULL, python_arenas INTEGER, python_held INTEGER, \
         python_resident INTEGER, python_live INTEGER, python_sparse_arenas INTEGER, \
         python_sparse_held INTEGER, python_sparse_live INTEGER, main_held INTEGER, \
         main_free INTEGER, main_top INTEGER, main_absent INTEGER, main_returnable INTEGER, \
         thread_arenas INTEGER, thread_held INTEGER, thread_free INTEGER, thread_top INTEGER, \
         thread_absent INTEGER, thread_returnable INTEGER, unseen INTEGER, \
         PRIMARY KEY (interval, process, time_ns)) WITHOUT ROWID",
    ),
    (
        "sharing",
        "CREATE TABLE sharing (interval INTEGER NOT NULL, process INTEGER NOT NULL, \
         time_ns INTEGER NOT NULL, parent INTEGER NOT NULL, shared INTEGER NOT NULL, \
         copied INTEGER NOT NULL, own INTEGER NOT NULL, \
         PRIMARY KEY (interval, process, time_ns)) WITHOUT ROWID",
    ),
];

/// What the third format has besides.
const SERIES_TABLES: [(&str, &str); 2] = [
    (
        "socket",
        "CREATE TABLE socket (interval INTEGER NOT NULL, process INTEGER NOT NULL, \
         time_ns INTEGER NOT NULL, descriptors INTEGER, listeners INTEGER, accepts INTEGER, \
         receives INTEGER, received_bytes INTEGER, messages INTEGER, \
         PRIMARY KEY (interval, process, time_ns)) WITHOUT ROWID",
    ),
    (
        "cgroup",
        "CREATE TABLE cgroup (interval INTEGER NOT NULL, path TEXT NOT NULL, \
         time_ns INTEGER NOT NULL, current INTEGER NOT NULL, reclaimable INTEGER NOT NULL, \
         max INTEGER, high INTEGER, PRIMARY KEY (interval, path, time_ns)) WITHOUT ROWID",
    ),
];

/// The format from which on there are series of sockets and control groups.
pub(super) const HAS_SERIES: i64 = 3;

/// What the fourth format has besides.
const THREAD_TABLES: [(&str, &str); 2] = [
    (
        "thread",
        "CREATE TABLE thread (process INTEGER NOT NULL, tid INTEGER NOT NULL, name TEXT NOT NULL, \
         PRIMARY KEY (process, tid)) WITHOUT ROWID",
    ),
    (
        "thread_stack",
        "CREATE TABLE thread_stack (process INTEGER NOT NULL, stack INTEGER NOT NULL, \
         tid INTEGER NOT NULL, seen INTEGER NOT NULL, \
         PRIMARY KEY (process, stack, tid)) WITHOUT ROWID",
    ),
];

/// The format from which on it is known which threads were seen.
pub(super) const HAS_THREADS: i64 = 4;

/// What the fifth format has besides.
const RECKONED_TABLES: [(&str, &str); 1] = [(
    "reckoned",
    "CREATE TABLE reckoned (process INTEGER NOT NULL, stack INTEGER NOT NULL, \
     shown_bytes INTEGER NOT NULL, reckoned_bytes INTEGER NOT NULL, \
     PRIMARY KEY (process, stack)) WITHOUT ROWID",
)];

/// The format from which on it is known how long each kind of work lasted.
pub(super) const HAS_RECKONED: i64 = 5;

/// The tables that a file of this format has.
pub(super) fn tables(format: i64) -> impl Iterator<Item = (&'static str, &'static str)> {
    let second = SECOND_TABLES.into_iter().filter(move |_| format >= 2);
    let series = SERIES_TABLES.into_iter();
    let series = series.filter(move |_| format >= HAS_SERIES);
    let threads = THREAD_TABLES.into_iter();
    let threads = threads.filter(move |_| format >= HAS_THREADS);
    let reckoned = RECKONED_TABLES.into_iter();
    let reckoned = reckoned.filter(move |_| format >= HAS_RECKONED);
    let first = FIRST_TABLES.into_iter();
    (first.chain(second).chain(series))
        .chain(threads)
        .chain(reckoned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_reads_heap() {
        assert_eq!(
            u32::try_from(APPLICATION_ID).unwrap().to_be_bytes(),
            *b"heap"
        );
    }

    #[test]
    fn the_format_is_documented_column_by_column() {
        let document = include_str!("../../../docs/recording-format.md");
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        for (table, sql) in tables(FORMAT) {
            connection.execute_batch(sql).unwrap();
            let heading = format!("### `{table}`");
            let section = document.split_once(&heading).expect(table).1;
            let section = section.split("\n## ").next().unwrap();
            let section = section.split("\n### ").next().unwrap();
            let query = format!("SELECT * FROM {table}");
            for column in connection.prepare(&query).unwrap().column_names() {
                assert!(
                    section.contains(&format!("| `{column}` |")),
                    "{table}.{column}"
                );
            }
        }
    }
}
