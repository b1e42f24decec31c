//! Figures with their units, and text made safe for a terminal.
//!
//! Any thread; pure. Always: what is not finite is a dash.

/// A count with a space between each three digits.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A time in microseconds with the unit that suits it: "850 ns", "12.3 us", "4.56 s".
#[must_use]
pub fn time(us: f64) -> String {
    match us.abs() {
        size if !size.is_finite() => "-".to_string(),
        size if size < 1e-3 => "0 s".to_string(),
        size if size < 1.0 => format!("{} ns", digits(us * 1e3)),
        size if size < 999.5 => format!("{} us", digits(us)),
        size if size < 999.5e3 => format!("{} ms", digits(us / 1e3)),
        _ => format!("{} s", digits(us / 1e6)),
    }
}

/// A number a second: "950", "12.3 k", "1.25 M".
#[must_use]
pub fn rate(value: f64) -> String {
    scaled(value, 1e3, &["", "k", "M", "G"])
}

/// Bytes: "512 B", "1.5 MB".
#[must_use]
pub fn bytes(value: f64) -> String {
    let text = scaled(value, 1e3, &["", "k", "M", "G", "T"]);
    if text.contains(' ') { format!("{text}B") } else { format!("{text} B") }
}

/// A number with three digits that count.
#[must_use]
pub fn digits(value: f64) -> String {
    let text = match value.abs() {
        size if !size.is_finite() => return "-".to_string(),
        size if !(1e-9..99.95).contains(&size) => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

/// Text of one line for a terminal: what would move the cursor, or change the colour or the order of letters, is a mark.
#[must_use]
pub fn printable(text: &str) -> String {
    let is_order =
        |letter| matches!(letter, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|letter| if letter.is_control() || is_order(letter) { '\u{fffd}' } else { letter }).collect()
}

fn scaled(value: f64, step: f64, prefixes: &[&str]) -> String {
    if !value.is_finite() {
        return "-".to_string();
    }
    let mut value = value;
    let mut prefix = "";
    for (index, next) in prefixes.iter().enumerate() {
        if index > 0 {
            if value.abs() < step - 0.5 {
                break;
            }
            value /= step;
        }
        prefix = next;
    }
    if prefix.is_empty() { digits(value) } else { format!("{} {prefix}", digits(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (us, text) in [
            (0.0, "0 s"),
            (0.85, "850 ns"),
            (12.34, "12.3 us"),
            (999.6, "1 ms"),
            (1_500.0, "1.5 ms"),
            (4.56e6, "4.56 s"),
            (3.6e9, "3600 s"),
            (f64::NAN, "-"),
            (f64::INFINITY, "-"),
        ] {
            assert_eq!(time(us), text);
        }
        assert_eq!([0.0, 950.4, 12_345.0, 999_999.0, 1.25e6].map(rate), ["0", "950", "12.3 k", "1 M", "1.25 M"]);
        assert_eq!([0.0, 512.0, 1.5e6, 3e13].map(bytes), ["0 B", "512 B", "1.5 MB", "30 TB"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1 000", "1 234 567"]);
    }

    #[test]
    fn a_server_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\nc\u{202e}d"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d");
    }
}
