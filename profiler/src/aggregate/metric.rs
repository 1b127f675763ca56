//! The metrics of sites and stacks, by their stable names.

/// What a site or a stack can be weighed by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Metric {
    /// Bytes allocated while recording and not freed at its end.
    Retained,
    /// Bytes allocated while recording, freed or not.
    Allocated,
    /// How many allocations.
    Allocations,
    /// Bytes of fresh pages that the process touched.
    Resident,
    /// Bytes of address space got while recording and still held.
    Mapped,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 5] = [
        Self::Retained,
        Self::Allocated,
        Self::Allocations,
        Self::Resident,
        Self::Mapped,
    ];

    /// The stable name, as it stands in flags and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retained => "retained",
            Self::Allocated => "allocated",
            Self::Allocations => "allocations",
            Self::Resident => "resident",
            Self::Mapped => "mapped",
        }
    }

    /// Finds a metric by its stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Whether it counts bytes; otherwise it counts pieces.
    pub const fn is_bytes(self) -> bool {
        !matches!(self, Self::Allocations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_found_by_its_name() {
        for metric in Metric::ALL {
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
        }
        assert_eq!(Metric::from_name("inuse_space"), None);
    }
}
