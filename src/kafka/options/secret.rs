//! Secrets: from the configuration, the environment or a file, and shown by nothing.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{OptionsError, refused};

/// A text that nothing prints. Written out only where a configuration is laid over another, never to be read by anybody.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(set)" })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Hidden)
    }
}

/// Reads a text, and says of anything else that it is none, without repeating it as the library would.
struct Hidden;

impl Visitor<'_> for Hidden {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom("a secret is a text in quotes"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom("a secret is a text in quotes"))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom("a secret is a text in quotes"))
    }
}

/// The secret itself, or the text of its file without the end of its line.
pub(super) fn secret(key: &str, secret: &Secret, file: &Path) -> Result<String, OptionsError> {
    if file.as_os_str().is_empty() {
        return Ok(secret.0.clone());
    }
    if !secret.0.is_empty() {
        return Err(refused(key, "", format!("it stands here and in `{key}_file`; keep one of them")));
    }
    let unreadable =
        |e| refused(&format!("{key}_file"), &file.display().to_string(), format!("it cannot be read: {e}"));
    let text = fs::read_to_string(file).map_err(unreadable)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
