//! Why an event was refused, in words that help its producer and tell nobody what it said.

use std::fmt;

use serde::{Serialize, Serializer};

/// A refusal. It names the field, the reason and the way out; it never holds a value of the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{reason}: {}{}{detail}", field.as_deref().unwrap_or(""), if field.is_some() { ": " } else { "" })]
pub struct Rejection {
    /// The code, for machines and metrics.
    pub reason: Reason,
    /// The member at fault, such as `data.place.position.lat`; none where it is the whole event.
    pub field: Option<String>,
    /// What is wrong.
    pub detail: String,
    /// What to send instead.
    pub hint: String,
}

/// The kinds of refusal. On the wire each is its name in kebab case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Not JSON, by its bytes or by its grammar.
    Json,
    /// JSON nested deeper than the limit.
    TooDeep,
    /// A member stands twice in one object.
    DuplicateMember,
    /// The element, or what it says, is larger than the limit.
    TooLarge,
    /// One text is longer than its limit.
    TooLong,
    /// A list holds more than its limit.
    TooMany,
    /// JSON, but no object (or, for a batch, no array).
    NotAnEvent,
    /// A required member is absent.
    Missing,
    /// A member has the wrong type, or a value outside its range.
    Invalid,
    /// Another version of `CloudEvents`.
    SpecVersion,
    /// An extension attribute whose name `CloudEvents` does not allow.
    AttributeName,
    /// A valid `CloudEvents` event of a type that is none of ours.
    UnknownType,
    /// A content type that cannot be read.
    ContentType,
}

impl Reason {
    /// The code on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::TooDeep => "too-deep",
            Self::DuplicateMember => "duplicate-member",
            Self::TooLarge => "too-large",
            Self::TooLong => "too-long",
            Self::TooMany => "too-many",
            Self::NotAnEvent => "not-an-event",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::SpecVersion => "spec-version",
            Self::AttributeName => "attribute-name",
            Self::UnknownType => "unknown-type",
            Self::ContentType => "content-type",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Rejection {
    /// A refusal of the whole event.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { reason, field: None, detail: detail.into(), hint: hint.into() }
    }

    /// A required member is absent.
    #[must_use]
    pub fn missing(field: &str, hint: impl Into<String>) -> Self {
        Self::new(Reason::Missing, "is required and absent", hint).of(field)
    }

    /// A value of the wrong type or range.
    #[must_use]
    pub fn invalid(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Reason::Invalid, detail, hint)
    }

    /// The refusal of this member.
    #[must_use]
    pub fn of(mut self, field: &str) -> Self {
        self.field = Some(shown(field).to_owned());
        self
    }

    /// The same refusal seen from one object or list further out. A fault of grammar has an offset instead of a field.
    #[must_use]
    pub(super) fn within(mut self, outer: &str) -> Self {
        if self.reason != Reason::Json {
            let outer = shown(outer);
            self.field = Some(match self.field {
                None => outer.to_owned(),
                Some(inner) if inner.starts_with('[') => format!("{outer}{inner}"),
                Some(inner) => format!("{outer}.{inner}"),
            });
        }
        self
    }

    /// The same refusal seen from the list that holds the element.
    #[must_use]
    pub(super) fn at_index(mut self, index: usize) -> Self {
        if self.reason != Reason::Json {
            let inner = self.field.take();
            let dot = if inner.as_deref().is_none_or(|i| i.starts_with('[')) { "" } else { "." };
            self.field = Some(format!("[{index}]{dot}{}", inner.unwrap_or_default()));
        }
        self
    }
}

/// A member's name as it may be repeated: names are the producer's too, and one may hold what must not be stored.
/// Only what looks like an identifier is shown.
fn shown(name: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'[' | b']');
    let is_identifier = name.len() <= 64
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && name.bytes().all(plain)
        && name.bytes().filter(u8::is_ascii_digit).count() <= 6;
    if is_identifier { name } else { "(a name not shown)" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_grows_outwards() {
        let at = Rejection::invalid("must lie between -90 and 90", "").of("lat").within("position").within("data");
        assert_eq!(at.field.as_deref(), Some("data.position.lat"));
        let listed = Rejection::invalid("must be text", "").at_index(3).within("references").within("data");
        assert_eq!(listed.field.as_deref(), Some("data.references[3]"));
        assert_eq!(at.to_string(), "invalid: data.position.lat: must lie between -90 and 90");
    }

    #[test]
    fn names_that_are_no_identifiers_are_not_repeated() {
        for name in ["13800138000", "张三", "", "a b", "x1380013800", &"a".repeat(65)] {
            assert_eq!(Rejection::invalid("", "").of(name).field.as_deref(), Some("(a name not shown)"), "{name}");
        }
        assert_eq!(Rejection::invalid("", "").of("my.extension").field.as_deref(), Some("my.extension"));
    }
}
