//! Line tables: which line the instruction at an offset belongs to.
//!
//! `CPython` has stored this in three formats. All of them are read here from bytes of another
//! process, so each decoder is a total function: any bytes give an answer, and the time is
//! linear in their number. The formats are described in `CPython`'s own tree:
//! `Objects/lnotab_notes.txt` up to 3.10, `InternalDocs/code_objects.md` since 3.11.

/// How a line table is encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LineTableFormat {
    /// `co_lnotab`: increments of address and line (up to 3.9).
    Increments,
    /// `co_linetable` of PEP 626: ranges, some of which have no line (3.10).
    Ranges,
    /// The location table of PEP 657 (since 3.11).
    Locations,
}

/// The line table of one code object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LineTable {
    format: LineTableFormat,
    first_line: u32,
    bytes: Vec<u8>,
}

/// How many bytes one code unit has; ranges of the location table are counted in units.
const CODE_UNIT: i64 = 2;

impl LineTable {
    /// A table whose lines are counted from `first_line`.
    pub fn new(format: LineTableFormat, first_line: u32, bytes: Vec<u8>) -> Self {
        Self {
            format,
            first_line,
            bytes,
        }
    }

    /// The line of the instruction at `offset`, in bytes from the first one; `None` if the
    /// table gives none.
    ///
    /// A frame that has not run yet stands just before the first instruction: it is on the
    /// first line.
    pub fn line_at(&self, offset: i32) -> Option<u32> {
        let line = if (-CODE_UNIT..0).contains(&i64::from(offset)) {
            i64::from(self.first_line)
        } else {
            let offset = u32::try_from(offset).ok()?;
            match self.format {
                LineTableFormat::Increments => self.by_increments(offset),
                LineTableFormat::Ranges => self.by_ranges(offset)?,
                LineTableFormat::Locations => self.by_locations(offset)?,
            }
        };
        u32::try_from(line).ok().filter(|&line| line != 0)
    }

    fn by_increments(&self, offset: u32) -> i64 {
        let mut line = i64::from(self.first_line);
        let mut address = 0_u64;
        let (pairs, _) = self.bytes.as_chunks::<2>();
        for &[address_step, line_step] in pairs {
            address += u64::from(address_step);
            if address > u64::from(offset) {
                break;
            }
            line += i64::from(line_step.cast_signed());
        }
        line
    }

    fn by_ranges(&self, offset: u32) -> Option<i64> {
        const NO_LINE: i8 = -128;
        let mut line = i64::from(self.first_line);
        let mut end = 0_u64;
        let (pairs, _) = self.bytes.as_chunks::<2>();
        for &[length, line_step] in pairs {
            end += u64::from(length);
            let step = line_step.cast_signed();
            if step != NO_LINE {
                line += i64::from(step);
            }
            if u64::from(offset) < end {
                return (step != NO_LINE).then_some(line);
            }
        }
        None
    }

    fn by_locations(&self, offset: u32) -> Option<i64> {
        let mut line = i64::from(self.first_line);
        let mut end = 0_i64;
        let mut bytes = self.bytes.iter();
        while let Some(&first) = bytes.next() {
            end += (i64::from(first & 7) + 1) * CODE_UNIT;
            let has_line = match (first >> 3) & 15 {
                // Short forms: columns in one more byte, same line.
                0..=9 => {
                    skip(&mut bytes, 1)?;
                    true
                }
                // One line further by 0, 1 or 2: columns in two more bytes.
                code @ 10..=12 => {
                    skip(&mut bytes, 2)?;
                    line = line.wrapping_add(i64::from(code - 10));
                    true
                }
                13 => {
                    line = line.wrapping_add(read_signed(&mut bytes)?);
                    true
                }
                // Long form: line, last line, both columns.
                14 => {
                    line = line.wrapping_add(read_signed(&mut bytes)?);
                    for _ in 0..3 {
                        read_unsigned(&mut bytes)?;
                    }
                    true
                }
                _ => false,
            };
            if i64::from(offset) < end {
                return has_line.then_some(line);
            }
        }
        None
    }
}

