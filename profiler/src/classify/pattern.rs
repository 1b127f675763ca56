//! The growth patterns, by their stable names.

/// How memory grows, or why it does not come back.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Pattern {
    /// No growth that matters.
    Steady,
    /// A process keeps growing, whether or not there is traffic; old blocks are not given back.
    RetainedGrowth,
    /// Memory rises while there is traffic, rests while there is none, and does not come back.
    TrafficGrowth,
    /// Growth that slows down and levels off.
    CacheFill,
    /// Memory rises with single pieces of work and comes back.
    PayloadSpikes,
    /// Several processes are each large and steady; their sum is the problem.
    WorkerDuplication,
    /// The total jumps when workers start.
    WorkerCountStep,
    /// Growth goes on while there is no traffic.
    IdleGrowth,
    /// It stays high after traffic fell, and the objects are still live.
    IdleRetention,
    /// It stays high though Python freed it: the allocator keeps the pages.
    AllocatorRetention,
    /// Two or more of the others, each with a share.
    Mixed,
    /// Too little is known to say.
    Undecided,
}

impl Pattern {
    /// All patterns.
    pub const ALL: [Self; 12] = [
        Self::Steady,
        Self::RetainedGrowth,
        Self::TrafficGrowth,
        Self::CacheFill,
        Self::PayloadSpikes,
        Self::WorkerDuplication,
        Self::WorkerCountStep,
        Self::IdleGrowth,
        Self::IdleRetention,
        Self::AllocatorRetention,
        Self::Mixed,
        Self::Undecided,
    ];

    /// The stable name, as it stands in JSON, text and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::RetainedGrowth => "retained-growth",
            Self::TrafficGrowth => "traffic-growth",
            Self::CacheFill => "cache-fill",
            Self::PayloadSpikes => "payload-spikes",
            Self::WorkerDuplication => "worker-duplication",
            Self::WorkerCountStep => "worker-count-step",
            Self::IdleGrowth => "idle-growth",
            Self::IdleRetention => "idle-retention",
            Self::AllocatorRetention => "allocator-retention",
            Self::Mixed => "mixed",
            Self::Undecided => "undecided",
        }
    }

    /// Finds a pattern by its stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pattern| pattern.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pattern_is_found_by_its_name() {
        for pattern in Pattern::ALL {
            assert_eq!(Pattern::from_name(pattern.name()), Some(pattern));
        }
        assert_eq!(Pattern::from_name("leak"), None);
    }
}
