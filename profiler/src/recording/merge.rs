//! Merging two neighbouring intervals of a recording into one.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::{rows, series};

const CHANGES: &str = "\
    INSERT INTO change \
    SELECT ?1, process, stack, meter, bytes_in, count_in, bytes_out, count_out, samples \
    FROM change WHERE interval = ?2 \
    ON CONFLICT DO UPDATE SET bytes_in = bytes_in + excluded.bytes_in, \
    count_in = count_in + excluded.count_in, bytes_out = bytes_out + excluded.bytes_out, \
    count_out = count_out + excluded.count_out, samples = samples + excluded.samples";

const LOSSES: &str = "\
    INSERT INTO loss SELECT ?1, reason, times FROM loss WHERE interval = ?2 \
    ON CONFLICT DO UPDATE SET times = times + excluded.times";

/// The statements that move everything but censuses from interval ?2 to interval ?1.
const STATEMENTS: [&str; 9] = [
    CHANGES,
    LOSSES,
    "UPDATE lifecycle SET interval = ?1 WHERE interval = ?2",
    "UPDATE OR REPLACE census SET interval = ?1 WHERE interval = ?2",
    "UPDATE OR REPLACE allocator SET interval = ?1 WHERE interval = ?2",
    "UPDATE OR REPLACE sharing SET interval = ?1 WHERE interval = ?2",
    "UPDATE OR REPLACE socket SET interval = ?1 WHERE interval = ?2",
    "UPDATE OR REPLACE cgroup SET interval = ?1 WHERE interval = ?2",
    "UPDATE interval SET end_ns = (SELECT end_ns FROM interval WHERE id = ?2) WHERE id = ?1",
];

/// What is left behind.
const REMAINS: [&str; 3] = [
    "DELETE FROM change WHERE interval = ?1",
    "DELETE FROM loss WHERE interval = ?1",
    "DELETE FROM interval WHERE id = ?1",
];

/// Of looks at allocators and at sharing, an interval keeps the first and the last of each process.
const THINNED: [&str; 2] = [
    "DELETE FROM allocator WHERE interval = ?1 AND (SELECT min(time_ns) < allocator.time_ns AND \
     max(time_ns) > allocator.time_ns FROM allocator AS it \
     WHERE it.interval = ?1 AND it.process = allocator.process)",
    "DELETE FROM sharing WHERE interval = ?1 AND (SELECT min(time_ns) < sharing.time_ns AND \
     max(time_ns) > sharing.time_ns FROM sharing AS it \
     WHERE it.interval = ?1 AND it.process = sharing.process)",
];

/// Moves all of interval `second` into interval `first`, and returns about how many bytes the rows
/// of the result take. `first_censuses` are the times of the first census of each process.
pub(super) fn merge(
    connection: &Connection,
    first: i64,
    second: i64,
    first_censuses: &HashMap<u32, i64>,
) -> rusqlite::Result<u64> {
    for sql in STATEMENTS {
        connection.prepare_cached(sql)?.execute([first, second])?;
    }
    for sql in REMAINS {
        connection.prepare_cached(sql)?.execute([second])?;
    }
    for sql in THINNED {
        connection.prepare_cached(sql)?.execute([first])?;
    }
    let changes: u32 = connection
        .prepare_cached("SELECT count(*) FROM change WHERE interval = ?1")?
        .query_row([first], |row| row.get(0))?;
    let censuses = thin_censuses(connection, first, first_censuses)?;
    for sql in series::THIN {
        connection.prepare_cached(sql)?.execute([first])?;
    }
    Ok(rows::bytes(changes as usize, censuses))
}

/// A census, as far as it matters for which ones are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Point {
    process: u32,
    time: i64,
    rss: i64,
}

fn thin_censuses(
    connection: &Connection,
    interval: i64,
    firsts: &HashMap<u32, i64>,
) -> rusqlite::Result<usize> {
    let points = connection
        .prepare_cached(
            "SELECT process, time_ns, rss FROM census WHERE interval = ?1 \
             ORDER BY process, time_ns",
        )?
        .query_map([interval], |row| {
            Ok(Point {
                process: row.get(0)?,
                time: row.get(1)?,
                rss: row.get(2)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let superseded = superseded(&points, firsts);
    let mut delete = connection.prepare_cached(
        "DELETE FROM census WHERE interval = ?1 AND process = ?2 AND time_ns = ?3",
    )?;
    for point in &superseded {
        delete.execute(params![interval, point.process, point.time])?;
    }
    Ok(points.len() - superseded.len())
}

/// Of the censuses of one interval, sorted by process and time, those that are not kept: all but
/// the last of each process, its largest, and its first of the recording.
fn superseded(points: &[Point], firsts: &HashMap<u32, i64>) -> Vec<Point> {
    let mut superseded = Vec::new();
    for group in points.chunk_by(|one, next| one.process == next.process) {
        let Some((last, earlier)) = group.split_last() else {
            continue;
        };
        let peak = (earlier.iter())
            .filter(|point| point.rss > last.rss)
            .max_by_key(|point| point.rss);
        let is_first = |point: &Point| firsts.get(&point.process) == Some(&point.time);
        let goes = |point: &&Point| !is_first(point) && Some(*point) != peak;
        superseded.extend(earlier.iter().filter(goes));
    }
    superseded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(points: &[(u32, i64, i64)], firsts: &[(u32, i64)]) -> Vec<(u32, i64)> {
        let points: Vec<_> = (points.iter())
            .map(|&(process, time, rss)| Point { process, time, rss })
            .collect();
        let gone = superseded(&points, &firsts.iter().copied().collect());
        (points.iter())
            .filter(|point| !gone.contains(point))
            .map(|point| (point.process, point.time))
            .collect()
    }

    #[test]
    fn the_last_census_of_each_process_is_kept() {
        let points = [(0, 1, 10), (0, 2, 20), (1, 1, 5), (1, 2, 5)];
        assert_eq!(kept(&points, &[]), [(0, 2), (1, 2)]);
    }

    #[test]
    fn a_higher_peak_is_kept_too() {
        let points = [(0, 1, 10), (0, 2, 90), (0, 3, 80), (0, 4, 20)];
        assert_eq!(kept(&points, &[]), [(0, 2), (0, 4)]);
    }

    #[test]
    fn the_first_census_of_a_process_is_kept_for_ever() {
        let points = [(0, 1, 10), (0, 2, 20), (0, 3, 30), (1, 1, 1)];
        assert_eq!(kept(&points, &[(0, 1), (1, 1)]), [(0, 1), (0, 3), (1, 1)]);
    }
}
