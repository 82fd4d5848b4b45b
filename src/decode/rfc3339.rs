//! Instants as RFC 3339 writes them, and nothing looser: a general parser also takes "18:31", "+05" or a zone in
//! brackets, and one producer's shorthand would be the next one's hour of error.

use crate::model::Timestamp;

/// The instant, to the millisecond (a finer fraction is cut off); `None` when the text is not of RFC 3339's form or
/// names no day of the calendar. The 60th second of a minute is read as its last millisecond.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let b = text.as_bytes();
    let sep = |at: usize, any: &[u8]| b.get(at).is_some_and(|c| any.contains(c)).then_some(());
    let two = |at: usize| Some(digit(b, at)? * 10 + digit(b, at + 1)?);
    sep(4, b"-")?;
    sep(7, b"-")?;
    sep(10, b"Tt ")?;
    sep(13, b":")?;
    sep(16, b":")?;
    let (year, month, day) = (two(0)? * 100 + two(2)?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_of(year, month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (millis, offset_at) = fraction(b, 19)?;
    let millis = if second == 60 { 59_999 } else { second * 1000 + millis };
    let offset_minutes = match b.get(offset_at)? {
        b'Z' | b'z' if b.len() == offset_at + 1 => 0,
        sign @ (b'+' | b'-') if b.len() == offset_at + 6 => {
            sep(offset_at + 3, b":")?;
            let (hours, minutes) = (two(offset_at + 1)?, two(offset_at + 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    Some(Timestamp(minutes * 60_000 + millis))
}

fn digit(b: &[u8], at: usize) -> Option<i64> {
    b.get(at).filter(|c| c.is_ascii_digit()).map(|c| i64::from(c - b'0'))
}

/// The milliseconds of an optional fraction at `at`, and where it ends.
fn fraction(b: &[u8], at: usize) -> Option<(i64, usize)> {
    if b.get(at) != Some(&b'.') {
        return Some((0, at));
    }
    let digits = b[at + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
    let place = |n: usize, worth: i64| if n < digits { digit(b, at + 1 + n).unwrap_or(0) * worth } else { 0 };
    (digits > 0).then(|| (place(0, 100) + place(1, 10) + place(2, 1), at + 1 + digits))
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar, counted in years that begin in March so that a leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_full_form_is_taken() {
        let at = Timestamp(1_763_856_000_000);
        for text in ["2025-11-23T00:00:00Z", "2025-11-23t08:00:00+08:00", "2025-11-22 23:30:00.000999-00:30"] {
            assert_eq!(parse(text), Some(at), "{text}");
        }
        for text in [
            "",
            "lunchtime",
            "2018-04-05T18:31Z",
            "2018-04-05T18:31:00X",
            "2018-04-05T18:31:00+25:00",
            "2018-04-05T18:31:00",
            "2018-04-05T18:31:00+xx:00",
            "2018-04-05T18:31:00+05",
            "2018-02-29T00:00:00Z",
            "2018-13-01T00:00:00Z",
            "2018-04-05T24:00:00Z",
            "2018-04-05T18:31:00.Z",
            "2018-04-05T18:31:00ZZ",
            "2018-04-05T18:31:00Z[UTC]",
            "+018-04-05T18:31:00Z",
            "2018-04-05T18:31:61Z",
            "二〇一八-04-05T18:31:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("2016-12-31T23:59:60Z").unwrap().to_rfc3339(), "2016-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn instants_are_those_of_the_calendar(millis in -62_167_219_200_000_i64..253_402_207_200_000, offset in -1439..1440_i64) {
            let written = Timestamp(millis).to_rfc3339();
            prop_assert_eq!(parse(&written), Some(Timestamp(millis)), "{}", written);
            let local = Timestamp(millis + offset * 60_000).to_rfc3339();
            prop_assume!(local.len() == 24 && !local.starts_with('-'));
            let sign = if offset < 0 { '-' } else { '+' };
            let shifted = format!("{}{sign}{:02}:{:02}", &local[..23], offset.abs() / 60, offset.abs() % 60);
            prop_assert_eq!(parse(&shifted), Some(Timestamp(millis)), "{}", shifted);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", cut in 0..26_usize) {
            let _ = parse(&text);
            let _ = parse(&"2018-04-05T18:31:00.123+08:00"[..cut]);
        }
    }
}
