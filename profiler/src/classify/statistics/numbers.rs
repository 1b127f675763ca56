//! Order statistics of plain numbers.

use super::Point;

/// The standard deviation of a normal distribution whose absolute deviations have the median one.
const MAD_TO_SIGMA: f64 = 1.4826;

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "series are short")]
pub(in crate::classify) const fn count(number: usize) -> f64 {
    number as f64
}

/// The value below which such a part of the values lies, 0 to 1; zero if there are none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
pub(in crate::classify) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|it| it.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = part.clamp(0.0, 1.0) * count(last);
    let (lower, upper) = (place.floor() as usize, place.ceil() as usize);
    let (lower, upper) = (sorted[lower.min(last)], sorted[upper.min(last)]);
    (upper - lower).mul_add(place.fract(), lower)
}

/// The middle value; zero if there are none.
pub(in crate::classify) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// By how much single values scatter around their neighbours, as a standard deviation: neither a
/// slope nor single peaks count.
pub(in crate::classify) fn noise(points: &[Point]) -> f64 {
    let second: Vec<f64> = points
        .windows(3)
        .map(|it| (it[1].1 - f64::midpoint(it[0].1, it[2].1)).abs())
        .collect();
    // The middle of three less the mean of the others has one and a half times the variance.
    median(&second) * MAD_TO_SIGMA / 1.5_f64.sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert!((median(&values) - 2.5).abs() < 1e-12);
        assert!((quantile(&values, 1.0) - 4.0).abs() < 1e-12);
        assert!(median(&[]).abs() < 1e-12);
    }

    #[test]
    fn neither_a_slope_nor_a_peak_is_noise() {
        let mut line: Vec<Point> = (0..60).map(f64::from).map(|x| (x, 9.0 * x)).collect();
        line[30].1 = 1e9;
        assert!(noise(&line) < 1e-6);
        let saw: Vec<Point> = (0..60)
            .map(|x| (f64::from(x), f64::from(x % 2) * 10.0))
            .collect();
        assert!(noise(&saw) > 4.0);
    }

    proptest! {
        #[test]
        fn a_quantile_is_no_smaller_than_a_lower_one(
            values in prop::collection::vec(-1e12..1e12_f64, 1..50),
            part in 0.0..1.0_f64,
        ) {
            prop_assert!(quantile(&values, 0.0) <= quantile(&values, part));
            prop_assert!(quantile(&values, part) <= quantile(&values, 1.0));
        }
    }
}
