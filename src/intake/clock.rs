//! The clocks of a table: from cells to instants.
//!
//! A city writes its times for people: in local time without a zone, date and clock in two columns, only the hour, only the
//! clock, a number of minutes since something else, or a sentinel where nothing happened. All of them become one
//! instant here. Where a clock leaves a choice, the choice is fixed and noted: an hour that daylight saving repeats is the
//! earlier one unless that would lie before the time it follows, then the later; a clock in the hour that daylight saving
//! skips is moved on by what was skipped; a clock without a date is the first such clock from `slack` before the
//! time it follows.

use std::borrow::Cow;

use jiff::civil::{Date, DateTime, Time as Clock};
use jiff::fmt::strtime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use super::mapping::{Field, Milestone, TimeShape, TimeSpec, unit_ms};
use crate::model::{Millis, Timestamp};

/// Reads the times of one table.
#[derive(Debug)]
pub(super) struct Clocks<'m> {
    shape: &'m TimeShape,
    zone: TimeZone,
    never_before: Option<Date>,
}

/// An instant, and whether daylight saving had a say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub at: Timestamp,
    pub daylight_saving: bool,
}

/// Why a cell is no time. `column` is the one at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub column: String,
    pub reason: &'static str,
}

/// What is known of earlier times: by milestone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Earlier([Option<Timestamp>; 7]);

impl Earlier {
    pub(super) fn set(&mut self, milestone: Milestone, at: Timestamp) {
        self.0[milestone as usize] = Some(at);
    }

    /// That milestone, or where the row has none the last one before it.
    fn at(&self, milestone: Milestone) -> Option<Timestamp> {
        self.0[..=milestone as usize].iter().rev().find_map(|t| *t)
    }

    /// The latest time known.
    fn last(&self) -> Option<Timestamp> {
        self.0.iter().flatten().max().copied()
    }
}

impl<'m> Clocks<'m> {
    /// # Errors
    /// When the zone or the limit date does not exist.
    pub(super) fn new(shape: &'m TimeShape) -> Result<Self, String> {
        let zone =
            TimeZoneDatabase::bundled().get(&shape.zone).map_err(|e| format!("times.zone `{}`: {e}", shape.zone))?;
        let never_before = shape.never_before.as_deref().map(str::parse).transpose();
        let never_before = never_before.map_err(|e| format!("times.never_before: {e}"))?;
        Ok(Self { shape, zone, never_before })
    }

    /// The instant that `spec` finds in a row, or `None` when the row says that it never happened.
    pub(super) fn read<'r>(
        &self,
        spec: &'r TimeSpec,
        cell: impl Fn(&'r Field) -> Option<Cow<'r, str>>,
        earlier: &Earlier,
    ) -> Result<Option<Told>, Unreadable> {
        let said = |field: &'r Option<Field>| field.as_ref().and_then(&cell).filter(|t| !self.is_never(t));
        let name = |field: &Option<Field>| field.as_ref().map_or_else(String::new, |f| f.0.column.to_string());
        let bad = |field: &Option<Field>, reason| Unreadable { column: name(field), reason };

        if spec.at.is_some() {
            let Some(text) = said(&spec.at) else { return Ok(None) };
            let told =
                self.whole(&text, earlier.last()).ok_or_else(|| bad(&spec.at, "no time in any of the formats"))?;
            return Ok(Some(told).filter(|t| !self.is_ancient(t.at)));
        }
        if spec.date.is_some() {
            let Some(text) = said(&spec.date) else { return Ok(None) };
            let date = self.date(&text).ok_or_else(|| bad(&spec.date, "no date in any of the formats"))?;
            if self.never_before.is_some_and(|limit| date < limit) {
                return Ok(None);
            }
            let clock = match (&spec.clock, &spec.hour) {
                (Some(_), _) => said(&spec.clock).map(|t| self.clock(&t).ok_or_else(|| bad(&spec.clock, "no clock"))),
                (_, Some(_)) => said(&spec.hour).map(|t| hour(&t).ok_or_else(|| bad(&spec.hour, "no hour of a day"))),
                _ => None,
            };
            // A date whose clock the row leaves out is still that day; without `clock_else` it is no time.
            let clock = match clock.transpose()? {
                Some(clock) => clock,
                None => match spec.clock_else.as_deref().map(str::parse::<Clock>) {
                    Some(Ok(clock)) => clock,
                    _ => return Ok(None),
                },
            };
            return Ok(self.instant(date.to_datetime(clock), earlier.last()));
        }
        let Some(base) = spec.after.and_then(|m| earlier.at(m)) else { return Ok(None) };
        if spec.span.is_some() {
            let Some(text) = said(&spec.span) else { return Ok(None) };
            let unit = spec.unit.as_deref().and_then(unit_ms).unwrap_or(1_000.0);
            let ms = text.trim().parse::<f64>().ok().map(|n| n * unit).filter(|ms| (0.0..1e12).contains(ms));
            let ms = ms.ok_or_else(|| bad(&spec.span, "no span of time"))?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range was just tested")]
            return Ok(Some(told(base + Millis(ms.round() as u64))));
        }
        if spec.clock.is_some() {
            let Some(text) = said(&spec.clock) else { return Ok(None) };
            let clock = self.clock(&text).ok_or_else(|| bad(&spec.clock, "no clock in any of the formats"))?;
            return Ok(self.following(clock, base));
        }
        Ok(spec.plus.map(|plus| told(base + plus)))
    }

