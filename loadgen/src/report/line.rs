//! The line that is shown while a run is going on.
//!
//! Any thread; pure. Always: one line of plain text, of about the same width.

use super::units;
use crate::record::Second;

/// The last second in a line.
///
/// `outstanding` are requests without an answer now; `seconds_left` is `None` if the end is not known.
#[must_use]
pub fn line(second: &Second, outstanding: u64, seconds_left: Option<f64>) -> String {
    let rate = if second.seconds > 0.0 { second.ok as f64 / second.seconds } else { 0.0 };
    let mut text = format!("{:>7}/s", units::rate(rate));
    if second.ok > 0 {
        text += &format!("  p50 {:>7}  p99 {:>7}", units::time(second.p50_us), units::time(second.p99_us));
    } else {
        text += "  p50       -  p99       -";
    }
    text += &format!("  out {outstanding:>5}");
    if second.not_ok > 0 {
        text += &format!("  not ok {}", units::count(second.not_ok));
    }
    if second.shed > 0 {
        text += &format!("  shed {}", units::count(second.shed));
    }
    if let Some(left) = seconds_left.filter(|left| left.is_finite()) {
        text += &format!("  {:.0} s left", left.max(0.0));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_a_line() {
        let mut second =
            Second { seconds: 1.0, ok: 40_000, p50_us: 71.2, p99_us: 1_234.0, not_ok: 3, ..Second::default() };
        assert_eq!(
            line(&second, 64, Some(12.4)),
            "   40 k/s  p50 71.2 us  p99 1.23 ms  out    64  not ok 3  12 s left"
        );
        second.shed = 5;
        assert!(line(&second, 64, None).ends_with("not ok 3  shed 5"));
        assert_eq!(line(&Second::default(), 0, Some(-1.0)), "      0/s  p50       -  p99       -  out     0  0 s left");
    }
}
