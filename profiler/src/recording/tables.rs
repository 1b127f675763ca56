//! Reading the tables of a recording: every id and every number is checked.
//!
//! Rows are read in the order of their keys, and keys must ascend: so a broken file cannot make
//! the reader go round in circles.

use rusqlite::Connection;

use super::{
    causes,
    changes::{Changes, Known},
    checked::{Fault, Fields},
    classes, schema, series,
};
use crate::{
    profile::{
        Census, Counters, Frame, FrameId, Interval, Lifecycle, LifecycleKind, Metered, ProcessKey,
        ProcessRecord, Reckoned, Recorded, SocketCensus, StackId, StackTable, Survivor,
    },
    units::Pid,
};
use profiler_common::loss::Loss;

/// Calls `read` with each row of a query.
pub(super) fn each_row(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    mut read: impl FnMut(&Fields<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        read(&Fields { table, row })?;
    }
    Ok(())
}

fn damaged<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Damaged(what.into()))
}

/// Reads frames and stacks.
pub(super) fn stacks(connection: &Connection) -> Result<StackTable, Fault> {
    let mut table = StackTable::default();
    let sql = "SELECT id, function, file, line FROM frame ORDER BY id";
    each_row(connection, "frame", sql, |fields| {
        let position = table.frame_count();
        in_sequence(fields, position)?;
        table.intern_frame(&Frame {
            function: fields.text(1)?.to_owned(),
            file: fields.text(2)?.to_owned(),
            line: fields.small(3)?,
        });
        is_new(fields, position, table.frame_count())
    })?;
    let sql = "SELECT id, caller, frame FROM stack ORDER BY id";
    each_row(connection, "stack", sql, |fields| {
        let position = table.stack_count();
        in_sequence(fields, position)?;
        let caller = StackId(fields.id(1, position)?);
        let frame = FrameId(fields.id(2, table.frame_count())?);
        table.intern_call(caller, frame);
        is_new(fields, position, table.stack_count())
    })?;
    Ok(table)
}

/// Checks that a row has the id that its position demands.
fn in_sequence(fields: &Fields<'_>, position: usize) -> Result<(), Fault> {
    if usize::try_from(fields.integer(0)?) == Ok(position) {
        Ok(())
    } else {
        Err(fields.impossible(0))
    }
}

/// Checks that a row is not the same as an earlier one, so that ids keep their meaning.
fn is_new(fields: &Fields<'_>, before: usize, after: usize) -> Result<(), Fault> {
    if before < after {
        Ok(())
    } else {
        let table = fields.table;
        damaged(format!("table {table} holds the same thing twice"))
    }
}

/// Reads processes.
pub(super) fn processes(connection: &Connection) -> Result<Vec<ProcessRecord>, Fault> {
    let mut processes = Vec::new();
    let sql = "SELECT id, pid, inner_pid, parent, command, python, started_ns, ended_ns \
               FROM process ORDER BY id";
    each_row(connection, "process", sql, |fields| {
        in_sequence(fields, processes.len())?;
        processes.push(ProcessRecord {
            pid: Pid(fields.small(1)?),
            inner_pid: fields.optional(2, Fields::small)?.map(Pid),
            parent: Pid(fields.small(3)?),
            command: fields.text(4)?.to_owned(),
            python: fields.optional(5, |fields, column| Ok(fields.text(column)?.to_owned()))?,
            started: fields.time(6)?,
            ended: fields.optional(7, Fields::time)?,
        });
        Ok(())
    })?;
    Ok(processes)
}

