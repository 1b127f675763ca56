//! How the values of a recording become rows.

use std::ops::Range;

use rusqlite::{Connection, params};

use super::checked::{stored, stored_option, stored_time};
use super::{causes, classes, series};
use crate::profile::{
    Census, Change, FrameId, Interval, ProcessRecord, Reckoned, StackId, StackTable, Survivor,
};

/// About how many bytes the rows of an interval take in the file.
pub(super) fn bytes(changes: usize, censuses: usize) -> u64 {
    (changes * 40 + censuses * 130) as u64
}

/// Adds frames.
pub(super) fn frames(
    connection: &Connection,
    stacks: &StackTable,
    ids: Range<u32>,
) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare_cached("INSERT INTO frame (id, function, file, line) VALUES (?1, ?2, ?3, ?4)")?;
    for id in ids {
        let frame = stacks.frame(FrameId(id));
        insert.execute(params![id, frame.function, frame.file, frame.line])?;
    }
    Ok(())
}

/// Adds stacks.
pub(super) fn stacks(
    connection: &Connection,
    stacks: &StackTable,
    ids: Range<u32>,
) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT INTO stack (id, caller, frame) VALUES (?1, ?2, ?3)")?;
    for id in ids {
        if let Some((frame, caller)) = stacks.innermost(StackId(id)) {
            insert.execute(params![id, caller.0, frame.0])?;
        }
    }
    Ok(())
}

/// Adds a process, or writes over what was known about it.
pub(super) fn process(
    connection: &Connection,
    id: usize,
    process: &ProcessRecord,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO process VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
            stored(id as u64),
            process.pid.0,
            process.inner_pid.map(|pid| pid.0),
            process.parent.0,
            process.command,
            process.python,
            stored_time(process.started),
            process.ended.map(stored_time),
        ])?;
    Ok(())
}

/// Adds an interval with everything in it. Its lifecycles get positions from `position` on.
pub(super) fn interval(
    connection: &Connection,
    id: i64,
    interval: &Interval,
    position: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO interval (id, start_ns, end_ns) VALUES (?1, ?2, ?3)")?
        .execute(params![
            id,
            stored_time(interval.start),
            stored_time(interval.end)
        ])?;
    changes(connection, id, &interval.changes)?;
    censuses(connection, id, &interval.censuses)?;
    causes::write(connection, id, interval)?;
    series::write_sockets(connection, id, &interval.censuses)?;
    series::write_cgroups(connection, id, &interval.cgroups)?;
    let mut insert =
        connection.prepare_cached("INSERT INTO lifecycle VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (position, lifecycle) in (position..).zip(&interval.lifecycles) {
        let time = stored_time(lifecycle.time);
        let kind = lifecycle.kind.name();
        insert.execute(params![id, position, lifecycle.process.0, time, kind])?;
    }
    let mut insert = connection.prepare_cached("INSERT INTO loss VALUES (?1, ?2, ?3)")?;
    for (loss, times) in interval.losses.iter() {
        insert.execute(params![id, loss.name(), stored(times)])?;
    }
    Ok(())
}

/// Writes what was still held at the end.
pub(super) fn reckoned(connection: &Connection, reckoned: &[Reckoned]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO reckoned VALUES (?1, ?2, ?3, ?4)")?;
    for it in reckoned {
        insert.execute(params![
            it.process.0,
            it.stack.0,
            stored(it.shown),
            stored(it.reckoned),
        ])?;
    }
    Ok(())
}

pub(super) fn survivors(connection: &Connection, survivors: &[Survivor]) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT INTO survivor VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for survivor in survivors {
        insert.execute(params![
            survivor.process.0,
            survivor.stack.0,
            survivor.meter.name(),
            stored_time(survivor.born),
            stored(survivor.bytes),
            stored(survivor.count),
        ])?;
    }
    Ok(())
}

fn changes(connection: &Connection, interval: i64, changes: &[Change]) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare_cached("INSERT INTO change VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    for change in changes {
        let counters = change.counters;
        insert.execute(params![
            interval,
            change.process.0,
            change.stack.0,
            change.meter.name(),
            stored(counters.bytes_in),
            stored(counters.count_in),
            stored(counters.bytes_out),
            stored(counters.count_out),
            stored(counters.samples),
        ])?;
    }
    Ok(())
}

fn censuses(connection: &Connection, interval: i64, censuses: &[Census]) -> rusqlite::Result<()> {
    // Two censuses of a process at one moment cannot differ in a way that matters.
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO census \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
         ?19)",
    )?;
    for census in censuses {
        insert.execute(params![
            interval,
            census.process.0,
            stored_time(census.time),
            stored(census.rss),
            stored_option(census.pss),
            stored_option(census.uss),
            stored_option(census.anonymous),
            stored_option(census.swap),
            census.threads,
            stored_time(census.cpu),
            stored_option(census.pymalloc_live),
            stored_option(census.pymalloc_arenas),
            stored(census.probe_runs),
            stored_time(census.probe_cost),
            stored_time(census.blocks_observed),
            stored_time(census.pools_observed),
            stored_time(census.objects_observed),
            stored(census.object_windows),
            classes::to_text(&census.size_classes),
        ])?;
    }
    Ok(())
}
