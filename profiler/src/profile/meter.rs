//! What counters count.

use std::sync::LazyLock;

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
    /// Objects of a size class, each seen when pymalloc or mimalloc hands it out; what became of it
    /// is read from outside. Beyond 512 bytes they are mimalloc's.
    Object(SizeClass),
    /// Objects in times in which only part of them was seen; the counts are estimates in the
    /// same way.
    SampledObject(SizeClass),
    /// Address space from `mmap` and `brk`, exact to the byte.
    Mapping,
    /// Fresh pages touched, sampled: one page fault in so many.
    Page,
    /// Those of them that a forked process had shared until it wrote there, by what was written.
    Copied(CopyCause),
}

/// What the names of meters of objects begin with; their class follows, by its bytes.
const OBJECT: &str = "object-";
const SAMPLED_OBJECT: &str = "sampled-object-";

/// The names of a meter by size class.
fn names(prefix: &str) -> Vec<String> {
    let names = SizeClass::all().map(|class| format!("{prefix}{}", class.bytes()));
    names.collect()
}

static OBJECTS: LazyLock<Vec<String>> = LazyLock::new(|| names(OBJECT));
static SAMPLED_OBJECTS: LazyLock<Vec<String>> = LazyLock::new(|| names(SAMPLED_OBJECT));

impl Metered {
    /// All meters but those of objects.
    fn plain() -> impl Iterator<Item = Self> {
        let plain = [
            Self::Block,
            Self::Pool,
            Self::SampledBlock,
            Self::SampledPool,
            Self::Mapping,
            Self::Page,
        ];
        plain.into_iter().chain(CopyCause::ALL.map(Self::Copied))
    }

    /// All meters.
    pub fn all() -> impl Iterator<Item = Self> {
        let objects = SizeClass::all().map(Self::Object);
        let sampled = SizeClass::all().map(Self::SampledObject);
        Self::plain().chain(objects).chain(sampled)
    }

    /// The stable name, as it stands in recordings; size classes by their bytes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Pool => "pool",
            Self::SampledBlock => "sampled-block",
            Self::SampledPool => "sampled-pool",
            Self::Object(class) => &OBJECTS[class.index()],
            Self::SampledObject(class) => &SAMPLED_OBJECTS[class.index()],
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
        let class = |prefix| -> Option<SizeClass> {
            let bytes: u64 = name.strip_prefix(prefix)?.parse().ok()?;
            Some(SizeClass::of(bytes)).filter(|class| class.bytes() == bytes)
        };
        let objects = class(OBJECT).map(Self::Object);
        let found = objects.or_else(|| class(SAMPLED_OBJECT).map(Self::SampledObject));
        let found = found.or_else(|| Self::plain().find(|meter| meter.name() == name));
        found.filter(|meter| meter.name() == name)
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
        assert_eq!(
            largest.map(Metered::name),
            Some("sampled-object-1073741824")
        );
        for none in [
            "object-",
            "object-17",
            "object-016",
            "object-+16",
            "objects",
        ] {
            assert_eq!(Metered::from_name(none), None, "{none}");
        }
    }
}
