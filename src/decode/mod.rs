//! Bytes → [`Event`] or a [`Rejection`] that names the field: `CloudEvents` JSON, structured, binary and batch.
//!
//! A body is walked once by a strict reader (`json`) that keeps nothing it was not asked for. The attributes go into an
//! `envelope`; the data is read by type (`report`, `field`) as it comes, or, when it stands before the type, at the end.
//! Unknown members are dropped where they stand and counted: nothing behind this door can store what it was never given.
//!
//! Invariants:
//! * No input panics, and none makes us hold more than a small multiple of itself ([`Limits`] bounds the rest).
//! * What was taken has been checked: ids without control characters, numbers finite, positions on the globe and in
//!   WGS-84, lists and texts within their limits.
//! * A refusal holds no value of the event, only names, counts and offsets; and where the text is no JSON at all, it says
//!   that rather than what was met first.
//! * Two events that say the same have the same digest, whatever the order, spacing and escapes of their members and
//!   whatever their `time`.
//!
//! Left out: CAP and EIDO (adapters of their own), `CloudEvents` 0.3, data that is not JSON.

pub(crate) mod base64;
mod binary;
mod digest;
mod envelope;
mod field;
mod json;
mod limits;
mod rejection;
mod report;
mod rfc3339;
mod values;

use std::borrow::Cow;

pub use limits::Limits;
pub use rejection::{Reason, Rejection};

use crate::model::{Body, Event, EventId, Meta, SourceId, Timestamp};
use envelope::{Attributes, Envelope, media_type};
use json::{Next, Reader};
use smol_str::SmolStr;
use values::wrong_type;

/// An event, and how many members of it were dropped because nobody here knows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// What was taken.
    pub event: Event,
    /// Unknown members of the data and unknown extension attributes.
    pub dropped: u32,
}

/// The types of events that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// Something happened.
    Report,
    /// A post did something.
    Act,
    /// A post is somewhere.
    Position,
    /// An operator wants something.
    Command,
}

impl EventType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Report, Self::Act, Self::Position, Self::Command];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "muster.report",
            Self::Act => "muster.act",
            Self::Position => "muster.position",
            Self::Command => "muster.command",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// In which mode a request carries its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One event as JSON: [`decode_structured`].
    Structured,
    /// A list of events as JSON: [`decode_batch`].
    Batch,
    /// Attributes in headers, data in the body: [`decode_binary`].
    Binary,
    /// Data alone, as a person with `curl` sends it: [`decode_bare`].
    Bare,
}

impl Mode {
    /// The mode by content type and by whether there is a `ce-specversion` (or any other `ce-`) header.
    ///
    /// # Errors
    /// When the content type is neither JSON nor absent.
    pub fn of(content_type: Option<&str>, has_ce_headers: bool) -> Result<Self, Rejection> {
        let media = content_type.and_then(media_type);
        if media.is_some_and(|m| m.is("application", "cloudevents-batch+json")) {
            return Ok(Self::Batch);
        }
        if media.is_some_and(|m| m.is("application", "cloudevents+json")) {
            return Ok(Self::Structured);
        }
        if has_ce_headers {
            return Ok(Self::Binary);
        }
        if content_type.is_none() || media.is_some_and(envelope::MediaType::is_json) {
            return Ok(Self::Bare);
        }
        let hint = "send application/cloudevents+json, application/cloudevents-batch+json or application/json";
        Err(Rejection::new(Reason::ContentType, "the content type is none that is read here", hint))
    }
}

/// Who sent bare data, and what it is: what an envelope would have said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// What the data is.
    pub kind: EventType,
    /// The source to give it.
    pub source: SourceId,
    /// The id to give it.
    pub id: EventId,
}

/// Decodes one event in structured mode.
///
/// # Errors
/// A [`Rejection`] that says which member is at fault and what to send instead.
pub fn decode_structured(bytes: &[u8], received: Timestamp, limits: &Limits) -> Result<Decoded, Rejection> {
    structured(bytes, received, limits).map_err(|refused| grammar_first(bytes, refused))
}

