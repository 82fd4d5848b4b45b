//! Instants, spans and the hours of a day.
//!
//! Inside, an instant is an integer of milliseconds since 1970-01-01 UTC; on the wire it is RFC 3339. A span in a
//! playbook or a configuration is text that says its unit: `"90s"`, `"5min"`, `"2h"`, `"3d"`.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The milliseconds from `earlier` to `self`; zero when `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis((self.0 - earlier.0).max(0).unsigned_abs())
    }

    /// Reads RFC 3339, with any offset.
    ///
    /// # Errors
    /// When the text is no RFC 3339 instant, with the parser's own words.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>().map(|t| Self(t.as_millisecond())).map_err(|e| e.to_string())
    }

    /// The instant as RFC 3339 in UTC with milliseconds, as it stands on the wire.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| format!("{}ms", self.0), |t| format!("{t:.3}"))
    }

    /// The instant as the clock on the wall shows it in `zone`.
    #[must_use]
    pub fn local(self, zone: &jiff::tz::TimeZone) -> LocalTime {
        let at = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let civil = zone.to_datetime(at);
        LocalTime {
            date: i32::from(civil.year()).unsigned_abs() * 10_000
                + u32::from(civil.month().unsigned_abs()) * 100
                + u32::from(civil.day().unsigned_abs()),
            minute: u16::from(civil.hour().unsigned_abs()) * 60 + u16::from(civil.minute().unsigned_abs()),
            weekday: Weekday::from_monday0(civil.date().weekday().to_monday_zero_offset().unsigned_abs()),
        }
    }
}

impl Add<Millis> for Timestamp {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add_unsigned(span.0))
    }
}

impl Sub<Millis> for Timestamp {
    type Output = Self;
    fn sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub_unsigned(span.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// A span of time in milliseconds. Text form: a number with its unit, `ms`, `s`, `min`, `h` or `d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1000)
    }

    /// A span of whole minutes.
    #[must_use]
    pub const fn from_mins(mins: u64) -> Self {
        Self::from_secs(mins * 60)
    }

    /// The span in seconds, with its fraction.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a span of 285,000 years is still exact")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// This share of the span, rounded down to the millisecond.
    #[must_use]
    pub const fn percent(self, percent: u64) -> Self {
        Self(self.0 / 100 * percent + self.0 % 100 * percent / 100)
    }
}

impl Add for Millis {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// `90s`, `1.5s`, `3min`; the largest unit that leaves a whole number, else seconds with a fraction.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0s"),
            ms if ms % 86_400_000 == 0 => write!(f, "{}d", ms / 86_400_000),
            ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 && ms > 120_000 => write!(f, "{}min", ms / 60_000),
            ms if ms % 1000 == 0 => write!(f, "{}s", ms / 1000),
            ms if ms > 1000 => write!(f, "{}s", self.as_secs_f64()),
            ms => write!(f, "{ms}ms"),
        }
    }
}

/// Why a text is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no span of time; write a whole number with its unit, such as \"90s\", \"5min\", \"2h\" or \"3d\"")]
pub struct ParseSpan(pub String);

impl FromStr for Millis {
    type Err = ParseSpan;
    fn from_str(text: &str) -> Result<Self, ParseSpan> {
        let wrong = || ParseSpan(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit: u64 = match text[digits..].trim_start() {
            "ms" => 1,
            "s" => 1000,
            "min" | "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        // A fraction of a second is what `Display` may have written.
        if let Some(secs) = text.strip_suffix('s').filter(|t| t.contains('.')) {
            let secs: f64 = secs.parse().map_err(serde::de::Error::custom)?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "written by Display")]
            return Ok(Self((secs * 1000.0).round() as u64));
        }
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What the clock on the wall shows: all that a rule may ask of the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The local date as `yyyymmdd`.
    pub date: u32,
    /// Minutes since local midnight, 0 ..= 1439.
    pub minute: u16,
    /// The day of the week.
    pub weekday: Weekday,
}

/// A day of the week, Monday first (ISO 8601).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    fn from_monday0(index: u8) -> Self {
        Self::ALL[usize::from(index) % 7]
    }

    /// That of a date.
    #[must_use]
    pub(super) fn of(date: jiff::civil::Date) -> Self {
        Self::from_monday0(date.weekday().to_monday_zero_offset().unsigned_abs())
    }

    /// The day before.
    #[must_use]
    pub fn before(self) -> Self {
        Self::ALL[(self as usize + 6) % 7]
    }
}