    fn is_never(&self, text: &str) -> bool {
        self.shape.never.iter().any(|never| never == text)
    }

    fn is_ancient(&self, at: Timestamp) -> bool {
        let local = |limit: Date| self.instant(limit.to_datetime(Clock::midnight()), None);
        self.never_before.and_then(local).is_some_and(|limit| at < limit.at)
    }

    /// A date and clock in one cell.
    fn whole(&self, text: &str, floor: Option<Timestamp>) -> Option<Told> {
        self.shape.formats.iter().find_map(|format| match format.as_str() {
            "rfc3339" => Timestamp::parse(text).ok().map(told),
            "epoch-s" => epoch(text, 1_000.0),
            "epoch-ms" => epoch(text, 1.0),
            format => {
                let parsed = strtime::parse(format, text).ok()?;
                if parsed.offset().is_some() {
                    return parsed.to_timestamp().ok().map(|t| told(Timestamp(t.as_millisecond())));
                }
                self.instant(parsed.to_datetime().ok()?, floor)
            }
        })
    }

    fn date(&self, text: &str) -> Option<Date> {
        self.shape.dates.iter().find_map(|f| strtime::parse(f.as_str(), text).ok()?.to_date().ok())
    }

    fn clock(&self, text: &str) -> Option<Clock> {
        self.shape.clocks.iter().find_map(|f| strtime::parse(f.as_str(), text).ok()?.to_time().ok())
    }

    /// The first such clock from `slack` before `base` on.
    fn following(&self, clock: Clock, base: Timestamp) -> Option<Told> {
        let from = base - self.shape.slack;
        let start = jiff::Timestamp::from_millisecond(from.0).ok()?;
        let mut date = self.zone.to_datetime(start).date();
        for _ in 0..3 {
            let told = self.instant(date.to_datetime(clock), Some(from))?;
            if told.at >= from {
                return Some(told);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// The instant of a local date and clock; `floor` decides an hour that comes twice.
    fn instant(&self, civil: DateTime, floor: Option<Timestamp>) -> Option<Told> {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        let daylight_saving = !matches!(ambiguous.offset(), AmbiguousOffset::Unambiguous { .. });
        let ms = |t: Result<jiff::Timestamp, jiff::Error>| t.ok().map(|t| Timestamp(t.as_millisecond()));
        let first = ms(ambiguous.compatible())?;
        let is_fold = matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. });
        let at = match floor {
            Some(floor) if is_fold && first < floor => ms(ambiguous.later())?,
            _ => first,
        };
        Some(Told { at, daylight_saving })
    }
}

fn told(at: Timestamp) -> Told {
    Told { at, daylight_saving: false }
}

/// An hour of the day as some tables write it: `0`, `0.0`, `23`.
fn hour(text: &str) -> Option<Clock> {
    let hour: f64 = text.trim().parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "its range is tested")]
    (0.0..24.0).contains(&hour).then(|| Clock::constant(hour as i8, 0, 0, 0))
}

