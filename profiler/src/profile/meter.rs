//! What counters count.

use super::{CopyCause, SizeClass};

/// What a counter counts. No byte is counted by two meters whose sums are added up: blocks over 512
/// bytes and small objects are disjoint, and so are those that were seen in full and those that
/// were sampled; pools stand for small objects where these were not seen themselves; `Mapping` and
/// `Page` look at the same memory from below.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Metered {
    /// Blocks over 512 bytes: each is seen when it is handed out and when it is given back.
    Block,
    /// Small blocks, seen through pymalloc's pools: what lives in the pools that this stack opened
    /// while recording. Bytes got are a lower bound, what lives is a sample (one pool stands for
    /// what all lines put into it).
    Pool,
    /// Blocks over 512 bytes in times in which only part of them was seen: the counts are
    /// estimates, each block counted as often as it has others to stand for.
    SampledBlock,
    /// Pools in times in which only part of them was seen; the counts are estimates in the same
    /// way.
    SampledPool,
    /// Small objects of a size class, each seen when pymalloc hands it out; what became of it is
    /// read from outside.
    Object(SizeClass),
    /// Small objects in times in which only part of them was seen; the counts are estimates in the
    /// same way.
    SampledObject(SizeClass),
    /// Address space from `mmap` and `brk`, exact to the byte.
    Mapping,
    /// Fresh pages touched, sampled: one page fault in so many.
    Page,
    /// Those of them that a forked process had shared until it wrote there, by what was written.
    Copied(CopyCause),
}

/// The names of a meter by size class.
macro_rules! names {
    ($prefix:literal) => {
        names!(@list $prefix
            16 32 48 64 80 96 112 128 144 160 176 192 208 224 240 256
            272 288 304 320 336 352 368 384 400 416 432 448 464 480 496 512)
    };
    (@list $prefix:literal $($bytes:literal)*) => {
        [$(concat!($prefix, $bytes)),*]
    };
}

const OBJECTS: [&str; SizeClass::COUNT] = names!("object-");
const SAMPLED_OBJECTS: [&str; SizeClass::COUNT] = names!("sampled-object-");

impl Metered {
    /// All meters.
    pub fn all() -> impl Iterator<Item = Self> {
        let plain = [
            Self::Block,
            Self::Pool,
            Self::SampledBlock,
            Self::SampledPool,
            Self::Mapping,
            Self::Page,
        ];
        let copied = CopyCause::ALL.map(Self::Copied);
        let objects = SizeClass::all().map(Self::Object);
        let sampled = SizeClass::all().map(Self::SampledObject);
        plain
            .into_iter()
            .chain(copied)
            .chain(objects)
            .chain(sampled)
    }

    /// The stable name, as it stands in recordings; size classes by their bytes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Pool => "pool",
            Self::SampledBlock => "sampled-block",
            Self::SampledPool => "sampled-pool",
            Self::Object(class) => OBJECTS[class.index()],
            Self::SampledObject(class) => SAMPLED_OBJECTS[class.index()],
            Self::Mapping => "mapping",
            Self::Page => "page",
            Self::Copied(CopyCause::References) => "copied-by-references",
            Self::Copied(CopyCause::Collector) => "copied-by-collector",
            Self::Copied(CopyCause::Data) => "copied-by-data",
            Self::Copied(CopyCause::Unknown) => "copied",
        }
    }

    /// Finds a meter by its stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|meter| meter.name() == name)
    }

    /// Whether its counts are estimates that rest on windows.
    pub const fn is_sampled(self) -> bool {
        matches!(
            self,
            Self::SampledBlock | Self::SampledPool | Self::SampledObject(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_meter_has_a_name_of_its_own() {
        assert_eq!(Metered::all().count(), 10 + 2 * SizeClass::COUNT);
        for meter in Metered::all() {
            assert_eq!(Metered::from_name(meter.name()), Some(meter));
        }
        let largest = SizeClass::all().last().map(Metered::SampledObject);
        assert_eq!(largest.map(Metered::name), Some("sampled-object-512"));
    }
}
