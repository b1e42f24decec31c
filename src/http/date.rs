//! Dates as HTTP writes them: the value of Date once a second, Last-Modified, and what peers send.
//!
//! Any thread; the wall clock is the caller's. Always: no time of a file and no text of a peer makes this code panic, and
//! what is written is the 29 bytes of an IMF-fixdate (RFC 9110, 5.6.7).

use httpdate::HttpDate;
use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

/// Bytes of a date, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const DATE_BYTES: usize = 29;

/// A date as text.
pub type DateText = [u8; DATE_BYTES];

/// The last second that four digits of a year can say: the end of 9999.
const SECOND_MAX: u64 = 253_402_300_799;

/// The calendar repeats itself, days of the week included, after 400 years: 146,097 days.
const CYCLE_YEARS: u16 = 400;
const CYCLE_SECONDS: i64 = 146_097 * 86_400;

/// The first year that the parser beneath takes.
const YEAR_FIRST: u16 = 1970;

thread_local! {
    /// The second that was written last, and its text: a processor answers many requests in one second.
    static LAST: Cell<(u64, DateText)> = const { Cell::new((0, *b"Thu, 01 Jan 1970 00:00:00 GMT")) };
}

/// The value of Date at a moment, in milliseconds since 1970.
#[must_use]
pub fn date(now_ms: u64) -> DateText {
    let second = now_ms / 1000;
    let (last, text) = LAST.get();
    if last == second {
        return text;
    }
    let text = text_of(second);
    LAST.set((second, text));
    text
}

/// The value of Last-Modified: the second in which the modification fell.
///
/// RFC 9110, 8.8.2.1: it is never later than Date, so a file from the future is as old as its answer.
#[must_use]
pub fn last_modified(modified_ms: u64, now_ms: u64) -> DateText {
    if modified_ms >= now_ms { date(now_ms) } else { text_of(modified_ms / 1000) }
}

fn text_of(second: u64) -> DateText {
    let moment = UNIX_EPOCH + Duration::from_secs(second.min(SECOND_MAX));
    let mut text = [b' '; DATE_BYTES];
    // It has that length for every year of four digits.
    let _ = write!(&mut text[..], "{}", HttpDate::from(moment));
    text
}

/// The seconds since 1970 (before it: less than zero) of a date that a peer sent, in any of the three forms of RFC 9110,
/// 5.6.7; `None` when it is no date.
#[must_use]
pub fn parse(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    match httpdate::parse_http_date(text) {
        Ok(moment) => i64::try_from(moment.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok(),
        Err(_) => before_1970(text),
    }
}

/// A date before 1970 is valid, and If-Unmodified-Since must fail with it and not be ignored. The parser beneath takes none,
/// so it is read as the same day of a later cycle of the calendar.
fn before_1970(text: &str) -> Option<i64> {
    // The year's place: an asctime-date ends with it, an IMF-fixdate has it after day and month. RFC 850's has two digits.
    let at = match text.len() {
        24 => 20..24,
        DATE_BYTES => 12..16,
        _ => return None,
    };
    let digits = text.get(at.clone()).filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()))?;
    let year: u16 = digits.parse().ok()?;
    let cycles = YEAR_FIRST.checked_sub(year)?.div_ceil(CYCLE_YEARS);
    let mut later = text.to_owned();
    later.replace_range(at, &format!("{:04}", year + cycles * CYCLE_YEARS));
    let moment = httpdate::parse_http_date(&later).ok()?;
    let seconds = i64::try_from(moment.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    (cycles > 0).then(|| seconds - i64::from(cycles) * CYCLE_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_MS: u64 = 1_767_225_600_000;

    #[test]
    fn the_three_forms_of_a_date_are_read() {
        // RFC 9110, 5.6.7, and moments from `date -u -d @SECONDS`.
        for (text, second) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", Some(-1)),
            ("Wed Dec 31 23:59:59 1969", Some(-1)),
            ("Mon, 01 Jan 1900 00:00:00 GMT", Some(-2_208_988_800)),
            ("Mon, 01 Jan 1601 00:00:00 GMT", Some(-11_644_473_600)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
            ("Tue, 01 Jan 1900 00:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 08:49:37 +0000", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("784111777", None),
            ("0", None),
            ("", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(parse(text.as_bytes()), second, "{text}");
        }
        assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 GM\xff"), None);
        assert_eq!(parse("Sun, 06 Nov \u{e9}94 08:49:37 GMT".as_bytes()), None);
    }

    #[test]
    fn no_file_is_younger_than_the_answer_and_no_time_is_too_large() {
        assert_eq!(last_modified(784_111_777_999, NOW_MS), *b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(last_modified(0, NOW_MS), *b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(last_modified(NOW_MS + 1, NOW_MS), date(NOW_MS));
        assert_eq!(last_modified(u64::MAX, NOW_MS), *b"Thu, 01 Jan 2026 00:00:00 GMT");
        assert_eq!(last_modified(u64::MAX - 1, u64::MAX), *b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(date(u64::MAX), *b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(date(0), *b"Thu, 01 Jan 1970 00:00:00 GMT");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(second in 0..=SECOND_MAX, millisecond in 0u64..1000) {
            let text = date(second * 1000 + millisecond);
            prop_assert_eq!(parse(&text), Some(i64::try_from(second).unwrap()));
            prop_assert_eq!(date(second * 1000), text);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[A-Z][a-z]{2},? [0-9A-Za-z :,-]{0,30}") {
            let _ = parse(&bytes);
            let _ = parse(text.as_bytes());
        }
    }
}
