//! The cookies of probes: what a program has to know about the place where it stands, and the
//! header of pymalloc's pools, which it reads there.

use crate::{config::Request, sampling::CLASS_BYTES};

/// The cookie of a probe in a function of an allocator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestCookie {
    /// Which function it is.
    pub request: Request,
    /// The registers that hold the first and the second argument, unless they are still where a
    /// call puts them.
    pub arguments: Option<[u8; 2]>,
}

impl RequestCookie {
    /// What tells that arguments were moved.
    const MOVED: u64 = 1 << 24;

    /// The cookie as the kernel carries it.
    pub const fn to_wire(self) -> u64 {
        match self.arguments {
            None => self.request as u64,
            Some([first, second]) => {
                self.request as u64 | (first as u64) << 8 | (second as u64) << 16 | Self::MOVED
            }
        }
    }

    /// The cookie as it was.
    pub const fn from_wire(raw: u64) -> Option<Self> {
        let [request, first, second, ..] = raw.to_le_bytes();
        match Request::from_wire(request as u64) {
            Some(request) => Some(Self {
                request,
                arguments: if raw & Self::MOVED == 0 {
                    None
                } else {
                    Some([first, second])
                },
            }),
            None => None,
        }
    }
}

/// The cookie of a probe at the branch where pymalloc has just taken a pool: where the pool and
/// its size class are. Registers are numbered in the order of x86's encoding (0 is `rax`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PoolCookie {
    /// The register that holds the pool.
    pub pool: u8,
    /// Where the size class is.
    pub size_class: SizeClassPlace,
}

/// Where the size class of a pool is while a probe runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SizeClassPlace {
    /// In this register.
    Register(u8),
    /// The code takes pools of this class only.
    Known(u8),
    /// Nowhere: user space reads it from the pool's header afterwards.
    Header,
}

/// The size class of a record whose probe could not tell it.
pub const UNKNOWN_SIZE_CLASS: u32 = u32::MAX;

impl PoolCookie {
    /// The cookie as the kernel carries it.
    pub const fn to_wire(self) -> u64 {
        let (place, value) = match self.size_class {
            SizeClassPlace::Register(number) => (0, number),
            SizeClassPlace::Known(class) => (1, class),
            SizeClassPlace::Header => (2, 0),
        };
        (self.pool as u64) | (place << 8) | ((value as u64) << 16)
    }

    /// The cookie as it was.
    pub const fn from_wire(raw: u64) -> Self {
        let [pool, place, value, ..] = raw.to_le_bytes();
        let size_class = match place {
            0 => SizeClassPlace::Register(value),
            1 => SizeClassPlace::Known(value),
            _ => SizeClassPlace::Header,
        };
        Self { pool, size_class }
    }
}

/// The cookie of a probe where pymalloc or mimalloc hands out a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObjectCookie {
    /// At the branch that finds out whether a pool has a free block. This register holds the pool,
    /// or the head of the list of pools if there is none; then a pool is taken first, and the
    /// block handed out there.
    Pop {
        /// The register.
        pool: u8,
    },
    /// At the branch where pymalloc has just taken a pool, of which it hands out the first block.
    NewPool(PoolCookie),
    /// At the branch where mimalloc finds out whether a page has a free block.
    Page(PageCookie),
    /// At the branch where CPython takes an object off one of its own lists of dead ones.
    Reuse(ReuseCookie),
}

/// Where things are while CPython takes an object off one of its own lists of dead ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReuseCookie {
    /// The register that holds the object, or zero if there is none.
    pub object: u8,
    /// The object's reference count, unless its link to the next one lies there.
    pub references: Option<u8>,
    /// The size of pools is two to the power of this.
    pub pool_shift: u8,
}