/// Hours of the day, possibly past midnight and possibly in several pieces: `"07:00-19:00"`, `"22:00-06:00"`,
/// `"07:00-09:00,16:30-18:30"`, `"24h"`. The end is exclusive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours(Vec<(u16, u16)>);

impl Hours {
    /// Round the clock.
    #[must_use]
    pub fn always() -> Self {
        Self(Vec::new())
    }

    /// Whether these are all 24 hours.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.0.is_empty()
    }

    /// The pieces as minutes of the day; one that ends before it begins goes past midnight. None round the clock.
    #[must_use]
    pub(super) fn pieces(&self) -> &[(u16, u16)] {
        &self.0
    }

    /// Whether the minute of the day (0 ..= 1439) lies within.
    #[must_use]
    pub fn contains(&self, minute: u16) -> bool {
        let within = |&(from, to): &(u16, u16)| {
            if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
        };
        self.is_always() || self.0.iter().any(within)
    }

    /// Minutes from `minute` until membership next changes; `None` round the clock.
    #[must_use]
    pub fn minutes_to_change(&self, minute: u16) -> Option<u16> {
        let now = self.contains(minute);
        (1..=1440).find(|ahead| self.contains((minute + ahead) % 1440) != now)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_always() {
            return f.write_str("24h");
        }
        for (i, (from, to)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)?;
        }
        Ok(())
    }
}

impl FromStr for Hours {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` are no hours; write \"07:00-19:00\", \"22:00-06:00\" or \"24h\"");
        if text == "24h" {
            return Ok(Self::always());
        }
        let minute = |part: &str| -> Option<u16> {
            let (h, m) = part.trim().split_once(':')?;
            let (h, m): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
            (h < 24 && m < 60 || h == 24 && m == 0).then_some((h * 60 + m) % 1440)
        };
        let piece = |p: &str| -> Option<(u16, u16)> {
            let (from, to) = p.split_once('-')?;
            let (from, to) = (minute(from)?, minute(to)?);
            (from != to).then_some((from, to))
        };
        text.split(',').map(piece).collect::<Option<Vec<_>>>().map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Hours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_as_written() {
        for (text, ms) in [("90s", 90_000), ("5min", 300_000), ("2h", 7_200_000), ("3d", 259_200_000), ("250ms", 250)] {
            assert_eq!(text.parse(), Ok(Millis(ms)));
            let json = serde_json::to_string(&Millis(ms)).unwrap();
            assert_eq!(serde_json::from_str::<Millis>(&json).unwrap(), Millis(ms), "{json}");
        }
        for wrong in ["90", "s", "-1s", "1 hour", "99999999999999999999d"] {
            assert!(wrong.parse::<Millis>().is_err(), "{wrong}");
        }
        let odd = serde_json::to_string(&Millis(1_234)).unwrap();
        assert_eq!(serde_json::from_str::<Millis>(&odd).unwrap(), Millis(1_234));
    }

    #[test]
    fn hours_past_midnight_hold_both_sides() {
        let night: Hours = "22:00-06:00".parse().unwrap();
        assert!(night.contains(23 * 60) && night.contains(0) && !night.contains(6 * 60));
        assert_eq!(night.minutes_to_change(5 * 60), Some(60));
        let school: Hours = "07:00-09:00,16:30-18:30".parse().unwrap();
        assert!(school.contains(17 * 60) && !school.contains(12 * 60));
        assert_eq!(school.to_string().parse(), Ok(school));
        assert!("7-9".parse::<Hours>().is_err() && "25:00-26:00".parse::<Hours>().is_err());
    }

    #[test]
    fn local_time_follows_the_zone() {
        let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
        let local = Timestamp::parse("2026-11-23T16:30:00Z").unwrap().local(&zone);
        assert_eq!((local.date, local.minute, local.weekday), (20_261_124, 30, Weekday::Tue));
    }
}