/// Decodes a batch: a list of events, each on its own. A bad element spoils no other.
///
/// # Errors
/// One [`Rejection`] for the whole when it is no list that can be taken apart, or holds too many elements.
pub fn decode_batch(
    bytes: &[u8],
    received: Timestamp,
    limits: &Limits,
) -> Result<Vec<Result<Decoded, Rejection>>, Rejection> {
    let elements = elements(bytes, limits)?;
    Ok(elements.into_iter().map(|element| decode_structured(element, received, limits)).collect())
}

/// Takes a batch apart: the bytes of each element, for [`decode_structured`].
///
/// # Errors
/// As [`decode_batch`].
pub fn elements<'b>(bytes: &'b [u8], limits: &Limits) -> Result<Vec<&'b [u8]>, Rejection> {
    batch_elements(bytes, limits).map_err(|refused| grammar_first(bytes, refused))
}

/// Decodes one event in binary mode from all `headers` of the request (those that are not `ce-…` are passed over, except
/// a plain `traceparent`), its content type and its body.
///
/// # Errors
/// A [`Rejection`] that says which attribute or member is at fault and what to send instead.
pub fn decode_binary<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    content_type: Option<&'h str>,
    body: &[u8],
    received: Timestamp,
    limits: &Limits,
) -> Result<Decoded, Rejection> {
    let (attributes, dropped) = header_attributes(headers, content_type, limits)?;
    if body.trim_ascii().is_empty() {
        return Err(data_missing());
    }
    let read = || {
        let mut reader = Reader::new(body, limits.depth_max)?;
        let content = read_body(attributes.kind, &mut reader, limits)?;
        reader.end()?;
        Ok((content, reader.dropped))
    };
    element_fits(body, limits)?;
    let (content, dropped_data) = read().map_err(|refused: Rejection| grammar_first(body, refused.within("data")))?;
    event(attributes, content, dropped + dropped_data, received, limits)
}

/// Decodes data without an envelope. A body that has a `specversion` is an event with a content type that is too modest, and
/// is read as one: its own source and id hold.
///
/// # Errors
/// A [`Rejection`] that says which member is at fault and what to send instead.
pub fn decode_bare(bytes: &[u8], sender: Sender, received: Timestamp, limits: &Limits) -> Result<Decoded, Rejection> {
    bare(bytes, sender, received, limits).map_err(|refused| grammar_first(bytes, refused))
}

/// Whether data is an event with an envelope of its own, so that [`decode_bare`] reads it as one.
#[must_use]
pub fn is_enveloped(bytes: &[u8], limits: &Limits) -> bool {
    Reader::new(bytes, limits.depth_max).and_then(|reader| has_version(&reader)).unwrap_or(false)
}

/// The name and the text of the attribute that a header of HTTP carries; `None` for all other headers.
#[must_use]
pub fn attribute<'h>(header: &str, value: &'h [u8]) -> Option<(String, Cow<'h, str>)> {
    Some((binary::attribute_name(header)?, binary::attribute_value(value).ok()?))
}

/// A W3C `traceparent`, if it has the shape of one.
#[must_use]
pub fn traceparent(value: &[u8]) -> Option<SmolStr> {
    std::str::from_utf8(value).ok().filter(|text| envelope::is_traceparent(text)).map(SmolStr::new)
}

fn structured(bytes: &[u8], received: Timestamp, limits: &Limits) -> Result<Decoded, Rejection> {
    element_fits(bytes, limits)?;
    let mut reader = Reader::new(bytes, limits.depth_max)?;
    if reader.next()? != Next::Object {
        let hint = "send a JSON object with specversion, id, source, type and data";
        return Err(Rejection::new(Reason::NotAnEvent, "the JSON is no object", hint));
    }
    let mut envelope = Envelope::default();
    let mut data = Data::Absent;
    reader.object(|r, name| {
        match name {
            "data" => data.read(envelope.kind(), r, limits)?,
            "data_base64" => data.read_base64(r)?,
            _ => envelope.read(name, r, limits)?,
        }
        Ok(true)
    })?;
    reader.end()?;
    let mut dropped = envelope.dropped.saturating_add(reader.dropped);
    let attributes = envelope.complete()?;
    let content = data.complete(attributes.kind, &mut dropped, limits)?;
    event(attributes, content, dropped, received, limits)
}

