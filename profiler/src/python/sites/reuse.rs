//! The places at which CPython takes an object off one of its own lists of dead objects.
//!
//! Tuples, lists, dicts, floats and others that die are kept for the next one of their kind, so
//! pymalloc neither sees them go nor come again. Two kinds of lists are known by what code does
//! with them: chains, whose first link is found to be there and is replaced by what it points to;
//! and arrays, which are counted down and read at that count. What is taken is then born: its
//! reference count is set to one on the spot, or it goes to a function, `_Py_NewReference`.

use std::iter;

use iced_x86::{Code, FlowControl, Instruction, Mnemonic, OpKind};

use super::{
    code::{MachineCode, taken_on_equal},
    trace::{Effect, Operand, Place, Trace, Value, field},
};
use crate::process::elf::Segment;

/// How far behind the start of an object its link to the next may be. Tuples are chained by their
/// first item.
const LINKS: [u64; 4] = [0, 8, 16, 24];

/// Where an object has its reference count, and its type.
const REFERENCE_COUNT: u64 = 0;
const TYPE: u64 = 8;

/// The registers that functions leave as they were: `rbx`, `rbp` and `r12` to `r15`.
const KEPT_BY_CALLS: [u8; 6] = [3, 5, 12, 13, 14, 15];

/// A place where an object has been taken off a list, or is about to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReuseSite {
    /// The address of the branch, before the file is loaded anywhere.
    pub address: u64,
    /// The register that holds the object's address there, or zero if there is none, as x86
    /// numbers it (0 is `rax`).
    pub object: u8,
    /// The object's reference count there, unless its link to the next one lies there.
    pub references: Option<u8>,
}

