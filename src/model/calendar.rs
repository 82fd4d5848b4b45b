//! A calendar: on which days and in which hours something is on, by the clock on the wall.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Hours, Timestamp, Weekday};

/// A local date, `2026-12-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(Date);

impl FromStr for Day {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("`{text}` is no date; write \"2026-12-01\""))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// When something is on: on these weekdays, between these dates, in these hours. Hours past midnight belong to the day on
/// which they begin. Stretches that touch are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// Empty means every day.
    pub weekdays: Vec<Weekday>,
    /// Default round the clock.
    pub hours: Hours,
    /// The first day; absent means from ever.
    pub from: Option<Day>,
    /// The last day, which counts; absent means for ever.
    pub to: Option<Day>,
}

/// Days looked at for the next beginning: a weekday comes again within a week.
const DAYS_AHEAD: i32 = 9;

/// Stretches that are joined into one. The playbook refuses a window that stays open for a month, so this is never reached.
const STRETCHES_LONG: usize = 512;

impl Calendar {
    /// Until when it is on, if it is on at `at`.
    #[must_use]
    pub fn until(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut end = None;
        let mut looked = at;
        // What touches the end goes on from there.
        for _ in 0..STRETCHES_LONG {
            let Some(later) = self.ends_of(looked, zone) else { break };
            (end, looked) = (Some(later), later);
        }
        end
    }

    /// The first instant after `after` at which it begins, having been off.
    #[must_use]
    pub fn next_begin(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = day_of(after, zone);
        let first = self.from.map_or(today, |from| from.0.max(before(today)));
        let mut day = first;
        for _ in 0..DAYS_AHEAD {
            for (from, _) in self.stretches(day, zone) {
                let begins = self.ends_of(Timestamp(from.0 - 1), zone).is_none_or(|end| end < from);
                if from > after && begins {
                    return Some(from);
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// The latest end of the stretches in which `at` lies.
    fn ends_of(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = day_of(at, zone);
        let days = [before(today), today];
        let stretches = days.into_iter().flat_map(|day| self.stretches(day, zone));
        stretches.filter(|(from, to)| (*from..*to).contains(&at)).map(|(_, to)| to).max()
    }

    /// The stretches that begin on a day, in order.
    fn stretches(&self, day: Date, zone: &TimeZone) -> Vec<(Timestamp, Timestamp)> {
        let weekday = Weekday::of(day);
        let counts = (self.weekdays.is_empty() || self.weekdays.contains(&weekday))
            && self.from.is_none_or(|from| from.0 <= day)
            && self.to.is_none_or(|to| day <= to.0);
        if !counts {
            return Vec::new();
        }
        let next = day.tomorrow().unwrap_or(day);
        let stretch = |&(from, to): &(u16, u16)| {
            let last = if to <= from { next } else { day };
            Some((instant(day, from, zone)?, instant(last, to, zone)?))
        };
        let pieces: &[(u16, u16)] = if self.hours.is_always() { &[(0, 0)] } else { self.hours.pieces() };
        let mut stretches: Vec<_> = pieces.iter().filter_map(stretch).collect();
        stretches.sort_unstable();
        stretches
    }
}

fn day_of(at: Timestamp, zone: &TimeZone) -> Date {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    zone.to_datetime(at).date()
}

fn before(day: Date) -> Date {
    day.yesterday().unwrap_or(day)
}

/// A minute of a local day. One that the clock leaves out (summer time begins) is the one after; one that comes twice, the
/// first.
fn instant(day: Date, minute: u16, zone: &TimeZone) -> Option<Timestamp> {
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    let zoned = day.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?;
    Some(Timestamp(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(&format!("{text}:00+08:00")).unwrap()
    }

    fn zone() -> TimeZone {
        TimeZone::get("Asia/Shanghai").unwrap()
    }

    #[test]
    fn nights_of_some_weekdays_belong_to_the_day_they_begin_on() {
        let nights =
            Calendar { weekdays: vec![Weekday::Fri], hours: "22:00-06:00".parse().unwrap(), ..Calendar::default() };
        // 2026-11-27 is a Friday.
        assert_eq!(nights.until(at("2026-11-27T21:59"), &zone()), None);
        assert_eq!(nights.until(at("2026-11-27T22:00"), &zone()), Some(at("2026-11-28T06:00")));
        assert_eq!(nights.until(at("2026-11-28T05:59"), &zone()), Some(at("2026-11-28T06:00")));
        assert_eq!(nights.until(at("2026-11-28T06:00"), &zone()), None);
        assert_eq!(nights.until(at("2026-11-27T01:00"), &zone()), None, "that night began on Thursday");
        assert_eq!(nights.next_begin(at("2026-11-23T10:00"), &zone()), Some(at("2026-11-27T22:00")));
        assert_eq!(nights.next_begin(at("2026-11-27T22:00"), &zone()), Some(at("2026-12-04T22:00")));
    }

    #[test]
    fn days_that_touch_are_one_stretch() {
        let days = Calendar {
            from: Some("2026-12-01".parse().unwrap()),
            to: Some("2026-12-05".parse().unwrap()),
            ..Calendar::default()
        };
        assert_eq!(days.next_begin(at("2026-11-23T10:00"), &zone()), Some(at("2026-12-01T00:00")));
        assert_eq!(days.until(at("2026-12-03T12:00"), &zone()), Some(at("2026-12-06T00:00")));
        assert_eq!(days.next_begin(at("2026-12-01T00:00"), &zone()), None, "it goes on to its end");
        assert_eq!(days.until(at("2026-12-06T00:00"), &zone()), None);
    }

    #[test]
    fn a_day_on_which_the_clock_jumps_has_its_own_length() {
        let zone = TimeZone::get("Europe/London").unwrap();
        let day = Calendar {
            from: Some("2026-03-29".parse().unwrap()),
            to: Some("2026-03-29".parse().unwrap()),
            ..Calendar::default()
        };
        let begin = Timestamp::parse("2026-03-29T00:00:00Z").unwrap();
        assert_eq!(day.until(begin, &zone), Some(Timestamp::parse("2026-03-29T23:00:00Z").unwrap()));
    }
}