impl ReuseCookie {
    /// The block that the object is in, if its pool has this header and hands it out. The garbage
    /// collector and others may have put something in front of the object.
    #[inline]
    pub fn block_of(&self, object: u64, header: &PoolHeader) -> Option<u64> {
        let pool = self.pool_of(object);
        let bytes = u64::from(header.size_class.checked_add(1)?) * u64::from(CLASS_BYTES);
        let first = pool + size_of::<PoolHeader>() as u64;
        let is_pool = header.size_class < SIZE_CLASSES
            && header.count > 0
            && (header.free_block == 0 || self.pool_of(header.free_block) == pool);
        if !is_pool || object < first || object >= pool + u64::from(header.next_offset) {
            return None;
        }
        Some(object - (object - first) % bytes)
    }

    /// The pool that an object is in, if it is in one.
    #[inline]
    pub const fn pool_of(&self, object: u64) -> u64 {
        // Behind 63, shifts are a panic.
        let shift = self.pool_shift & 31;
        object >> shift << shift
    }
}

/// Where things are while mimalloc looks for a free block in a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageCookie {
    /// The register that holds the block, or zero if there is none.
    pub block: u8,
    /// The register that holds the page's address.
    pub page: u8,
    /// Page: how many bytes a block has, in 32 bits.
    pub block_size: u8,
}

impl ObjectCookie {
    /// What tells them apart.
    const NEW_POOL: u64 = 1 << 32;
    const PAGE: u64 = 1 << 33;
    const REUSE: u64 = 1 << 34;

    /// Instead of a reference count: there is none.
    const NO_COUNT: u8 = u8::MAX;

    /// The cookie as the kernel carries it.
    pub const fn to_wire(self) -> u64 {
        match self {
            Self::Pop { pool } => pool as u64,
            Self::NewPool(cookie) => cookie.to_wire() | Self::NEW_POOL,
            Self::Page(cookie) => {
                let PageCookie {
                    block,
                    page,
                    block_size,
                } = cookie;
                (block as u64) | (page as u64) << 8 | (block_size as u64) << 16 | Self::PAGE
            }
            Self::Reuse(cookie) => {
                let ReuseCookie {
                    object,
                    references,
                    pool_shift,
                } = cookie;
                let references = match references {
                    Some(count) => count,
                    None => Self::NO_COUNT,
                };
                (object as u64) | (references as u64) << 8 | (pool_shift as u64) << 16 | Self::REUSE
            }
        }
    }

    /// The cookie as it was.
    pub const fn from_wire(raw: u64) -> Self {
        if raw & Self::PAGE != 0 {
            let [block, page, block_size, ..] = raw.to_le_bytes();
            return Self::Page(PageCookie {
                block,
                page,
                block_size,
            });
        }
        if raw & Self::REUSE != 0 {
            let [object, references, pool_shift, ..] = raw.to_le_bytes();
            let is_count = references != Self::NO_COUNT;
            return Self::Reuse(ReuseCookie {
                object,
                references: if is_count { Some(references) } else { None },
                pool_shift,
            });
        }
        let cookie = PoolCookie::from_wire(raw);
        if raw & Self::NEW_POOL == 0 {
            Self::Pop { pool: cookie.pool }
        } else {
            Self::NewPool(cookie)
        }
    }
}

/// Which one of a process's probes of objects it is, in the bits of the cookie that
/// [`ObjectCookie`] leaves alone.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place(pub u16);

impl Place {
    const SHIFT: u32 = 48;

    /// The cookie of a probe, with this place in it.
    #[must_use]
    pub const fn put_into(self, cookie: u64) -> u64 {
        cookie | (self.0 as u64) << Self::SHIFT
    }

    /// The place that a cookie was given.
    pub const fn of(cookie: u64) -> Self {
        Self((cookie >> Self::SHIFT) as u16)
    }
}

/// Pymalloc's header at the start of a pool, as far as it is looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct PoolHeader {
    /// How many of its blocks are in use.
    pub count: u32,
    /// Not of interest.
    pub padding: u32,
    /// The block that is handed out next; zero if there is none.
    pub free_block: u64,
    /// The next pool of the class.
    pub next_pool: u64,
    /// The pool before it.
    pub previous_pool: u64,
    /// The arena that the pool is cut from.
    pub arena: u32,
    /// The size class.
    pub size_class: u32,
    /// Where the part begins from which no block was ever handed out.
    pub next_offset: u32,
    /// The last place where a block can begin.
    pub last_offset: u32,
}