/// Reads what was still held at the end; `recorded` has processes and stacks already.
pub(super) fn survivors(
    connection: &Connection,
    recorded: &Recorded,
) -> Result<Vec<Survivor>, Fault> {
    let mut survivors = Vec::new();
    let mut keys = Ascending::default();
    let sql = "SELECT process, stack, meter, born_ns, bytes, count FROM survivor \
               ORDER BY process, stack, meter, born_ns";
    each_row(connection, "survivor", sql, |fields| {
        let survivor = Survivor {
            process: ProcessKey(fields.id(0, recorded.processes.len())?),
            stack: StackId(fields.id(1, recorded.stacks.stack_count())?),
            meter: fields.named(2, Metered::from_name)?,
            born: fields.time(3)?,
            bytes: fields.size(4)?,
            count: fields.size(5)?,
        };
        let Survivor {
            process,
            stack,
            meter,
            born,
            ..
        } = survivor;
        keys.check("survivor", (process, stack, meter.name(), born))?;
        survivors.push(survivor);
        Ok(())
    })?;
    Ok(survivors)
}

/// Reads what is reckoned; `recorded` has processes and stacks already.
pub(super) fn reckoned(
    connection: &Connection,
    recorded: &Recorded,
) -> Result<Vec<Reckoned>, Fault> {
    let mut all = Vec::new();
    let mut keys = Ascending::default();
    let sql = "SELECT process, stack, shown_bytes, reckoned_bytes FROM reckoned \
               ORDER BY process, stack";
    each_row(connection, "reckoned", sql, |fields| {
        let it = Reckoned {
            process: ProcessKey(fields.id(0, recorded.processes.len())?),
            stack: StackId(fields.id(1, recorded.stacks.stack_count())?),
            shown: fields.size(2)?,
            reckoned: fields.size(3)?,
        };
        keys.check("reckoned", (it.process, it.stack))?;
        all.push(it);
        Ok(())
    })?;
    Ok(all)
}

/// How many stacks there are, with the root; [`stacks`] checks that ids are the numbers below.
pub(super) fn stack_count(connection: &Connection) -> Result<usize, Fault> {
    let sql = "SELECT max(id) FROM stack";
    let last: Option<i64> = connection.query_row(sql, [], |row| row.get(0))?;
    // More than there can be are as many as there can be.
    Ok(last.map_or(1, |last| {
        usize::try_from(last).map_or(1, |last| last.saturating_add(1))
    }))
}

/// The place of the interval that a row names in its first column. Rows of an interval come
/// together, so the `last` one is remembered.
pub(super) fn position(
    ids: &[i64],
    last: &mut Option<(i64, usize)>,
    fields: &Fields<'_>,
) -> Result<usize, Fault> {
    let id = fields.integer(0)?;
    if let Some((known, position)) = *last
        && known == id
    {
        return Ok(position);
    }
    let found = ids.binary_search(&id);
    let position = found.map_err(|_unknown| fields.impossible(0))?;
    *last = Some((id, position));
    Ok(position)
}

/// The intervals while they are filled, and what the ids in them may be.
pub(super) struct Intervals {
    filled: Vec<Interval>,
    /// Their ids, ascending.
    ids: Vec<i64>,
    /// The position that was looked up last.
    last: Option<(i64, usize)>,
    process_count: usize,
}

impl Intervals {
    /// Reads when all intervals were, which are to be filled.
    pub(super) fn read(connection: &Connection, process_count: usize) -> Result<Self, Fault> {
        let mut intervals = Self {
            filled: Vec::new(),
            ids: Vec::new(),
            last: None,
            process_count,
        };
        intervals.read_times(connection)?;
        Ok(intervals)
    }

