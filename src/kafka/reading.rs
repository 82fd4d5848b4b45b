//! Reading one message of an input topic: what it is, and to whom it belongs. Pure: what comes out depends on the message
//! and the playbooks alone, so that a successor reads it as we did.
//!
//! A message names its command area by its *key*. Where it has none, a report goes where its place lies, a word of a post or
//! an operator where its incident or its post is. What belongs into another shard is *forwarded*, once; what was forwarded
//! before and still finds no home is refused, so that nothing goes round in circles.
//!
//! Headers of our own: [`RECEIVED`] is the receipt of a message that was forwarded (in milliseconds), [`REPLY`] says
//! that somebody waits for its answer.

use std::borrow::Cow;
use std::sync::Arc;

use smol_str::{SmolStr, ToSmolStr};

use super::areas::Playbooks;
use super::inbox::{Content, Door, Message};
use super::partition::partition_of;
use crate::classify::verdict;
use crate::decode::{self, Limits, Mode, Reason, Rejection};
use crate::journal::Refused;
use crate::model::{Body, CommandArea, Event, IncidentId, Spot, Timestamp, Verdict};

/// The receipt of a message that was forwarded, in milliseconds since 1970.
pub const RECEIVED: &str = "muster-received";
/// Somebody waits for the answer.
pub const REPLY: &str = "muster-reply";
/// Where the trace context stands when the event itself does not say it.
pub const TRACEPARENT: &str = "traceparent";
/// The prefix of the attributes' headers in binary mode (the Kafka binding says `ce_`, the decoder HTTP's `ce-`).
pub(super) const ATTRIBUTE: &str = "ce_";

/// A message as the broker holds it.
#[derive(Debug)]
pub struct Raw<'m> {
    /// Its offset.
    pub offset: u64,
    /// The broker's append time.
    pub appended: Timestamp,
    /// Its key.
    pub key: Option<&'m [u8]>,
    /// What it says.
    pub payload: Option<&'m [u8]>,
    /// Its headers.
    pub headers: Vec<(&'m str, &'m [u8])>,
}

/// What is needed to read messages of a shard.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The playbooks of this node.
    pub playbooks: Arc<Playbooks>,
    /// This shard.
    pub shard: u32,
    /// Shards of the whole.
    pub shards: u32,
    /// Bounds of an event.
    pub limits: Limits,
}

impl Reading {
    /// Reads a message.
    #[must_use]
    pub fn read(&self, door: Door, raw: &Raw<'_>) -> Message {
        let forwarded = header(raw, RECEIVED).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let received = forwarded.map_or(raw.appended, |ms| Timestamp(ms).min(raw.appended));
        let content = self.content(door, raw, received, forwarded.is_some()).unwrap_or_else(|rejection| {
            Content::Refused(Refused {
                door: door.as_str().into(),
                offset: raw.offset,
                reason: rejection.reason.as_str().into(),
                field: rejection.field.as_deref().map(Into::into),
                detail: rejection.detail,
            })
        });
        let bytes = raw.payload.map_or(0, <[u8]>::len) + 512;
        Message { door, offset: raw.offset, received, bytes, wants_answer: header(raw, REPLY).is_some(), content }
    }

    fn content(&self, door: Door, raw: &Raw<'_>, received: Timestamp, forwarded: bool) -> Result<Content, Rejection> {
        let event = decoded(raw, received, &self.limits)?;
        fits(door, &event)?;
        let key = raw.key.and_then(|key| std::str::from_utf8(key).ok()).map(CommandArea::from);
        // A key that nobody here knows is taken at its word: its partition says whose it is.
        let area = key.filter(|area| self.playbooks.of(area).is_some()).or_else(|| self.home(&event, forwarded));
        let area = area.ok_or_else(|| {
            Rejection::invalid("names no command area that is known here", "send its key, such as 4304").of("key")
        })?;
        if partition_of(area.as_str().as_bytes(), self.shards) != self.shard {
            return match forwarded {
                true => Err(Rejection::invalid("was forwarded and belongs elsewhere still", "send its key").of("key")),
                false => Ok(Content::Foreign(area, Box::new(event))),
            };
        }
        let verdict = self.verdict(&area, &event, forwarded).map(Box::new);
        Ok(Content::Event(area, Box::new(event), verdict))
    }

    /// The class of a report, by the playbook that is wanted. The engine takes it if that one is in force.
    fn verdict(&self, area: &CommandArea, event: &Event, forwarded: bool) -> Option<Verdict> {
        let Body::Report(report) = &event.body else { return None };
        let mut judged = verdict(self.playbooks.of(area)?, &event.meta, report, event.received);
        if forwarded && matches!(judged.place.spot, Spot::Foreign(_)) {
            // Two centres that each think it is the other's: it stays here, at an unknown place.
            judged.place.spot = Spot::Unknown;
        }
        Some(judged)
    }

