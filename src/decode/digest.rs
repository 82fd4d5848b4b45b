//! The digest of what an event says: the same for the same type and content, however its members were ordered,
//! spaced or escaped, and whatever its `time`.
//!
//! A report is written into a short canonical form: each member that is there as a tag, a length and its bytes, in
//! a fixed order. No two reports have the same form, since every length precedes its bytes. Acts, positions and commands are
//! rare enough for their JSON, whose order is that of the types.

use crate::model::{AreaCode, Body, Digest, Report};

/// The canonical form of `body`.
pub(super) fn canonical(body: &Body) -> Vec<u8> {
    match body {
        Body::Report(report) => canonical_report(report),
        Body::Act(_) | Body::Position(_) | Body::Command(_) => {
            serde_json::to_vec(body).expect("ids, texts and finite numbers always have a JSON form")
        }
    }
}

/// The digest of a canonical form.
pub(super) fn digest(canonical: &[u8]) -> Digest {
    Digest::of(canonical)
}

fn canonical_report(report: &Report) -> Vec<u8> {
    let Report { code, text, status, urgency, severity, certainty, place, attributes, callback, references } = report;
    let mut form = Form(Vec::with_capacity(text.reveal().len() + 128));
    form.0.extend_from_slice(b"report");
    form.text(1, code.as_deref());
    form.text(2, Some(text.reveal()).filter(|t| !t.is_empty()));
    form.word(3, Some(*status as u8));
    form.word(4, urgency.map(|u| u as u8));
    form.word(5, severity.map(|s| s as u8));
    form.word(6, certainty.map(|c| c as u8));
    form.text(7, place.id.as_deref());
    form.text(8, place.township.as_ref().map(AreaCode::as_str));
    form.text(9, place.vintage.as_deref());
    form.number(10, place.position.map(|p| p.lon));
    form.number(11, place.position.map(|p| p.lat));
    form.number(12, place.accuracy_m);
    for (name, value) in attributes {
        form.text(13, Some(name));
        form.number(14, Some(*value));
    }
    form.text(15, callback.as_deref());
    for reference in references {
        form.text(16, Some(reference));
    }
    form.0
}

struct Form(Vec<u8>);

impl Form {
    fn text(&mut self, tag: u8, text: Option<&str>) {
        if let Some(text) = text {
            self.0.push(tag);
            let length = u32::try_from(text.len()).expect("texts are bounded far below 4 GiB");
            self.0.extend_from_slice(&length.to_le_bytes());
            self.0.extend_from_slice(text.as_bytes());
        }
    }

    fn word(&mut self, tag: u8, word: Option<u8>) {
        if let Some(word) = word {
            self.0.extend_from_slice(&[tag, word]);
        }
    }

    fn number(&mut self, tag: u8, number: Option<f64>) {
        if let Some(number) = number {
            self.0.push(tag);
            // -0.0 and 0.0 are the same reading.
            self.0.extend_from_slice(&(number + 0.0).to_bits().to_le_bytes());
        }
    }
}