/// Finds the places where dead objects are used again, in the order of their addresses.
///
/// A few of the places serve other lists. What comes by there is no dead object.
pub fn find(code: &[Segment<'_>]) -> Vec<ReuseSite> {
    let code = MachineCode(code);
    let mut sites = Vec::new();
    code.sweep(may_take, |before, branch| {
        sites.extend(site_at(code, before, branch));
    });
    sites.sort_by_key(|site| site.address);
    sites.dedup_by_key(|site| site.address);
    sites
}

/// Rules nearly all instructions out before the code around them is followed.
fn may_take(before: &[Instruction], branch: &Instruction) -> bool {
    match branch.flow_control() {
        FlowControl::ConditionalBranch => {
            tests_loaded_pointer(before) || since_branch(before).iter().any(loads_from_array)
        }
        FlowControl::Call => since_branch(before).iter().any(loads_from_array),
        _ => false,
    }
}

/// Whether the flags tell if a register is zero that something was loaded to.
fn tests_loaded_pointer(before: &[Instruction]) -> bool {
    let mut backwards = before.iter().rev();
    let last = backwards.find(|instruction| instruction.rflags_modified() != 0);
    last.is_some_and(|last| {
        let register = last.op0_register();
        let is_test = last.mnemonic() == Mnemonic::Test && register == last.op1_register();
        let mut loads = backwards.filter(|it| loads_pointer(it));
        is_test && register.is_gpr64() && loads.any(|load| load.op0_register() == register)
    })
}

fn loads_pointer(instruction: &Instruction) -> bool {
    instruction.code() == Code::Mov_r64_rm64 && instruction.op1_kind() == OpKind::Memory
}

fn loads_from_array(instruction: &Instruction) -> bool {
    loads_pointer(instruction) && instruction.memory_index_scale() == 8
}

/// What comes behind the last conditional branch.
fn since_branch(before: &[Instruction]) -> &[Instruction] {
    let branches = |it: &Instruction| it.flow_control() == FlowControl::ConditionalBranch;
    let start = before.iter().rposition(branches);
    before
        .get(start.map_or(0, |branch| branch + 1)..)
        .unwrap_or_default()
}

fn site_at(
    code: MachineCode<'_>,
    before: &[Instruction],
    branch: &Instruction,
) -> Option<ReuseSite> {
    if !code.is_emulated(branch) {
        return None;
    }
    let mut trace = Trace::new();
    trace.follow(before);
    let (object, references) = unchained(code, &trace, branch).or_else(|| {
        let is_recent = since_branch(before).iter().any(loads_from_array);
        counted_off(code, &trace, branch).filter(|_| is_recent)
    })?;
    Some(ReuseSite {
        address: branch.ip(),
        object: trace.register_of(object)?,
        references,
    })
}

/// The first link of a chain, which was just found to be there or not, and its reference count.
fn unchained(
    code: MachineCode<'_>,
    trace: &Trace,
    branch: &Instruction,
) -> Option<(Value, Option<u8>)> {
    let there_is_one = if taken_on_equal(branch)? {
        branch.next_ip()
    } else {
        branch.near_branch_target()
    };
    let mut backwards = trace.effects().iter().rev();
    let first = backwards.find_map(|effect| match effect {
        Effect::Compare(tested, with) => Some((*tested, *with)),
        _ => None,
    });
    let Some((Operand::Value(first), Operand::Constant(0))) = first else {
        return None;
    };
    let list = backwards.find_map(|effect| match effect {
        Effect::Load(place, value) if *value == first => Some(*place),
        _ => None,
    })?;
    let way = trace.effects_of(code.path_from(there_is_one));
    let is_replaced = |link: &u64| {
        let next = way.iter().find_map(|effect| match effect {
            Effect::Load(place, next) if *place == field(first, *link, 8) => Some(*next),
            _ => None,
        });
        next.is_some_and(|next| way.contains(&Effect::Store(list, Operand::Value(next))))
    };
    let link = LINKS.into_iter().find(is_replaced)?;
    let references = (link != REFERENCE_COUNT).then_some(0);
    (is_born(&way, first) || gets_type(&way, first)).then_some((first, references))
}

/// What was read last off an array that was counted down, and its reference count.
fn counted_off(
    code: MachineCode<'_>,
    trace: &Trace,
    branch: &Instruction,
) -> Option<(Value, Option<u8>)> {
    let effects = trace.effects();
    let (list, object) = effects.iter().rev().find_map(|effect| match effect {
        Effect::Load(place, value) => {
            matches!(place.index, Some((_, 8))).then_some((*place, *value))
        }
        _ => None,
    })?;
    let counts = |place: &Place| {
        let is_near = [list.base, Value::NOTHING].contains(&place.base);
        place.size == 4 && place.index.is_none() && is_near
    };
    let is_counted = effects.iter().any(|effect| match effect {
        Effect::Store(place, Operand::Value(_)) | Effect::Decrement(place) => counts(place),
        _ => false,
    });
    if !is_counted {
        return None;
    }
    if is_born(effects, object) {
        return Some((object, Some(1)));
    }
    let will_be_born = if branch.flow_control() == FlowControl::Call {
        // What is only passed on is given back for good.
        let mut registers = trace.registers_of(object);
        registers.any(|register| KEPT_BY_CALLS.contains(&register))
            && is_born(&trace.effects_of(iter::once(*branch)), object)
    } else {
        let ways = [branch.next_ip(), branch.near_branch_target()];
        let mut ways = ways
            .map(|way| trace.effects_of(code.path_from(way)))
            .into_iter();
        ways.any(|way| is_born(&way, object))
    };
    will_be_born.then_some((object, Some(0)))
}

/// Whether an object's reference count is set to one, here or in a function.
fn is_born(way: &[Effect], object: Value) -> bool {
    let count = field(object, REFERENCE_COUNT, 8);
    way.iter().any(|effect| match effect {
        Effect::Store(place, Operand::Constant(1)) => *place == count,
        Effect::Call(argument) => *argument == object,
        _ => false,
    })
}

/// Whether an object's type is set: where it served as the link, a function may come in between.
fn gets_type(way: &[Effect], object: Value) -> bool {
    let kind = field(object, TYPE, 8);
    let mut stores = way.iter();
    stores.any(|effect| matches!(effect, Effect::Store(place, _) if *place == kind))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const START: u64 = 0x40_0000;

    // The list is at %rax, the object in %rbx.
    const FIRST: &[u8] = &[0x48, 0x8b, 0x58, 0x40]; // mov 0x40(%rax), %rbx
    const TEST: &[u8] = &[0x48, 0x85, 0xdb]; // test %rbx, %rbx
    const NEXT: &[u8] = &[0x48, 0x8b, 0x4b, 0x18]; // mov 0x18(%rbx), %rcx
    const NEXT_AT_COUNT: &[u8] = &[0x48, 0x8b, 0x0b]; // mov (%rbx), %rcx
    const REPLACE: &[u8] = &[0x48, 0x89, 0x48, 0x40]; // mov %rcx, 0x40(%rax)
    const SET_TYPE: &[u8] = &[0x48, 0x89, 0x53, 0x08]; // mov %rdx, 0x8(%rbx)
    const COUNT_DOWN: &[u8] = &[0x83, 0x68, 0x30, 0x01]; // subl $1, 0x30(%rax)
    const AT_COUNT: &[u8] = &[0x48, 0x8b, 0x5c, 0xc8, 0x40]; // mov 0x40(%rax,%rcx,8), %rbx
    const AT_COUNT_TO_ARGUMENT: &[u8] = &[0x48, 0x8b, 0x7c, 0xc8, 0x40]; // … , %rdi
    const PASS: &[u8] = &[0x48, 0x89, 0xdf]; // mov %rbx, %rdi
    const SPOIL: &[u8] = &[0x48, 0x89, 0xd3]; // mov %rdx, %rbx
    const BEAR: &[u8] = &[0x48, 0xc7, 0x03, 0x01, 0, 0, 0]; // movq $1, (%rbx)
    const CALL: &[u8] = &[0xe8, 0, 1, 0, 0];
    const RETURN: &[u8] = &[0xc3];
    const JE_1: &[u8] = &[0x74, 1];
    const JNE_1: &[u8] = &[0x75, 1];

    fn sites_in(pieces: &[&[u8]]) -> Vec<ReuseSite> {
        find(&[Segment {
            address: START,
            bytes: &pieces.concat(),
        }])
    }

    fn site(offset: u64, references: Option<u8>) -> ReuseSite {
        ReuseSite {
            address: START + offset,
            object: 3,
            references,
        }
    }

    #[test]
    fn a_chain_is_known_by_its_first_link_being_replaced() {
        let cases: &[(&[&[u8]], ReuseSite)] = &[
            (
                &[FIRST, TEST, JE_1, NEXT, REPLACE, BEAR, RETURN],
                site(7, Some(0)),
            ),
            (
                &[FIRST, TEST, JNE_1, RETURN, NEXT, REPLACE, BEAR],
                site(7, Some(0)),
            ),
            (
                &[FIRST, TEST, JE_1, NEXT, REPLACE, PASS, CALL],
                site(7, Some(0)),
            ),
            (
                &[FIRST, TEST, JE_1, NEXT, REPLACE, SET_TYPE, CALL],
                site(7, Some(0)),
            ),
            (
                &[FIRST, TEST, JE_1, NEXT_AT_COUNT, REPLACE, BEAR],
                site(7, None),
            ),
        ];
        for (pieces, expected) in cases {
            assert_eq!(sites_in(pieces), [*expected], "{pieces:x?}");
        }
    }

    #[test]
    fn an_array_is_known_by_being_counted_down() {
        let cases: &[(&[&[u8]], ReuseSite)] = &[
            (
                &[COUNT_DOWN, AT_COUNT, TEST, JNE_1, RETURN, BEAR, RETURN],
                site(12, Some(0)),
            ),
            (
                &[COUNT_DOWN, AT_COUNT, BEAR, TEST, JNE_1, RETURN, RETURN],
                site(19, Some(1)),
            ),
            (
                &[COUNT_DOWN, AT_COUNT, PASS, CALL, RETURN],
                site(12, Some(0)),
            ),
        ];
        for (pieces, expected) in cases {
            assert_eq!(sites_in(pieces), [*expected], "{pieces:x?}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_none() {
        let cases: &[&[&[u8]]] = &[
            &[FIRST, TEST, JE_1, REPLACE, BEAR],
            &[FIRST, TEST, JE_1, NEXT, BEAR],
            &[FIRST, TEST, JE_1, NEXT, REPLACE, RETURN],
            &[FIRST, SPOIL, TEST, JE_1, NEXT, REPLACE, BEAR],
            &[FIRST, TEST, JE_1, SPOIL, NEXT, REPLACE, BEAR],
            &[AT_COUNT, PASS, CALL],
            &[COUNT_DOWN, AT_COUNT, CALL],
            &[COUNT_DOWN, AT_COUNT, SPOIL, PASS, CALL],
            // It is given back for good.
            &[COUNT_DOWN, AT_COUNT_TO_ARGUMENT, CALL],
        ];
        for pieces in cases {
            assert_eq!(sites_in(pieces), [], "{pieces:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_mixture_of_code_is_read_without_a_panic(
            pieces in vec(
                prop_oneof![
                    6 => select(vec![
                        FIRST, TEST, NEXT, NEXT_AT_COUNT, REPLACE, SET_TYPE,
                        COUNT_DOWN, AT_COUNT, PASS, SPOIL, BEAR, CALL, JE_1, JNE_1,
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
                prop_assert!(site.object < 16);
            }
        }
    }
}