type Bytes<'a> = std::slice::Iter<'a, u8>;

fn skip(bytes: &mut Bytes<'_>, count: usize) -> Option<()> {
    bytes.nth(count - 1).map(|_| ())
}

/// Six bits a byte, the lowest first; the seventh says that more follow.
fn read_unsigned(bytes: &mut Bytes<'_>) -> Option<u64> {
    let mut value = 0_u64;
    let mut shift = 0_u32;
    loop {
        let byte = *bytes.next()?;
        // What lies beyond 64 bits is lost; no real table reaches them.
        value |= u64::from(byte & 0x3f).checked_shl(shift).unwrap_or(0);
        if byte & 0x40 == 0 {
            return Some(value);
        }
        shift = shift.saturating_add(6);
    }
}

/// The lowest bit is the sign.
fn read_signed(bytes: &mut Bytes<'_>) -> Option<i64> {
    let raw = read_unsigned(bytes)?;
    let magnitude = (raw >> 1).cast_signed();
    Some(if raw & 1 == 0 { magnitude } else { -magnitude })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        LineTable,
        LineTableFormat::{self, Increments, Locations, Ranges},
    };

    #[track_caller]
    fn check(format: LineTableFormat, bytes: &[u8], expected: &[(i32, Option<u32>)]) {
        let table = LineTable::new(format, 10, bytes.to_vec());
        for &(offset, line) in expected {
            assert_eq!(table.line_at(offset), line, "at {offset}");
        }
    }

    #[test]
    fn increments_reach_to_the_end_of_the_code() {
        check(
            Increments,
            &[0, 1, 4, 1, 6, 0xfe],
            &[
                (-1, Some(10)),
                (0, Some(11)),
                (3, Some(11)),
                (4, Some(12)),
                (10, Some(10)),
                (1000, Some(10)),
            ],
        );
    }

    #[test]
    fn ranges_may_have_no_line() {
        check(
            Ranges,
            &[4, 1, 2, 0x80, 6, 0xff],
            &[
                (-2, Some(10)),
                (0, Some(11)),
                (4, None),
                (6, Some(10)),
                (12, None),
            ],
        );
    }

    #[test]
    fn locations_have_five_forms() {
        let bytes = [
            // Short, one unit.
            0x80,
            0x00, //
            // One line further, two units.
            0x80 | (11 << 3) | 1,
            0x00,
            0x00, //
            // No columns: 100 lines back and 100 forth in two bytes each.
            0x80 | (13 << 3),
            0x40 | 0x08,
            0x03, //
            0x80 | (13 << 3),
            0x40 | 0x09,
            0x03, //
            // Long: 3 lines further.
            0x80 | (14 << 3),
            6,
            0,
            1,
            1, //
            // None.
            0x80 | (15 << 3) | 7,
        ];
        check(
            Locations,
            &bytes,
            &[
                (0, Some(10)),
                (1, Some(10)),
                (2, Some(11)),
                (4, Some(11)),
                (6, Some(111)),
                (8, Some(11)),
                (10, Some(14)),
                (12, None),
                (28, None),
                (i32::MAX, None),
                (i32::MIN, None),
            ],
        );
    }

    #[test]
    fn a_table_that_is_cut_off_has_no_more_lines() {
        let long = [0x80 | (14 << 3), 6, 0, 1, 1];
        for length in 0..long.len() {
            check(Locations, &long[..length], &[(0, None)]);
        }
    }

    #[test]
    fn a_line_below_one_is_no_line() {
        check(Increments, &[0, 0x80], &[(0, None)]);
    }

    #[test]
    fn a_first_line_of_zero_is_no_line_even_before_the_first_instruction() {
        let table = LineTable::new(Locations, 0, Vec::new());
        assert_eq!(table.line_at(-2), None);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            first_line in any::<u32>(),
            offset in any::<i32>(),
        ) {
            for format in [Increments, Ranges, Locations] {
                let table = LineTable::new(format, first_line, bytes.clone());
                for offset in [offset, offset & 0xfff] {
                    prop_assert_ne!(table.line_at(offset), Some(0));
                }
            }
        }
    }
}
