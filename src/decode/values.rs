//! The values of our members: bounded text, ids, words of a list, instants, numbers.
//!
//! Every reader here takes `null` for absent, as `CloudEvents` does, and refuses with what it expected, never with what it
//! got. The caller's object adds the member's name.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use smol_str::SmolStr;

use super::json::{Next, Reader};
use super::{Reason, Rejection, rfc3339};
use crate::model::Timestamp;

impl<'a> Reader<'a> {
    /// Text of at most `bytes_max` bytes.
    pub(super) fn text(&mut self, bytes_max: usize) -> Result<Option<Cow<'a, str>>, Rejection> {
        match self.next()? {
            Next::Null => self.null().map(|_| None),
            Next::String => {
                let text = self.string()?;
                within_limit(&text, bytes_max)?;
                Ok(Some(text))
            }
            other => Err(wrong_type("text", other)),
        }
    }

    /// A short text without control characters; an empty one counts as absent.
    pub(super) fn id(&mut self, bytes_max: usize) -> Result<Option<SmolStr>, Rejection> {
        let Some(text) = self.text(bytes_max)? else { return Ok(None) };
        no_control(&text)?;
        Ok((!text.is_empty()).then(|| SmolStr::new(text)))
    }

    /// Something with a text form of its own, such as an incident's id.
    pub(super) fn parsed<T: FromStr>(&mut self, bytes_max: usize, form: &str) -> Result<Option<T>, Rejection> {
        let Some(text) = self.id(bytes_max)? else { return Ok(None) };
        let wrong = |_| Rejection::invalid("is not of the form it must have", format!("write it as {form}"));
        text.parse().map(Some).map_err(wrong)
    }

    /// One word of a list, in any case of its letters.
    pub(super) fn word<T: Copy>(&mut self, words: &[(&str, T)]) -> Result<Option<T>, Rejection> {
        let Some(text) = self.text(64)? else { return Ok(None) };
        match words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)) {
            Some((_, value)) => Ok(Some(*value)),
            None => Err(unknown_word(&text, words.iter().map(|(word, _)| *word))),
        }
    }

    /// An instant in RFC 3339.
    pub(super) fn instant(&mut self) -> Result<Option<Timestamp>, Rejection> {
        self.text(64)?.map(|text| instant(&text)).transpose()
    }

    /// A finite number within `from ..= to`.
    pub(super) fn number_within(&mut self, from: f64, to: f64) -> Result<Option<f64>, Rejection> {
        match self.next()? {
            Next::Null => self.null().map(|_| None),
            Next::Number => {
                let number = self.number()?;
                let outside = || Rejection::invalid(format!("must lie between {from} and {to}"), "check the unit");
                if (from..=to).contains(&number) { Ok(Some(number)) } else { Err(outside()) }
            }
            other => Err(wrong_type("a number", other)),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self) -> Result<Option<bool>, Rejection> {
        match self.next()? {
            Next::Null => self.null().map(|_| None),
            Next::Boolean => self.boolean().map(Some),
            other => Err(wrong_type("true or false", other)),
        }
    }

    /// Whether an object comes next; `false` when it is `null`, which is read.
    pub(super) fn is_object(&mut self) -> Result<bool, Rejection> {
        match self.next()? {
            Next::Object => Ok(true),
            Next::Null => self.null().map(|_| false),
            other => Err(wrong_type("an object", other)),
        }
    }

    /// Whether a list comes next; `false` when it is `null`, which is read.
    pub(super) fn is_list(&mut self) -> Result<bool, Rejection> {
        match self.next()? {
            Next::Array => Ok(true),
            Next::Null => self.null().map(|_| false),
            other => Err(wrong_type("a list", other)),
        }
    }
}

/// An instant in RFC 3339.
pub(super) fn instant(text: &str) -> Result<Timestamp, Rejection> {
    rfc3339::parse(text).ok_or_else(|| {
        Rejection::invalid("is no instant of RFC 3339", "write it with seconds and offset: 2026-11-23T08:00:00+08:00")
    })
}

/// The refusal of a value of another type.
pub(super) fn wrong_type(expected: &str, got: Next) -> Rejection {
    Rejection::invalid(format!("must be {expected} and is {}", got.as_str()), format!("send {expected}"))
}

/// Refuses what is longer than its limit.
pub(super) fn within_limit(text: &str, bytes_max: usize) -> Result<(), Rejection> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    let detail = format!("is {} bytes long; the limit is {bytes_max}", text.len());
    Err(Rejection::new(Reason::TooLong, detail, "send less, or a reference to where the rest is kept"))
}

/// Refuses control characters: ids are spoken over the radio, printed and compared.
pub(super) fn no_control(text: &str) -> Result<(), Rejection> {
    if text.chars().any(char::is_control) {
        return Err(Rejection::invalid("holds a control character", "send printable characters"));
    }
    Ok(())
}

/// The refusal of a word that is not in the list, with the nearest one that is.
pub(super) fn unknown_word<'w>(text: &str, words: impl Iterator<Item = &'w str> + Clone) -> Rejection {
    let nearest = words.clone().map(|word| (strsim::damerau_levenshtein(word, text), word)).min();
    let list = words.collect::<Vec<_>>().join(", ");
    let hint = match nearest {
        Some((distance, word)) if distance * 2 <= word.len() => format!("did you mean `{word}`? known are: {list}"),
        _ => format!("known are: {list}"),
    };
    Rejection::invalid("is none of the words known here", hint)
}

/// A member that must be there.
pub(super) fn required<T>(value: Option<T>, field: &str, what: impl Display) -> Result<T, Rejection> {
    value.ok_or_else(|| Rejection::missing(field, format!("send {what}")))
}
