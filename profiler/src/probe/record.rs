//! Records of the ring buffer: bytes to values. Total: any bytes give a record or `None`.

use profiler_common::{
    cookie::Place,
    event::{EventKind, Origin},
    walk::{MAX_COUNTED_FRAMES, MAX_FRAMES, RawFrame, WalkEnd},
};

use crate::{profile::SizeClass, units::Pid};

/// One record of the kernel half.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The process, as the initial pid namespace numbers it.
    pub pid: Pid,
    /// The thread.
    pub tid: u32,
    /// Nanoseconds since boot.
    pub time_ns: u64,
    /// What happened.
    pub what: Happening,
}

/// A Python stack before its names are looked up.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RawStack {
    /// Innermost frame first.
    pub frames: Vec<RawFrame>,
    /// How many outer frames were counted, but not kept.
    pub missing: u32,
    /// Why the walk stopped.
    pub end: WalkEnd,
}

/// A small object that was handed out.
#[derive(Clone, Debug, PartialEq)]
pub struct HandedOut {
    /// Which probe saw it.
    pub place: Place,
    /// Zero if it is not known.
    pub address: u64,
    /// Bytes; zero if it is not known.
    pub size: u64,
    /// How many blocks of its pool are in use, where it is one of a pool.
    pub pool_count: Option<u32>,
    /// The stack, if it was drawn.
    pub stack: Option<RawStack>,
}

/// What a record reports. Sizes and addresses are in bytes.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields say what `EventKind` says of them")]
pub enum Happening {
    /// See [`EventKind::BlockAllocated`].
    BlockAllocated {
        address: u64,
        size: u64,
        previous: u64,
        stack: RawStack,
    },
    /// See [`EventKind::BlockFreed`].
    BlockFreed { address: u64 },
    /// See [`EventKind::PoolOpened`].
    PoolOpened {
        address: u64,
        size_class: u32,
        stack: RawStack,
    },
    /// See [`EventKind::ObjectTaken`] and [`EventKind::ObjectSampled`].
    ObjectTaken(HandedOut),
    /// See [`EventKind::Mapped`].
    Mapped {
        address: u64,
        size: u64,
        origin: Origin,
        stack: RawStack,
    },
    /// See [`EventKind::Unmapped`].
    Unmapped { address: u64, size: u64 },
    /// See [`EventKind::Remapped`].
    Remapped {
        address: u64,
        size: u64,
        previous: u64,
        previous_size: u64,
        stack: RawStack,
    },
    /// See [`EventKind::BreakMoved`].
    BreakMoved { address: u64, stack: RawStack },
    /// See [`EventKind::PageTouched`].
    PageTouched {
        address: u64,
        faults: u64,
        stack: RawStack,
    },
    /// See [`EventKind::TimeSampled`].
    TimeSampled { stack: RawStack },
    /// See [`EventKind::Forked`].
    Forked { child: Pid },
    /// See [`EventKind::Execed`].
    Execed,
    /// See [`EventKind::Exited`].
    Exited,
}