    /// What changed in them, to be read.
    pub(super) fn changes(&mut self, stack_count: usize) -> Changes<'_> {
        let known = Known {
            intervals: &self.ids,
            processes: self.process_count,
            stacks: stack_count,
        };
        Changes::new(&mut self.filled, known)
    }

    /// Reads all but what changed.
    pub(super) fn fill(
        mut self,
        connection: &Connection,
        format: i64,
    ) -> Result<Vec<Interval>, Fault> {
        self.read_censuses(connection)?;
        if format >= 2 {
            self.read_allocators(connection)?;
            self.read_sharings(connection)?;
        }
        if format >= schema::HAS_SERIES {
            self.read_sockets(connection)?;
            self.read_cgroups(connection)?;
        }
        self.read_lifecycles(connection)?;
        self.read_losses(connection)?;
        Ok(self.filled)
    }

    fn read_times(&mut self, connection: &Connection) -> Result<(), Fault> {
        let sql = "SELECT id, start_ns, end_ns FROM interval ORDER BY id";
        let mut ids = Ascending::default();
        each_row(connection, "interval", sql, |fields| {
            let interval = Interval {
                start: fields.time(1)?,
                end: fields.time(2)?,
                ..Interval::default()
            };
            let previous_end = self.filled.last().map(|previous| previous.end);
            if previous_end.is_some_and(|end| end > interval.start) {
                return Err(fields.impossible(1));
            }
            if interval.end < interval.start {
                return Err(fields.impossible(2));
            }
            let id = fields.integer(0)?;
            ids.check("interval", id)?;
            self.ids.push(id);
            self.filled.push(interval);
            Ok(())
        })
    }

    /// The interval and the process that a row names in its first two columns.
    fn place(&mut self, fields: &Fields<'_>) -> Result<(&mut Interval, ProcessKey), Fault> {
        let process = fields.id(1, self.process_count)?;
        Ok((self.interval(fields)?, ProcessKey(process)))
    }

    fn position(&mut self, fields: &Fields<'_>) -> Result<usize, Fault> {
        position(&self.ids, &mut self.last, fields)
    }

    fn interval(&mut self, fields: &Fields<'_>) -> Result<&mut Interval, Fault> {
        let position = self.position(fields)?;
        Ok(&mut self.filled[position])
    }

    fn read_censuses(&mut self, connection: &Connection) -> Result<(), Fault> {
        let sql = "SELECT interval, process, time_ns, rss, pss, uss, anonymous, swap, threads, \
                   cpu_ns, pymalloc_live, pymalloc_arenas, probe_runs, probe_cost_ns, \
                   blocks_observed_ns, pools_observed_ns, objects_observed_ns, \
                   object_windows, size_classes FROM census \
                   ORDER BY interval, process, time_ns";
        let mut keys = Ascending::default();
        each_row(connection, "census", sql, |fields| {
            let (interval, process) = self.place(fields)?;
            let census = census(fields, process)?;
            keys.check("census", (fields.integer(0)?, process, census.time))?;
            interval.censuses.push(census);
            Ok(())
        })
    }

    fn read_allocators(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut keys = Ascending::default();
        each_row(connection, "allocator", causes::ALLOCATORS, |fields| {
            let (interval, process) = self.place(fields)?;
            let census = causes::allocator(fields, process)?;
            keys.check("allocator", (fields.integer(0)?, process, census.time))?;
            interval.allocators.push(census);
            Ok(())
        })
    }

    fn read_sockets(&mut self, connection: &Connection) -> Result<(), Fault> {
        let by_moment = |interval: &Interval| series::by_moment(&interval.censuses);
        let censuses: Vec<_> = self.filled.iter().map(by_moment).collect();
        each_row(connection, "socket", series::SOCKETS, |fields| {
            let (position, time) = (self.position(fields)?, fields.time(2)?);
            let process = ProcessKey(fields.id(1, self.process_count)?);
            let census = censuses[position].get(&(process, time));
            let census = *census.ok_or_else(|| fields.impossible(2))?;
            self.filled[position].censuses[census].sockets = series::sockets(fields)?;
            Ok(())
        })
    }

    fn read_sharings(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut keys = Ascending::default();
        each_row(connection, "sharing", causes::SHARINGS, |fields| {
            let (interval, process) = self.place(fields)?;
            let census = causes::sharing(fields, process)?;
            keys.check("sharing", (fields.integer(0)?, process, census.time))?;
            interval.sharings.push(census);
            Ok(())
        })
    }

    fn read_cgroups(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut keys = Ascending::default();
        each_row(connection, "cgroup", series::CGROUPS, |fields| {
            let cgroup = series::cgroup(fields)?;
            let key = (fields.integer(0)?, cgroup.path.clone(), cgroup.time);
            keys.check("cgroup", key)?;
            self.interval(fields)?.cgroups.push(cgroup);
            Ok(())
        })
    }

    fn read_lifecycles(&mut self, connection: &Connection) -> Result<(), Fault> {
        let sql = "SELECT interval, process, position, time_ns, kind FROM lifecycle \
                   ORDER BY interval, position";
        let mut keys = Ascending::default();
        each_row(connection, "lifecycle", sql, |fields| {
            keys.check("lifecycle", (fields.integer(0)?, fields.integer(2)?))?;
            let (interval, process) = self.place(fields)?;
            interval.lifecycles.push(Lifecycle {
                process,
                time: fields.time(3)?,
                kind: fields.named(4, LifecycleKind::from_name)?,
            });
            Ok(())
        })
    }

    fn read_losses(&mut self, connection: &Connection) -> Result<(), Fault> {
        let sql = "SELECT interval, reason, times FROM loss ORDER BY interval, reason";
        let mut keys = Ascending::default();
        let mut totals = Totals::default();
        each_row(connection, "loss", sql, |fields| {
            let loss = fields.named(1, Loss::from_name)?;
            keys.check("loss", (fields.integer(0)?, loss.name()))?;
            let times = fields.size(2)?;
            totals.add(Counters {
                samples: times,
                ..Counters::default()
            })?;
            self.interval(fields)?.losses.add(loss, times);
            Ok(())
        })
    }
}