    /// Whose it is, by what it says.
    fn home(&self, event: &Event, forwarded: bool) -> Option<CommandArea> {
        let known = |area: &CommandArea| self.playbooks.of(area).is_some();
        let of_incident = |id: &IncidentId| Some(id.area.clone()).filter(|area| known(area));
        let of_post = |post| {
            let has =
                |(_, playbook): &(&CommandArea, &Arc<crate::playbook::Playbook>)| playbook.posts.contains_key(post);
            self.playbooks.wanted().find(has).map(|(area, _)| area.clone())
        };
        let by_content = match &event.body {
            Body::Report(report) => {
                let lies = |playbook: &crate::playbook::Playbook| {
                    matches!(playbook.areas.locate(&report.place).spot, Spot::Known)
                };
                self.playbooks.wanted().find(|(_, playbook)| lies(playbook)).map(|(area, _)| area.clone())
            }
            Body::Act(act) => {
                let incident = act.order.as_ref().map(|order| &order.incident).or(act.incident.as_ref());
                incident.and_then(of_incident).or_else(|| of_post(&act.post))
            }
            Body::Position(fix) => of_post(&fix.post),
            Body::Command(command) => command.incident.as_ref().and_then(of_incident),
        };
        // Who sends to a partition means somebody who lives there.
        let lives_here = |area: &CommandArea| partition_of(area.as_str().as_bytes(), self.shards) == self.shard;
        let here = || self.playbooks.wanted().map(|(area, _)| area).find(|area| lives_here(area)).cloned();
        let first = || self.playbooks.wanted().map(|(area, _)| area).next().cloned().filter(|_| !forwarded);
        by_content.or_else(here).or_else(first)
    }
}

fn header<'m>(raw: &Raw<'m>, name: &str) -> Option<&'m [u8]> {
    raw.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
}

/// The event in whichever mode it is carried: structured by its content type, or when nothing else is said; binary
/// where its attributes are headers. A `traceparent` that stands in a header of its own is carried on.
pub(super) fn decoded(raw: &Raw<'_>, received: Timestamp, limits: &Limits) -> Result<Event, Rejection> {
    let payload = raw.payload.unwrap_or_default();
    if payload.len() > limits.element_bytes_max {
        let detail = format!("the message is larger than {} bytes", limits.element_bytes_max);
        return Err(Rejection::new(Reason::TooLarge, detail, "send one event a message"));
    }
    let content_type = header(raw, "content-type").map(|value| std::str::from_utf8(value).unwrap_or("?"));
    let is_binary = raw.headers.iter().any(|(name, _)| name.starts_with(ATTRIBUTE));
    let decoded = match Mode::of(content_type, is_binary)? {
        Mode::Batch => {
            let hint = "send each event as a message of its own";
            return Err(Rejection::new(Reason::ContentType, "a batch is no message of the Kafka binding", hint));
        }
        Mode::Binary => {
            let headers: Vec<(SmolStr, Cow<'_, [u8]>)> = raw.headers.iter().map(as_http).collect();
            let headers = headers.iter().map(|(name, value)| (name.as_str(), &**value));
            decode::decode_binary(headers, content_type, payload, received, limits)?
        }
        Mode::Structured | Mode::Bare => decode::decode_structured(payload, received, limits)?,
    };
    let mut event = decoded.event;
    if event.meta.traceparent.is_none() {
        event.meta.traceparent = header(raw, TRACEPARENT).and_then(decode::traceparent);
    }
    Ok(event)
}

/// A header as the HTTP binding would write it: here values stand as they are, there they are escaped.
fn as_http<'m>((name, value): &(&'m str, &'m [u8])) -> (SmolStr, Cow<'m, [u8]>) {
    let Some(attribute) = name.strip_prefix(ATTRIBUTE) else { return (name.to_smolstr(), Cow::Borrowed(value)) };
    let special = |b: &u8| matches!(b, b'%' | b'"') || b.is_ascii_whitespace();
    let value = if value.iter().any(special) {
        let escaped = value.iter().flat_map(|b| if special(b) { format!("%{b:02X}").into_bytes() } else { vec![*b] });
        Cow::Owned(escaped.collect())
    } else {
        Cow::Borrowed(*value)
    };
    (format!("ce-{attribute}").into(), value)
}

/// Each topic takes its own types.
fn fits(door: Door, event: &Event) -> Result<(), Rejection> {
    let own = match event.body {
        Body::Report(_) => Door::Reports,
        Body::Act(_) | Body::Position(_) => Door::Field,
        Body::Command(_) => Door::Commands,
    };
    if own == door {
        return Ok(());
    }
    let hint = format!("send it to the topic that ends in `{}`", own.as_str());
    Err(Rejection::new(Reason::UnknownType, "an event of this type is not taken here", hint).of("type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw<'m>(payload: &'m [u8], headers: &[(&'m str, &'m [u8])]) -> Raw<'m> {
        Raw { offset: 0, appended: Timestamp(7), key: None, payload: Some(payload), headers: headers.to_vec() }
    }

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn attributes_in_headers_are_read_as_they_stand() {
        let headers: [(&str, &[u8]); 6] = [
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_type", b"muster.report"),
            ("ce_source", "110/\u{53f0} 3".as_bytes()),
            ("ce_id", br#""a%20b""#),
            ("traceparent", TRACE.as_bytes()),
        ];
        let event = decoded(&raw(br#"{"text":"x"}"#, &headers), Timestamp(7), &Limits::default()).unwrap();
        assert_eq!(event.meta.id.as_str(), r#""a%20b""#, "nothing is unquoted or unescaped: this is not HTTP");
        assert_eq!(event.meta.source.as_str(), "110/\u{53f0} 3");
        assert_eq!(event.meta.traceparent.as_deref(), Some(TRACE));
    }

    #[test]
    fn a_trace_in_a_header_is_carried_where_the_event_has_none() {
        let text = br#"{"specversion":"1.0","type":"muster.report","source":"s","id":"1","data":{"text":"x"}}"#;
        let read = |headers: &[(&'static str, &'static [u8])]| {
            decoded(&raw(text, headers), Timestamp(7), &Limits::default()).unwrap().meta.traceparent
        };
        assert_eq!(read(&[("traceparent", TRACE.as_bytes())]).as_deref(), Some(TRACE));
        assert_eq!(read(&[("traceparent", b"nonsense")]), None);
    }
}
