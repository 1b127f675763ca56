//! What allocators hold, and what forked processes share: as rows, and read from them.

use rusqlite::{Connection, params, params_from_iter};

use super::checked::{Fault, Fields, stored, stored_time};
use crate::{
    profile::{
        AllocatorCensus, ArenaTotals, Interval, LibcHeap, ProcessKey, PythonHeap, SharingCensus,
    },
    units::Pid,
};

/// Reads what allocators held, in the order of keys.
pub(super) const ALLOCATORS: &str = "SELECT interval, process, time_ns, python_arenas, \
    python_held, python_resident, python_live, python_sparse_arenas, python_sparse_held, \
    python_sparse_live, main_held, main_free, main_top, main_absent, main_returnable, \
    thread_arenas, thread_held, thread_free, thread_top, thread_absent, thread_returnable, unseen \
    FROM allocator ORDER BY interval, process, time_ns";

/// Reads what was shared, in the order of keys.
pub(super) const SHARINGS: &str = "SELECT interval, process, time_ns, parent, shared, copied, own \
    FROM sharing ORDER BY interval, process, time_ns";

/// Adds what an interval says of allocators and of sharing.
pub(super) fn write(connection: &Connection, id: i64, interval: &Interval) -> rusqlite::Result<()> {
    for census in &interval.allocators {
        allocator_row(connection, id, census)?;
    }
    let mut insert = connection
        .prepare_cached("INSERT OR REPLACE INTO sharing VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for census in &interval.sharings {
        insert.execute(params![
            id,
            census.process.0,
            stored_time(census.time),
            census.parent.0,
            stored(census.shared),
            stored(census.copied),
            stored(census.own),
        ])?;
    }
    Ok(())
}

fn allocator_row(
    connection: &Connection,
    id: i64,
    census: &AllocatorCensus,
) -> rusqlite::Result<()> {
    let python = census.python.as_ref().map(|it| {
        [
            it.arenas,
            it.held,
            it.resident,
            it.live,
            it.sparse_arenas,
            it.sparse_held,
            it.sparse_live,
        ]
    });
    let libc = census.libc.as_ref().map(
        |LibcHeap {
             main,
             threads,
             unseen,
         }| {
            [
                main.held,
                main.free,
                main.top,
                main.absent,
                main.returnable,
                threads.arenas,
                threads.held,
                threads.free,
                threads.top,
                threads.absent,
                threads.returnable,
                *unseen,
            ]
        },
    );
    let key = [id, census.process.0.into(), stored_time(census.time)];
    let mut row: Vec<Option<i64>> = key.map(Some).to_vec();
    row.extend(each(python));
    row.extend(each(libc));
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO allocator VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
             ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
        )?
        .execute(params_from_iter(row))?;
    Ok(())
}

/// All of the numbers, or as many unknown ones.
fn each<const N: usize>(numbers: Option<[u64; N]>) -> [Option<i64>; N] {
    numbers.map_or([None; N], |numbers| numbers.map(|it| Some(stored(it))))
}

/// Reads `N` numbers from a column on, of which all are known or none.
fn numbers<const N: usize>(fields: &Fields<'_>, first: usize) -> Result<Option<[u64; N]>, Fault> {
    let mut all = [0; N];
    for (column, number) in (first..).zip(&mut all) {
        match fields.optional_size(column)? {
            Some(known) => *number = known,
            None => return Ok(None),
        }
    }
    Ok(Some(all))
}

/// What allocators held, in the columns of [`ALLOCATORS`].
pub(super) fn allocator(
    fields: &Fields<'_>,
    process: ProcessKey,
) -> Result<AllocatorCensus, Fault> {
    let python = numbers(fields, 3)?.map(
        |[
            arenas,
            held,
            resident,
            live,
            sparse_arenas,
            sparse_held,
            sparse_live,
        ]| PythonHeap {
            arenas,
            held,
            resident,
            live,
            sparse_arenas,
            sparse_held,
            sparse_live,
        },
    );
    let libc = numbers::<12>(fields, 10)?.map(|it| LibcHeap {
        main: arenas(1, [it[0], it[1], it[2], it[3], it[4]]),
        threads: arenas(it[5], [it[6], it[7], it[8], it[9], it[10]]),
        unseen: it[11],
    });
    Ok(AllocatorCensus {
        process,
        time: fields.time(2)?,
        python,
        libc,
    })
}

const fn arenas(arenas: u64, [held, free, top, absent, returnable]: [u64; 5]) -> ArenaTotals {
    ArenaTotals {
        arenas,
        held,
        free,
        top,
        absent,
        returnable,
    }
}

/// What was shared, in the columns of [`SHARINGS`].
pub(super) fn sharing(fields: &Fields<'_>, process: ProcessKey) -> Result<SharingCensus, Fault> {
    Ok(SharingCensus {
        process,
        time: fields.time(2)?,
        parent: Pid(fields.small(3)?),
        shared: fields.size(4)?,
        copied: fields.size(5)?,
        own: fields.size(6)?,
    })
}
