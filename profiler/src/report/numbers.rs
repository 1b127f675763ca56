//! How numbers are written in the summary: short, and never more exact than they are.

use crate::{aggregate::Estimate, units::Bytes};

/// A number with its thousands apart: `1,234`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A share in at most four columns: `85%`, `<1%`, `0%`.
pub(super) fn percent(share: f64) -> String {
    match share {
        s if !s.is_finite() || s <= 0.0 => "0%".to_owned(),
        s if s < 0.95 => "<1%".to_owned(),
        s => format!("{:.0}%", s.min(999.0)),
    }
}

/// How far an estimate may be off, in percent of it: `±3%`; nothing if it is exact.
#[expect(clippy::cast_precision_loss, reason = "whole percents are printed")]
pub(super) fn uncertainty(estimate: Estimate) -> Option<String> {
    let Estimate {
        estimate: value,
        low,
        high,
    } = estimate;
    let off = high.saturating_sub(value).max(value.saturating_sub(low));
    if off == 0 || value == 0 {
        return None;
    }
    let percent = (off as f64 / value as f64 * 100.0).ceil();
    Some(if percent > 999.0 {
        "±>9×".to_owned()
    } else {
        format!("±{percent:.0}%")
    })
}

/// A change: `+83.8 MiB`, `-1.20 MiB`, `±0`.
pub(super) fn change(start: u64, end: u64) -> String {
    match end.abs_diff(start) {
        0 => "±0".to_owned(),
        by if end > start => format!("+{}", Bytes(by)),
        by => format!("-{}", Bytes(by)),
    }
}

/// A slope: `+2.79 MiB/s`; nothing if it is less than a byte.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is positive, and what is too large for an integer saturates"
)]
pub(super) fn slope(per_second: f64) -> Option<String> {
    let sign = if per_second < 0.0 { '-' } else { '+' };
    let bytes = per_second.abs();
    (bytes >= 1.0).then(|| format!("{sign}{}/s", Bytes(bytes as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn a_share_that_is_there_is_not_zero() {
        let cases = [
            (0.0, "0%"),
            (0.2, "<1%"),
            (0.96, "1%"),
            (99.6, "100%"),
            (f64::NAN, "0%"),
        ];
        for (share, expected) in cases {
            assert_eq!(percent(share), expected);
        }
    }

    #[test]
    fn uncertainty_is_rounded_up() {
        let estimate = |estimate, low, high| Estimate {
            estimate,
            low,
            high,
        };
        assert_eq!(uncertainty(Estimate::exact(5)), None);
        assert_eq!(uncertainty(estimate(1000, 999, 1001)).unwrap(), "±1%");
        assert_eq!(uncertainty(estimate(1000, 500, 1100)).unwrap(), "±50%");
        assert_eq!(uncertainty(estimate(1, 0, 1000)).unwrap(), "±>9×");
        assert_eq!(uncertainty(estimate(0, 0, 1000)), None);
    }

    #[test]
    fn a_change_has_a_sign() {
        assert_eq!(change(1024, 3072), "+2.00 KiB");
        assert_eq!(change(3072, 1024), "-2.00 KiB");
        assert_eq!(change(7, 7), "±0");
        assert_eq!(slope(2048.0).unwrap(), "+2.00 KiB/s");
        assert_eq!(slope(-2048.0).unwrap(), "-2.00 KiB/s");
        assert_eq!(slope(f64::NAN), None);
    }
}