fn census(fields: &Fields<'_>, process: ProcessKey) -> Result<Census, Fault> {
    Ok(Census {
        process,
        time: fields.time(2)?,
        rss: fields.size(3)?,
        pss: fields.optional_size(4)?,
        uss: fields.optional_size(5)?,
        anonymous: fields.optional_size(6)?,
        swap: fields.optional_size(7)?,
        threads: fields.small(8)?,
        cpu: fields.time(9)?,
        // They have a table of their own.
        sockets: SocketCensus::default(),
        pymalloc_live: fields.optional_size(10)?,
        pymalloc_arenas: fields.optional_size(11)?,
        probe_runs: fields.size(12)?,
        probe_cost: fields.time(13)?,
        blocks_observed: fields.time(14)?,
        pools_observed: fields.time(15)?,
        objects_observed: fields.time(16)?,
        object_windows: fields.size(17)?,
        size_classes: fields
            .optional(18, |fields, column| {
                fields.named(column, classes::from_text)
            })?
            .unwrap_or_default(),
    })
}

/// Checks that keys ascend.
pub(super) struct Ascending<K>(Option<K>);

impl<K> Default for Ascending<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Ord> Ascending<K> {
    pub(super) fn check(&mut self, table: &str, key: K) -> Result<(), Fault> {
        if self.0.as_ref().is_some_and(|previous| *previous >= key) {
            return damaged(format!("the rows of table {table} are out of order"));
        }
        self.0 = Some(key);
        Ok(())
    }
}

/// The sums of all counters, which must not overflow wherever they are added up.
#[derive(Default)]
pub(super) struct Totals(Counters);

impl Totals {
    /// All of it.
    pub(super) const fn sum(&self) -> Counters {
        self.0
    }

    pub(super) fn add(&mut self, counters: Counters) -> Result<(), Fault> {
        let Counters {
            bytes_in,
            count_in,
            bytes_out,
            count_out,
            samples,
        } = &mut self.0;
        for (total, value) in [
            (bytes_in, counters.bytes_in),
            (count_in, counters.count_in),
            (bytes_out, counters.bytes_out),
            (count_out, counters.count_out),
            (samples, counters.samples),
        ] {
            // Every value is far below the largest number, so the addition cannot wrap.
            *total += value;
            if *total > u64::MAX / 2 {
                return damaged("its counters are larger than any memory");
            }
        }
        Ok(())
    }
}
