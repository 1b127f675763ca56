//! The places at which pymalloc is about to take a block off a pool, or finds none left.
//!
//! `pymalloc_alloc` looks up the pool in use for a size class. If that is its own successor, it
//! is the list's head and no pool: a new one has to be taken. Otherwise the pool's first free
//! block is handed out and counted. The jump that decides is cheap to probe, and the pool's
//! header, read there, says which block is next and of which class. Compilers inline this
//! wherever objects are made.

use iced_x86::{Code, Instruction, Mnemonic, OpKind};

use super::{
    code::{MachineCode, taken_on_equal},
    header::{COUNT, FREE_BLOCK, NEXT_POOL},
    trace::{Effect, Operand, Trace, Value, field},
};
use crate::process::elf::Segment;

/// A place where the decision falls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PopSite {
    /// The address of the conditional jump, before the file is loaded anywhere.
    pub address: u64,
    /// The register that holds the pool's address there, as x86 numbers it (0 is `rax`).
    pub pool: u8,
    /// Whether the jump is taken if there is no pool, or if there is one.
    pub taken_on_equal: bool,
}

/// Finds the places where blocks are taken off pools, in the order of their addresses.
///
/// There are one to three where the function was not inlined, and some hundreds otherwise.
pub fn find(code: &[Segment<'_>]) -> Vec<PopSite> {
    let code = MachineCode(code);
    let mut sites = Vec::new();
    code.sweep(may_decide, |before, jump| {
        sites.extend(site_at(code, before, jump));
    });
    sites.sort_by_key(|site| site.address);
    sites.dedup_by_key(|site| site.address);
    sites
}

/// Rules nearly all instructions out before the code around them is followed.
fn may_decide(before: &[Instruction], instruction: &Instruction) -> bool {
    taken_on_equal(instruction).is_some()
        && deciding_compare(before)
            .is_some_and(|code| matches!(code, Code::Cmp_rm64_r64 | Code::Cmp_r64_rm64))
        && before.iter().any(reads_next_pool)
}

/// The `cmp` that set the flags, if it was one.
fn deciding_compare(before: &[Instruction]) -> Option<Code> {
    let mut backwards = before.iter().rev();
    let last = backwards.find(|instruction| instruction.rflags_modified() != 0)?;
    (last.mnemonic() == Mnemonic::Cmp).then(|| last.code())
}

fn reads_next_pool(instruction: &Instruction) -> bool {
    let reads_memory = instruction.op_kinds().any(|kind| kind == OpKind::Memory);
    reads_memory && instruction.memory_displacement64() == NEXT_POOL
}

fn site_at(code: MachineCode<'_>, before: &[Instruction], jump: &Instruction) -> Option<PopSite> {
    let taken_on_equal = taken_on_equal(jump)?;
    let mut trace = Trace::new();
    trace.follow(before);
    let pool = compared_with_successor(trace.effects())?;
    let unequal = if taken_on_equal {
        jump.next_ip()
    } else {
        jump.near_branch_target()
    };
    let way = trace.effects_of(code.path_from(unequal));
    if !pops_block(&way, pool) || !code.is_emulated(jump) {
        return None;
    }
    Some(PopSite {
        address: jump.ip(),
        pool: trace.register_of(pool)?,
        taken_on_equal,
    })
}

/// The pool whose link to the next was compared with its own address last.
fn compared_with_successor(effects: &[Effect]) -> Option<Value> {
    let (one, other) = effects.iter().rev().find_map(|effect| match effect {
        Effect::Compare(one, other) => Some((*one, *other)),
        _ => None,
    })?;
    [(one, other), (other, one)]
        .into_iter()
        .find_map(|(pool, successor)| {
            let Operand::Value(pool) = pool else {
                return None;
            };
            let link = field(pool, NEXT_POOL, 8);
            let is_successor = match successor {
                Operand::Memory(place) => place == link,
                Operand::Value(value) => effects.contains(&Effect::Load(link, value)),
                Operand::Constant(_) | Operand::Other => false,
            };
            is_successor.then_some(pool)
        })
}

/// Whether a pool's first free block is looked up, and one more block counted.
fn pops_block(way: &[Effect], pool: Value) -> bool {
    let (list, count) = (field(pool, FREE_BLOCK, 8), field(pool, COUNT, 4));
    let loads = |wanted| {
        way.iter()
            .any(|effect| matches!(effect, Effect::Load(place, _) if *place == wanted))
    };
    let stores_count = way
        .iter()
        .any(|effect| matches!(effect, Effect::Store(place, _) if *place == count));
    let counts = way.contains(&Effect::Increment(count)) || loads(count) && stores_count;
    loads(list) && counts
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const START: u64 = 0x40_0000;

    // The pool is in %rax everywhere.
    const LOAD_NEXT: &[u8] = &[0x48, 0x8b, 0x50, 0x10]; // mov 0x10(%rax), %rdx
    const COMPARE: &[u8] = &[0x48, 0x39, 0xd0]; // cmp %rdx, %rax
    const COMPARE_BACK: &[u8] = &[0x48, 0x39, 0xc2]; // cmp %rax, %rdx
    const COMPARE_MEMORY: &[u8] = &[0x48, 0x3b, 0x40, 0x10]; // cmp 0x10(%rax), %rax
    const LOAD_BLOCK: &[u8] = &[0x48, 0x8b, 0x70, 0x08]; // mov 0x8(%rax), %rsi
    const ADD_ONE: &[u8] = &[0x83, 0x00, 0x01]; // addl $1, (%rax)
    const INCREMENT: &[u8] = &[0xff, 0x00]; // incl (%rax)
    const COUNT_APART: &[u8] = &[0x8b, 0x08, 0xff, 0xc1, 0x89, 0x08]; // by way of %ecx
    const MOVE: &[u8] = &[0x49, 0x89, 0xc0]; // mov %rax, %r8
    const SPOIL: &[u8] = &[0x48, 0x89, 0xf0]; // mov %rsi, %rax
    const RETURN: &[u8] = &[0xc3];
    const JE_1: &[u8] = &[0x74, 1];
    const JNE_1: &[u8] = &[0x75, 1];

    fn sites_in(pieces: &[&[u8]]) -> Vec<PopSite> {
        find(&[Segment {
            address: START,
            bytes: &pieces.concat(),
        }])
    }

    fn site(offset: u64, taken_on_equal: bool) -> PopSite {
        PopSite {
            address: START + offset,
            pool: 0,
            taken_on_equal,
        }
    }

    #[test]
    fn the_question_whether_there_is_a_pool_is_the_site() {
        #[rustfmt::skip]
        let cases: &[(&[&[u8]], PopSite)] = &[
            (&[LOAD_NEXT, COMPARE, JE_1, LOAD_BLOCK, ADD_ONE, RETURN], site(7, true)),
            (&[LOAD_NEXT, COMPARE_BACK, JE_1, INCREMENT, LOAD_BLOCK, RETURN], site(7, true)),
            (&[LOAD_NEXT, COMPARE, JNE_1, RETURN, LOAD_BLOCK, ADD_ONE, RETURN], site(7, false)),
            (&[COMPARE_MEMORY, JE_1, LOAD_BLOCK, COUNT_APART, RETURN], site(4, true)),
            (&[LOAD_NEXT, COMPARE, MOVE, JE_1, LOAD_BLOCK, ADD_ONE], site(10, true)),
        ];
        for (pieces, expected) in cases {
            assert_eq!(sites_in(pieces), [*expected]);
        }
    }

    #[test]
    fn what_only_looks_like_a_pool_is_none() {
        let cases: &[&[&[u8]]] = &[
            &[COMPARE, JE_1, LOAD_BLOCK, ADD_ONE],
            &[LOAD_NEXT, COMPARE, JNE_1, LOAD_BLOCK, ADD_ONE],
            &[LOAD_NEXT, COMPARE, JE_1, LOAD_BLOCK, RETURN, ADD_ONE],
            &[LOAD_NEXT, COMPARE, JE_1, ADD_ONE, RETURN],
            &[LOAD_NEXT, COMPARE, ADD_ONE, JE_1, LOAD_BLOCK, ADD_ONE],
            &[LOAD_NEXT, SPOIL, COMPARE, JE_1, LOAD_BLOCK, ADD_ONE],
            &[LOAD_NEXT, COMPARE, SPOIL, JE_1, LOAD_BLOCK, ADD_ONE],
            &[LOAD_NEXT, RETURN, COMPARE, JE_1, LOAD_BLOCK, ADD_ONE],
        ];
        for pieces in cases {
            assert_eq!(sites_in(pieces), [], "{pieces:x?}");
        }
    }

    #[test]
    fn a_copy_of_the_pool_will_do() {
        let spoil_with_copy: &[u8] = &[MOVE, SPOIL].concat();
        let load_block: &[u8] = &[0x49, 0x8b, 0x70, 0x08]; // mov 0x8(%r8), %rsi
        let add_one: &[u8] = &[0x41, 0x83, 0x00, 0x01]; // addl $1, (%r8)
        let pieces = [
            LOAD_NEXT,
            COMPARE,
            spoil_with_copy,
            JE_1,
            load_block,
            add_one,
        ];
        let expected = PopSite {
            pool: 8,
            ..site(13, true)
        };
        assert_eq!(sites_in(&pieces), [expected]);
    }

    proptest! {
        #[test]
        fn any_mixture_of_code_is_read_without_a_panic(
            pieces in vec(
                prop_oneof![
                    6 => select(vec![
                        LOAD_NEXT, COMPARE, COMPARE_BACK, COMPARE_MEMORY, LOAD_BLOCK, ADD_ONE,
                        INCREMENT, COUNT_APART, MOVE, SPOIL, JE_1, JNE_1, &[0xeb, 0xf0],
                    ]).prop_map(<[u8]>::to_vec),
                    1 => vec(any::<u8>(), 0..8),
                ],
                0..16,
            ),
            address: u64,
        ) {
            let bytes = pieces.concat();
            for site in find(&[Segment { address, bytes: &bytes }]) {
                let offset = usize::try_from(site.address.wrapping_sub(address)).unwrap();
                prop_assert!(offset < bytes.len());
                prop_assert!(site.pool < 16);
            }
        }
    }
}
