//! Frames and stacks: interned, so that a stack is a number and shares what it has in common
//! with others.

use foldhash::HashMap;

/// A place in the program.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Frame {
    /// The qualified name of the function.
    pub function: String,
    /// The file as the code object names it.
    pub file: String,
    /// The line, counted from one; zero if it has none.
    pub line: u32,
}

impl Frame {
    /// A frame that stands for something that is not Python code; it has no file and no line.
    pub fn pseudo(name: &str) -> Self {
        Self {
            function: name.to_owned(),
            file: String::new(),
            line: 0,
        }
    }

    /// Whether it stands for something that is not Python code.
    pub fn is_pseudo(&self) -> bool {
        self.file.is_empty()
    }
}

/// A frame of a [`StackTable`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FrameId(pub u32);

/// A stack of a [`StackTable`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StackId(pub u32);

impl StackId {
    /// The empty stack, which every table has.
    pub const ROOT: Self = Self(0);
}

/// All frames and stacks of a recording: stacks form a prefix tree, so that each is one frame
/// and the stack of its caller.
#[derive(Clone, Debug)]
pub struct StackTable {
    frames: Vec<Frame>,
    frame_ids: HashMap<Frame, FrameId>,
    /// Caller's stack and own frame; the first entry is the root and means nothing.
    stacks: Vec<(StackId, FrameId)>,
    stack_ids: HashMap<(StackId, FrameId), StackId>,
}

impl Default for StackTable {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            frame_ids: HashMap::default(),
            stacks: vec![(StackId::ROOT, FrameId(0))],
            stack_ids: HashMap::default(),
        }
    }
}

impl StackTable {
    /// Interns a frame.
    pub fn intern_frame(&mut self, frame: &Frame) -> FrameId {
        if let Some(id) = self.frame_ids.get(frame) {
            return *id;
        }
        let id = FrameId(u32::try_from(self.frames.len()).expect("fewer frames than 2^32"));
        self.frames.push(frame.clone());
        self.frame_ids.insert(frame.clone(), id);
        id
    }

    /// Interns the stack that calls `frame` from `caller`.
    pub fn intern_call(&mut self, caller: StackId, frame: FrameId) -> StackId {
        let next = StackId(u32::try_from(self.stacks.len()).expect("fewer stacks than 2^32"));
        let id = *self.stack_ids.entry((caller, frame)).or_insert(next);
        if id == next {
            self.stacks.push((caller, frame));
        }
        id
    }

    /// Interns a whole stack, given from the outermost frame inwards.
    pub fn intern(&mut self, outermost_first: impl IntoIterator<Item = FrameId>) -> StackId {
        outermost_first
            .into_iter()
            .fold(StackId::ROOT, |caller, frame| {
                self.intern_call(caller, frame)
            })
    }

    /// The frame with this id.
    ///
    /// # Panics
    ///
    /// If the id is of another table.
    pub fn frame(&self, id: FrameId) -> &Frame {
        &self.frames[id.0 as usize]
    }

    /// The innermost frame of a stack, and the stack that called it; `None` for the root.
    pub fn innermost(&self, stack: StackId) -> Option<(FrameId, StackId)> {
        if stack == StackId::ROOT {
            return None;
        }
        let (caller, frame) = self.stacks[stack.0 as usize];
        Some((frame, caller))
    }

    /// The frames of a stack, innermost first.
    pub fn frames_of(&self, stack: StackId) -> impl Iterator<Item = FrameId> + '_ {
        let mut rest = stack;
        std::iter::from_fn(move || {
            let (frame, caller) = self.innermost(rest)?;
            rest = caller;
            Some(frame)
        })
    }

    /// The same stacks with other frames. All ids stay what they were, even if frames become alike.
    #[must_use]
    pub fn map_frames(mut self, mut change: impl FnMut(Frame) -> Frame) -> Self {
        self.frame_ids.clear();
        self.frames = (self.frames.into_iter()).map(&mut change).collect();
        for (id, frame) in (0..).map(FrameId).zip(&self.frames) {
            self.frame_ids.entry(frame.clone()).or_insert(id);
        }
        self
    }

    /// How many frames it has; their ids are the numbers below.
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// How many stacks it has, with the root; their ids are the numbers below.
    pub fn stack_count(&self) -> usize {
        self.stacks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str) -> Frame {
        Frame {
            function: function.to_owned(),
            file: "app.py".to_owned(),
            line: 1,
        }
    }

    #[test]
    fn stacks_with_the_same_frames_are_the_same() {
        let mut table = StackTable::default();
        let main = table.intern_frame(&frame("main"));
        let leak = table.intern_frame(&frame("leak"));
        let one = table.intern([main, leak]);
        assert_eq!(table.intern([main, leak]), one);
        assert_ne!(table.intern([leak, main]), one);
        assert_eq!(table.frames_of(one).collect::<Vec<_>>(), [leak, main]);
    }

    #[test]
    fn a_caller_is_shared() {
        let mut table = StackTable::default();
        let main = table.intern_frame(&frame("main"));
        let leak = table.intern_frame(&frame("leak"));
        table.intern([main]);
        table.intern([main, leak]);
        assert_eq!(
            table.stack_count(),
            3,
            "the root, main, and leak called by main"
        );
    }

    #[test]
    fn ids_stay_when_frames_change() {
        let mut table = StackTable::default();
        let [main, leak] = ["main", "leak"].map(|name| table.intern_frame(&frame(name)));
        let stack = table.intern([main, leak]);
        let mut table = table.map_frames(|_| frame("hidden"));
        assert_eq!(table.frames_of(stack).collect::<Vec<_>>(), [leak, main]);
        assert_eq!(table.frame(leak), &frame("hidden"));
        assert_eq!(table.intern_frame(&frame("hidden")), main);
    }

    #[test]
    fn the_root_has_no_frame() {
        assert_eq!(StackTable::default().innermost(StackId::ROOT), None);
        assert_eq!(StackTable::default().frames_of(StackId::ROOT).count(), 0);
    }
}
