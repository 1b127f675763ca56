//! What does not change about an object as long as it lives: its type, and the value of numbers
//! and texts. Whatever has changed is another object at the same place.

use std::{collections::BTreeSet, iter};

use foldhash::HashMap;

use super::pool_state::word;
use crate::{
    process::{elf::ElfFile, memory::Memory},
    python::{
        runtime::Interpreter,
        text::{Place, Text, TextLayout},
    },
};

/// The first words of a block, zero where it has none, and a mixture of all others.
pub(super) type Words = [u64; FIRST_WORDS + 1];

/// So many: a type pointer can be the sixth, and three words of a value follow it.
const FIRST_WORDS: usize = 9;

/// The words of a block with this content.
pub(super) fn words_of(block: &[u8]) -> Words {
    let (all, _) = block.as_chunks();
    let mut all = all.iter().map(|word| u64::from_le_bytes(*word));
    let mut words = Words::default();
    for (place, word) in words.iter_mut().take(FIRST_WORDS).zip(&mut all) {
        *place = word;
    }
    words[FIRST_WORDS] = mixture(all);
    words
}

/// Where objects keep the pointer to their type: behind the reference count, or behind what the
/// garbage collector puts in front of it, or behind the two words in front of that for attributes.
/// Without a GIL it is behind three words of reference counts, or behind those for attributes, too.
const TYPE_PLACES: [usize; 3] = [1, 3, 5];

/// How far `PyTypeObject.tp_flags` is behind its own type, and the flag of those that are types of
/// types.
const TYPE_FLAGS: u64 = 160;
const TYPE_OF_TYPES: u64 = 1 << 31;

/// Types with something about their objects that never changes, or seldom.
const CONSTANT: [(&str, Constancy); 7] = [
    ("PyLong_Type", Constancy::Contents),
    ("PyFloat_Type", Constancy::Contents),
    ("PyUnicode_Type", Constancy::Text),
    ("PyBytes_Type", Constancy::Contents),
    ("PyTuple_Type", Constancy::Contents),
    ("PyList_Type", Constancy::Pointer(2)),
    ("PyDict_Type", Constancy::Pointer(3)),
];

/// How much of an object never changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Constancy {
    /// The two words behind its type, and its text; what lies between is filled in when it is asked
    /// for.
    Text,
    /// All of it.
    Contents,
    /// Hardly ever, once it is filled: where the rest of it is, which the word tells that is so far
    /// behind its type.
    Pointer(usize),
}

/// Addresses at the ends of the address space are none of an object.
const ADDRESSES: std::ops::Range<u64> = 0x1_0000..1 << 47;

/// How many pointers are remembered to be types, or none.
const MAX_KINDS: usize = 1 << 16;

/// A word that is not known yet: a hash that nobody has asked for, or an item still to be set.
const OPEN: [u64; 2] = [0, u64::MAX];

/// What does not change about an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The address of its type, mixed with the length or value of immutable objects: there are
    /// many identities to be kept.
    what: u64,
    /// The word after that: a hash, digits, or an item.
    rest: u64,
    /// Whether it cannot change, rather than that it seldom does.
    is_firm: bool,
}

/// An odd number without any pattern, which spreads values over all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Identity {
    /// An object of the type at this address, with the two words behind it if these never change.
    pub const fn new(kind: u64, [size, rest]: [u64; 2]) -> Self {
        let what = kind ^ size.wrapping_mul(SPREAD).rotate_left(32);
        Self {
            what,
            rest,
            is_firm: true,
        }
    }

    /// What has a word, or a type and a word, that seldom changes.
    const fn loose(kind: u64, rest: u64) -> Self {
        Self {
            is_firm: false,
            ..Self::new(kind, [0, rest])
        }
    }

    /// Whether it is another object for sure if this has changed.
    pub const fn is_firm(&self) -> bool {
        self.is_firm
    }

    /// Whether what was seen first may be what was seen later.
    pub fn may_become(&self, later: &Self) -> bool {
        self.what == later.what && (self.rest == later.rest || OPEN.contains(&self.rest))
    }
}

/// Which words are pointers to types, in one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    /// The type of types.
    metatype: Option<u64>,
    /// Where objects keep their type.
    object_type: u64,
    constant: HashMap<u64, Constancy>,
    /// Where texts have what.
    text: Option<TextLayout>,
    /// Whether there is a type at an address.
    known: HashMap<u64, bool>,
}

