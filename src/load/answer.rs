//! An answer to a report, as far as the driver reads it.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::model::Lane;

/// One answer: to a report that was taken, or a problem.
#[derive(Debug, Deserialize)]
pub struct Answer<'a> {
    /// Within a batch: that of this element. A problem has one in any case.
    #[serde(default)]
    pub status: Option<u16>,
    /// The incident it came to.
    #[serde(borrow, default)]
    pub incident: Option<Cow<'a, str>>,
    /// Its orders; only how many is of interest.
    #[serde(default)]
    orders: Vec<IgnoredAny>,
    #[serde(default)]
    classification: Option<Class>,
    /// What became of it.
    #[serde(borrow, default)]
    pub outcome: Option<Cow<'a, str>>,
    /// It came before.
    #[serde(default)]
    pub repeat: bool,
    /// After how long to come again.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Class {
    lane: Lane,
}

impl Answer<'_> {
    /// The answers of a body: one, or an array of them.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(body: &[u8], batch: bool) -> Result<Vec<Answer<'_>>, serde_json::Error> {
        // A batch that met one fate as a whole may be told so in one.
        if batch && body.first() == Some(&b'[') {
            serde_json::from_slice(body)
        } else {
            serde_json::from_slice(body).map(|one| vec![one])
        }
    }

    /// How many orders it names.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.orders.len()
    }

    /// In which lane it went.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.classification.as_ref().map_or(Lane::Ordinary, |c| c.lane)
    }

    /// Whether a report was taken; `status` is that of the whole answer.
    #[must_use]
    pub fn is_taken(&self, status: u16) -> bool {
        self.status.unwrap_or(status) == 202
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_and_a_batch_of_them_are_read() {
        let one = r#"{"classification":{"category":"c","lane":"bottom-line"},"incident":"4304-20261123-1",
            "orders":["a","b"],"outcome":"opened","repeat":false}"#;
        let told = &Answer::read(one.as_bytes(), false).unwrap()[0];
        assert_eq!((told.orders(), told.lane(), told.is_taken(202)), (2, Lane::BottomLine, true));
        let batch = format!(r#"[{one},{{"status":429,"title":"x","retry_after_s":2}}]"#);
        let told = Answer::read(batch.as_bytes(), true).unwrap();
        assert!(told[0].is_taken(202) && !told[1].is_taken(202));
        assert_eq!(told[1].retry_after_s, Some(2));
        assert_eq!(Answer::read(br#"{"status":503}"#, true).unwrap().len(), 1);
        assert!(Answer::read(b"no", false).is_err());
    }
}