fn epoch(text: &str, unit: f64) -> Option<Told> {
    let ms = text.trim().parse::<f64>().ok().map(|n| n * unit).filter(|ms| ms.abs() < 1e14)?;
    #[expect(clippy::cast_possible_truncation, reason = "its range was just tested")]
    Some(told(Timestamp(ms.round() as i64)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::mapping::Time;

    fn shape(zone: &str) -> TimeShape {
        toml::from_str(&format!(
            "zone = \"{zone}\"\nformats = [\"%m/%d/%Y %I:%M:%S %p\", \"rfc3339\", \"epoch-s\"]\n\
             dates = [\"%d %b %Y\", \"%d%m%Y\"]\nclocks = [\"%H:%M:%S\", \"%H:%M\"]\n\
             never = [\"00/00/0000\"]\nnever_before = \"1971-01-01\"\n"
        ))
        .unwrap()
    }

    fn spec(text: &str) -> TimeSpec {
        #[derive(serde::Deserialize)]
        struct One {
            t: Time,
        }
        toml::from_str::<One>(&format!("t = {text}")).unwrap().t.0
    }

    /// Each field's cell is the name of its column, so that a test can write the cell into the mapping.
    fn read(zone: &str, text: &str, earlier: &[(Milestone, &str)]) -> Result<Option<String>, &'static str> {
        let shape = shape(zone);
        let clocks = Clocks::new(&shape).unwrap();
        let mut known = Earlier::default();
        for (milestone, at) in earlier {
            known.set(*milestone, Timestamp::parse(at).unwrap());
        }
        let spec = spec(text);
        let cell = |f: &Field| (!f.0.column.is_empty()).then(|| Cow::Owned(f.0.column.to_string()));
        clocks.read(&spec, cell, &known).map(|t| t.map(|t| t.at.to_rfc3339())).map_err(|e| e.reason)
    }

    #[test]
    fn local_times_follow_the_daylight_saving_of_their_zone() {
        let la = |text| read("America/Los_Angeles", text, &[]).unwrap().unwrap();
        assert_eq!(la("\"04/07/2020 12:01:25 AM\""), "2020-04-07T07:01:25.000Z");
        assert_eq!(la("\"01/07/2020 12:01:25 PM\""), "2020-01-07T20:01:25.000Z");
        // 02:30 does not exist on that day; 01:30 comes twice on the other.
        assert_eq!(la("\"03/08/2020 02:30:00 AM\""), "2020-03-08T10:30:00.000Z");
        assert_eq!(la("\"11/01/2020 01:30:00 AM\""), "2020-11-01T08:30:00.000Z");
        let after = [(Milestone::Received, "2020-11-01T08:50:00Z")];
        let later = read("America/Los_Angeles", "\"11/01/2020 01:30:00 AM\"", &after);
        assert_eq!(later.unwrap().unwrap(), "2020-11-01T09:30:00.000Z");
    }

    #[test]
    fn a_clock_without_a_date_passes_midnight() {
        let after = [(Milestone::Received, "2009-01-01T23:58:00Z")];
        let clock = |text: &str| {
            let spec = format!("{{ clock = \"{text}\", after = \"received\" }}");
            read("Europe/London", &spec, &after).unwrap().unwrap()
        };
        assert_eq!(clock("23:59:30"), "2009-01-01T23:59:30.000Z");
        assert_eq!(clock("00:04:00"), "2009-01-02T00:04:00.000Z");
        // A little before: a clock that was read wrong, not one of the next day.
        assert_eq!(clock("23:50:00"), "2009-01-01T23:50:00.000Z");
    }

    #[test]
    fn dates_without_a_clock_hours_and_spans_are_read() {
        let london = |text| read("Europe/London", text, &[(Milestone::Dispatched, "2024-07-01T10:00:00Z")]);
        let ok = |text| london(text).unwrap().unwrap();
        assert_eq!(ok("{ date = \"20012024\", hour = \"4.0\" }"), "2024-01-20T04:00:00.000Z");
        assert_eq!(ok("{ date = \"01 Jul 2024\", clock = \"00:03:00\" }"), "2024-06-30T23:03:00.000Z");
        assert_eq!(ok("{ date = \"01 Jul 2024\", clock_else = \"12:00\" }"), "2024-07-01T11:00:00.000Z");
        assert_eq!(ok("{ span = \"5.45\", unit = \"min\", after = \"en_route\" }"), "2024-07-01T10:05:27.000Z");
        assert_eq!(ok("{ after = \"dispatched\", plus = \"30min\" }"), "2024-07-01T10:30:00.000Z");
    }

    #[test]
    fn never_is_no_time_and_nonsense_is_an_error() {
        let utc = |text| read("UTC", text, &[]);
        for never in ["\"00/00/0000\"", "\"01/01/1900 12:00:00 AM\"", "\"\"", "{ date = \"01 Jan 1900\" }"] {
            assert_eq!(utc(never), Ok(None), "{never}");
        }
        assert_eq!(utc("\"04/31/2020 12:00:00 AM\""), Err("no time in any of the formats"));
        assert_eq!(utc("{ date = \"01 Jan 2020\", hour = \"24\" }"), Err("no hour of a day"));
        assert_eq!(utc("{ span = \"5\", unit = \"s\", after = \"received\" }"), Ok(None), "after nothing");
        assert_eq!(utc("\"1586217685\"").unwrap().unwrap(), "2020-04-07T00:01:25.000Z");
        assert_eq!(utc("\"2020-04-07T00:01:25+02:00\"").unwrap().unwrap(), "2020-04-06T22:01:25.000Z");
    }
}
