//! What measuring takes from the target, from what the kernel half counts.

use std::time::Duration;

use crate::probe::ProcessCounters;

/// What the kernel adds around a tracepoint or page fault program, beyond the program's own time.
/// Measured at 40 to 200 ns (a tracepoint's registers, a software event's bookkeeping).
const KERNEL_EVENT_COST: Duration = Duration::from_nanos(200);

/// Turns counts into processor time.
#[derive(Clone, Copy, Debug)]
pub struct CostModel {
    /// What one probe hit costs on this host, without its program.
    pub hit: Duration,
}

impl CostModel {
    /// The processor time that these counts stand for.
    pub fn of(self, counters: &ProcessCounters) -> Duration {
        multiply(self.hit, counters.hits)
            + multiply(KERNEL_EVENT_COST, counters.runs)
            + counters.handlers
    }
}

fn multiply(duration: Duration, times: u64) -> Duration {
    let nanoseconds = duration.as_nanos().saturating_mul(u128::from(times));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_and_handlers_add_up() {
        let model = CostModel {
            hit: Duration::from_nanos(700),
        };
        let counters = ProcessCounters {
            hits: 1000,
            runs: 10,
            handlers: Duration::from_micros(300),
        };
        assert_eq!(model.of(&counters), Duration::from_micros(700 + 2 + 300));
    }
}