impl Kinds {
    /// Of an interpreter; `elf` is the binary that holds it.
    pub(super) fn new(interpreter: &Interpreter, elf: &ElfFile) -> Self {
        let address = |name: &str| {
            let symbol = elf.symbol(name)?;
            Some(interpreter.image.address(symbol.address))
        };
        Self {
            metatype: address("PyType_Type"),
            object_type: interpreter.code.offsets.object_type.into(),
            constant: (CONSTANT.into_iter())
                .filter_map(|(name, constancy)| Some((address(name)?, constancy)))
                .collect(),
            text: Some(interpreter.code.offsets.text),
            known: HashMap::default(),
        }
    }

    /// Whether a dead object of a known type is kept there, to be used again: nothing refers to it,
    /// or where references are counted is a link to the next one of its type.
    pub(super) fn is_kept_dead(&self, memory: &Memory, words: &Words) -> bool {
        self.type_place(words).is_some_and(|place| {
            let (count, kind) = (words[place - 1], words[place]);
            let is_link = count > u32::MAX.into() && may_be_pointer(count);
            let type_at = count.wrapping_add(self.object_type);
            count == 0 || is_link && words_at(memory, iter::once(type_at)) == [kind]
        })
    }

    /// Which word points to the type, if that is known.
    fn type_place(&self, words: &Words) -> Option<usize> {
        let is_type = |place: &usize| self.known.get(&words[*place]).copied().unwrap_or(false);
        TYPE_PLACES.into_iter().find(is_type)
    }

    /// What does not change about an object with these first words, or seldom; of memory that is no
    /// object, such as the items of a list, the first word. `None` if types cannot be told.
    pub(super) fn identity(&self, words: &Words) -> Option<Identity> {
        let Some(place) = self.type_place(words) else {
            return self.can_tell().then(|| Identity::loose(0, words[0]));
        };
        let kind = words[place];
        let value = match self.constant.get(&kind) {
            None => [0; 2],
            Some(Constancy::Pointer(behind)) => {
                return Some(Identity::loose(kind, words[place + behind]));
            }
            Some(Constancy::Contents) => valued(words, place, place + 3),
            Some(Constancy::Text) => valued(words, place, self.text_in(words, place - 1)),
        };
        Some(Identity::new(kind, value))
    }

    /// The first word of a text, which begins at a word. If the text is elsewhere, there is none.
    fn text_in(&self, words: &Words, object: usize) -> usize {
        let bytes = words.map(u64::to_le_bytes);
        let head = bytes.as_flattened().get(object * 8..);
        let place = self.text.zip(head).and_then(|(layout, head)| {
            let text = Text::parse(&layout, 0, head, usize::MAX / 8)?;
            match text.place {
                Place::At(offset) => usize::try_from(offset / 8).ok(),
                Place::Through(_) => None,
            }
        });
        place.map_or(words.len(), |first| object + first)
    }

    /// Finds out which of the words point to types.
    pub(super) fn learn(&mut self, memory: &Memory, seen: &[&Words]) {
        let candidates = seen.iter().flat_map(|words| candidates(words));
        self.learn_about(memory, candidates);
    }

    /// Whether types can be told at all.
    pub(super) const fn can_tell(&self) -> bool {
        self.metatype.is_some()
    }

    /// Which of some words point to types.
    pub(super) fn are_types<const N: usize>(
        &mut self,
        memory: &Memory,
        words: [u64; N],
    ) -> [bool; N] {
        self.learn_about(
            memory,
            words.into_iter().filter(|word| may_be_pointer(*word)),
        );
        words.map(|word| self.known.get(&word).copied().unwrap_or(false))
    }

    /// Where the flags of a type are.
    pub(super) const fn flags_at(&self, kind: u64) -> u64 {
        kind.wrapping_add(self.object_type).wrapping_add(TYPE_FLAGS)
    }

