//! A moment as people read it: `2026-03-01T12:00:00.250Z` (RFC 3339), or in its parts. Pure arithmetic.

use std::fmt;

const DAY_MS: u64 = 86_400_000;

/// Date and time in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utc {
    /// The year, from 1970.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
    /// 0 to 23.
    pub hour: u64,
    /// 0 to 59.
    pub minute: u64,
    /// 0 to 59: a leap second is not counted.
    pub second: u64,
    /// 0 to 999.
    pub millisecond: u64,
}

impl Utc {
    /// Milliseconds since 1970 as date and time.
    #[must_use]
    pub fn of_ms(ms: u64) -> Self {
        let (year, month, day) = date(ms / DAY_MS);
        let of_day = ms % DAY_MS;
        let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
        Self { year, month, day, hour, minute, second, millisecond: of_day % 1000 }
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

/// Milliseconds since 1970 as date and time in UTC.
#[must_use]
pub fn utc(ms: u64) -> String {
    Utc::of_ms(ms).to_string()
}

/// The date of a day since 1970. Years are counted from March, so that the leap day is the last of its year; 400 years
/// are 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 1 March of year 0 and 1 January 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 153 days in every five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
#[test]
fn known_moments() {
    // From `date -u -d @SECONDS`.
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_799_999, "2000-02-29T23:59:59.999Z"),
        (1_709_251_199_000, "2024-02-29T23:59:59.000Z"),
        (1_700_000_000_250, "2023-11-14T22:13:20.250Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(utc(ms), text);
    }
    let mut last = (1970, 1, 0);
    for days in 0..200_000 {
        let next = date(days);
        assert!(next > last && next.2 <= 31 && (1..=12).contains(&next.1), "{next:?} after {last:?}");
        last = next;
    }
}
