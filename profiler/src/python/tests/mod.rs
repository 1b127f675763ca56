//! What is read from live interpreters, compared with what they say of themselves.

mod code_objects;
mod refusals;

use profiler_common::walk::{MAX_FRAMES, RawFrame, WalkEnd, find_thread_state, walk_frames};

use super::{
    code::{CodeError, CodeInfo},
    runtime::Interpreter,
    testing::{Program, Python, pythons},
};
use crate::process::memory::Memory;

/// Prints a thread's id and stack, innermost frame first, and waits.
const REPORT: &str = r#"
import sys, threading

def report(_=None):
    print(threading.get_ident())
    frame = sys._getframe()
    while frame:
        code = frame.f_code
        # This function's own frame goes on to the line that waits.
        line = WAITS if code is report.__code__ else frame.f_lineno
        # There are no qualified names before 3.11.
        name = getattr(code, "co_qualname", code.co_name)
        print(name, code.co_filename, line, sep="\t")
        frame = frame.f_back
    print(".", flush=True), input()
WAITS = report.__code__.co_firstlineno + 11
"#;

/// A frame: function, file and line.
type Frame = (String, String, u32);

fn reported(program: &mut Program) -> (u64, Vec<Frame>) {
    let thread_id = program.line().parse().unwrap();
    let mut frames = Vec::new();
    loop {
        let line = program.line();
        if line == "." {
            return (thread_id, frames);
        }
        let fields: Vec<&str> = line.split('\t').collect();
        let [function, file, number] = fields[..] else {
            panic!("unexpected line {line:?}");
        };
        frames.push((
            function.to_owned(),
            file.to_owned(),
            number.parse().unwrap(),
        ));
    }
}

/// The stack of a thread as heaptide sees it.
fn walked(interpreter: &Interpreter, memory: &Memory, thread_id: u64) -> Vec<Frame> {
    let state = find_thread_state(
        memory,
        &interpreter.layout,
        interpreter.holder,
        0,
        interpreter.threads_head,
        0,
        thread_id,
    );
    let mut frames = [RawFrame::default(); MAX_FRAMES];
    let (count, end) = walk_frames(memory, &interpreter.layout, state.unwrap(), &mut frames);
    assert_eq!(end, WalkEnd::Complete);
    frames[..count as usize]
        .iter()
        // The others stand for C code.
        .filter(|frame| frame.code != 0)
        .map(|frame| {
            let code = read_code(interpreter, memory, frame, frame.fingerprint).unwrap();
            let line = code.line_at(frame.instruction);
            (code.function, code.file, line)
        })
        .collect()
}

fn read_code(
    interpreter: &Interpreter,
    memory: &Memory,
    frame: &RawFrame,
    fingerprint: u32,
) -> Result<CodeInfo, CodeError> {
    CodeInfo::read(
        memory,
        &interpreter.code,
        &interpreter.layout,
        frame.code,
        fingerprint,
    )
}

/// Runs a script behind [`REPORT`] in each Python and compares each stack that it reports.
#[track_caller]
fn check_stacks(script: &str, stacks: usize, deepest: usize) {
    for python in pythons() {
        let mut program = Program::start(&python, &[], &format!("{REPORT}{script}"));
        for index in 0..stacks {
            let (thread_id, expected) = reported(&mut program);
            let interpreter = program.interpreter();
            let found = walked(&interpreter, &program.memory(), thread_id);
            assert_eq!(found, expected, "stack {index} of {}", python.name);
            if index == 0 {
                assert!(expected.len() >= deepest, "{} frames", expected.len());
            }
            program.go();
        }
    }
}

#[test]
fn the_version_is_the_one_that_the_interpreter_gives() {
    for python in pythons() {
        let mut program = Program::start(&python, &[], "print('ready', flush=True); input()");
        program.line();
        let interpreter = program.interpreter();
        assert_eq!(interpreter.version.to_string(), version_of(&python));
        assert!(interpreter.image.contains(interpreter.code.code_type));
    }
}

#[test]
fn nested_calls_are_seen_with_their_lines() {
    let script = r#"
class Outer:
    class Inner:
        def method(self, depth):
            if depth:
                return (lambda more: self.method(
                    more - 1,
                ))(depth)
            return [
                report(
                ) for _ in range(1)
            ]

def sorts():
    return sorted([3], key=lambda item: Outer.Inner().method(item))

exec(compile("\n" * 70000 + "sorts()", "<généré→🐍>", "exec"))
exec(compile("\n\nsorts()", "caf\xe9.py", "exec"))

class Str(str):
    pass
exec(compile("sorts()", "", "exec").replace(co_filename=Str("sub\xe9")))
"#;
    check_stacks(script, 3, 12);
}

#[test]
fn names_of_every_kind_of_text_are_read() {
    let script = r#"
def legacy(text):
    """A text that is not in one piece with its head; only old functions make such."""
    try:
        import ctypes
        make = ctypes.pythonapi.PyUnicode_FromUnicode
    except (ImportError, AttributeError):
        return text
    make.restype = ctypes.py_object
    return make(ctypes.c_wchar_p(text), len(text))
for name in "ascii", "latin-\xe9", "bmp-\u2192", "astral-\U0001f40d", "":
    code = compile("report()", "", "exec")
    exec(code.replace(co_filename=legacy(name), co_name=name))
"#;
    check_stacks(script, 5, 2);
}

