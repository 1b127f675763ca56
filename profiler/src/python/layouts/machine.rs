//! What the rows say of x86-64, moved to where another machine has it.

use super::{HolderPath, Layout, Obmalloc, RuntimeLink};
use crate::process::elf::Machine;

/// By how much two `pthread_mutex_t` are larger on 64-bit ARM: 48 bytes instead of 40 each. They
/// are in the state of the GIL, and all that stands behind them in the same structure has moved.
const MUTEXES: u32 = 16;

impl Layout {
    /// The same row on this machine.
    ///
    /// Up to 3.11 the runtime holds the GIL, since 3.12 each interpreter does. What a table of
    /// offsets tells needs no help: it replaces these numbers.
    pub(in crate::python) fn on(mut self, machine: Machine) -> Self {
        if machine != Machine::Aarch64 {
            return self;
        }
        let runtime = &mut self.runtime;
        if let HolderPath::InRuntime { offset } = &mut runtime.holder {
            *offset += MUTEXES;
        }
        if let RuntimeLink::FromRuntime { offset } = &mut runtime.link {
            *offset += MUTEXES;
        }
        match &mut runtime.obmalloc {
            Obmalloc::Embedded { offset, .. } | Obmalloc::Pointer { offset, .. } => {
                *offset += MUTEXES;
            }
            Obmalloc::Absent | Obmalloc::Statics | Obmalloc::StaticsWithTotal => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::version::FeatureVersion;

    fn row(minor: u8, machine: Machine) -> Layout {
        let row = Layout::of(FeatureVersion::new(3, minor), false).unwrap();
        row.clone().on(machine)
    }

    #[test]
    fn the_holder_of_the_gil_stands_behind_the_mutexes() {
        for (minor, expected) in [(8, 1384), (9, 584), (10, 584), (11, 592)] {
            let offset = |machine| match row(minor, machine).runtime.holder {
                HolderPath::InRuntime { offset } => offset,
                HolderPath::InGil { .. } => panic!("3.{minor} has its GIL in the runtime"),
            };
            assert_eq!(offset(Machine::Aarch64), expected, "3.{minor}");
            assert_eq!(offset(Machine::X86_64), expected - 16, "3.{minor}");
        }
    }

    #[test]
    fn so_does_the_state_of_pymalloc_once_it_is_in_the_interpreter() {
        let offset = |minor, machine| match row(minor, machine).runtime.obmalloc {
            Obmalloc::Embedded { offset, .. } | Obmalloc::Pointer { offset, .. } => Some(offset),
            _ => None,
        };
        assert_eq!(offset(12, Machine::Aarch64), Some(3976));
        assert_eq!(offset(12, Machine::X86_64), Some(3960));
        assert_eq!(offset(11, Machine::Aarch64), None);
        for minor in 12..=15 {
            let [arm, x86] = [Machine::Aarch64, Machine::X86_64].map(|one| offset(minor, one));
            assert_eq!(arm, x86.map(|offset| offset + 16), "3.{minor}");
        }
    }

    #[test]
    fn frames_and_code_are_the_same_everywhere() {
        for here in Layout::all() {
            let there = here.clone().on(Machine::Aarch64);
            assert_eq!(there.walk(), here.walk());
            assert_eq!(there.code, here.code);
        }
    }
}