/// The data of an event as far as it could be read.
enum Data<'a> {
    Absent,
    /// Read as it came, since its type was known.
    Read(Body),
    /// It stood before its type: here it begins.
    At(Reader<'a>),
    /// It came as base64.
    Bytes(Vec<u8>),
}

impl<'a> Data<'a> {
    fn read(&mut self, kind: Option<EventType>, r: &mut Reader<'a>, limits: &Limits) -> Result<(), Rejection> {
        if r.null()? {
            return Ok(());
        }
        self.is_the_only_one()?;
        *self = if let Some(kind) = kind {
            Self::Read(read_body(kind, r, limits)?)
        } else {
            let mut begin = r.clone();
            begin.dropped = 0;
            r.skip()?;
            Self::At(begin)
        };
        Ok(())
    }

    fn read_base64(&mut self, r: &mut Reader<'a>) -> Result<(), Rejection> {
        if r.null()? {
            return Ok(());
        }
        self.is_the_only_one()?;
        let next = r.next()?;
        if next != Next::String {
            return Err(wrong_type("base64 text", next));
        }
        let wrong = || Rejection::invalid("is no base64", "encode as RFC 4648 says, with padding");
        *self = Self::Bytes(base64::decode(&r.string()?).ok_or_else(wrong)?);
        Ok(())
    }

    fn is_the_only_one(&self) -> Result<(), Rejection> {
        match self {
            Self::Absent => Ok(()),
            _ => {
                Err(Rejection::invalid("stands beside another form of the data", "send data or data_base64, not both"))
            }
        }
    }

    fn complete(self, kind: EventType, dropped: &mut u32, limits: &Limits) -> Result<Body, Rejection> {
        match self {
            Self::Absent => Err(data_missing()),
            Self::Read(body) => Ok(body),
            Self::At(mut reader) => {
                let body = read_body(kind, &mut reader, limits).map_err(|e| e.within("data"))?;
                *dropped = dropped.saturating_add(reader.dropped);
                Ok(body)
            }
            Self::Bytes(bytes) => {
                let read = || {
                    let mut reader = Reader::new(&bytes, limits.depth_max)?;
                    let body = read_body(kind, &mut reader, limits)?;
                    reader.end().map(|()| (body, reader.dropped))
                };
                // The outer text is JSON; that the inner one is none is a fault of this member.
                let (body, inner_dropped) = read().map_err(|mut e| {
                    e = grammar_first(&bytes, e);
                    e.reason = if e.reason == Reason::Json { Reason::Invalid } else { e.reason };
                    e.within("data_base64")
                })?;
                *dropped = dropped.saturating_add(inner_dropped);
                Ok(body)
            }
        }
    }
}

fn data_missing() -> Rejection {
    Rejection::missing("data", "send an object; {} if there is nothing to say")
}

/// Reads the data of an event of this type.
fn read_body(kind: EventType, r: &mut Reader, limits: &Limits) -> Result<Body, Rejection> {
    let next = r.next()?;
    if next != Next::Object {
        return Err(wrong_type("an object", next));
    }
    Ok(match kind {
        EventType::Report => Body::Report(Box::new(report::report(r, limits)?)),
        EventType::Act => Body::Act(field::act(r, limits)?),
        EventType::Position => Body::Position(field::fix(r, limits)?),
        EventType::Command => Body::Command(Box::new(field::command(r, limits)?)),
    })
}

/// Puts an event together.
fn event(
    attributes: Attributes,
    body: Body,
    dropped: u32,
    received: Timestamp,
    limits: &Limits,
) -> Result<Decoded, Rejection> {
    let canonical = digest::canonical(&body);
    if canonical.len() > limits.content_bytes_max {
        let detail = format!("says {} bytes; the limit is {}", canonical.len(), limits.content_bytes_max);
        let hint = "send less, or a reference to where the rest is kept";
        return Err(Rejection::new(Reason::TooLarge, detail, hint).of("data"));
    }
    let Attributes { source, id, time, traceparent, .. } = attributes;
    let meta = Meta { source, id, time, traceparent, digest: digest::digest(&canonical) };
    Ok(Decoded { event: Event { meta, received, body }, dropped })
}

