//! The places at which mimalloc is about to take a block off a page, or finds none left.
//!
//! `_mi_page_malloc` looks at a page's list of free blocks. If there is none, the slow path looks
//! for a page that has some, and comes to another of these places; otherwise the first block is
//! handed out and counted. At the jump that decides, which is cheap to probe, registers hold the
//! block and the page, whose head says how large its blocks are. Compilers inline this into each
//! function that allocates.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::{
    code::{MachineCode, taken_on_equal},
    trace::{Effect, Operand, Trace, Value, field},
};
use crate::{process::elf::Segment, python::mimalloc::MimallocLayout};

/// A place where the decision falls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageSite {
    /// The address of the conditional jump, before the file is loaded anywhere.
    pub address: u64,
    /// The register that holds the block's address there, or zero if there is none, as x86 numbers
    /// it (0 is `rax`).
    pub block: u8,
    /// The register that holds the page's address.
    pub page: u8,
}

/// Finds the places where blocks are taken off pages, in the order of their addresses.
pub fn find(code: &[Segment<'_>], layout: &MimallocLayout) -> Vec<PageSite> {
    let code = MachineCode(code);
    let mut sites = Vec::new();
    let may_decide = |before: &[Instruction], jump: &Instruction| may_decide(before, jump, layout);
    code.sweep(may_decide, |before, jump| {
        sites.extend(site_at(code, before, jump, layout));
    });
    sites.sort_by_key(|site| site.address);
    sites.dedup_by_key(|site| site.address);
    sites
}

/// Rules nearly all instructions out before the code around them is followed.
fn may_decide(before: &[Instruction], jump: &Instruction, layout: &MimallocLayout) -> bool {
    let reads_list = |instruction: &Instruction| {
        let reads_memory = instruction.op_kinds().any(|kind| kind == OpKind::Memory);
        reads_memory && instruction.memory_displacement64() == u64::from(layout.page_free)
    };
    taken_on_equal(jump).is_some() && tests_register(before) && before.iter().any(reads_list)
}

/// Whether the flags were set by a `test` of a register with itself.
fn tests_register(before: &[Instruction]) -> bool {
    let mut backwards = before.iter().rev();
    let last = backwards.find(|instruction| instruction.rflags_modified() != 0);
    last.is_some_and(|last| {
        last.mnemonic() == Mnemonic::Test
            && last.op0_register().is_gpr64()
            && last.op0_register() == last.op1_register()
    })
}

fn site_at(
    code: MachineCode<'_>,
    before: &[Instruction],
    jump: &Instruction,
    layout: &MimallocLayout,
) -> Option<PageSite> {
    let taken_on_zero = taken_on_equal(jump)?;
    let mut trace = Trace::new();
    trace.follow(before);
    let (block, page) = tested_block(trace.effects(), layout)?;
    let there_is_one = if taken_on_zero {
        jump.next_ip()
    } else {
        jump.near_branch_target()
    };
    let way = trace.effects_of(code.path_from(there_is_one));
    if !takes_block(&way, (block, page), layout) || !code.is_emulated(jump) {
        return None;
    }
    Some(PageSite {
        address: jump.ip(),
        block: trace.register_of(block)?,
        page: trace.register_of(page)?,
    })
}

/// The block that was compared with zero last, and the page from whose list it came.
fn tested_block(effects: &[Effect], layout: &MimallocLayout) -> Option<(Value, Value)> {
    let tested = effects.iter().rev().find_map(|effect| match effect {
        Effect::Compare(Operand::Value(value), Operand::Constant(0)) => Some(*value),
        _ => None,
    })?;
    let page = effects.iter().rev().find_map(|effect| match effect {
        Effect::Load(place, value) if *value == tested => {
            (*place == field(place.base, layout.page_free.into(), 8)).then_some(place.base)
        }
        _ => None,
    })?;
    Some((tested, page))
}

/// Whether the list goes on with the next block, and one more block is counted.
fn takes_block(way: &[Effect], (block, page): (Value, Value), layout: &MimallocLayout) -> bool {
    let (list, next) = (field(page, layout.page_free.into(), 8), field(block, 0, 8));
    let next = way.iter().find_map(|effect| match effect {
        Effect::Load(place, value) if *place == next => Some(*value),
        _ => None,
    });
    let moves_on =
        next.is_some_and(|next| way.contains(&Effect::Store(list, Operand::Value(next))));
    let counts = way.iter().any(|effect| match effect {
        Effect::Store(place, _) | Effect::Increment(place) => {
            place.base == page && place.offset == u64::from(layout.page_used)
        }
        _ => false,
    });
    moves_on && counts
}
