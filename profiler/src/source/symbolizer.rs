//! Names for raw frames: code objects are read from the target once each, while they live.

use std::{collections::HashSet, rc::Rc};

use foldhash::HashMap;
use profiler_common::{
    loss::Loss,
    walk::{RawFrame, WalkEnd},
};

use super::Traced;
use crate::{
    probe::RawStack,
    profile::{Frame, Losses, ProcessKey, StackId, StackTable},
    python::CodeInfo,
};

/// How many raw stacks are remembered; when there are more, all are forgotten and found again.
const MAX_REMEMBERED: usize = 100_000;

/// How many stacks a recording can have, which bounds its size and heaptide's memory.
const MAX_STACKS: usize = 500_000;

/// How many different numbers of missing frames a recording may have; more are rounded.
/// A recursion that goes up and down would fill the table otherwise.
const MAX_DEPTHS: usize = 256;

/// What stands for the file of code that was compiled with an empty file name.
const NO_FILE: &str = "<no file>";

/// Turns raw stacks into stacks of a [`StackTable`].
#[derive(Default)]
pub struct Symbolizer {
    stacks: StackTable,
    codes: HashMap<(ProcessKey, u64), Known>,
    parents: HashMap<ProcessKey, ProcessKey>,
    remembered: HashMap<ProcessKey, HashMap<RawStack, StackId>>,
    depths: HashSet<u32>,
    losses: Losses,
    has_learned: bool,
}

/// A code object that was read, and the fingerprint that the kernel half saw then.
#[derive(Clone)]
struct Known {
    fingerprint: u32,
    code: Rc<CodeInfo>,
}

impl Symbolizer {
    /// All stacks so far.
    pub fn stacks(&self) -> &StackTable {
        &self.stacks
    }

    /// Takes the losses that occurred since the last call.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// Whether code objects were read since the last call that were not known before.
    pub fn take_has_learned(&mut self) -> bool {
        std::mem::take(&mut self.has_learned)
    }

    /// A child has the code objects of its parent, at the same addresses.
    pub fn inherit(&mut self, parent: ProcessKey, child: ProcessKey) {
        self.parents.insert(child, parent);
    }

    /// The process has no code objects any more that were read before.
    pub fn forget(&mut self, process: ProcessKey) {
        self.parents.remove(&process);
        self.remembered.remove(&process);
        self.codes.retain(|(owner, _), _| *owner != process);
    }

    /// The stack that a raw stack of this process stands for.
    pub fn resolve(&mut self, traced: &Traced, raw: &RawStack) -> StackId {
        let remembered = self.remembered.entry(traced.key).or_default();
        if let Some(stack) = remembered.get(raw) {
            return *stack;
        }
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        let (stack, is_whole) = self.build(traced, raw);
        if is_whole {
            self.remembered
                .entry(traced.key)
                .or_default()
                .insert(raw.clone(), stack);
        }
        stack
    }

    /// The same for a stack at which nothing was got, so that nothing is lost if it cannot be told.
    pub fn resolve_quietly(&mut self, traced: &Traced, raw: &RawStack) -> StackId {
        let losses = self.losses.clone();
        let stack = self.resolve(traced, raw);
        self.losses = losses;
        stack
    }

    /// Builds a stack, and says whether all its code objects could be read. If not, the next event
    /// with the same frames may have more luck.
    fn build(&mut self, traced: &Traced, raw: &RawStack) -> (StackId, bool) {
        if self.stacks.stack_count() >= MAX_STACKS {
            self.losses.add(Loss::StackTableFull, 1);
            return (self.pseudo_stack("[stack table full]"), false);
        }
        let mut is_whole = true;
        let mut stack = match raw.end {
            WalkEnd::TooDeep | WalkEnd::Uncounted => self.cut_off(raw),
            _ => pseudo_base(raw).map_or(StackId::ROOT, |name| self.pseudo_stack(name)),
        };
        for frame in raw.frames.iter().rev().filter(|frame| frame.code != 0) {
            let code = self.code(traced, *frame);
            is_whole &= code.is_some();
            if code.as_deref().is_some_and(CodeInfo::is_shim) {
                continue;
            }
            let named = code.map_or_else(
                || Frame::pseudo("[code is gone]"),
                |code| Frame {
                    function: code.function.clone(),
                    file: file_of(&code).to_owned(),
                    line: line_of(traced, &code, *frame),
                },
            );
            let frame = self.stacks.intern_frame(&named);
            stack = self.stacks.intern_call(stack, frame);
        }
        self.losses.add(Loss::CodeUnreadable, u64::from(!is_whole));
        (stack, is_whole)
    }

    /// What stands for outer frames that are missing: how many, or at least how many.
    fn cut_off(&mut self, raw: &RawStack) -> StackId {
        if raw.missing == 0 && raw.end == WalkEnd::TooDeep {
            // All that did not fit stands for C code.
            return StackId::ROOT;
        }
        let is_known = self.depths.contains(&raw.missing);
        let is_exact = is_known || self.depths.len() < MAX_DEPTHS;
        if is_exact && raw.end == WalkEnd::TooDeep {
            self.depths.insert(raw.missing);
            return self.pseudo_stack(&cut_off(raw.missing, ""));
        }
        let rounded = if is_exact {
            raw.missing
        } else {
            raw.missing & (u32::MAX << raw.missing.max(1).ilog2())
        };
        self.pseudo_stack(&cut_off(rounded, "at least "))
    }

