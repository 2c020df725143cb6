//! Moments in time. Nothing here but [`now`] reads a clock: handlers take the time as an argument.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time};

/// Seconds in a day. UTC days have no other length: the epoch does not count leap seconds.
pub const DAY: i64 = 86_400;

/// 9999-12-31T23:59:59Z, the last moment that RFC 3339 can write.
const LAST: i64 = 253_402_300_799;

/// A moment, to the millisecond, between 1970 and 9999 (anything beyond is brought to the nearer end).
///
/// Records hold whole seconds, and rules about expiry compare whole seconds; the milliseconds only order the ids of
/// tokens made within one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    millis: i64,
}

/// The present moment by the system's clock; the epoch, should the clock stand before it.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Timestamp {
    /// From seconds since the epoch.
    pub fn from_secs(secs: i64) -> Self {
        Self { millis: secs.clamp(0, LAST) * 1000 }
    }

    /// From seconds since the epoch; `None` if that is not between 1970 and 9999. Today's milliseconds, taken for seconds,
    /// are not.
    pub fn exactly(secs: i64) -> Option<Self> {
        (0..=LAST).contains(&secs).then(|| Self::from_secs(secs))
    }

    /// From milliseconds since the epoch.
    pub fn from_millis(millis: i64) -> Self {
        Self { millis: millis.clamp(0, LAST * 1000 + 999) }
    }

    /// Whole seconds since the epoch.
    pub fn as_secs(self) -> i64 {
        self.millis / 1000
    }

    /// Milliseconds since the epoch.
    pub fn as_millis(self) -> u64 {
        self.millis.unsigned_abs()
    }

    /// This moment and `days` times 24 hours.
    pub fn plus_days(self, days: u32) -> Self {
        Self::from_millis(self.millis.saturating_add(i64::from(days) * DAY * 1000))
    }

    /// The last second of this moment's day, UTC.
    pub fn end_of_day(self) -> Self {
        let secs = self.as_secs();
        Self::from_secs(secs - secs % DAY + DAY - 1)
    }

    /// Reads an RFC 3339 time with any offset (fractions of a second are dropped), or a date `YYYY-MM-DD`, which
    /// stands for the last second of that day, UTC. `None` for anything else. A leap second (`23:59:60` UTC at the end of a
    /// month) is the second before it: the epoch has no other for it.
    pub fn parse(text: &str) -> Option<Self> {
        let moment = match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(moment) => moment,
            Err(_) => date(text)?.with_time(Time::from_hms(23, 59, 59).ok()?).assume_utc(),
        };
        Self::exactly(moment.unix_timestamp())
    }
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let mut part = |width: usize| {
        let part = parts.next()?;
        (part.len() == width && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u16>().ok()).flatten()
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(year.into(), month, u8::try_from(day).ok()?).ok()
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the second: `2027-01-31T23:59:59Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp(self.as_secs()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second()
        )
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        Timestamp::parse(text).map(|moment| moment.to_string())
    }

    #[test]
    fn a_date_is_the_end_of_that_day_in_utc() {
        assert_eq!(read("2027-01-31").as_deref(), Some("2027-01-31T23:59:59Z"));
        assert_eq!(read("2028-02-29").as_deref(), Some("2028-02-29T23:59:59Z"));
    }

    #[test]
    fn a_time_keeps_its_moment_whatever_its_offset() {
        assert_eq!(read("2027-03-28T02:30:00+02:00").as_deref(), Some("2027-03-28T00:30:00Z"));
        assert_eq!(read("2027-03-28t00:30:00.999z").as_deref(), Some("2027-03-28T00:30:00Z"));
    }

    #[test]
    fn what_is_neither_a_date_nor_a_time_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2027-02-29",
            "2027-13-01",
            "2027-1-1",
            "27-01-01",
            "+027-01-01",
            "2027-01-01T10:00:00",
            "1969-12-31",
            "2027-01-01 ",
            "2027-01-01-01",
            "1700000000",
            "２０２７-01-01",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_second_before_it_and_only_where_there_can_be_one() {
        for text in ["2016-12-31T23:59:60Z", "2016-12-31T23:59:60.9Z", "2017-01-01T01:59:60+02:00"] {
            assert_eq!(read(text).as_deref(), Some("2016-12-31T23:59:59Z"), "{text}");
        }
        assert_eq!(read("2027-06-30T23:59:60Z").as_deref(), Some("2027-06-30T23:59:59Z"), "nobody knows yet");
        for text in
            ["2027-06-29T23:59:60Z", "2027-06-30T22:59:60Z", "2027-06-30T23:59:61Z", "2027-07-01T23:59:60+02:00"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn months_have_the_days_that_they_have() {
        for (date, last) in [("2027-04", 30), ("2027-02", 28), ("2028-02", 29), ("2100-02", 28), ("2400-02", 29)] {
            let end = format!("{date}-{last}T23:59:59Z");
            assert_eq!(read(&format!("{date}-{last}")).as_deref(), Some(end.as_str()));
            assert_eq!(read(&end).as_deref(), Some(end.as_str()));
            assert_eq!(read(&format!("{date}-{}", last + 1)), None, "{date}");
            assert_eq!(read(&format!("{date}-{}T00:00:00Z", last + 1)), None, "{date}");
        }
    }

    #[test]
    fn an_offset_is_arithmetic_and_knows_no_daylight_saving() {
        // In Berlin there is no 02:30 on the first of these days, and there are two on the second.
        for (text, moment) in [
            ("2027-03-28T02:30:00+01:00", "2027-03-28T01:30:00Z"),
            ("2027-10-31T02:30:00+02:00", "2027-10-31T00:30:00Z"),
            ("2027-10-31T02:30:00+01:00", "2027-10-31T01:30:00Z"),
            ("2027-01-01T00:00:00+14:00", "2026-12-31T10:00:00Z"),
            ("2027-12-31T23:59:59-12:00", "2028-01-01T11:59:59Z"),
            ("2027-01-01T00:00:00-00:00", "2027-01-01T00:00:00Z"),
            ("1970-01-01T00:30:00+00:30", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(moment), "{text}");
        }
        for text in ["2027-01-01T00:00:00+24:00", "2027-01-01T00:00:00+0100", "2027-01-01T24:00:00Z"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_calendar_begins_in_1970_and_ends_with_9999() {
        assert_eq!(read("9999-12-31").as_deref(), Some("9999-12-31T23:59:59Z"));
        for text in [
            "9999-12-31T23:59:59-00:01",
            "10000-01-01",
            "10000-01-01T00:00:00Z",
            "+10000-01-01",
            "0000-01-01",
            "-0001-01-01",
            "1970-01-01T00:00:00+00:01",
            "9223372036854775807",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        for secs in [i64::MIN, -1, 253_402_300_800, i64::MAX] {
            assert_eq!(Timestamp::exactly(secs), None);
        }
        // Milliseconds that were taken for seconds.
        assert_eq!(Timestamp::exactly(1_800_000_000_000), None);
        assert_eq!(Timestamp::exactly(1_800_000_000), Some(Timestamp::from_millis(1_800_000_000_000)));
    }

    #[test]
    fn moments_outside_the_calendar_are_brought_to_its_ends() {
        assert_eq!(Timestamp::from_secs(-1).as_secs(), 0);
        assert_eq!(Timestamp::from_secs(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp::from_secs(i64::MAX).plus_days(u32::MAX).end_of_day().to_string(), "9999-12-31T23:59:59Z");
    }
}
