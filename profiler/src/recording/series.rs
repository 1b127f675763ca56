//! What processes have open and what comes to them, and what their control groups use, as rows.

use std::{collections::HashMap, time::Duration};

use rusqlite::{Connection, params};

use super::checked::{Fault, Fields, stored, stored_option, stored_time};
use crate::profile::{Census, CgroupCensus, ProcessKey, SocketCensus};

/// All rows about sockets, in the order of their keys.
pub(super) const SOCKETS: &str = "SELECT interval, process, time_ns, descriptors, listeners, \
     accepts, receives, received_bytes, messages FROM socket \
     ORDER BY interval, process, time_ns";

/// All rows about control groups, in the order of their keys.
pub(super) const CGROUPS: &str = "SELECT interval, path, time_ns, current, reclaimable, \
     max, high FROM cgroup ORDER BY interval, path, time_ns";

/// What is left of an interval that was merged into another: of sockets, what censuses are left
/// for; of a control group, the last.
pub(super) const THIN: [&str; 2] = [
    "DELETE FROM socket WHERE interval = ?1 AND NOT EXISTS (SELECT 1 FROM census \
     WHERE census.interval = socket.interval AND census.process = socket.process \
     AND census.time_ns = socket.time_ns)",
    "DELETE FROM cgroup WHERE interval = ?1 AND time_ns < (SELECT max(later.time_ns) \
     FROM cgroup AS later WHERE later.interval = cgroup.interval AND later.path = cgroup.path)",
];

/// Adds what processes have open.
pub(super) fn write_sockets(
    connection: &Connection,
    interval: i64,
    censuses: &[Census],
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO socket VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let known = |census: &&Census| census.sockets != SocketCensus::default();
    for census in censuses.iter().filter(known) {
        let sockets = census.sockets;
        insert.execute(params![
            interval,
            census.process.0,
            stored_time(census.time),
            stored_option(sockets.descriptors),
            stored_option(sockets.listeners),
            stored_option(sockets.accepts),
            stored_option(sockets.receives),
            stored_option(sockets.received_bytes),
            stored_option(sockets.messages),
        ])?;
    }
    Ok(())
}

/// Adds what control groups use.
pub(super) fn write_cgroups(
    connection: &Connection,
    interval: i64,
    cgroups: &[CgroupCensus],
) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare_cached("INSERT OR REPLACE INTO cgroup VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for cgroup in cgroups {
        insert.execute(params![
            interval,
            cgroup.path,
            stored_time(cgroup.time),
            stored(cgroup.current),
            stored(cgroup.reclaimable),
            stored_option(cgroup.limit),
            stored_option(cgroup.high),
        ])?;
    }
    Ok(())
}

/// The sockets of a row.
pub(super) fn sockets(fields: &Fields<'_>) -> Result<SocketCensus, Fault> {
    Ok(SocketCensus {
        descriptors: fields.optional_size(3)?,
        listeners: fields.optional_size(4)?,
        accepts: fields.optional_size(5)?,
        receives: fields.optional_size(6)?,
        received_bytes: fields.optional_size(7)?,
        messages: fields.optional_size(8)?,
    })
}

/// The control group of a row.
pub(super) fn cgroup(fields: &Fields<'_>) -> Result<CgroupCensus, Fault> {
    Ok(CgroupCensus {
        path: fields.text(1)?.to_owned(),
        time: fields.time(2)?,
        current: fields.size(3)?,
        reclaimable: fields.size(4)?,
        limit: fields.optional_size(5)?,
        high: fields.optional_size(6)?,
    })
}

/// Censuses by what they are about, to find that of a row again.
pub(super) fn by_moment(censuses: &[Census]) -> HashMap<(ProcessKey, Duration), usize> {
    let keys = censuses.iter().map(|census| (census.process, census.time));
    keys.zip(0..).collect()
}