/// Decodes a record.
pub fn decode(bytes: &[u8]) -> Option<Record> {
    let kind = EventKind::from_wire(quarter(bytes, 0)?)?;
    let detail = half(bytes, 12)?;
    let address = word(bytes, 24)?;
    let size = word(bytes, 32)?;
    let stack = || decode_stack(bytes);
    let what = match kind {
        EventKind::BlockAllocated => Happening::BlockAllocated {
            address,
            size,
            previous: word(bytes, 40)?,
            stack: stack()?,
        },
        EventKind::BlockFreed => Happening::BlockFreed { address },
        EventKind::PoolOpened => Happening::PoolOpened {
            address,
            size_class: detail,
            stack: stack()?,
        },
        EventKind::ObjectTaken | EventKind::ObjectSampled => {
            let class = SizeClass::new(detail);
            Happening::ObjectTaken(HandedOut {
                place: Place(quarter(bytes, 2)?),
                address,
                size: class.map_or(size, SizeClass::bytes),
                pool_count: class.and_then(|_| u32::try_from(size).ok()),
                stack: match kind {
                    EventKind::ObjectSampled => Some(stack()?),
                    _ => None,
                },
            })
        }
        EventKind::Mapped => Happening::Mapped {
            address,
            size,
            origin: Origin::from_wire(detail)?,
            stack: stack()?,
        },
        EventKind::Unmapped => Happening::Unmapped { address, size },
        EventKind::Remapped => Happening::Remapped {
            address,
            size,
            previous: word(bytes, 40)?,
            previous_size: word(bytes, 48)?,
            stack: stack()?,
        },
        EventKind::BreakMoved => Happening::BreakMoved {
            address,
            stack: stack()?,
        },
        EventKind::PageTouched => Happening::PageTouched {
            address,
            faults: size,
            stack: stack()?,
        },
        EventKind::TimeSampled => Happening::TimeSampled { stack: stack()? },
        EventKind::Forked => Happening::Forked {
            child: Pid(u32::try_from(address).ok()?),
        },
        EventKind::Execed => Happening::Execed,
        EventKind::Exited => Happening::Exited,
    };
    Some(Record {
        pid: Pid(half(bytes, 4)?),
        tid: half(bytes, 8)?,
        time_ns: word(bytes, 16)?,
        what,
    })
}

fn decode_stack(bytes: &[u8]) -> Option<RawStack> {
    let end = WalkEnd::from_wire(half(bytes, 56)?)?;
    let all = half(bytes, 60)? as usize;
    if all > MAX_COUNTED_FRAMES {
        return None;
    }
    let count = all.min(MAX_FRAMES);
    let frames = bytes
        .get(64..64 + 16 * count)?
        .chunks_exact(16)
        .map(|frame| {
            Some(RawFrame {
                code: word(frame, 0)?,
                fingerprint: half(frame, 8)?,
                instruction: half(frame, 12)?.cast_signed(),
            })
        });
    Some(RawStack {
        frames: frames.collect::<Option<_>>()?,
        missing: u32::try_from(all - count).ok()?,
        end,
    })
}

fn word(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        bytes.get(offset..offset + 8)?.try_into().ok()?,
    ))
}

fn half(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(offset..offset + 4)?.try_into().ok()?,
    ))
}

