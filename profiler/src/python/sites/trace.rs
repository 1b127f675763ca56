//! What code does with values: which registers hold them, and what goes to memory.

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use crate::process::instruction::written_registers;

/// A value that the code computed, loaded or found in a register.
///
/// Two registers that hold the same `Value` are equal; nothing else is known of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Value(u32);

impl Value {
    /// No register holds it.
    pub(super) const NOTHING: Self = Self(u32::MAX);
}

/// Memory next to where a value points.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// The pointer; [`Value::NOTHING`] if the offset is the address.
    pub(super) base: Value,
    /// What is added to it so many times.
    pub(super) index: Option<(Value, u32)>,
    /// The distance from there.
    pub(super) offset: u64,
    /// How many bytes.
    pub(super) size: usize,
}

/// The place at a distance from where a value points.
pub(super) fn field(base: Value, offset: u64, size: usize) -> Place {
    Place {
        base,
        index: None,
        offset,
        size,
    }
}

/// What an instruction takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operand {
    /// A value that a register holds; of an operand of 32 bits, the low half.
    Value(Value),
    /// A number in the code.
    Constant(u64),
    /// What memory holds.
    Memory(Place),
    /// Anything else.
    Other,
}

/// What an instruction did, as far as it matters here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// A register now holds what was in memory.
    Load(Place, Value),
    /// Something went to memory.
    Store(Place, Operand),
    /// What is in memory was counted up by one.
    Increment(Place),
    /// What is in memory was counted down by one.
    Decrement(Place),
    /// The two were compared.
    Compare(Operand, Operand),
    /// A function was called with this as its first argument.
    Call(Value),
}

/// What a register holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    value: Value,
    /// Whether the upper half was cut off.
    is_narrow: bool,
}

/// The registers after some instructions, and what those did.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    registers: [Held; 16],
    next_value: u32,
    effects: Vec<Effect>,
}

impl Trace {
    /// Starts with an unknown value in each register.
    pub(super) fn new() -> Self {
        let unset = Held {
            value: Value(0),
            is_narrow: false,
        };
        let mut trace = Self {
            registers: [unset; 16],
            next_value: 0,
            effects: Vec::new(),
        };
        for number in 0..trace.registers.len() {
            trace.registers[number] = trace.fresh();
        }
        trace
    }

    /// What the instructions did, in order.
    pub(super) fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// Goes through further instructions.
    pub(super) fn follow(&mut self, path: &[Instruction]) {
        let mut factory = InstructionInfoFactory::new();
        for instruction in path {
            self.step(&mut factory, instruction);
        }
    }

    /// What further instructions do from here on.
    pub(super) fn effects_of(&self, path: impl Iterator<Item = Instruction>) -> Vec<Effect> {
        let mut trace = Self {
            effects: Vec::new(),
            ..self.clone()
        };
        let mut factory = InstructionInfoFactory::new();
        for instruction in path {
            trace.step(&mut factory, &instruction);
        }
        trace.effects
    }

    /// The number of a register that holds a value, as x86 encodes it.
    pub(super) fn register_of(&self, value: Value) -> Option<u8> {
        self.registers_of(value).next()
    }

    /// The numbers of all registers that hold a value.
    pub(super) fn registers_of(&self, value: Value) -> impl Iterator<Item = u8> {
        let numbered = (0..).zip(&self.registers);
        numbered
            .filter(move |(_, held)| held.value == value && !held.is_narrow)
            .map(|(number, _)| number)
    }

    /// The number of a register whose low half is that of a value.
    pub(super) fn low_register_of(&self, value: Value) -> Option<u8> {
        self.find(|held| held.value == value)
    }

    /// Where an instruction's operand in memory is, if whole registers and a distance tell.
    pub(super) fn place_of(&self, instruction: &Instruction) -> Option<Place> {
        let has_memory = instruction.op_kinds().any(|kind| kind == OpKind::Memory);
        if !has_memory || instruction.has_segment_prefix() {
            return None;
        }
        let base = match instruction.memory_base() {
            // Its displacement is the address.
            Register::None | Register::RIP => Value::NOTHING,
            base => self.whole_value_of(base)?,
        };
        let index = match instruction.memory_index() {
            Register::None => None,
            index => Some((
                self.whole_value_of(index)?,
                instruction.memory_index_scale(),
            )),
        };
        Some(Place {
            base,
            index,
            offset: instruction.memory_displacement64(),
            size: instruction.memory_size().size(),
        })
    }

