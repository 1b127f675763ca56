//! Whether what was found in a process is the interpreter that it is taken for.
//!
//! A wrong row would make the walk invent stacks, so nothing is believed before the links of the
//! interpreter's structures and the members of its code type agree with the row. Forks of
//! `CPython` that moved fields are refused here.

use super::{
    error::PythonError,
    layouts::RuntimeLink,
    runtime::{Interpreter, read_word},
};
use crate::process::memory::Memory;

/// How often the list of threads is read before it is believed to be wrong: threads come and go.
const ATTEMPTS: usize = 5;

/// A type has no more members.
const MEMBERS_LIMIT: u64 = 64;

/// The longest name of a member that is compared.
const NAME_LIMIT: usize = 64;

/// `PyMemberDef`: its size, and where the offset stands in it.
const MEMBER_BYTES: u64 = 40;
const MEMBER_OFFSET: u64 = 16;

/// Checks an interpreter that was found.
pub(super) fn check(interpreter: &Interpreter, memory: &Memory) -> Result<(), PythonError> {
    let check = Check {
        interpreter,
        memory,
    };
    check.runtime()?;
    check.code_type()?;
    check.code_members()?;
    check.threads()
}

struct Check<'a> {
    interpreter: &'a Interpreter,
    memory: &'a Memory,
}

impl Check<'_> {
    /// The interpreter must know its runtime, or the runtime its interpreter.
    fn runtime(&self) -> Result<(), PythonError> {
        let main = self.interpreter.main_interpreter;
        let runtime = self.interpreter.runtime;
        let (from, offset, to) = match self.interpreter.places.link {
            RuntimeLink::FromInterpreter { offset } => (main, offset, runtime),
            RuntimeLink::FromRuntime { offset } => (runtime, offset, main),
        };
        match self.word(from.wrapping_add(u64::from(offset)))? {
            0 => Err(self.not_ready()),
            pointer if pointer == to => Ok(()),
            _ => Err(self.inconsistent("its interpreter belongs to another runtime")),
        }
    }

    /// The first threads must be linked both ways and know their interpreter.
    fn threads(&self) -> Result<(), PythonError> {
        let mut verdict = self.not_ready();
        for _ in 0..ATTEMPTS {
            match self.threads_once() {
                Ok(()) => return Ok(()),
                Err(error) => verdict = error,
            }
        }
        Err(verdict)
    }

    fn threads_once(&self) -> Result<(), PythonError> {
        let Interpreter {
            layout,
            places,
            threads_head,
            main_interpreter,
            ..
        } = self.interpreter;
        let first = self.word(*threads_head)?;
        if first == 0 {
            return Err(self.not_ready());
        }
        let field = |thread: u64, offset: u32| self.word(thread.wrapping_add(u64::from(offset)));
        if field(first, places.thread_interpreter)? != *main_interpreter {
            return Err(self.inconsistent("its first thread belongs to another interpreter"));
        }
        let next = field(first, u32::from(layout.thread_next))?;
        let linked = field(first, places.thread_previous)? == 0
            && (next == 0 || field(next, places.thread_previous)? == first);
        if linked {
            return Ok(());
        }
        Err(self.inconsistent("its threads are not linked to each other"))
    }

    /// The type of code objects must know their size.
    fn code_type(&self) -> Result<(), PythonError> {
        let code = &self.interpreter.code;
        let at = u64::from(code.offsets.type_basic_size);
        let size = self.word(code.code_type.wrapping_add(at))?;
        if size == u64::from(code.offsets.basic_size) {
            return Ok(());
        }
        Err(self.inconsistent(&format!("its code objects have {size} bytes")))
    }

    /// The type of code objects must know their members where the row has them.
    fn code_members(&self) -> Result<(), PythonError> {
        let code = &self.interpreter.code.offsets;
        let expected = [
            ("co_argcount", code.arguments),
            ("co_kwonlyargcount", code.keyword_only),
            ("co_flags", code.flags),
            ("co_firstlineno", code.first_line),
            ("co_filename", code.filename),
            (code.members.name, code.name),
            (code.members.line_table, code.line_table),
        ];
        let mut found = 0;
        for (name, offset) in self.members()? {
            let Some((_, row)) = expected.iter().find(|(known, _)| *known == name) else {
                continue;
            };
            if u64::from(*row) != offset {
                let what = format!("its code objects have {name} at {offset}, not at {row}");
                return Err(self.inconsistent(&what));
            }
            found += 1;
        }
        if found == expected.len() {
            return Ok(());
        }
        Err(self.inconsistent("its code objects lack a member"))
    }

    /// The names and offsets of the members that the type of code objects has.
    fn members(&self) -> Result<Vec<(String, u64)>, PythonError> {
        let code = &self.interpreter.code;
        let at = u64::from(code.offsets.type_members);
        let table = self.word(code.code_type.wrapping_add(at))?;
        let mut members = Vec::new();
        for index in 0..MEMBERS_LIMIT {
            let member = table.wrapping_add(index * MEMBER_BYTES);
            let name = self.word(member)?;
            if name == 0 {
                break;
            }
            let offset = self.word(member.wrapping_add(MEMBER_OFFSET))?;
            let name = self.memory.read_c_string(name, NAME_LIMIT);
            members.push((name.unwrap_or_default(), offset));
        }
        Ok(members)
    }

    fn word(&self, address: u64) -> Result<u64, PythonError> {
        read_word(self.interpreter.pid, self.memory, address, "Python runtime")
    }

    fn not_ready(&self) -> PythonError {
        PythonError::NotReady {
            pid: self.interpreter.pid,
        }
    }

    fn inconsistent(&self, what: &str) -> PythonError {
        PythonError::Inconsistent {
            pid: self.interpreter.pid,
            name: format!("CPython {}", self.interpreter.version),
            what: what.to_owned(),
        }
    }
}
