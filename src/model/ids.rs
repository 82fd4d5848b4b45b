//! Ids: short texts that a person can say over the radio, each with a type of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(SmolStr::new(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(SmolStr::new(text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

text_ids! {
    /// A post, such as `P-017`.
    PostId
    /// A volunteer team.
    TeamId
    /// A producer of reports as it names itself: the CloudEvents `source`.
    SourceId
    /// What a producer calls its event: the CloudEvents `id`.
    EventId
    /// A leaf of the taxonomy, `domain/class/item`.
    CategoryId
    /// A rule of the playbook, such as `fire.smoke`.
    RuleId
    /// A response plan.
    PlanId
    /// A linkage table.
    LinkageId
    /// The name of a mark, such as `signed` or `on-scene`.
    MarkName
    /// An assessed area of the playbook's own list.
    AreaId
    /// A code of a public code table (county, township, village); means nothing without its vintage.
    AreaCode
    /// A key site.
    SiteId
    /// A group of keywords.
    KeywordGroup
    /// An agency of an iron-triangle list.
    AgencyId
    /// How an incident ended, such as `handled`.
    DispositionCode
    /// The area one command centre answers for, such as `4304`.
    CommandArea
}

/// An incident: `<command area>-<local date>-<n>`. Derived, never random; orders by day and number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId {
    /// The command area that decided it.
    pub area: CommandArea,
    /// The local date on which it was opened, as `yyyymmdd`.
    pub date: u32,
    /// Counts from 1 within the area and the day.
    pub n: u32,
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08}-{}", self.area, self.date, self.n)
    }
}

impl FromStr for IncidentId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (rest, n) = text.rsplit_once('-')?;
            let (area, date) = rest.rsplit_once('-')?;
            let (date, n): (u32, u32) = (date.parse().ok()?, n.parse().ok()?);
            (!area.is_empty() && n > 0).then(|| Self { area: area.into(), date, n })
        };
        read().ok_or_else(|| format!("`{text}` is no incident id; they read <command area>-<yyyymmdd>-<n>"))
    }
}

/// An order: `<incident>-<n>`, counted from 1 within its incident.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId {
    /// The incident it serves.
    pub incident: IncidentId,
    /// Counts from 1 within the incident.
    pub n: u32,
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incident, self.n)
    }
}

impl FromStr for OrderId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (incident, n) = text.rsplit_once('-')?;
            let n: u32 = n.parse().ok()?;
            Some(Self { incident: incident.parse().ok()?, n }).filter(|_| n > 0)
        };
        read().ok_or_else(|| format!("`{text}` is no order id; they read <command area>-<yyyymmdd>-<n>-<n>"))
    }
}

macro_rules! serde_as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_text! { IncidentId OrderId }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_as_spoken() {
        let order: OrderId = "4304-20261123-17-2".parse().unwrap();
        assert_eq!(
            (order.incident.area.as_str(), order.incident.date, order.incident.n, order.n),
            ("4304", 20_261_123, 17, 2)
        );
        assert_eq!(order.to_string(), "4304-20261123-17-2");
        assert_eq!("san-francisco-20200407-1".parse::<IncidentId>().unwrap().area.as_str(), "san-francisco");
        for wrong in ["", "4304", "4304-x-1", "-20261123-1", "4304-20261123-0"] {
            assert!(wrong.parse::<IncidentId>().is_err(), "{wrong}");
        }
    }
}