    fn learn_about(&mut self, memory: &Memory, candidates: impl Iterator<Item = u64>) {
        let unknown: BTreeSet<u64> = candidates
            .filter(|word| !self.known.contains_key(word))
            .collect();
        let Some(metatype) = self.metatype else {
            return;
        };
        if self.known.len() + unknown.len() > MAX_KINDS {
            self.known.clear();
        }
        let words: Vec<u64> = unknown.into_iter().collect();
        let type_at = |word: &u64| word.wrapping_add(self.object_type);
        let types = words_at(memory, words.iter().map(type_at));
        // A type of types may be derived from the one that comes with Python.
        let flags = words_at(memory, types.iter().map(|it| self.flags_at(*it)));
        for ((candidate, found), flags) in words.iter().zip(&types).zip(flags) {
            let is_derived = ADDRESSES.contains(found)
                && flags & TYPE_OF_TYPES != 0
                && self.known.get(found).copied().unwrap_or(false);
            self.known
                .insert(*candidate, *found == metatype || is_derived);
        }
    }
}

/// The value of an object with its type at a place, and contents from another one on.
fn valued(words: &Words, place: usize, contents: usize) -> [u64; 2] {
    let contents = words.iter().skip(contents).copied();
    [words[place + 1] ^ mixture(contents), words[place + 2]]
}

/// A number for a row of words, which hardly any other row has.
fn mixture(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(0, |mixed: u64, word| {
        (mixed.rotate_left(5) ^ word).wrapping_mul(SPREAD)
    })
}

/// The words at some addresses; zero where there is none.
fn words_at(memory: &Memory, addresses: impl Iterator<Item = u64>) -> Vec<u64> {
    let ranges: Vec<_> = addresses.map(|address| (address, 8)).collect();
    let found = memory.read_many(&ranges).into_iter();
    found
        .map(|bytes| bytes.map_or(0, |bytes| word(&bytes, 0)))
        .collect()
}

/// What may be pointers to types.
fn candidates(words: &Words) -> impl Iterator<Item = u64> {
    let words = TYPE_PLACES.map(|place| words[place]);
    words.into_iter().filter(|word| may_be_pointer(*word))
}

/// Whether a word can be the address of a type or of another object.
fn may_be_pointer(word: u64) -> bool {
    word.is_multiple_of(8) && ADDRESSES.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_may_come_to_be_known_but_not_change() {
        let fresh = Identity::new(1, [5, u64::MAX]);
        let hashed = Identity::new(1, [5, 77]);
        assert!(fresh.may_become(&hashed) && hashed.may_become(&hashed));
        assert!(!hashed.may_become(&Identity::new(1, [5, 78])));
        assert!(!hashed.may_become(&Identity::new(1, [6, 77])));
        assert!(!hashed.may_become(&Identity::new(2, [5, 77])));
    }

    #[test]
    fn only_immutable_objects_have_a_value() {
        let kinds = Kinds {
            metatype: Some(0x10_0000),
            object_type: 8,
            constant: HashMap::from_iter([(0x20_0000, Constancy::Contents)]),
            text: None,
            known: HashMap::from_iter([(0x20_0000, true), (0x30_0000, true), (0x40_0000, false)]),
        };
        let number = [1, 0x20_0000, 8, 9, 0, 0, 0, 0, 0, 0];
        let identity = kinds.identity(&number);
        assert!(identity.is_some());
        for changed in 2..10 {
            let mut other = number;
            other[changed] += 1;
            assert_ne!(kinds.identity(&other), identity, "word {changed}");
        }
        let instance = [7, 8, 1, 0x30_0000, 4, 5, 6, 7, 8, 9];
        let expected = Identity::new(0x30_0000, [0, 0]);
        assert_eq!(kinds.identity(&instance), Some(expected));
        let [raw, other] =
            [1, 2].map(|first| kinds.identity(&[first, 0x40_0000, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(raw.is_some_and(|raw| !raw.is_firm()) && raw != other);
        assert_eq!(Kinds::default().identity(&[0; 10]), None);
    }

    #[test]
    fn a_list_that_grows_in_place_is_the_same() {
        let kinds = Kinds {
            constant: HashMap::from_iter([(0x20_0000, Constancy::Pointer(2))]),
            known: HashMap::from_iter([(0x20_0000, true)]),
            ..Kinds::default()
        };
        let list = |size, items| {
            let words = [0x7f00, 0x7f10, 1, 0x20_0000, size, items, 8, 0, 0, 0];
            kinds.identity(&words).unwrap()
        };
        assert!(list(1, 0x5000).may_become(&list(5, 0x5000)));
        assert!(
            list(0, 0).may_become(&list(5, 0x5000)),
            "it had no items yet"
        );
        assert!(!list(5, 0x5000).may_become(&list(5, 0x6000)));
    }
}