fn batch_elements<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Vec<&'a [u8]>, Rejection> {
    let mut reader = Reader::new(bytes, limits.depth_max)?;
    if reader.next()? != Next::Array {
        let hint = "send a JSON list of events, or one event as application/cloudevents+json";
        return Err(Rejection::new(Reason::NotAnEvent, "the JSON is no list", hint));
    }
    let mut elements = Vec::new();
    reader.array(|r, index| {
        if index >= limits.batch_events_max {
            let detail = format!("the batch holds more than {} events", limits.batch_events_max);
            return Err(Rejection::new(Reason::TooMany, detail, "send several batches"));
        }
        r.next()?;
        let begin = r.offset();
        r.scan()?;
        elements.push(&bytes[begin..r.offset()]);
        Ok(())
    })?;
    reader.end()?;
    Ok(elements)
}

fn header_attributes<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    content_type: Option<&'h str>,
    limits: &Limits,
) -> Result<(Attributes, u32), Rejection> {
    let mut envelope = Envelope::default();
    let mut seen: Vec<SmolStr> = Vec::new();
    let mut trace = None;
    for (header, value) in headers {
        let Some(name) = binary::attribute_name(header) else {
            if header.eq_ignore_ascii_case("traceparent") {
                trace = traceparent(value);
            }
            continue;
        };
        if seen.iter().any(|s| *s == name) {
            let hint = "send each attribute once";
            return Err(Rejection::new(Reason::DuplicateMember, "stands twice among the headers", hint).of(&name));
        }
        let value = binary::attribute_value(value).map_err(|e| e.of(&name))?;
        envelope.set(&name, value, limits).map_err(|e| e.of(&name))?;
        seen.push(name.into());
    }
    if let Some(content_type) = content_type {
        envelope.set("datacontenttype", Cow::Borrowed(content_type), limits).map_err(|e| e.of("datacontenttype"))?;
    }
    let dropped = envelope.dropped;
    let mut attributes = envelope.complete()?;
    attributes.traceparent = attributes.traceparent.or(trace);
    Ok((attributes, dropped))
}

fn bare(bytes: &[u8], sender: Sender, received: Timestamp, limits: &Limits) -> Result<Decoded, Rejection> {
    element_fits(bytes, limits)?;
    let mut reader = Reader::new(bytes, limits.depth_max)?;
    let next = reader.next()?;
    if next != Next::Object {
        return Err(wrong_type("an object", next).within("data"));
    }
    if has_version(&reader)? {
        return structured(bytes, received, limits);
    }
    let content = read_body(sender.kind, &mut reader, limits).map_err(|e| e.within("data"))?;
    reader.end()?;
    let Sender { kind, source, id } = sender;
    let id = envelope::id(id.as_str(), limits).map_err(|e| e.of("id"))?.as_str().into();
    let attributes = Attributes { kind, source, id, time: None, traceparent: None };
    event(attributes, content, reader.dropped, received, limits)
}

fn has_version(reader: &Reader) -> Result<bool, Rejection> {
    let mut found = false;
    reader.clone().object(|_, name| {
        found |= name == "specversion";
        Ok(false)
    })?;
    Ok(found)
}

fn element_fits(bytes: &[u8], limits: &Limits) -> Result<(), Rejection> {
    if bytes.len() <= limits.element_bytes_max {
        return Ok(());
    }
    let detail = format!("the event is {} bytes long; the limit is {}", bytes.len(), limits.element_bytes_max);
    Err(Rejection::new(Reason::TooLarge, detail, "send less, or a reference to where the rest is kept"))
}

/// Where the text is no JSON at all, that is the fault, whatever was met first on the way. Runs only on refusal.
fn grammar_first(bytes: &[u8], refused: Rejection) -> Rejection {
    if matches!(refused.reason, Reason::Json | Reason::TooLarge) {
        return refused;
    }
    let whole = Reader::new(bytes, 0).and_then(|mut r| r.scan().and_then(|()| r.end()));
    whole.err().unwrap_or(refused)
}