    fn pseudo_stack(&mut self, name: &str) -> StackId {
        let frame = self.stacks.intern_frame(&Frame::pseudo(name));
        self.stacks.intern_call(StackId::ROOT, frame)
    }

    /// The code object of a frame: known already, known from a parent, or read now.
    fn code(&mut self, traced: &Traced, frame: RawFrame) -> Option<Rc<CodeInfo>> {
        if let Some(code) = self.known(traced.key, frame) {
            return Some(code);
        }
        let interpreter = traced.interpreter.as_ref()?;
        let read = CodeInfo::read(
            &traced.memory,
            &interpreter.code,
            &interpreter.layout,
            frame.code,
            frame.fingerprint,
        );
        let code = match read {
            Ok(code) => Rc::new(code),
            // The process may be gone, but what its parent ran is known.
            Err(_gone) => return self.known_from_ancestors(traced.key, frame),
        };
        let known = Known {
            fingerprint: frame.fingerprint,
            code: Rc::clone(&code),
        };
        self.codes.insert((traced.key, frame.code), known);
        self.has_learned = true;
        Some(code)
    }

    fn known(&self, process: ProcessKey, frame: RawFrame) -> Option<Rc<CodeInfo>> {
        // A fingerprint of zero says that the kernel half could not read the object's numbers.
        self.codes
            .get(&(process, frame.code))
            .filter(|known| frame.fingerprint == 0 || known.fingerprint == frame.fingerprint)
            .map(|known| Rc::clone(&known.code))
    }

    fn known_from_ancestors(&self, process: ProcessKey, frame: RawFrame) -> Option<Rc<CodeInfo>> {
        let mut visited = HashSet::new();
        let mut current = process;
        while let Some(parent) = self.parents.get(&current) {
            if !visited.insert(*parent) {
                return None;
            }
            if let Some(code) = self.known(*parent, frame) {
                return Some(code);
            }
            current = *parent;
        }
        None
    }
}

/// The line of a frame.
fn line_of(traced: &Traced, code: &CodeInfo, frame: RawFrame) -> u32 {
    let Some(interpreter) = &traced.interpreter else {
        return code.line_at(frame.instruction);
    };
    let layout = &interpreter.layout;
    code.line_in_copy(&traced.memory, layout, frame.code, frame.instruction)
}

/// The file of a frame. An empty one would say that the frame is no Python code.
fn file_of(code: &CodeInfo) -> &str {
    if code.file.is_empty() {
        NO_FILE
    } else {
        &code.file
    }
}

fn cut_off(count: u32, bound: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("[{bound}{count} outer frame{plural} cut off]")
}

/// What stands at the bottom of a stack that is not whole.
fn pseudo_base(raw: &RawStack) -> Option<&'static str> {
    match raw.end {
        WalkEnd::Complete if raw.frames.is_empty() => Some("[no Python frame]"),
        // How many are missing is said by whoever knows what else is.
        WalkEnd::Complete | WalkEnd::TooDeep | WalkEnd::Uncounted => None,
        WalkEnd::Unreadable => Some("[unreadable frames]"),
        WalkEnd::NoThreadState => Some("[no Python thread state]"),
        WalkEnd::NoInterpreter => Some("[no Python]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bottom(symbolizer: &mut Symbolizer, end: WalkEnd, missing: u32) -> String {
        let raw = RawStack {
            frames: Vec::new(),
            missing,
            end,
        };
        let stack = symbolizer.cut_off(&raw);
        let frame = symbolizer.stacks.innermost(stack).map(|(frame, _)| frame);
        let named = frame.map(|frame| symbolizer.stacks.frame(frame).function.clone());
        named.unwrap_or_default()
    }

    #[test]
    fn a_stack_that_is_cut_off_says_how_many_frames_are_missing() {
        let mut symbolizer = Symbolizer::default();
        for (end, missing, expected) in [
            (WalkEnd::TooDeep, 0, ""),
            (WalkEnd::TooDeep, 1, "[1 outer frame cut off]"),
            (WalkEnd::TooDeep, 172, "[172 outer frames cut off]"),
            (
                WalkEnd::Uncounted,
                896,
                "[at least 896 outer frames cut off]",
            ),
        ] {
            assert_eq!(bottom(&mut symbolizer, end, missing), expected);
        }
    }

    #[test]
    fn a_recursion_that_goes_up_and_down_does_not_fill_the_table() {
        let mut symbolizer = Symbolizer::default();
        for missing in 1..=896 {
            bottom(&mut symbolizer, WalkEnd::TooDeep, missing);
        }
        assert!(symbolizer.stacks.stack_count() < MAX_DEPTHS + 10);
        let known = bottom(&mut symbolizer, WalkEnd::TooDeep, 172);
        assert_eq!(known, "[172 outer frames cut off]");
        let rounded = bottom(&mut symbolizer, WalkEnd::TooDeep, 800);
        assert_eq!(rounded, "[at least 512 outer frames cut off]");
    }
}
