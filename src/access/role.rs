//! Roles and permissions: the one table of who may do what.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What somebody is at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends reports under its own source, and nothing else.
    Producer,
    /// A post's terminal: acts as its post, reads that post's orders.
    Post,
    /// A desk of the command centre: reads its areas and gives commands.
    Operator,
    /// As an operator, and sees who has access.
    Supervisor,
    /// Reads its areas.
    Viewer,
    /// Scrapes metrics.
    Metrics,
    /// Everybody, where there is no access control. Nobody is given it.
    #[serde(skip_deserializing)]
    Open,
}

/// What a route asks of whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing: signs of life, documents, the pages of the screen themselves.
    Public,
    /// To be somebody: one's own session.
    Session,
    /// To report.
    Report,
    /// To act as a post, and say where it is.
    Act,
    /// To give commands.
    Command,
    /// To read orders, and hear of them.
    Orders,
    /// To read the rest of the board.
    Board,
    /// To scrape metrics.
    Metrics,
    /// To see who has access.
    Oversee,
}

use Permission as May;
use Role::{Metrics, Operator, Post, Producer, Supervisor, Viewer};

/// Who may do what. What does not stand here is denied.
const TABLE: [(Permission, &[Role]); 8] = [
    (May::Session, &[Producer, Post, Operator, Supervisor, Viewer, Metrics]),
    (May::Report, &[Producer]),
    (May::Act, &[Post]),
    (May::Command, &[Operator, Supervisor]),
    (May::Orders, &[Post, Operator, Supervisor, Viewer]),
    (May::Board, &[Operator, Supervisor, Viewer]),
    (May::Metrics, &[Metrics]),
    (May::Oversee, &[Supervisor]),
];

impl Role {
    /// Those that a token can have.
    pub const ALL: [Self; 6] = [Producer, Post, Operator, Supervisor, Viewer, Metrics];

    /// Whether the role may do this.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        let stands = |(p, roles): &(Permission, &[Role])| *p == permission && roles.contains(&self);
        self == Self::Open || permission == Permission::Public || TABLE.iter().any(stands)
    }

    /// Whether its principal names the areas it is for. The others have a bound of their own, or see no area.
    #[must_use]
    pub fn has_areas(self) -> bool {
        matches!(self, Operator | Supervisor | Viewer)
    }

    /// The word in a file of tokens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Producer => "producer",
            Post => "post",
            Operator => "operator",
            Supervisor => "supervisor",
            Viewer => "viewer",
            Metrics => "metrics",
            Self::Open => "open",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("is no role; roles are {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}
