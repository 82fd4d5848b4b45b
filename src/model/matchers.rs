//! Which notices a suppression is about: where they come from, of which kind they are, where, about what.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{CategoryId, NoticeKind};

/// Which notices are meant. A list that is empty asks nothing; of a list that is not, one entry has to hold, and of the
/// lists all. A set in which all lists are empty would mean everything, and is refused wherever one is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matchers {
    /// Sources, by a prefix of their name, as in the playbook's `[[source]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SmolStr>,
    /// Kinds of notice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<NoticeKind>,
    /// Assessed areas and counties by their codes, or a whole command area.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub areas: Vec<SmolStr>,
    /// Categories, by a whole number of their parts: `safety/alarm` means `safety/alarm/panel`, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryId>,
}

impl Matchers {
    /// Entries of all lists together. A set fits a document and a screen only while these are few.
    pub const ENTRIES_MAX: usize = 16;

    /// Bytes of one entry.
    pub const ENTRY_BYTES_MAX: usize = 128;

    /// Whether it asks nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries of all lists together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len() + self.kinds.len() + self.areas.len() + self.categories.len()
    }

    /// What is wrong with it: the field, and the fault in words that follow "it"; `None` when nothing is.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, String)> {
        if self.is_empty() {
            return Some(("", "asks nothing, so that it would mean every notice".into()));
        }
        if self.len() > Self::ENTRIES_MAX {
            return Some(("", format!("has {} entries; it has at most {}", self.len(), Self::ENTRIES_MAX)));
        }
        if let Some(kind) = self.kinds.iter().find(|kind| !kind.may_be_silenced()) {
            return Some(("kinds", format!("names `{kind}`, which is about a loss and is never silenced")));
        }
        let sources = self.sources.iter().map(|s| ("sources", s.as_str()));
        let areas = self.areas.iter().map(|a| ("areas", a.as_str()));
        let categories = self.categories.iter().map(|c| ("categories", c.as_str()));
        let long = |(_, entry): &(_, &str)| entry.is_empty() || entry.len() > Self::ENTRY_BYTES_MAX;
        let bytes =
            |field| (field, format!("has an entry that is empty or longer than {} bytes", Self::ENTRY_BYTES_MAX));
        sources.chain(areas).chain(categories).find(long).map(|(field, _)| bytes(field))
    }
}

/// `source=panel/ kind=source-silent|clock-skew area=quay`
impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<String> = self.kinds.iter().map(ToString::to_string).collect();
        let lists = [
            ("source", self.sources.iter().map(ToString::to_string).collect()),
            ("kind", kinds),
            ("area", self.areas.iter().map(ToString::to_string).collect()),
            ("category", self.categories.iter().map(ToString::to_string).collect::<Vec<_>>()),
        ];
        let said =
            lists.iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| format!("{name}={}", list.join("|")));
        f.write_str(&said.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_asks_nothing_or_names_a_loss_is_faulty() {
        assert!(Matchers::default().fault().is_some());
        let of = |kind| Matchers { kinds: vec![kind], ..Matchers::default() };
        assert_eq!(of(NoticeKind::MarkMissed).fault(), None);
        assert_eq!(of(NoticeKind::Outage).fault().unwrap().0, "kinds");
        let many = Matchers { sources: vec!["a".into(); 17], ..Matchers::default() };
        assert!(many.fault().unwrap().1.contains("17 entries"));
        let long = Matchers { areas: vec!["x".repeat(129).into()], ..Matchers::default() };
        assert_eq!(long.fault().unwrap().0, "areas");
    }

    #[test]
    fn it_is_shown_by_what_it_asks() {
        let set = Matchers {
            sources: vec!["panel/".into()],
            kinds: vec![NoticeKind::MarkMissed, NoticeKind::Opened],
            ..Matchers::default()
        };
        assert_eq!(set.to_string(), "source=panel/ kind=mark-missed|opened");
    }
}
