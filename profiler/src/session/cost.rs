//! What measuring takes from the target, from what the kernel half counts.

use std::time::Duration;

use crate::probe::{ProcessCounters, Runs};

/// What the kernel adds around a tracepoint or page fault program, beyond the program's own time.
/// Measured at 40 to 200 ns (a tracepoint's registers, a software event's bookkeeping).
const KERNEL_EVENT_COST: Duration = Duration::from_nanos(200);

/// What a probe hit costs the target afterwards, when it finds its caches and branch predictions
/// gone; the calibration, a tight loop, does not show it. Measured at 230 to 280 ns a hit in loops
/// of bytearrays, by what the loops lost.
const AFTERMATH: Duration = Duration::from_nanos(250);

/// The same of a hit that stands alone, with some microseconds of the target's own work before the
/// next one. Measured at 440 to 840 ns, by how often loops that know their pace were said to come
/// to a rare place.
const AFTERMATH_ALONE: Duration = Duration::from_nanos(450);

/// Turns counts into processor time.
#[derive(Clone, Copy, Debug)]
pub struct CostModel {
    /// What one probe hit costs on this host, without its program.
    pub hit: Duration,
}

/// Processor time, by what it was spent for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Costs {
    /// Tracepoints and page faults.
    pub kernel: Duration,
    /// Probes of blocks over 512 bytes.
    pub blocks: Duration,
    /// Probes of pools and arenas.
    pub pools: Duration,
    /// Probes of small objects.
    pub objects: Duration,
    /// Probes where these are only counted.
    pub counted: Duration,
    /// What those of small objects take besides, as rare ones among them tell.
    pub besides: Duration,
}

impl Costs {
    /// All of it.
    pub fn total(self) -> Duration {
        self.kernel + self.blocks + self.pools + self.objects + self.counted + self.besides
    }
}

impl CostModel {
    /// The processor time that the counts since `earlier` stand for.
    pub fn since(self, earlier: &ProcessCounters, now: &ProcessCounters) -> Costs {
        Costs {
            kernel: cost(KERNEL_EVENT_COST, earlier.kernel, now.kernel),
            blocks: cost(self.hit + AFTERMATH, earlier.blocks, now.blocks),
            pools: cost(self.hit + AFTERMATH, earlier.pools, now.pools),
            objects: cost(self.hit + AFTERMATH, earlier.objects, now.objects),
            counted: cost(self.hit + AFTERMATH_ALONE, earlier.counted, now.counted),
            besides: Duration::ZERO,
        }
    }
}

fn cost(each: Duration, earlier: Runs, now: Runs) -> Duration {
    let runs = now.count.saturating_sub(earlier.count);
    let nanoseconds = each.as_nanos().saturating_mul(u128::from(runs));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
        + now.handlers.saturating_sub(earlier.handlers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_and_handlers_add_up() {
        let runs = |count, micros| Runs {
            count,
            handlers: Duration::from_micros(micros),
        };
        let earlier = ProcessCounters {
            blocks: runs(500, 100),
            ..ProcessCounters::default()
        };
        let now = ProcessCounters {
            kernel: runs(10, 5),
            blocks: runs(1500, 400),
            ..ProcessCounters::default()
        };
        let costs = CostModel {
            hit: Duration::from_nanos(700).saturating_sub(AFTERMATH),
        }
        .since(&earlier, &now);
        assert_eq!(costs.blocks, Duration::from_millis(1));
        assert_eq!(costs.total(), Duration::from_micros(1000 + 2 + 5));
    }
}
