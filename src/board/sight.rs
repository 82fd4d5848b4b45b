//! How much of the board somebody sees. Lists leave out the rest, and what is asked for by its id is not there.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::engine::state::{Incident, Order};
use crate::model::{AreaCode, AreaId, CommandArea, PostId};

/// What a reader may see: some areas, or the orders of one post.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Command areas, counties or assessed areas; `None`: everywhere.
    areas: Option<Arc<[SmolStr]>>,
    /// Only what is this post's own.
    post: Option<PostId>,
}

impl Sight {
    /// All that lies in these command areas, counties or assessed areas; `None` is everywhere.
    #[must_use]
    pub fn of(areas: Option<Arc<[SmolStr]>>, post: Option<PostId>) -> Self {
        Self { areas, post }
    }

    /// Whether nothing is hidden: what lies nowhere in particular is seen only then.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.areas.is_none() && self.post.is_none()
    }

    /// The only post whose orders are seen.
    #[must_use]
    pub fn post(&self) -> Option<&PostId> {
        self.post.as_ref()
    }

    /// Whether what lies there is seen.
    #[must_use]
    pub fn place(&self, command: &CommandArea, area: Option<&AreaId>, county: Option<&AreaCode>) -> bool {
        let Some(areas) = &self.areas else { return true };
        let names = [Some(command.as_str()), area.map(AreaId::as_str), county.map(AreaCode::as_str)];
        names.into_iter().flatten().any(|name| areas.iter().any(|a| a == name))
    }

    /// Whether this incident is seen.
    #[must_use]
    pub fn incident(&self, i: &Incident) -> bool {
        self.post.is_none() && self.at(i)
    }

    /// Whether this order is seen; where its incident is no longer held, the command area in its name decides.
    #[must_use]
    pub fn order(&self, o: &Order, of: Option<&Incident>) -> bool {
        let there = of.map_or_else(|| self.place(&o.id.incident.area, None, None), |i| self.at(i));
        there && self.post.as_ref().is_none_or(|post| o.post == *post)
    }

    fn at(&self, i: &Incident) -> bool {
        self.place(&i.id.area, i.place.area.as_ref(), i.place.county.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_seen_by_any_of_its_three_names() {
        let place = |sight: &Sight| sight.place(&"4304".into(), Some(&"zhengxiang".into()), Some(&"430408".into()));
        let of = |names: &[&str]| Sight::of(Some(names.iter().map(|n| SmolStr::from(*n)).collect()), None);
        for seen in ["4304", "430408", "zhengxiang"] {
            assert!(place(&of(&["x", seen])), "{seen}");
        }
        for hidden in [&[][..], &["430407"], &["43"], &["4304080"], &["*"]] {
            assert!(!place(&of(hidden)), "{hidden:?}");
        }
        assert!(place(&Sight::default()) && Sight::default().is_whole());
        assert!(!of(&["430408"]).place(&"4304".into(), None, None), "nowhere in particular is not in the county");
    }
}
