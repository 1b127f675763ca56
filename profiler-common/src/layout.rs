//! Where the frame walk finds things: the offsets and choices of one interpreter build.
//!
//! A row holds facts, never a version number: whoever fills it knows the version.

/// How a thread state leads to its innermost frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum FrameEntry {
    /// The thread state points to the frame.
    Direct = 0,
    /// The thread state points to a `_PyCFrame`, which points to the frame.
    ThroughCFrame = 1,
}

/// Offsets and choices of one interpreter build, in bytes.
///
/// It is stored in a BPF map: integers only, no implicit padding.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct InterpreterLayout {
    /// Thread state: the next one of its interpreter.
    pub thread_next: u16,
    /// Thread state: `pthread_self()` of its thread.
    pub thread_id: u16,
    /// Thread state: the innermost frame, or the `_PyCFrame` that leads to it.
    pub thread_frame: u16,
    /// `_PyCFrame`: the innermost frame.
    pub cframe_frame: u16,
    /// Frame: the code object.
    pub frame_code: u16,
    /// Frame: the caller's frame.
    pub frame_previous: u16,
    /// Frame: the instruction that is being executed, in 32 bits of which
    /// `instruction_address` and `instruction_shift` say what they are.
    pub frame_instruction: u16,
    /// Frame: the byte that says who owns it.
    pub frame_owner: u16,
    /// Owners from this value on mark frames that stand for C code; [`NO_SHIMS`] if there are none.
    pub shim_owner: u16,
    /// Bits of the code pointer that are a tag, not a part of the address.
    pub code_tag: u16,
    /// Code object: where the 32 bytes start that hold the numbers below.
    pub code_numbers: u16,
    /// Numbers: how many positional arguments.
    pub number_arguments: u16,
    /// Numbers: how many keyword-only arguments.
    pub number_keyword_only: u16,
    /// Numbers: the flags.
    pub number_flags: u16,
    /// Numbers: the first line.
    pub number_first_line: u16,
    /// Code object: the first instruction.
    pub code_bytecode: u16,
    /// How many bytes of a frame are read: all frames have them.
    pub frame_bytes: u16,
    /// By how many bits what the frame says of its instruction is shifted to count bytes.
    pub instruction_shift: u16,
    /// What the frame says of its instruction: [`ADDRESS`] or [`OFFSET`].
    pub instruction_address: u32,
    /// How to get from the thread state to a frame: a [`FrameEntry`].
    pub entry: u32,
    /// Keeps the size a multiple of eight.
    pub reserved: u32,
}

/// A `shim_owner` that no frame reaches.
pub const NO_SHIMS: u16 = 0x100;

/// An `instruction_address`: the frame has an address, from which that of the first instruction
/// is taken off. As a mask, it spares the walk a branch for each frame.
pub const ADDRESS: u32 = u32::MAX;

/// An `instruction_address`: the frame has the offset from the first instruction.
pub const OFFSET: u32 = 0;

const _: () = assert!(size_of::<InterpreterLayout>() == 48);