#[test]
fn generators_and_coroutines_are_seen_while_they_run() {
    let script = r"
def generator():
    yield 1
    yield report()

def delegates():
    yield from generator()

async def awaits():
    await inner()

async def inner():
    async with Context():
        pass

class Context:
    async def __aenter__(self):
        report()
    async def __aexit__(self, *exc):
        pass

for _ in delegates():
    pass
import asyncio
asyncio.run(awaits())
";
    check_stacks(script, 2, 3);
}

#[test]
fn destructors_and_imports_are_seen() {
    let script = r"
class Dies:
    def __del__(self):
        report()

def drops():
    thing = Dies()
    thing = None

drops()
import functools
class Loader:
    def __getattr__(self, name):
        return functools.reduce(lambda a, b: report(), [1, 2])
Loader().anything
";
    check_stacks(script, 2, 3);
}

#[test]
fn a_deep_stack_is_cut_at_its_outermost_frames() {
    let script = r"
def deep(depth):
    return deep(depth - 1) if depth else report()
deep(300)
";
    for python in pythons() {
        let mut program = Program::start(&python, &[], &format!("{REPORT}{script}"));
        let (thread_id, _) = reported(&mut program);
        let interpreter = program.interpreter();
        let memory = program.memory();
        let state = memory.read_word(interpreter.threads_head).unwrap();
        let at = state + u64::from(interpreter.layout.thread_id);
        assert_eq!(memory.read_word(at), Some(thread_id));
        let mut frames = [RawFrame::default(); MAX_FRAMES];
        let (count, end) = walk_frames(&memory, &interpreter.layout, state, &mut frames);
        assert_eq!(end, WalkEnd::TooDeep);
        // 301 calls, the report, the module; the rest stands for C code.
        assert!((303..310).contains(&count), "{}: {count}", python.name);
    }
}

#[test]
fn each_thread_is_found_by_its_id() {
    let script = r"
def waits(depth):
    if depth:
        return waits(depth - 1)
    entered.release()
    stays.acquire()

entered = threading.Semaphore(0)
stays = threading.Semaphore(0)
threads = [threading.Thread(target=waits, args=(depth,)) for depth in range(20)]
for thread in threads:
    thread.start()
    entered.acquire()
    print(thread.ident)
report()
";
    for python in pythons() {
        let mut program = Program::start(&python, &[], &format!("{REPORT}{script}"));
        let ids: Vec<u64> = (0..20).map(|_| program.line().parse().unwrap()).collect();
        let (main, expected) = reported(&mut program);
        let interpreter = program.interpreter();
        let memory = program.memory();
        assert_eq!(walked(&interpreter, &memory, main), expected);
        for (depth, id) in ids.into_iter().enumerate() {
            let frames = walked(&interpreter, &memory, id);
            let own = frames.iter().filter(|frame| frame.0 == "waits").count();
            assert_eq!(own, depth + 1, "{frames:?}");
        }
    }
}

#[test]
fn the_holder_is_the_thread_that_runs() {
    let script = "import threading; print(threading.get_ident(), flush=True)\nwhile 1: pass";
    for python in pythons() {
        let mut program = Program::start(&python, &[], script);
        let thread_id: u64 = program.line().parse().unwrap();
        let interpreter = program.interpreter();
        let memory = program.memory();
        // Until it has printed it may be without the GIL.
        let state = (0..1_000_000).find_map(|_| {
            let state = memory.read_word(interpreter.holder).unwrap();
            (state != 0).then_some(state)
        });
        let at = state.unwrap() + u64::from(interpreter.layout.thread_id);
        assert_eq!(memory.read_word(at), Some(thread_id), "{}", python.name);
    }
}

#[test]
fn a_code_object_that_was_replaced_is_told() {
    for python in pythons() {
        let mut program = Program::start(&python, &[], &format!("{REPORT}report()"));
        let (thread_id, _) = reported(&mut program);
        let interpreter = program.interpreter();
        let memory = program.memory();
        let state = memory.read_word(interpreter.threads_head).unwrap();
        let mut frames = [RawFrame::default(); MAX_FRAMES];
        walk_frames(&memory, &interpreter.layout, state, &mut frames);
        let frame = frames[0];
        let address = frame.code;
        let read = |fingerprint| read_code(&interpreter, &memory, &frame, fingerprint);
        assert!(read(0).is_ok() && read(frame.fingerprint).is_ok());
        let other = read(frame.fingerprint ^ 1);
        assert_eq!(other, Err(CodeError::Replaced { address }));
        let address = state;
        let frame = RawFrame {
            code: address,
            ..frame
        };
        let none = read_code(&interpreter, &memory, &frame, 0);
        assert_eq!(none, Err(CodeError::NotCode { address }), "{thread_id}");
    }
}

fn version_of(python: &Python) -> String {
    let script = "import platform; print(platform.python_version())";
    let output = python.command().args(["-c", script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
