//! What people wrote or said, kept apart from everything that may be logged.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Free text: a report's words, an operator's note. Its `Debug` shows only a length, it has no `Display`, and it is
/// never a metric label, a log field or a topic key; whoever wants the words has to say [`FreeText::reveal`].
/// It belongs to one incident, so that it can be sealed with a key per incident and erased with it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FreeText(Box<str>);

impl FreeText {
    /// The words themselves.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for FreeText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for FreeText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for FreeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FreeText({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_only_the_length() {
        assert_eq!(format!("{:?}", FreeText::from("商场冒烟")), "FreeText(12 bytes)");
    }
}
