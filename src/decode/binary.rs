//! Binary mode: the attributes stand in headers, the body is the data.
//!
//! A header's value is read as the HTTP binding (§3.1.3.2) asks: a quoted string is unquoted, then one round of
//! percent-decoding follows, and the result must be UTF-8. A percent sign that begins no escape stands for itself.

use std::borrow::Cow;

use super::Rejection;

/// The name of the attribute a header carries, in lower case; `None` for all other headers.
pub(super) fn attribute_name(header: &str) -> Option<String> {
    let prefix = header.get(..3)?;
    prefix.eq_ignore_ascii_case("ce-").then(|| header[3..].to_ascii_lowercase())
}

/// A header's value as text.
pub(super) fn attribute_value(value: &[u8]) -> Result<Cow<'_, str>, Rejection> {
    let value = value.trim_ascii();
    let bytes = match value {
        [b'"', inner @ .., b'"'] => percent_decoded(Cow::Owned(unquoted(inner))),
        plain => percent_decoded(Cow::Borrowed(plain)),
    };
    let wrong = || Rejection::invalid("is not UTF-8", "percent-encode what is not ASCII, as the HTTP binding asks");
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| wrong()),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| wrong()),
    }
}

fn unquoted(inner: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(&b) = rest.next() {
        bytes.push(if b == b'\\' { rest.next().copied().unwrap_or(b) } else { b });
    }
    bytes
}

fn percent_decoded(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if !value.contains(&b'%') {
        return value;
    }
    let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut bytes = Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        let escape = match value[at..] {
            [b'%', high, low, ..] => hex(high).zip(hex(low)),
            _ => None,
        };
        bytes.push(escape.map_or(value[at], |(high, low)| high << 4 | low));
        at += if escape.is_some() { 3 } else { 1 };
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_unquoted_then_decoded_once() {
        for (header, value) in [
            ("Euro%20%E2%82%AC", "Euro €"),
            ("\"a \\\"b\\\" %E2%82%AC\"", "a \"b\" €"),
            ("100%25%2520", "100%%20"),
            ("50% off %zz %", "50% off %zz %"),
            ("  plain ", "plain"),
            ("商场", "商场"),
            ("\"", "\""),
            ("", ""),
        ] {
            assert_eq!(attribute_value(header.as_bytes()).unwrap(), value, "{header}");
        }
        assert!(attribute_value(b"%ff").is_err() && attribute_value(b"\xff").is_err());
    }

    #[test]
    fn only_ce_headers_are_attributes() {
        assert_eq!(attribute_name("CE-SpecVersion").as_deref(), Some("specversion"));
        for other in ["content-type", "ce", "cé-id", "", "x-ce-id"] {
            assert_eq!(attribute_name(other), None, "{other}");
        }
    }
}
