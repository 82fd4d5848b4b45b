//! The attributes of a `CloudEvents` event, the same for all modes: which there are, what each may be.

use std::borrow::Cow;

use smol_str::SmolStr;

use super::json::{Next, Reader};
use super::values::{instant, no_control, required, within_limit, wrong_type};
use super::{EventType, Limits, Reason, Rejection};
use crate::model::{EventId, SourceId, Timestamp};

/// The attributes as they come, in any order.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    version: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    source: Option<SmolStr>,
    id: Option<SmolStr>,
    time: Option<Timestamp>,
    content_type: Option<Cow<'a, str>>,
    traceparent: Option<SmolStr>,
    /// Extension attributes that nobody here knows.
    pub(super) dropped: u32,
}

/// The attributes once all are there.
#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) kind: EventType,
    pub(super) source: SourceId,
    pub(super) id: EventId,
    pub(super) time: Option<Timestamp>,
    pub(super) traceparent: Option<SmolStr>,
}

impl<'a> Envelope<'a> {
    /// Reads an attribute of structured mode, whose name is `name`.
    pub(super) fn read(&mut self, name: &str, r: &mut Reader<'a>, limits: &Limits) -> Result<(), Rejection> {
        match (name, r.next()?) {
            (_, Next::Null) => {
                name_is_allowed(name)?;
                r.null().map(drop)
            }
            (_, Next::String) => {
                let value = r.string()?;
                self.set(name, value, limits)
            }
            (core, next) if is_core(core) => Err(wrong_type("text", next)),
            (_, Next::Boolean) => {
                self.extension(name)?;
                r.boolean().map(drop)
            }
            (_, Next::Number) => {
                self.extension(name)?;
                let number = r.number()?;
                let whole = number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
                let hint = "send an integer of 32 bits, a boolean or text";
                if whole { Ok(()) } else { Err(Rejection::invalid("is no integer of 32 bits", hint)) }
            }
            (_, next) => {
                self.extension(name)?;
                Err(wrong_type("text, a boolean or an integer", next))
            }
        }
    }

    /// Takes an attribute in its text form.
    pub(super) fn set(&mut self, name: &str, value: Cow<'a, str>, limits: &Limits) -> Result<(), Rejection> {
        if is_core(name) && value.is_empty() {
            let reason = if name == "specversion" { Reason::SpecVersion } else { Reason::Invalid };
            return Err(Rejection::new(reason, "is empty", "send a value, or leave an optional attribute out"));
        }
        match name {
            "specversion" => self.version = Some(value),
            "type" => {
                within_limit(&value, limits.id_bytes_max)?;
                self.kind = Some(value);
            }
            "source" => self.source = Some(id(&value, limits)?),
            "id" => self.id = Some(id(&value, limits)?),
            "time" => self.time = Some(instant(&value)?),
            "datacontenttype" => {
                if media_type(&value).is_none() {
                    return Err(Rejection::invalid("is no media type", "send application/json, or leave it out"));
                }
                self.content_type = Some(value);
            }
            "dataschema" | "subject" => {}
            "traceparent" if is_traceparent(&value) => self.traceparent = Some(SmolStr::new(value)),
            _ => return self.extension(name),
        }
        Ok(())
    }

    /// The type, where it is already known and is one of ours.
    pub(super) fn kind(&self) -> Option<EventType> {
        self.kind.as_deref().and_then(EventType::parse)
    }

    /// Checks what must be there, and that the data can be read: ours by type, JSON by content type.
    pub(super) fn complete(self) -> Result<Attributes, Rejection> {
        let version = required(self.version, "specversion", "\"1.0\"")?;
        if version != "1.0" {
            let detail = "is a version of CloudEvents that is not read here";
            return Err(Rejection::new(Reason::SpecVersion, detail, "send CloudEvents \"1.0\"").of("specversion"));
        }
        let kind = required(self.kind, "type", "one of muster.report, muster.act, muster.position, muster.command")?;
        let source = required(self.source, "source", "the producer's name for itself")?;
        let id = required(self.id, "id", "an id that is unique within the source")?;
        let Some(kind) = EventType::parse(&kind) else {
            let hint = format!("known are: {}", EventType::ALL.map(EventType::as_str).join(", "));
            let detail = "is a valid event of a type that is not taken here";
            return Err(Rejection::new(Reason::UnknownType, detail, hint).of("type"));
        };
        if self.content_type.as_deref().and_then(media_type).is_some_and(|media| !media.is_json()) {
            let detail = "is no form of JSON";
            let hint = "send application/json, or leave it out";
            return Err(Rejection::new(Reason::ContentType, detail, hint).of("datacontenttype"));
        }
        let (source, id) = (source.as_str().into(), id.as_str().into());
        Ok(Attributes { kind, source, id, time: self.time, traceparent: self.traceparent })
    }

    fn extension(&mut self, name: &str) -> Result<(), Rejection> {
        name_is_allowed(name)?;
        self.dropped = self.dropped.saturating_add(1);
        Ok(())
    }
}

fn name_is_allowed(name: &str) -> Result<(), Rejection> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Ok(());
    }
    let hint =
        "name extension attributes in lower-case letters and digits; what belongs to the report stands in `data`";
    Err(Rejection::new(Reason::AttributeName, "is no name that CloudEvents allows for an attribute", hint))
}

fn is_core(name: &str) -> bool {
    matches!(name, "specversion" | "type" | "source" | "id" | "time" | "datacontenttype" | "dataschema" | "subject")
}

/// A required id: not empty, bounded, without control characters.
pub(super) fn id(value: &str, limits: &Limits) -> Result<SmolStr, Rejection> {
    within_limit(value, limits.id_bytes_max)?;
    no_control(value)?;
    Ok(SmolStr::new(value))
}

/// A media type without its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MediaType<'a> {
    kind: &'a str,
    sub: &'a str,
}

impl MediaType<'_> {
    pub(super) fn is(self, kind: &str, sub: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.sub.eq_ignore_ascii_case(sub)
    }

    pub(super) fn is_json(self) -> bool {
        let suffix = self.sub.len().checked_sub(5).and_then(|at| self.sub.get(at..));
        self.sub.eq_ignore_ascii_case("json") || suffix.is_some_and(|s| s.eq_ignore_ascii_case("+json"))
    }
}

/// The media type of `text` (RFC 2046), if it is one.
pub(super) fn media_type(text: &str) -> Option<MediaType<'_>> {
    let essence = text.split_once(';').map_or(text, |(essence, _)| essence).trim();
    let (kind, sub) = essence.split_once('/')?;
    let token =
        |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+%'*`|~".contains(&b));
    (token(kind) && token(sub)).then_some(MediaType { kind, sub })
}

/// The shape of a W3C `traceparent`: version, trace, span, flags. One of another shape is dropped, as the W3C asks.
pub(super) fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    let mut parts = text.split('-');
    let mut part = || parts.next().unwrap_or_default();
    let (version, trace, span, flags) = (part(), part(), part(), part());
    hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && !zero(trace)
        && hex(span, 16)
        && !zero(span)
        && hex(flags, 2)
        && parts.next().is_none()
}
