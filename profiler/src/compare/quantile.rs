//! How far an interval has to reach: quantiles of the normal and of Student's distribution.

use std::f64::consts::PI;

/// How many standard deviations to either side leave out the part `level` of a normal distribution
/// (after Abramowitz and Stegun 26.2.23; off by less than 0.0005).
pub(super) fn normal(level: f64) -> f64 {
    let t = (-2.0 * (level / 2.0).clamp(1e-300, 0.5).ln()).sqrt();
    let above = 0.010_328_f64.mul_add(t, 0.802_853).mul_add(t, 2.515_517);
    let below = 0.001_308_f64.mul_add(t, 0.189_269);
    t - above / below.mul_add(t, 1.432_788).mul_add(t, 1.0)
}

/// The same for Student's distribution with so many degrees of freedom, from two up (after Hill,
/// Communications of the ACM 13, 1970, algorithm 396).
#[expect(
    clippy::many_single_char_names,
    reason = "the names of the published algorithm"
)]
pub(super) fn student(level: f64, freedom: f64) -> f64 {
    let n = freedom.max(2.0);
    if n < 2.001 {
        return (2.0 / (level * (2.0 - level)) - 2.0).sqrt();
    }
    let a = 1.0 / (n - 0.5);
    let b = 48.0 / (a * a);
    let mut c = ((20_700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    let d = ((94.5 / (b + c) - 3.0) / b + 1.0) * (a * PI / 2.0).sqrt() * n;
    let mut y = (d * level).powf(2.0 / n);
    if y > 0.05 + a {
        let x = -normal(level);
        y = x * x;
        if n < 5.0 {
            c += 0.3 * (n - 4.5) * (x + 0.6);
        }
        c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = (a * y * y).exp_m1();
    } else {
        let inner = 1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0);
        y = ((inner + 0.5 / (n + 4.0)) * y - 1.0) * (n + 1.0) / (n + 2.0) + 1.0 / y;
    }
    (n * y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, expected: f64) {
        let off = (value / expected - 1.0).abs();
        assert!(off < 0.01, "{value} is not {expected}");
    }

    #[test]
    fn the_normal_quantiles_are_those_of_tables() {
        check(normal(0.05), 1.960);
        check(normal(0.001), 3.291);
        check(normal(1e-5), 4.417);
    }

    #[test]
    fn students_quantiles_are_those_of_tables() {
        check(student(0.05, 2.0), 4.303);
        check(student(0.05, 4.0), 2.776);
        check(student(0.001, 4.0), 8.610);
        check(student(0.05, 20.0), 2.086);
        check(student(0.001, 10.0), 4.587);
        check(student(0.001, 30.0), 3.646);
        check(student(0.001, 10_000.0), 3.291);
    }
}
