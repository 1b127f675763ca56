//! The places at which pymalloc has just taken a pool for a size class.
//!
//! `allocate_from_new_pool` (before 3.9 a part of `pymalloc_alloc`) links a pool to the list of
//! its class and counts one block in it. It then asks whether the pool has served that class
//! before: if so, the pool's free list is still good; if not, the header is written anew. The
//! jump on that question is cheap to probe, and pool and class are both known there.
//!
//! A pool fresh from an arena has served no class, and compilers that see this give it a copy
//! of the code without the question. Such a copy is probed at a jump to the common rest, if it
//! has one, and else at the store that completes the pool: a dearer probe, but a fresh pool
//! costs the target one to four page faults anyway.

use std::slice;

use iced_x86::{Code, FlowControl, Instruction, Register};

use super::{
    code::MachineCode,
    header::{COUNT, FREE_BLOCK, LENGTH, NEXT_POOL, PREVIOUS_POOL, SIZE_CLASS},
    trace::{Effect, Operand, Place, Trace, Value, field},
};
use crate::process::elf::Segment;

/// The class of a pool that never had one.
const NO_CLASS: u64 = 0xffff;

/// Above any size class: pools for blocks of 512 bytes have the class 31.
const CLASS_LIMIT: u8 = 64;

/// Where the size class of a pool is when a probe fires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SizeClass {
    /// In the low 32 bits of this register, as x86 numbers it (0 is `rax`).
    Register(u8),
    /// The code takes pools of this class only.
    Known(u8),
    /// Nowhere yet; soon after, in the pool's header.
    Header,
}

/// A place where a pool has just been taken into use. Each pool passes one of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NewPoolSite {
    /// The address of the instruction, before the file is loaded anywhere.
    pub address: u64,
    /// The register that holds the pool's address there, as x86 numbers it (0 is `rax`).
    pub pool: u8,
    /// Where the size class is.
    pub size_class: SizeClass,
    /// Whether the kernel emulates the instruction, and does not single-step it.
    pub is_emulated: bool,
}

