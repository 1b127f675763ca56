//! Which threads were seen, as rows.

use rusqlite::{Connection, params};

use super::{
    checked::{Fault, Fields, stored},
    tables::{Ascending, each_row},
};
use crate::profile::{ProcessKey, Recorded, StackId, ThreadName, ThreadUse, Threads};

/// Writes which threads were seen.
pub(super) fn write(connection: &Connection, threads: &Threads) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO thread VALUES (?1, ?2, ?3)")?;
    for thread in &threads.names {
        insert.execute(params![thread.process.0, thread.tid, thread.name])?;
    }
    let mut insert =
        connection.prepare_cached("INSERT INTO thread_stack VALUES (?1, ?2, ?3, ?4)")?;
    for it in &threads.uses {
        insert.execute(params![it.process.0, it.stack.0, it.tid, stored(it.seen)])?;
    }
    Ok(())
}

/// Reads which threads were seen; `recorded` has processes and stacks already.
pub(super) fn read(connection: &Connection, recorded: &Recorded) -> Result<Threads, Fault> {
    let mut threads = Threads::default();
    let mut keys = Ascending::default();
    let sql = "SELECT process, tid, name FROM thread ORDER BY process, tid";
    each_row(connection, "thread", sql, |fields| {
        let (process, tid) = (process(fields, recorded)?, fields.small(1)?);
        keys.check("thread", (process, tid))?;
        threads.names.push(ThreadName {
            process,
            tid,
            name: fields.text(2)?.to_owned(),
        });
        Ok(())
    })?;
    let mut keys = Ascending::default();
    let sql = "SELECT process, stack, tid, seen FROM thread_stack ORDER BY process, stack, tid";
    each_row(connection, "thread_stack", sql, |fields| {
        let found = ThreadUse {
            process: process(fields, recorded)?,
            stack: StackId(fields.id(1, recorded.stacks.stack_count())?),
            tid: fields.small(2)?,
            seen: fields.size(3)?,
        };
        keys.check("thread_stack", (found.process, found.stack, found.tid))?;
        threads.uses.push(found);
        Ok(())
    })?;
    Ok(threads)
}

fn process(fields: &Fields<'_>, recorded: &Recorded) -> Result<ProcessKey, Fault> {
    Ok(ProcessKey(fields.id(0, recorded.processes.len())?))
}
