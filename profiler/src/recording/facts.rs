//! The facts of a recording as rows of its `meta` table.

use rusqlite::{Connection, OptionalExtension as _, ToSql, params, types::FromSql};

use super::checked::{self, Fault};
use crate::profile::{Facts, TrafficChoice};

/// Writes all facts, over older ones.
pub(super) fn write(connection: &Connection, facts: &Facts) -> rusqlite::Result<()> {
    let rows: [(&str, &dyn ToSql); 11] = [
        ("heaptide", &facts.heaptide),
        ("started_at", &facts.started_at),
        ("duration_ns", &checked::stored_time(facts.duration)),
        ("complete", &facts.complete),
        ("kernel", &facts.kernel),
        ("target", &facts.target),
        ("budget_percent", &facts.budget_percent),
        (
            "page_fault_period",
            &checked::stored(facts.page_fault_period),
        ),
        ("page_size", &checked::stored(facts.page_size)),
        ("notes", &joined(&facts.notes)),
        ("traffic", &facts.traffic.name()),
    ];
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?;
    for (key, value) in rows {
        statement.execute(params![key, value])?;
    }
    Ok(())
}

/// A line each: so a note has none of its own.
fn joined(notes: &[String]) -> String {
    let lines: Vec<_> = notes.iter().map(|note| note.replace('\n', " ")).collect();
    lines.join("\n")
}

/// Reads all facts; the duration is the recorded one, which is zero until a recording is complete.
pub(super) fn read(connection: &Connection) -> Result<Facts, Fault> {
    Ok(Facts {
        heaptide: value(connection, "heaptide")?,
        started_at: value(connection, "started_at")?,
        duration: checked::time(value(connection, "duration_ns")?)
            .ok_or_else(|| wrong("duration_ns"))?,
        complete: value(connection, "complete")?,
        kernel: value(connection, "kernel")?,
        target: value(connection, "target")?,
        budget_percent: optional_real(connection, "budget_percent")?,
        page_fault_period: number(connection, "page_fault_period")?,
        page_size: number(connection, "page_size")?,
        notes: value::<String>(connection, "notes")?
            .lines()
            .map(ToOwned::to_owned)
            .collect(),
        traffic: traffic(connection)?,
    })
}

fn value<T: FromSql>(connection: &Connection, key: &'static str) -> Result<T, Fault> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| Ok(T::column_result(row.get_ref(0)?).ok()))
        .optional()?
        .flatten()
        .ok_or_else(|| wrong(key))
}

/// The choice; the first format has none.
fn traffic(connection: &Connection) -> Result<TrafficChoice, Fault> {
    let name: Option<String> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'traffic'")?
        .query_row([], |row| Ok(String::column_result(row.get_ref(0)?).ok()))
        .optional()?
        .flatten();
    name.map_or(Ok(TrafficChoice::Auto), |name| {
        TrafficChoice::from_name(&name).ok_or_else(|| wrong("traffic"))
    })
}

fn number(connection: &Connection, key: &'static str) -> Result<u64, Fault> {
    checked::size(value(connection, key)?).ok_or_else(|| wrong(key))
}

fn optional_real(connection: &Connection, key: &'static str) -> Result<Option<f64>, Fault> {
    let number: Option<f64> = value(connection, key)?;
    if number.is_none_or(|number| number.is_finite() && number >= 0.0) {
        Ok(number)
    } else {
        Err(wrong(key))
    }
}

fn wrong(key: &str) -> Fault {
    Fault::Damaged(format!("`{key}` in table meta is missing or impossible"))
}

#[cfg(test)]
mod tests {
    use super::{super::schema, *};

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let mut tables = schema::tables(schema::FORMAT);
        let (_, meta) = tables.find(|(name, _)| *name == "meta").unwrap();
        connection.execute_batch(meta).unwrap();
        connection
    }

    #[test]
    fn facts_come_back_as_they_were_written() {
        let facts = Facts {
            heaptide: "0.1.0".to_owned(),
            budget_percent: Some(2.0),
            page_size: 4096,
            complete: true,
            traffic: TrafficChoice::SocketBytes,
            notes: vec!["One.".to_owned(), "Two\nlines.".to_owned()],
            ..Facts::default()
        };
        let connection = database();
        write(&connection, &facts).unwrap();
        let read = read(&connection).unwrap();
        assert_eq!(read.notes, ["One.", "Two lines."]);
        assert_eq!(
            Facts {
                notes: facts.notes.clone(),
                ..read
            },
            facts
        );
    }

    #[test]
    fn a_missing_or_impossible_fact_is_named() {
        let connection = database();
        write(&connection, &Facts::default()).unwrap();
        for (sql, key) in [
            (
                "UPDATE meta SET value = 'http' WHERE key = 'traffic'",
                "traffic",
            ),
            (
                "UPDATE meta SET value = -1 WHERE key = 'page_size'",
                "page_size",
            ),
            (
                "UPDATE meta SET value = 9e999 WHERE key = 'budget_percent'",
                "budget_percent",
            ),
            (
                "UPDATE meta SET value = x'ff' WHERE key = 'kernel'",
                "kernel",
            ),
            ("DELETE FROM meta WHERE key = 'heaptide'", "heaptide"),
        ] {
            connection.execute_batch(sql).unwrap();
            let Err(Fault::Damaged(what)) = read(&connection) else {
                panic!("{sql}");
            };
            assert!(what.contains(key), "{what}");
        }
    }
}
