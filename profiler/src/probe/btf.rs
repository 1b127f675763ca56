//! Looks up where members of the kernel's structures are, in the type information (BTF) that the
//! running kernel publishes. The format: `Documentation/bpf/btf.rst` in the kernel's sources.

use thiserror::Error;

/// Why type information could not be used.
#[derive(Debug, Error, Eq, PartialEq)]
pub enum BtfError {
    /// The bytes do not have BTF's form.
    #[error("the kernel's type information is malformed")]
    Malformed,
    /// The kernel has no such member.
    #[error("the kernel's type information has no `{structure}.{member}`")]
    NoMember {
        /// The structure.
        structure: String,
        /// The member.
        member: String,
    },
}

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;

/// How many anonymous members of a structure are looked into, on all levels together; the kernel's
/// largest structures have a few dozen.
const MAX_ANONYMOUS: usize = 256;

/// The types of a kernel.
pub struct Btf<'a> {
    strings: &'a [u8],
    /// The type with id `n` is entry `n - 1`.
    types: Vec<Type<'a>>,
}

#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    kind: u32,
    /// The offsets of members share their word with bit field sizes.
    has_bit_fields: bool,
    members: &'a [u8],
}

impl Type<'_> {
    /// The part of a member's last word that is its offset.
    const fn offset_mask(self) -> u32 {
        if self.has_bit_fields {
            0x00ff_ffff
        } else {
            u32::MAX
        }
    }
}

impl<'a> Btf<'a> {
    /// Reads type information.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        Self::parse_sections(bytes).ok_or(BtfError::Malformed)
    }

    fn parse_sections(bytes: &'a [u8]) -> Option<Self> {
        let magic = u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?);
        if magic != MAGIC {
            return None;
        }
        let body = bytes.get(word(bytes, 4)? as usize..)?;
        let section = |offset: usize| {
            let start = word(bytes, offset)? as usize;
            let length = word(bytes, offset + 4)? as usize;
            body.get(start..start.checked_add(length)?)
        };
        let types = parse_types(section(8)?)?;
        Some(Self {
            strings: section(16)?,
            types,
        })
    }

    /// The offset of `member` in `structure`, in bytes.
    pub fn offset_of(&self, structure: &str, member: &str) -> Result<u32, BtfError> {
        self.types
            .iter()
            .filter(|each| each.kind == KIND_STRUCT && self.is_named(each.name, structure))
            .find_map(|each| self.member_bits(each, member))
            .map(|(bits, _)| bits / 8)
            .ok_or_else(|| no_member(structure, member))
    }

    /// The offset of `inner` in the structure that is the member `outer` of `structure`.
    pub fn offset_of_nested(
        &self,
        structure: &str,
        outer: &str,
        inner: &str,
    ) -> Result<u32, BtfError> {
        let nested = || {
            let found = self
                .types
                .iter()
                .find(|each| each.kind == KIND_STRUCT && self.is_named(each.name, structure))?;
            let (outer_bits, outer_type) = self.member_bits(found, outer)?;
            let (inner_bits, _) = self.member_bits(self.type_of(outer_type)?, inner)?;
            Some(outer_bits.checked_add(inner_bits)? / 8)
        };
        nested().ok_or_else(|| no_member(structure, &format!("{outer}.{inner}")))
    }

    /// Where a member starts, in bits, and the id of its type; members of anonymous structures
    /// and unions count as the outer one's.
    fn member_bits(&self, of: &Type<'a>, name: &str) -> Option<(u32, u32)> {
        // What to look into, and where it starts. A list, because hostile structures can hold
        // themselves.
        let mut open = vec![(*of, 0_u32)];
        let mut next = 0;
        while let Some(&(aggregate, start)) = open.get(next) {
            next += 1;
            for entry in aggregate.members.chunks_exact(12) {
                let (entry_name, entry_type) = (word(entry, 0)?, word(entry, 4)?);
                let bits = start.checked_add(word(entry, 8)? & aggregate.offset_mask())?;
                if self.is_named(entry_name, name) {
                    return Some((bits, entry_type));
                }
                if entry_name == 0
                    && open.len() <= MAX_ANONYMOUS
                    && let Some(inner) = self.type_of(entry_type)
                {
                    open.push((*inner, bits));
                }
            }
        }
        None
    }

    fn type_of(&self, id: u32) -> Option<&Type<'a>> {
        self.types.get((id as usize).checked_sub(1)?)
    }

    fn is_named(&self, offset: u32, name: &str) -> bool {
        self.strings
            .get(offset as usize..)
            .and_then(|rest| rest.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }
}