fn quarter(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(offset..offset + 2)?.try_into().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use profiler_common::{
        event::{EventHeader, LongStackEvent, PlainEvent, StackEvent},
        walk::SHORT_FRAMES,
    };
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_offsets_are_those_of_the_records() {
        let header = [
            offset_of!(EventHeader, kind),
            offset_of!(EventHeader, place),
            offset_of!(EventHeader, pid),
            offset_of!(EventHeader, tid),
            offset_of!(EventHeader, detail),
            offset_of!(EventHeader, time_ns),
            offset_of!(EventHeader, address),
        ];
        assert_eq!(header, [0, 2, 4, 8, 12, 16, 24]);
        assert_eq!(
            [offset_of!(PlainEvent, size), offset_of!(StackEvent, size)],
            [32, 32]
        );
        let rest = [
            offset_of!(StackEvent, previous),
            offset_of!(StackEvent, previous_size),
            offset_of!(StackEvent, walk_end),
            offset_of!(StackEvent, frame_count),
            offset_of!(StackEvent, frames),
        ];
        assert_eq!(rest, [40, 48, 56, 60, 64]);
        let more = offset_of!(LongStackEvent, more);
        assert_eq!(more, 64 + 16 * SHORT_FRAMES);
        let frame = [
            offset_of!(RawFrame, code),
            offset_of!(RawFrame, fingerprint),
            offset_of!(RawFrame, instruction),
        ];
        assert_eq!(frame, [0, 8, 12]);
    }

    fn bytes_of(header: [u32; 4], words: &[u64]) -> Vec<u8> {
        let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.extend(words.iter().copied().flat_map(u64::to_le_bytes));
        bytes
    }

    #[test]
    fn a_block_comes_with_its_stack() {
        let end_and_count = 1 << 32;
        let words = [
            9,
            0x1000,
            4096,
            0x800,
            0,
            end_and_count,
            0xc0de,
            (7 << 32) | 5,
        ];
        let record = decode(&bytes_of([1, 11, 12, 0], &words)).unwrap();
        assert_eq!(
            record,
            Record {
                pid: Pid(11),
                tid: 12,
                time_ns: 9,
                what: Happening::BlockAllocated {
                    address: 0x1000,
                    size: 4096,
                    previous: 0x800,
                    stack: RawStack {
                        frames: vec![RawFrame {
                            code: 0xc0de,
                            fingerprint: 5,
                            instruction: 7
                        }],
                        missing: 0,
                        end: WalkEnd::Complete,
                    },
                },
            }
        );
    }

    #[test]
    fn a_count_of_frames_beyond_the_record_is_refused() {
        for count in [3, 2 << MAX_COUNTED_FRAMES.ilog2()] {
            let words = [0, 0, 0, 0, 0, count << 32, 0xc0de, 0];
            assert_eq!(decode(&bytes_of([1, 0, 0, 0], &words)), None);
        }
    }

    /// The `index`th frame of each stack that is made up here.
    fn frame(index: usize) -> RawFrame {
        RawFrame {
            code: 0xc0de_0000 + index as u64,
            fingerprint: 5,
            instruction: 7,
        }
    }

    /// A record that has room for so many frames, all of which are set.
    fn record_of(room: usize, frame_count: usize) -> Vec<u8> {
        let mut words = vec![0, 0, 0, 0, 0, (frame_count as u64) << 32];
        words.extend((0..room).flat_map(|index| [frame(index).code, (7 << 32) | 5]));
        bytes_of([EventKind::BlockAllocated as u32, 0, 0, 0], &words)
    }

    fn stack_of(bytes: &[u8]) -> Option<RawStack> {
        match decode(bytes)?.what {
            Happening::BlockAllocated { stack, .. } => Some(stack),
            other => panic!("it is a block, not {other:?}"),
        }
    }

    #[test]
    fn records_are_as_long_as_those_that_are_made_up() {
        let lengths = [SHORT_FRAMES, MAX_FRAMES].map(|room| record_of(room, 0).len());
        let real = [size_of::<StackEvent>(), size_of::<LongStackEvent>()];
        assert_eq!(lengths, real);
    }

    #[test]
    fn a_short_record_holds_no_frames_of_a_long_one() {
        assert!(stack_of(&record_of(SHORT_FRAMES, SHORT_FRAMES)).is_some());
        for count in [SHORT_FRAMES + 1, MAX_FRAMES, MAX_COUNTED_FRAMES] {
            assert_eq!(stack_of(&record_of(SHORT_FRAMES, count)), None);
            assert!(stack_of(&record_of(MAX_FRAMES, count)).is_some());
        }
    }

    #[test]
    fn frames_that_were_only_counted_are_missing() {
        let mut bytes = record_of(MAX_FRAMES, MAX_FRAMES + 172);
        bytes[offset_of!(StackEvent, walk_end)] = WalkEnd::TooDeep as u8;
        let stack = stack_of(&bytes).unwrap();
        assert_eq!((stack.frames.len(), stack.missing), (MAX_FRAMES, 172));
        assert_eq!(stack.end, WalkEnd::TooDeep);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let _any: Option<Record> = decode(&bytes);
        }

        #[test]
        fn a_record_gives_the_frames_that_it_counts_or_none(
            room in prop_oneof![Just(SHORT_FRAMES), Just(MAX_FRAMES), 0..2 * MAX_FRAMES],
            frame_count in prop_oneof![0..=MAX_FRAMES, 0..2 * MAX_COUNTED_FRAMES],
            cut in prop_oneof![Just(0usize), 0..3000usize],
        ) {
            let mut bytes = record_of(room, frame_count);
            bytes.truncate(bytes.len().saturating_sub(cut));
            let kept = frame_count.min(MAX_FRAMES);
            let fits = bytes.len() >= 64 + 16 * kept && frame_count <= MAX_COUNTED_FRAMES;
            let expected = fits.then(|| RawStack {
                frames: (0..kept).map(frame).collect(),
                missing: u32::try_from(frame_count - kept).unwrap(),
                end: WalkEnd::Complete,
            });
            prop_assert_eq!(stack_of(&bytes), expected);
        }
    }
}
