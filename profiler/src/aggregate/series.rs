//! What windows showed, one after the other.

use super::estimate::rounded;

/// What the windows of one process showed, one after the other; groups of neighbouring windows
/// count as one. The same groups for all sums, so that what comes together adds up together.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    /// What groups add, in their order; all others add nothing. Mostly they are few, and come in
    /// this order.
    by_group: Vec<(u32, f64)>,
    groups: u32,
}

/// That others are empty is known as well, so so few groups count as that many at least.
const LEAST_HEAVY: u32 = 3;

impl Series {
    /// The variance of the sum: half of the squared differences of neighbours. What grows or ebbs
    /// slowly is known well, since there is a window for each part of it; what appears in a single
    /// window might as well have been missed.
    pub(super) fn variance(&self) -> f64 {
        let groups = f64::from(self.groups);
        if self.groups < 2 {
            return self.values().map(|value| value * value).sum();
        }
        let (mut squares, mut before) = (0.0, None);
        for (group, value) in &self.by_group {
            squares += match before {
                Some((last, other)) if last + 1 == *group => (value - other) * (value - other),
                Some((_, other)) => value * value + other * other,
                None if *group > 0 => value * value,
                None => 0.0,
            };
            before = Some((*group, *value));
        }
        if let Some((last, value)) = before
            && last + 1 < self.groups
        {
            squares += value * value;
        }
        squares / 2.0 * groups / (groups - 1.0)
    }

    /// A series of so many groups, most of which are zero.
    pub(super) fn new(groups: u32) -> Self {
        Self {
            groups,
            ..Self::default()
        }
    }

    /// Adds to a group.
    pub(super) fn add(&mut self, group: u32, value: f64) {
        let is_new = self.by_group.last().is_none_or(|(last, _)| *last < group);
        let at_its_place = self.by_group.get(group as usize);
        let place = if is_new {
            Err(self.by_group.len())
        } else if at_its_place.is_some_and(|(found, _)| *found == group) {
            // No group before it is missing, as in sums of many.
            Ok(group as usize)
        } else {
            self.by_group
                .binary_search_by_key(&group, |(group, _)| *group)
        };
        match place {
            Ok(place) => self.by_group[place].1 += value,
            Err(place) => self.by_group.insert(place, (group, value)),
        }
    }

    /// Subtracts so large a part of another series.
    pub(super) fn subtract(&mut self, other: &Self, part: f64) {
        for (group, value) in &other.by_group {
            self.add(*group, -part * value);
        }
    }

    /// The sum.
    pub(super) fn sum(&self) -> f64 {
        self.values().sum()
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.by_group.iter().map(|(_, value)| *value)
    }

    /// From how many samples it is known how groups differ: from all but one, or if few groups make
    /// up most of the sum, from about as many as those.
    pub(super) fn freedom(&self) -> u32 {
        let squares: f64 = self.values().map(|value| value * value).sum();
        // What is given back makes no group lighter.
        let all: f64 = self.values().map(f64::abs).sum();
        let heavy = rounded((all.powi(2) / squares.max(f64::MIN_POSITIVE)).ceil());
        let heavy = u32::try_from(heavy).unwrap_or(u32::MAX);
        heavy.max(LEAST_HEAVY).min(self.groups.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freedom(values: impl Iterator<Item = f64>) -> u32 {
        let mut series = Series::new(40);
        for (group, value) in (0..).zip(values) {
            series.add(group, value);
        }
        series.freedom()
    }

    #[test]
    fn few_heavy_groups_tell_less_than_many() {
        assert_eq!(freedom([10.0; 40].into_iter()), 39);
        assert_eq!(freedom([10.0; 7].into_iter()), 7);
        assert_eq!(freedom([10.0].into_iter()), LEAST_HEAVY);
    }

    #[test]
    fn what_is_given_back_makes_no_group_lighter() {
        assert_eq!(freedom([10.0, -10.0].into_iter().cycle().take(40)), 39);
    }
}
