//! Who speaks at the door.

use std::sync::Arc;

use smol_str::SmolStr;

use super::Role;
use crate::board::Sight;
use crate::model::{PostId, SourceId};

/// How an id may look, in words.
pub const ID_RULE: &str = "1 to 64 letters, digits, `-` and `.`, such as desk-fire-2: the name of a desk, a post or a \
                           producer, never of a person";
const ID_BYTES_MAX: usize = 64;
/// Everywhere, in a list of areas.
pub(super) const EVERYWHERE: &str = "*";

/// Whether this can be the id of a principal.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// A desk, a post's terminal, a producer, a scraper. Never a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its name, such as `desk-fire-2`.
    pub id: SmolStr,
    /// What it may do.
    pub role: Role,
    /// Where: command areas, counties or assessed areas; `None` is everywhere.
    pub areas: Option<Arc<[SmolStr]>>,
    /// The post it acts as.
    pub post: Option<PostId>,
    /// What the source of its events begins with.
    pub source: Option<SmolStr>,
}

impl Principal {
    /// Everybody, where there is no access control.
    #[must_use]
    pub fn open() -> Self {
        Self { id: "open".into(), role: Role::Open, areas: None, post: None, source: None }
    }

    /// What it may see.
    #[must_use]
    pub fn sight(&self) -> Sight {
        Sight::of(self.areas.clone(), self.post.clone())
    }

    /// Whether an event of this source is its own: the prefix itself, or what stands below it.
    #[must_use]
    pub fn owns(&self, source: &SourceId) -> bool {
        let Some(prefix) = &self.source else { return true };
        let rest = source.as_str().strip_prefix(prefix.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
    }

    /// The areas as they are written.
    #[must_use]
    pub fn area_names(&self) -> Vec<SmolStr> {
        self.areas.as_ref().map_or_else(|| vec![EVERYWHERE.into()], |areas| areas.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_owned_from_its_prefix_down() {
        let of = |prefix: &str| Principal { source: Some(prefix.into()), ..Principal::open() };
        for (prefix, owned, foreign) in [
            ("110/desk-3", &["110/desk-3", "110/desk-3/a"][..], &["110/desk-31", "110/desk", "x/110/desk-3", ""][..]),
            ("panel/", &["panel/", "panel/7"], &["panel", "panels/7"]),
        ] {
            assert!(owned.iter().all(|s| of(prefix).owns(&(*s).into())), "{prefix}");
            assert!(foreign.iter().all(|s| !of(prefix).owns(&(*s).into())), "{prefix}");
        }
    }

    #[test]
    fn ids_name_places_of_work_in_plain_letters() {
        for good in ["desk-fire-2", "S-001", "110.desk.3", "a"] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "a_b", "a b", "张三", "a/b", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