fn no_member(structure: &str, member: &str) -> BtfError {
    BtfError::NoMember {
        structure: structure.to_owned(),
        member: member.to_owned(),
    }
}

fn parse_types(mut rest: &[u8]) -> Option<Vec<Type<'_>>> {
    let mut types = Vec::new();
    while !rest.is_empty() {
        let (name, info) = (word(rest, 0)?, word(rest, 4)?);
        let kind = (info >> 24) & 0x1f;
        let extra = extra_bytes(kind, (info & 0xffff) as usize)?;
        let members = rest.get(12..12 + extra)?;
        let is_aggregate = kind == KIND_STRUCT || kind == KIND_UNION;
        types.push(Type {
            name,
            kind,
            has_bit_fields: info >> 31 == 1,
            members: if is_aggregate { members } else { &[] },
        });
        rest = rest.get(12 + extra..)?;
    }
    Some(types)
}

/// How many bytes follow the fixed part of a type of this kind.
const fn extra_bytes(kind: u32, length: usize) -> Option<usize> {
    Some(match kind {
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Array.
        3 => 12,
        // Structure, union, data section, 64-bit enumeration.
        KIND_STRUCT | KIND_UNION | 15 | 19 => length * 12,
        // Enumeration, function prototype.
        6 | 13 => length * 8,
        // Pointer, forward, typedef, qualifiers, function, float, type tag.
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    Some(u32::from_le_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn aggregate(members: u32) -> u32 {
        (KIND_STRUCT << 24) | members
    }

    /// `struct outer { int a; struct { int b; }; struct inner c; }` and
    /// `struct inner { int d; int e; }`.
    fn example() -> Vec<u8> {
        #[rustfmt::skip]
        let types = [
            0, 1 << 24, 4, 0,                                   // 1: int
            0, aggregate(1), 4, 9, 1, 0,                        // 2: anonymous { int b }
            11, aggregate(2), 8, 19, 1, 0, 21, 1, 32,           // 3: inner { int d; int e }
            1, aggregate(3), 16, 7, 1, 0, 0, 2, 32, 17, 3, 64,  // 4: outer
        ];
        type_information(&types)
    }

    /// The types are made of these words.
    fn type_information(types: &[u32]) -> Vec<u8> {
        let strings = b"\0outer\0a\0b\0inner\0c\0d\0e\0";
        let types: Vec<u8> = types.iter().copied().flat_map(u32::to_le_bytes).collect();
        let lengths = [24, 0, types.len(), types.len(), strings.len()];
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        bytes.extend(
            lengths
                .into_iter()
                .flat_map(|length| u32::try_from(length).unwrap().to_le_bytes()),
        );
        bytes.extend(types);
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn finds_members_of_nested_and_anonymous_structures() {
        let bytes = example();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.offset_of("outer", "a"), Ok(0));
        assert_eq!(btf.offset_of("outer", "b"), Ok(4));
        assert_eq!(btf.offset_of("outer", "c"), Ok(8));
        assert_eq!(btf.offset_of_nested("outer", "c", "e"), Ok(12));
    }

    #[test]
    fn says_which_member_is_missing() {
        let bytes = example();
        let error = Btf::parse(&bytes)
            .unwrap()
            .offset_of("outer", "z")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the kernel's type information has no `outer.z`"
        );
    }

    #[test]
    fn offsets_whose_sum_is_too_large_are_refused() {
        #[rustfmt::skip]
        let bytes = type_information(&[
            11, aggregate(1), 8, 19, 1, u32::MAX,  // 1: inner { int d }, far away
            1, aggregate(1), 16, 17, 1, u32::MAX,  // 2: outer { inner c }, far away
        ]);
        let found = Btf::parse(&bytes)
            .unwrap()
            .offset_of_nested("outer", "c", "d");
        assert_eq!(found, Err(no_member("outer", "c.d")));
    }

    #[test]
    fn structures_that_hold_themselves_many_times_over_are_searched_to_an_end() {
        let members = 500;
        let mut types = vec![1, aggregate(members), 8];
        types.extend((0..members).flat_map(|_| [0, 1, 0]));
        let bytes = type_information(&types);
        let found = Btf::parse(&bytes).unwrap().offset_of("outer", "z");
        assert_eq!(found, Err(no_member("outer", "z")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            place in 0usize..200,
        ) {
            let mut bytes = example();
            for (offset, byte) in noise.iter().enumerate() {
                let length = bytes.len();
                bytes[(place + offset * 7) % length] = *byte;
            }
            for input in [&bytes, &noise] {
                if let Ok(btf) = Btf::parse(input) {
                    let _any: Result<u32, BtfError> = btf.offset_of_nested("outer", "c", "e");
                }
            }
        }
    }
}
