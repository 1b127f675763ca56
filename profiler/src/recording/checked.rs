//! Numbers and texts on their way into the file and out of it: nothing is believed unchecked.

use std::{path::Path, time::Duration};

use rusqlite::{ErrorCode, Row, ffi, types::ValueRef};

use super::{RecordingError, schema};

/// The largest size or count that one value may have: a pebibyte. So sums stay far from overflow.
const LARGEST: i64 = 1 << 50;

/// The longest time, a hundred years.
const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

/// A size or a count as it is stored; what cannot be is cut.
pub(super) fn stored(value: u64) -> i64 {
    i64::try_from(value).map_or(LARGEST, |value| value.min(LARGEST))
}

/// The same for what may be unknown.
pub(super) fn stored_option(value: Option<u64>) -> Option<i64> {
    value.map(stored)
}

/// A time as it is stored, in nanoseconds.
pub(super) fn stored_time(time: Duration) -> i64 {
    i64::try_from(time.min(LONGEST).as_nanos()).expect("a hundred years fit")
}

/// A stored size or count, if it is possible.
pub(super) fn size(stored: i64) -> Option<u64> {
    u64::try_from(stored).ok().filter(|_| stored <= LARGEST)
}

/// A stored time, if it is possible.
pub(super) fn time(stored: i64) -> Option<Duration> {
    let time = Duration::from_nanos(u64::try_from(stored).ok()?);
    (time <= LONGEST).then_some(time)
}

/// What can be wrong with a file that is read; the path is added at the end.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is something else.
    NotARecording(&'static str),
    /// Its format is a newer one.
    FromNewer(i64),
    /// It is broken.
    Damaged(String),
    /// `SQLite` says something.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Fault {
    /// The error for people.
    pub(super) fn at(self, path: &Path) -> RecordingError {
        let path = path.to_owned();
        match self {
            Self::NotARecording(what) => RecordingError::NotARecording { path, what },
            Self::FromNewer(found) => RecordingError::FromNewer {
                path,
                found,
                known: schema::FORMAT,
            },
            Self::Damaged(what) => RecordingError::Damaged { path, what },
            Self::Sqlite(error) if blames_the_host(&error) => RecordingError::NotReadable {
                path,
                source: error.into(),
            },
            Self::Sqlite(error) => RecordingError::Damaged {
                path,
                what: error.to_string(),
            },
        }
    }
}

/// Whether an error tells of the host and not of the bytes in the file.
fn blames_the_host(error: &rusqlite::Error) -> bool {
    let Some(error) = error.sqlite_error() else {
        return false;
    };
    match error.code {
        ErrorCode::SystemIoFailure => error.extended_code != ffi::SQLITE_IOERR_SHORT_READ,
        ErrorCode::PermissionDenied
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::OutOfMemory
        | ErrorCode::ReadOnly
        | ErrorCode::CannotOpen
        | ErrorCode::FileLockingProtocolFailed => true,
        _ => false,
    }
}

/// A row of a table, of which no value is believed.
pub(super) struct Fields<'row> {
    /// The table, for messages.
    pub(super) table: &'static str,
    /// The row.
    pub(super) row: &'row Row<'row>,
}

impl Fields<'_> {
    /// A size or a count.
    pub(super) fn size(&self, column: usize) -> Result<u64, Fault> {
        size(self.integer(column)?).ok_or_else(|| self.impossible(column))
    }

    /// A size or a count that may be unknown.
    pub(super) fn optional_size(&self, column: usize) -> Result<Option<u64>, Fault> {
        self.optional(column, Self::size)
    }

    /// A small number: a line, a process id.
    pub(super) fn small(&self, column: usize) -> Result<u32, Fault> {
        u32::try_from(self.integer(column)?).map_err(|_too_large| self.impossible(column))
    }

    /// A time.
    pub(super) fn time(&self, column: usize) -> Result<Duration, Fault> {
        time(self.integer(column)?).ok_or_else(|| self.impossible(column))
    }

    /// A value that may be missing.
    pub(super) fn optional<T>(
        &self,
        column: usize,
        read: impl FnOnce(&Self, usize) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        match self.row.get_ref(column)? {
            ValueRef::Null => Ok(None),
            _ => read(self, column).map(Some),
        }
    }

    /// An id: a number below `count`.
    pub(super) fn id(&self, column: usize, count: usize) -> Result<u32, Fault> {
        u32::try_from(self.integer(column)?)
            .ok()
            .filter(|id| (*id as usize) < count)
            .ok_or_else(|| self.impossible(column))
    }

    /// Any number.
    pub(super) fn integer(&self, column: usize) -> Result<i64, Fault> {
        match self.row.get_ref(column)? {
            ValueRef::Integer(number) => Ok(number),
            _ => Err(self.impossible(column)),
        }
    }

    /// A text.
    pub(super) fn text(&self, column: usize) -> Result<&str, Fault> {
        match self.row.get_ref(column)? {
            ValueRef::Text(text) => {
                std::str::from_utf8(text).map_err(|_not_utf8| self.impossible(column))
            }
            _ => Err(self.impossible(column)),
        }
    }

    /// One of a set of names.
    pub(super) fn named<T>(
        &self,
        column: usize,
        from_name: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        from_name(self.text(column)?).ok_or_else(|| self.impossible(column))
    }

    /// The fault that a value is none of those which a recording can hold.
    pub(super) fn impossible(&self, column: usize) -> Fault {
        let name = self.row.as_ref().column_name(column).unwrap_or("?");
        Fault::Damaged(format!("table {} holds an impossible {name}", self.table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_can_be_read() {
        for value in [0, 1, 1 << 50, u64::MAX] {
            assert_eq!(size(stored(value)), Some(value.min(1 << 50)));
        }
        for time_in in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            assert_eq!(time(stored_time(time_in)), Some(time_in.min(LONGEST)));
        }
    }

    #[test]
    fn negative_and_huge_numbers_are_impossible() {
        assert_eq!(size(-1), None);
        assert_eq!(size(LARGEST + 1), None);
        assert_eq!(time(-1), None);
        assert_eq!(time(i64::MAX), None);
    }
}
