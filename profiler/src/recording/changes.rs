//! Reading what changed: by far the largest table, so two halves of it are read at a time.

use std::{collections::HashMap, panic::resume_unwind, thread};

use rusqlite::Connection;

use super::{
    checked::{Fault, Fields},
    tables::{Ascending, Totals, each_row},
};
use crate::profile::{Change, Counters, Interval, Metered, ProcessKey, StackId};

/// What the ids in a row may be.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// The places of the intervals, by their ids.
    pub(super) positions: &'a HashMap<i64, usize>,
    /// How many processes there are.
    pub(super) processes: usize,
    /// How many stacks there are.
    pub(super) stacks: usize,
}

/// Fills intervals with what changed in them. The second connection must see the same as the first
/// one; without it, all is read through the first.
pub(super) fn read(
    first: &Connection,
    second: Option<Connection>,
    intervals: &mut [Interval],
    known: Known<'_>,
) -> Result<(), Fault> {
    let middle = intervals.len() / 2;
    let border = known.positions.iter().find(|(_, place)| **place == middle);
    let (Some(second), Some((border, _))) = (second, border) else {
        return read_part(first, "", (0, intervals), known).map(drop);
    };
    let (earlier, later) = intervals.split_at_mut(middle);
    let (mut totals, others) = thread::scope(|scope| {
        let later = scope.spawn(move || {
            let rows = format!("WHERE interval >= {border}");
            read_part(&second, &rows, (middle, later), known)
        });
        let rows = format!("WHERE interval < {border}");
        let earlier = read_part(first, &rows, (0, earlier), known);
        let later = later.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok::<_, Fault>((earlier?, later?))
    })?;
    totals.add(others.sum())
}

/// Reads some rows, which belong to intervals from a place on.
fn read_part(
    connection: &Connection,
    rows: &str,
    (start, intervals): (usize, &mut [Interval]),
    known: Known<'_>,
) -> Result<Totals, Fault> {
    let sql = format!(
        "SELECT interval, process, stack, meter, bytes_in, count_in, bytes_out, count_out, samples \
         FROM change {rows} ORDER BY interval, process, stack, meter"
    );
    let mut keys = Ascending::default();
    let mut totals = Totals::default();
    // Rows of an interval come together.
    let mut last = None;
    each_row(connection, "change", &sql, |fields| {
        let change = change(fields, known)?;
        totals.add(change.counters)?;
        let id = fields.integer(0)?;
        let position = match last {
            Some((known, position)) if known == id => position,
            _ => {
                let position = known.positions.get(&id).copied();
                position.ok_or_else(|| fields.impossible(0))?
            }
        };
        last = Some((id, position));
        let Change {
            process,
            stack,
            meter,
            ..
        } = change;
        keys.check("change", (position, process, stack, meter.name()))?;
        let interval = position
            .checked_sub(start)
            .and_then(|place| intervals.get_mut(place))
            .ok_or_else(|| fields.impossible(0))?;
        interval.changes.push(change);
        Ok(())
    })?;
    for interval in intervals {
        let key = |change: &Change| (change.process, change.stack, change.meter);
        interval.changes.sort_unstable_by_key(key);
    }
    Ok(totals)
}

fn change(fields: &Fields<'_>, known: Known<'_>) -> Result<Change, Fault> {
    Ok(Change {
        process: ProcessKey(fields.id(1, known.processes)?),
        stack: StackId(fields.id(2, known.stacks)?),
        meter: fields.named(3, Metered::from_name)?,
        counters: Counters {
            bytes_in: fields.size(4)?,
            count_in: fields.size(5)?,
            bytes_out: fields.size(6)?,
            count_out: fields.size(7)?,
            samples: fields.size(8)?,
        },
    })
}