/// Finds the places where pools are taken, in the order of their addresses.
///
/// There are one to three per copy of the function that the compiler made. Code that keeps its
/// variables in memory (`-O0`) shows none.
pub fn find(code: &[Segment<'_>]) -> Vec<NewPoolSite> {
    let code = MachineCode(code);
    let mut sites = Vec::new();
    code.sweep(
        |_, instruction| counts_first_block(instruction),
        |before, count| sites.extend(site_near(code, before, count)),
    );
    sites.sort_by_key(|site| site.address);
    sites.dedup_by_key(|site| site.address);
    sites
}

/// Whether this may be `pool->ref.count = 1`.
fn counts_first_block(instruction: &Instruction) -> bool {
    instruction.code() == Code::Mov_rm32_imm32
        && instruction.immediate32() == 1
        && instruction.memory_displacement64() == COUNT
        && instruction.memory_index() == Register::None
        && instruction.memory_base().is_gpr64()
}

fn site_near(
    code: MachineCode<'_>,
    before: &[Instruction],
    count: &Instruction,
) -> Option<NewPoolSite> {
    let mut trace = Trace::new();
    trace.follow(before);
    let pool = trace.place_of(count)?.base;
    candidates(code, trace, pool, count.ip()).find_map(|it| it.examine(code, pool))
}

/// A place that may be probed, and what is known there.
struct Candidate {
    instruction: Instruction,
    is_emulated: bool,
    /// The registers when the probe fires, and what happened before.
    here: Trace,
    /// Where the code goes on.
    ways: Vec<u64>,
}

/// The places to probe between the stores that link and count a pool and its first use, the
/// best first.
fn candidates(
    code: MachineCode<'_>,
    mut trace: Trace,
    pool: Value,
    count_address: u64,
) -> impl Iterator<Item = Candidate> {
    let (mut store, mut jump, mut condition) = (None, None, None);
    for instruction in code.path_from(count_address) {
        let candidate = |ways: &[u64], here: &Trace| Candidate {
            instruction,
            is_emulated: code.is_emulated(&instruction),
            here: here.clone(),
            ways: ways.to_vec(),
        };
        let ways = [instruction.near_branch_target(), instruction.next_ip()];
        match instruction.flow_control() {
            FlowControl::ConditionalBranch => {
                condition = Some(candidate(&ways, &trace));
                break;
            }
            FlowControl::UnconditionalBranch => {
                jump.get_or_insert_with(|| candidate(&ways[..1], &trace));
            }
            _ => {
                trace.follow(slice::from_ref(&instruction));
                if store.is_none() && is_linked(trace.effects(), pool) {
                    store = Some(candidate(&[instruction.ip()], &trace));
                } else if store.is_some() && uses(trace.effects().last(), pool) {
                    break;
                }
            }
        }
    }
    // Paths that met at a jump's target pass a condition behind it together.
    let branches = [condition, jump].into_iter().flatten();
    branches
        .filter(|candidate| candidate.is_emulated)
        .chain(store)
}

impl Candidate {
    /// Makes a site of it, if the code behind it does what is done to a new pool.
    fn examine(&self, code: MachineCode<'_>, pool: Value) -> Option<NewPoolSite> {
        if !is_linked(self.here.effects(), pool) {
            return None;
        }
        let ways: Vec<Vec<Effect>> = self
            .ways
            .iter()
            .map(|way| self.here.effects_of(code.path_from(*way)))
            .collect();
        if !ways
            .iter()
            .any(|way| reuses(way, pool) || renews(way, pool))
        {
            return None;
        }
        Some(NewPoolSite {
            address: self.instruction.ip(),
            pool: self.here.register_of(pool)?,
            size_class: self.size_class(&ways, pool),
            is_emulated: self.is_emulated,
        })
    }

    /// Where the size class is, told by what is written to the header or compared with it.
    fn size_class(&self, ways: &[Vec<Effect>], pool: Value) -> SizeClass {
        let written = ways.iter().flatten().filter_map(|effect| match effect {
            Effect::Store(place, operand) if *place == size_class_of(pool) => Some(*operand),
            _ => None,
        });
        let before = self.here.effects();
        let compared = before.iter().rev().find_map(|effect| match effect {
            Effect::Compare(one, other) => Some([(*one, *other), (*other, *one)]),
            _ => None,
        });
        let compared = compared
            .into_iter()
            .flatten()
            .filter_map(|(one, other)| is_class_of_pool(before, one, pool).then_some(other));
        written
            .chain(compared)
            .find_map(|operand| match operand {
                Operand::Value(value) => self.here.low_register_of(value).map(SizeClass::Register),
                Operand::Constant(class) => {
                    let class = u8::try_from(class).ok()?;
                    (class < CLASS_LIMIT).then_some(SizeClass::Known(class))
                }
                Operand::Memory(_) | Operand::Other => None,
            })
            .unwrap_or(SizeClass::Header)
    }
}

/// Whether an operand is the class that the pool served before.
fn is_class_of_pool(before: &[Effect], operand: Operand, pool: Value) -> bool {
    let class = size_class_of(pool);
    match operand {
        Operand::Memory(place) => place == class,
        Operand::Value(value) => before.contains(&Effect::Load(class, value)),
        Operand::Constant(constant) => constant == NO_CLASS,
        Operand::Other => false,
    }
}

/// Whether a pool's links to its neighbours are set, to the same list, and its count to one.
fn is_linked(effects: &[Effect], pool: Value) -> bool {
    let stored = |offset, size| {
        effects.iter().find_map(|effect| match effect {
            Effect::Store(place, what) if *place == field(pool, offset, size) => Some(*what),
            _ => None,
        })
    };
    let links = (stored(NEXT_POOL, 8), stored(PREVIOUS_POOL, 8));
    let has_links = stored(NEXT_POOL, 16).is_some()
        || matches!(links, (Some(next), Some(previous)) if next == previous);
    has_links && stored(COUNT, 4) == Some(Operand::Constant(1))
}

/// Whether this is the first that is done with a linked pool.
fn uses(effect: Option<&Effect>, pool: Value) -> bool {
    match effect {
        Some(Effect::Load(place, _)) => *place == field(pool, FREE_BLOCK, 8),
        Some(Effect::Store(place, what)) => {
            let is_behind_links = place.offset == FREE_BLOCK || place.offset >= SIZE_CLASS;
            place.base == pool && is_behind_links && *what != Operand::Constant(NO_CLASS)
        }
        _ => false,
    }
}

/// Whether a pool's first free block is taken off its list.
fn reuses(way: &[Effect], pool: Value) -> bool {
    let list = field(pool, FREE_BLOCK, 8);
    way.iter().any(|effect| {
        let Effect::Load(place, block) = *effect else {
            return false;
        };
        place == list
            && way.iter().any(|effect| match *effect {
                Effect::Load(place, next) => {
                    place == field(block, 0, 8)
                        && way.contains(&Effect::Store(list, Operand::Value(next)))
                }
                _ => false,
            })
    })
}

/// Whether a pool gets a class, and a free list of one block, which has no next.
fn renews(way: &[Effect], pool: Value) -> bool {
    let stores = |is_wanted: &dyn Fn(Place) -> bool| {
        way.iter().find_map(|effect| match effect {
            Effect::Store(place, what) if is_wanted(*place) => Some(*what),
            _ => None,
        })
    };
    let class = size_class_of(pool);
    let gets_class = stores(&|place| {
        place.base == pool && place.offset == class.offset && place.size >= class.size
    });
    let list = stores(&|place| place == field(pool, FREE_BLOCK, 8));
    let ends_list = stores(&|place| {
        let is_block = Some(Operand::Value(place.base)) == list && place.offset == 0;
        let is_in_pool = place.base == pool && place.offset > LENGTH;
        place.size == 8 && (is_block || is_in_pool)
    });
    gets_class.is_some() && list.is_some() && ends_list.is_some()
}

fn size_class_of(pool: Value) -> Place {
    field(pool, SIZE_CLASS, 4)
}

#[cfg(test)]
mod tests;
