//! The machine code of 64-bit ARM: no more than which instructions are cheap to probe. Where
//! `CPython` has them is not known, and nothing of this has been tried on such a machine.

/// What the kernel carries out itself: an instruction with these bits under this mask. So says
/// `arm_probe_decode_insn` in `arch/arm64/kernel/probes/decode-insn.c`.
///
/// A `nop` is not among them, as it was stepped before Linux 6.13.
const EMULATED: [(u32, u32); 8] = [
    // b, bl
    (0x7c00_0000, 0x1400_0000),
    // b.cond
    (0xff00_0010, 0x5400_0000),
    // cbz, cbnz
    (0x7e00_0000, 0x3400_0000),
    // tbz, tbnz
    (0x7e00_0000, 0x3600_0000),
    // adr, adrp
    (0x1f00_0000, 0x1000_0000),
    // br
    (0xffff_fc1f, 0xd61f_0000),
    // blr
    (0xffff_fc1f, 0xd63f_0000),
    // ret
    (0xffff_fc1f, 0xd65f_0000),
];

/// Whether the kernel emulates this instruction under a uprobe.
pub fn is_emulated(instruction: u32) -> bool {
    EMULATED
        .iter()
        .any(|(mask, bits)| instruction & mask == *bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_emulates_is_told_from_what_it_steps_or_refuses() {
        let cases = [
            (0x1400_0002, true, "b"),
            (0x97ff_ffff, true, "bl"),
            (0x5400_0041, true, "b.ne"),
            (0x5400_0051, false, "bc.ne"),
            (0xb400_0040, true, "cbz x0"),
            (0x3500_0041, true, "cbnz w1"),
            (0x3600_0040, true, "tbz w0, #0"),
            (0xb7f8_0040, true, "tbnz x0, #63"),
            (0x1000_0000, true, "adr x0"),
            (0xb000_0001, true, "adrp x1"),
            (0xd61f_0220, true, "br x17"),
            (0xd63f_0100, true, "blr x8"),
            (0xd65f_03c0, true, "ret"),
            (0xd65f_0bff, false, "retaa"),
            (0xd503_201f, false, "nop"),
            (0xd503_245f, false, "bti c"),
            (0xd503_233f, false, "paciasp"),
            (0xa9bf_7bfd, false, "stp x29, x30, [sp, #-16]!"),
            (0xaa00_03e1, false, "mov x1, x0"),
            (0x5800_0040, false, "ldr x0, literal"),
            (0xd400_0001, false, "svc #0"),
            (0x0000_0000, false, "udf #0"),
        ];
        for (instruction, expected, name) in cases {
            assert_eq!(is_emulated(instruction), expected, "{name}");
        }
    }
}
