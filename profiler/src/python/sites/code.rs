//! The machine code of a file: swept through from end to end, or followed from one place.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction};

use crate::process::{elf::Segment, instruction::is_emulated};

/// How many instructions of straight-line code before a place are kept, if there are as many.
const WINDOW: usize = 32;

/// How many instructions are followed at most.
const PATH_LENGTH: usize = 48;

/// How many places are looked at, so that a hostile file cannot keep heaptide busy. Interpreters
/// have up to some ten thousands.
pub(super) const LOOK_LIMIT: usize = 100_000;

/// The executable segments of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct MachineCode<'file>(pub(super) &'file [Segment<'file>]);

impl<'file> MachineCode<'file> {
    /// Decodes everything once, and shows each instruction that `is_wanted` to `visit`; both get
    /// the straight-line code before it, too.
    ///
    /// Where the sweep starts inside of an instruction or runs through data, it is in step
    /// again after a few instructions.
    pub(super) fn sweep(
        self,
        is_wanted: impl Fn(&[Instruction], &Instruction) -> bool,
        mut visit: impl FnMut(&[Instruction], &Instruction),
    ) {
        let mut left = LOOK_LIMIT;
        let mut before = Vec::with_capacity(2 * WINDOW);
        for segment in self.0 {
            before.clear();
            let mut decoder =
                Decoder::with_ip(64, segment.bytes, segment.address, DecoderOptions::NONE);
            while decoder.can_decode() && left > 0 {
                let instruction = decoder.decode();
                if is_wanted(&before, &instruction) {
                    left -= 1;
                    visit(&before, &instruction);
                }
                keep(&mut before, instruction);
            }
        }
    }

    /// The instructions from `address` on, along jumps, up to the first call, or to the first
    /// return or the like.
    ///
    /// Conditions are taken to be false.
    pub(super) fn path_from(self, address: u64) -> Path<'file> {
        Path {
            code: self,
            decoder: self.decoder_at(address),
            left: PATH_LENGTH,
        }
    }

    /// Whether a uprobe on this instruction is emulated.
    pub(super) fn is_emulated(self, instruction: &Instruction) -> bool {
        self.bytes_from(instruction.ip())
            .and_then(|bytes| bytes.get(..instruction.len()))
            .is_some_and(|bytes| is_emulated(instruction, bytes))
    }

    fn decoder_at(self, address: u64) -> Option<Decoder<'file>> {
        let bytes = self.bytes_from(address)?;
        Some(Decoder::with_ip(64, bytes, address, DecoderOptions::NONE))
    }

    fn bytes_from(self, address: u64) -> Option<&'file [u8]> {
        self.0.iter().find_map(|segment| {
            let offset = address.checked_sub(segment.address)?;
            segment.bytes.get(usize::try_from(offset).ok()?..)
        })
    }
}

/// Whether a jump is taken if two values are equal, or if they are not; `None` if it is another.
pub(super) fn taken_on_equal(instruction: &Instruction) -> Option<bool> {
    match instruction.code() {
        Code::Je_rel8_64 | Code::Je_rel32_64 => Some(true),
        Code::Jne_rel8_64 | Code::Jne_rel32_64 => Some(false),
        _ => None,
    }
}

/// Adds an instruction to the straight-line code, or starts anew behind the end of such code.
fn keep(before: &mut Vec<Instruction>, instruction: Instruction) {
    let goes_on = matches!(
        instruction.flow_control(),
        FlowControl::Next | FlowControl::ConditionalBranch
    );
    if instruction.is_invalid() || !goes_on {
        before.clear();
        return;
    }
    if before.len() == 2 * WINDOW {
        before.drain(..WINDOW);
    }
    before.push(instruction);
}

/// See [`MachineCode::path_from`].
pub(super) struct Path<'file> {
    code: MachineCode<'file>,
    decoder: Option<Decoder<'file>>,
    left: usize,
}

impl Iterator for Path<'_> {
    type Item = Instruction;

    fn next(&mut self) -> Option<Instruction> {
        self.left = self.left.checked_sub(1)?;
        let instruction = self.decoder.as_mut()?.decode();
        match instruction.flow_control() {
            FlowControl::Next | FlowControl::ConditionalBranch => {
                (!instruction.is_invalid()).then_some(instruction)
            }
            FlowControl::UnconditionalBranch => {
                self.decoder = self.code.decoder_at(instruction.near_branch_target());
                Some(instruction)
            }
            FlowControl::Call => {
                self.decoder = None;
                Some(instruction)
            }
            _ => None,
        }
    }
}
