//! Creating the file of a recording.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use super::{RecordingError, facts, schema};
use crate::profile::Facts;

/// Makes an empty file that was not there before.
pub(super) fn claim(path: &Path, force: bool) -> Result<(), RecordingError> {
    let owned = || path.to_owned();
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(RecordingError::NotAFile { path: owned() });
        }
        Ok(_) if !force => return Err(RecordingError::AlreadyExists { path: owned() }),
        Ok(_) => fs::remove_file(path).map_err(|source| not_created(path, source))?,
        Err(_absent) => {}
    }
    fs::File::create_new(path).map_err(|source| not_created(path, source))?;
    for suffix in ["-wal", "-shm", "-journal"] {
        // What an earlier recording of this name has left would be taken for a part of this one.
        let _absent: io::Result<()> = fs::remove_file(beside(path, suffix));
    }
    Ok(())
}

fn not_created(path: &Path, source: io::Error) -> RecordingError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => RecordingError::NoFolder { path },
        io::ErrorKind::AlreadyExists => RecordingError::AlreadyExists { path },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            RecordingError::FolderNotWritable { path, source }
        }
        _ => RecordingError::NotCreated { path, source },
    }
}

/// The name of a file that `SQLite` keeps beside the main one.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Lays out the tables in an empty file. Only then it goes over to the WAL, so that the main file
/// says what it is at any time.
pub(super) fn prepare(path: &Path, facts: &Facts) -> rusqlite::Result<Connection> {
    // Names like `:memory:` and `file:x` mean something else to SQLite.
    let absolute = std::path::absolute(path).unwrap_or_else(|_no_folder| path.to_owned());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(absolute, flags)?;
    connection.pragma_update(None, "page_size", 4096)?;
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", schema::FORMAT)?;
    for (_, sql) in schema::tables(schema::FORMAT) {
        transaction.execute_batch(sql)?;
    }
    let facts = Facts {
        complete: false,
        ..facts.clone()
    };
    facts::write(&transaction, &facts)?;
    transaction.commit()?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // A merge of large intervals must not leave a large file behind.
    connection.pragma_update(None, "journal_size_limit", 8 << 20)?;
    Ok(connection)
}