/// How many size classes pymalloc has.
pub const SIZE_CLASSES: u32 = 32;

const _: () = assert!(size_of::<PoolHeader>() == 48);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_cookie_survives_the_journey() {
        for arguments in [None, Some([6, 2]), Some([0, 15])] {
            let cookie = RequestCookie {
                request: Request::Realloc,
                arguments,
            };
            assert_eq!(RequestCookie::from_wire(cookie.to_wire()), Some(cookie));
        }
        assert_eq!(RequestCookie::from_wire(0), None);
    }

    #[test]
    fn a_pool_cookie_survives_the_journey() {
        for size_class in [
            SizeClassPlace::Register(13),
            SizeClassPlace::Known(31),
            SizeClassPlace::Header,
        ] {
            let cookie = PoolCookie {
                pool: 7,
                size_class,
            };
            assert_eq!(PoolCookie::from_wire(cookie.to_wire()), cookie);
            let cookie = ObjectCookie::NewPool(cookie);
            assert_eq!(ObjectCookie::from_wire(cookie.to_wire()), cookie);
        }
        for references in [None, Some(0), Some(1)] {
            let cookie = ObjectCookie::Reuse(ReuseCookie {
                object: 12,
                references,
                pool_shift: 14,
            });
            assert_eq!(ObjectCookie::from_wire(cookie.to_wire()), cookie);
        }
    }

    #[test]
    fn the_block_of_an_object_begins_in_front_of_it_or_there() {
        let cookie = ReuseCookie {
            object: 0,
            references: None,
            pool_shift: 12,
        };
        let pool = 0x7f00_0000_3000;
        let header = PoolHeader {
            count: 2,
            free_block: pool + 48 + 64,
            size_class: 3,
            next_offset: 48 + 3 * 64,
            ..PoolHeader::default()
        };
        let block_of = |offset: u64, header: &PoolHeader| cookie.block_of(pool + offset, header);
        let second = Some(pool + 48 + 64);
        assert_eq!(block_of(48 + 64, &header), second);
        assert_eq!(block_of(48 + 64 + 16, &header), second);
        assert_eq!(block_of(0, &header), None, "a pool is no object");
        assert_eq!(block_of(48 + 3 * 64, &header), None, "never handed out");
        let no_pools = [
            PoolHeader {
                size_class: 32,
                ..header
            },
            PoolHeader {
                size_class: u32::MAX,
                ..header
            },
            PoolHeader { count: 0, ..header },
            PoolHeader {
                free_block: 0x1234,
                ..header
            },
        ];
        for no_pool in no_pools {
            assert_eq!(block_of(48, &no_pool), None, "{no_pool:?}");
        }
    }

    #[test]
    fn a_place_changes_nothing_of_a_cookie() {
        let reuse = ObjectCookie::Reuse(ReuseCookie {
            object: 15,
            references: Some(254),
            pool_shift: 63,
        });
        for cookie in [ObjectCookie::Pop { pool: 15 }, reuse] {
            for place in [0, 1, u16::MAX].map(Place) {
                let wire = place.put_into(cookie.to_wire());
                assert_eq!(Place::of(wire), place);
                assert_eq!(ObjectCookie::from_wire(wire), cookie);
            }
        }
    }

    #[test]
    fn pops_pages_and_new_pools_are_told_apart() {
        let cookie = ObjectCookie::Pop { pool: 15 };
        assert_eq!(ObjectCookie::from_wire(cookie.to_wire()), cookie);
        let cookie = ObjectCookie::Page(PageCookie {
            block: 15,
            page: 3,
            block_size: 40,
        });
        assert_eq!(ObjectCookie::from_wire(cookie.to_wire()), cookie);
    }
}
