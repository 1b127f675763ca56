//! Reading what changed: by far the largest table, so it is read in pieces, by several at a time.

use std::{
    sync::{Mutex, PoisonError},
    vec::IntoIter,
};

use rusqlite::Connection;

use super::{
    checked::{Fault, Fields},
    tables::{Ascending, Totals, each_row, position},
};
use crate::profile::{Change, Counters, Interval, Metered, ProcessKey, StackId};

/// In how many pieces it is read.
const PIECES: usize = 32;

/// What the ids in a row may be.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// The ids of the intervals, ascending.
    pub(super) intervals: &'a [i64],
    /// How many processes there are.
    pub(super) processes: usize,
    /// How many stacks there are.
    pub(super) stacks: usize,
}

/// What is still to be read.
pub(super) struct Changes<'a> {
    known: Known<'a>,
    pieces: Mutex<IntoIter<Piece<'a>>>,
}

/// Some intervals, which are to be filled with what changed in them.
struct Piece<'a> {
    /// The place of the first one.
    start: usize,
    intervals: &'a mut [Interval],
}

impl<'a> Changes<'a> {
    /// Nothing is read yet.
    pub(super) fn new(intervals: &'a mut [Interval], known: Known<'a>) -> Self {
        let length = intervals.len().div_ceil(PIECES).max(1);
        let mut pieces = Vec::new();
        let mut rest = intervals;
        // Without intervals there should be no rows, which is to be seen, too.
        while pieces.is_empty() || !rest.is_empty() {
            let start = pieces.len() * length;
            let (piece, others) = rest.split_at_mut(length.min(rest.len()));
            pieces.push(Piece {
                start,
                intervals: piece,
            });
            rest = others;
        }
        Self {
            known,
            pieces: Mutex::new(pieces.into_iter()),
        }
    }

    /// Reads piece after piece until none is left, and returns the sums of what it has read. All
    /// connections must see the same.
    pub(super) fn read(&self, connection: &Connection) -> Result<Totals, Fault> {
        let mut totals = Totals::default();
        while let Some(piece) = self.next() {
            self.read_piece(connection, piece, &mut totals)?;
        }
        Ok(totals)
    }

    fn next(&self) -> Option<Piece<'a>> {
        // Taking a piece cannot fail half-way.
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.next()
    }

    fn read_piece(
        &self,
        connection: &Connection,
        piece: Piece<'_>,
        totals: &mut Totals,
    ) -> Result<(), Fault> {
        let Piece { start, intervals } = piece;
        let ids = self.known.intervals;
        // What comes before the first piece, or after the last one, belongs to no interval.
        let from = (start > 0).then(|| format!("interval >= {}", ids[start]));
        let next = ids.get(start + intervals.len());
        let rows = match (from, next) {
            (None, None) => String::new(),
            (Some(from), None) => format!("WHERE {from}"),
            (None, Some(next)) => format!("WHERE interval < {next}"),
            (Some(from), Some(next)) => format!("WHERE {from} AND interval < {next}"),
        };
        let sql = format!(
            "SELECT interval, process, stack, meter, bytes_in, count_in, bytes_out, count_out, \
             samples FROM change {rows} ORDER BY interval, process, stack, meter"
        );
        let mut keys = Ascending::default();
        // Rows of an interval come together.
        let mut last = None;
        each_row(connection, "change", &sql, |fields| {
            let place = position(ids, &mut last, fields)?;
            let change = change(fields, self.known)?;
            totals.add(change.counters)?;
            let Change {
                process,
                stack,
                meter,
                ..
            } = change;
            keys.check("change", (place, process, stack, meter.name()))?;
            let interval = place
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
        Ok(())
    }
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