    fn held(&self, register: Register) -> Option<Held> {
        is_general(register).then(|| self.registers[register.number()])
    }

    fn whole_value_of(&self, register: Register) -> Option<Value> {
        let held = self.held(register)?;
        (!held.is_narrow).then_some(held.value)
    }

    fn find(&self, holds: impl Fn(&Held) -> bool) -> Option<u8> {
        u8::try_from(self.registers.iter().position(holds)?).ok()
    }

    fn step(&mut self, factory: &mut InstructionInfoFactory, instruction: &Instruction) {
        let place = self.place_of(instruction);
        let copied = self.copied_by(instruction);
        self.effects
            .extend(self.effect_before_writing(place, instruction));
        for written in written_registers(factory, instruction).filter(|reg| reg.is_gpr64()) {
            self.registers[written.number()] = self.fresh();
        }
        let target = instruction.op0_register();
        if let Some(copied) = copied {
            self.registers[target.number()] = copied;
        } else if let Some(place) = place
            && instruction.mnemonic() == Mnemonic::Mov
            && is_general(target)
        {
            let loaded = self.registers[target.number()].value;
            self.effects.push(Effect::Load(place, loaded));
        }
    }

    /// What the target of a copy from register to register holds then.
    fn copied_by(&self, instruction: &Instruction) -> Option<Held> {
        let (target, source) = (instruction.op0_register(), instruction.op1_register());
        let is_copy = instruction.mnemonic() == Mnemonic::Mov && is_general(target);
        let mut held = self.held(source).filter(|_| is_copy)?;
        held.is_narrow |= source.is_gpr32();
        Some(held)
    }

    fn effect_before_writing(
        &self,
        place: Option<Place>,
        instruction: &Instruction,
    ) -> Option<Effect> {
        if instruction.flow_control() == FlowControl::Call {
            return self.whole_value_of(Register::RDI).map(Effect::Call);
        }
        let source = self.operand(1, place, instruction);
        if instruction.mnemonic() == Mnemonic::Cmp {
            return Some(Effect::Compare(self.operand(0, place, instruction), source));
        }
        // What is tested with itself is compared with zero.
        if instruction.mnemonic() == Mnemonic::Test {
            let tested = self.operand(0, place, instruction);
            let same = instruction.op0_register() == instruction.op1_register();
            return same.then_some(Effect::Compare(tested, Operand::Constant(0)));
        }
        let place = place.filter(|_| instruction.op0_kind() == OpKind::Memory)?;
        match instruction.mnemonic() {
            Mnemonic::Mov => Some(Effect::Store(place, source)),
            Mnemonic::Inc => Some(Effect::Increment(place)),
            Mnemonic::Add if source == Operand::Constant(1) => Some(Effect::Increment(place)),
            Mnemonic::Dec => Some(Effect::Decrement(place)),
            Mnemonic::Sub if source == Operand::Constant(1) => Some(Effect::Decrement(place)),
            _ if instruction.op1_register().is_vector_register() => {
                Some(Effect::Store(place, Operand::Other))
            }
            _ => None,
        }
    }

    fn operand(&self, index: u32, place: Option<Place>, instruction: &Instruction) -> Operand {
        if index >= instruction.op_count() {
            return Operand::Other;
        }
        let found = match instruction.op_kind(index) {
            OpKind::Register => {
                let register = instruction.op_register(index);
                let value = if register.is_gpr32() {
                    self.held(register).map(|held| held.value)
                } else {
                    self.whole_value_of(register)
                };
                value.map(Operand::Value)
            }
            OpKind::Memory => place.map(Operand::Memory),
            _ => instruction.try_immediate(index).ok().map(Operand::Constant),
        };
        found.unwrap_or(Operand::Other)
    }

    fn fresh(&mut self) -> Held {
        let value = Value(self.next_value);
        self.next_value = self.next_value.wrapping_add(1);
        Held {
            value,
            is_narrow: false,
        }
    }
}

fn is_general(register: Register) -> bool {
    register.is_gpr32() || register.is_gpr64()
}
