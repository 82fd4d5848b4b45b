//! Which command area an event goes to, by what it says and the playbooks of this node. Pure: the same event goes the
//! same way from every node with the same playbooks.
//!
//! A report goes where its place lies: to the first command area (the home area first, then by name) that knows the place as
//! its own; else to the one the home area takes it for; else home, where somebody seeks the place. A word of a post or an
//! operator goes where its order, incident or notice is, since their ids name their area; without one, to the area of its
//! post; else home. What comes to the wrong shard all the same is handed over there, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::areas::Playbooks;
use super::inbox::Door;
use super::partition::partition_of;
use crate::classify::verdict;
use crate::model::{
    Body, Command, CommandArea, CommandKind, Event, FieldAct, IncidentId, OrderId, PlaceRef, PostId, Spot,
};
use crate::playbook::Playbook;
use crate::runtime::Judged;

/// Why the playbooks of a node do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// There is none.
    #[error("this node has no playbook; name one in [playbook] dir")]
    NoPlaybook,
    /// The home area is none of them.
    #[error("command area {0} is to be the home area, but no playbook of this node is for it")]
    NoHome(CommandArea),
    /// Two posts or teams have one name: nobody could say which of them signed.
    #[error(
        "post {post} is in the roster of command area {first} and in that of {second}; \
         the ids of posts and teams must be unique over all playbooks of a node: rename one"
    )]
    Twice {
        /// The name.
        post: PostId,
        /// One of the areas.
        first: CommandArea,
        /// The other one.
        second: CommandArea,
    },
}

/// Finds the way of events.
#[derive(Clone, Debug)]
pub struct Routes {
    /// Home first, then by name.
    playbooks: Vec<Arc<Playbook>>,
    /// The posts and teams of all of them.
    posts: BTreeMap<PostId, usize>,
    shards: u32,
}

impl Routes {
    /// The ways by these playbooks; `home` is where goes whatever names no area.
    ///
    /// # Errors
    /// When the playbooks do not go together.
    pub fn new(playbooks: &Playbooks, home: &CommandArea, shards: u32) -> Result<Self, RouteError> {
        let mut all: Vec<Arc<Playbook>> = playbooks.wanted().map(|(_, playbook)| Arc::clone(playbook)).collect();
        if all.is_empty() {
            return Err(RouteError::NoPlaybook);
        }
        let at = all.iter().position(|p| p.head.command_area == *home);
        let home = all.remove(at.ok_or_else(|| RouteError::NoHome(home.clone()))?);
        all.insert(0, home);
        let mut posts = BTreeMap::new();
        for (number, playbook) in all.iter().enumerate() {
            let teams = playbook.teams.keys().map(|team| PostId::from(team.as_str()));
            for post in playbook.posts.keys().cloned().chain(teams) {
                if let Some(first) = posts.insert(post.clone(), number).filter(|first| *first != number) {
                    let area = |number: usize| all[number].head.command_area.clone();
                    return Err(RouteError::Twice { post, first: area(first), second: area(number) });
                }
            }
        }
        Ok(Self { playbooks: all, posts, shards })
    }

    /// The playbooks, home first.
    #[must_use]
    pub fn playbooks(&self) -> &[Arc<Playbook>] {
        &self.playbooks
    }

    /// Whether some roster has this post or team.
    #[must_use]
    pub fn knows(&self, post: &PostId) -> bool {
        self.posts.contains_key(post)
    }

    /// Where an event goes, and what a report is.
    #[must_use]
    pub fn judge(&self, event: &Event) -> Judged {
        let playbook = Arc::clone(&self.playbooks[self.of(event)]);
        let verdict = match &event.body {
            Body::Report(report) => Some(verdict(&playbook, &event.meta, report, event.received)),
            _ => None,
        };
        Judged { playbook, verdict }
    }

    /// The topic and the partition of an event of this command area.
    #[must_use]
    pub fn place(&self, event: &Event, area: &CommandArea) -> (Door, u32) {
        (door_of(event), partition_of(area.as_str().as_bytes(), self.shards))
    }

    fn of(&self, event: &Event) -> usize {
        match &event.body {
            Body::Report(report) => self.located(&report.place),
            Body::Act(act) => self.of_act(act),
            Body::Position(fix) => self.of_post(&fix.post).unwrap_or(HOME),
            Body::Command(command) => self.of_command(command),
        }
    }

    fn located(&self, place: &PlaceRef) -> usize {
        let home = self.playbooks[HOME].areas.locate(place);
        if home.spot == Spot::Known {
            return HOME;
        }
        let knows = |playbook: &Arc<Playbook>| playbook.areas.locate(place).spot == Spot::Known;
        let other = self.playbooks.iter().skip(1).position(knows).map(|n| n + 1);
        let neighbour = || if let Spot::Foreign(area) = &home.spot { self.of_area(area) } else { None };
        other.or_else(neighbour).unwrap_or(HOME)
    }

    fn of_act(&self, act: &FieldAct) -> usize {
        let order = act.order.as_ref().and_then(|order| self.of_order(order));
        let found = || act.incident.as_ref().and_then(|id| self.of_incident(id));
        order.or_else(found).or_else(|| self.of_post(&act.post)).unwrap_or(HOME)
    }

    fn of_command(&self, command: &Command) -> usize {
        let by_kind = || match &command.kind {
            CommandKind::Create { report, .. } => Some(self.located(&report.place)),
            CommandKind::Order { post, .. } => self.of_post(post),
            CommandKind::StandDown { order, post } => {
                let of_order = order.as_ref().and_then(|order| self.of_order(order));
                of_order.or_else(|| self.of_post(post.as_ref()?))
            }
            CommandKind::Recall { order: Some(order) } | CommandKind::SignOnBehalf { order, .. } => {
                self.of_order(order)
            }
            CommandKind::Link { other } | CommandKind::Merge { into: other } => self.of_incident(other),
            CommandKind::TakeNotice { notice } => self.of_notice(notice),
            CommandKind::Unsilence { silence } => self.of_notice(silence),
            CommandKind::Silence { matchers, .. } => matchers.areas.iter().find_map(|name| self.of_place(name)),
            _ => None,
        };
        let of_incident = command.incident.as_ref().and_then(|id| self.of_incident(id));
        of_incident.or_else(by_kind).unwrap_or(HOME)
    }

    /// The command area that a silence names, or in which an area or a county lies that it names.
    fn of_place(&self, name: &str) -> Option<usize> {
        let knows = |p: &Arc<Playbook>| {
            p.head.command_area.as_str() == name
                || p.areas.areas.contains_key(name)
                || p.areas.counties.contains_key(name)
        };
        self.playbooks.iter().position(knows)
    }

    /// A notice's id, or a silence's, begins with its command area, as an incident's does.
    fn of_notice(&self, notice: &str) -> Option<usize> {
        let is_of = |p: &Arc<Playbook>| {
            notice.strip_prefix(p.head.command_area.as_str()).is_some_and(|rest| rest.starts_with('-'))
        };
        self.playbooks.iter().position(is_of)
    }

    fn of_order(&self, order: &OrderId) -> Option<usize> {
        self.of_incident(&order.incident)
    }

    fn of_incident(&self, id: &IncidentId) -> Option<usize> {
        self.of_area(&id.area)
    }

    fn of_area(&self, area: &CommandArea) -> Option<usize> {
        self.playbooks.iter().position(|p| p.head.command_area == *area)
    }

    fn of_post(&self, post: &PostId) -> Option<usize> {
        self.posts.get(post).copied()
    }
}

/// The number of the home area.
const HOME: usize = 0;

/// The topic that takes an event.
#[must_use]
pub fn door_of(event: &Event) -> Door {
    match event.body {
        Body::Report(_) => Door::Reports,
        Body::Act(_) | Body::Position(_) => Door::Field,
        Body::Command(_) => Door::Commands,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Limits, decode_structured};
    use crate::model::Timestamp;

    /// The smallest playbook, and one like it elsewhere.
    fn two() -> (Arc<Playbook>, Arc<Playbook>) {
        let files = crate::playbook::minimal_files();
        let moved: Vec<(String, String)> = files
            .iter()
            .map(|(name, text)| {
                let text = text.replace("\"9900\"", "\"8800\"").replace("[112.", "[102.");
                // Other posts, other places.
                let text = text
                    .replace("\"S-", "\"T-")
                    .replace("\"P-", "\"Q-")
                    .replace("\"B-", "\"C-")
                    .replace("\"H-", "\"I-");
                (name.clone(), text.replace("lotus-plaza", "east-gate").replace("\"V-", "\"W-"))
            })
            .collect();
        let load = |files: &[(String, String)]| {
            Playbook::load(files).unwrap_or_else(|problems| {
                panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            })
        };
        (Arc::new(load(&files)), Arc::new(load(&moved)))
    }

    fn routes() -> Routes {
        let (home, other) = two();
        Routes::new(&Playbooks::new([other, home]), &"9900".into(), 8).unwrap()
    }

    fn goes(kind: &str, data: &str) -> String {
        let text = format!(r#"{{"specversion":"1.0","type":"muster.{kind}","source":"s","id":"1","data":{data}}}"#);
        let event = decode_structured(text.as_bytes(), Timestamp(1_795_392_000_000), &Limits::default()).unwrap().event;
        routes().judge(&event).playbook.head.command_area.to_string()
    }

    #[test]
    fn a_report_goes_where_its_place_lies_and_home_where_nobody_knows_it() {
        assert_eq!(goes("report", r#"{"text":"x","place":{"id":"lotus-plaza"}}"#), "9900");
        assert_eq!(goes("report", r#"{"text":"x","place":{"id":"east-gate"}}"#), "8800");
        assert_eq!(goes("report", r#"{"text":"x","place":{"id":"nowhere"}}"#), "9900");
        assert_eq!(goes("report", r#"{"text":"x"}"#), "9900");
        assert_eq!(goes("command", r#"{"command":"create","by":"s","report":{"place":{"id":"east-gate"}}}"#), "8800");
    }

    #[test]
    fn a_word_goes_where_its_order_its_incident_or_its_post_is() {
        assert_eq!(goes("act", r#"{"order":"8800-20261123-1-1","post":"S-1","act":"signed"}"#), "8800");
        assert_eq!(goes("act", r#"{"incident":"8800-20261123-1","post":"S-1","act":"signed"}"#), "8800");
        assert_eq!(goes("act", r#"{"post":"T-1","act":"on_duty"}"#), "8800");
        assert_eq!(goes("act", r#"{"post":"nobody","act":"on_duty"}"#), "9900");
        assert_eq!(goes("act", r#"{"order":"7700-20261123-1-1","post":"T-1","act":"signed"}"#), "8800", "unknown area");
        assert_eq!(
            goes("position", r#"{"post":"T-1","position":{"lon":102.6,"lat":26.9},"fixed_at":"2026-11-23T08:00:00Z"}"#),
            "8800"
        );
        assert_eq!(goes("command", r#"{"command":"confirm","by":"s","incident":"8800-20261123-4"}"#), "8800");
        assert_eq!(goes("command", r#"{"command":"take_notice","by":"s","notice":"8800-20261123-n4"}"#), "8800");
        assert_eq!(goes("command", r#"{"command":"unsilence","by":"s","silence":"8800-20261123-s1"}"#), "8800");
        let silence = |area: &str| {
            let data = r#"{"command":"silence","by":"s","until":"2026-11-23T08:00:00Z","matchers":{"areas":["AREA"]}}"#;
            goes("command", &data.replace("AREA", area))
        };
        assert_eq!(
            (silence("8800"), silence("9900"), silence("nowhere")),
            ("8800".into(), "9900".into(), "9900".into())
        );
        assert_eq!(
            goes("command", r#"{"command":"recall","by":"s","order":"8800-20261123-4-1","incident":null}"#),
            "8800"
        );
    }

    #[test]
    fn posts_of_one_name_are_refused_with_both_areas() {
        let files: Vec<(String, String)> = crate::playbook::minimal_files()
            .into_iter()
            .map(|(name, text)| (name, text.replace("\"9900\"", "\"8800\"")))
            .collect();
        let same = Arc::new(Playbook::load(&files).unwrap());
        let playbooks = Playbooks::new([two().0, same]);
        let refused = Routes::new(&playbooks, &"9900".into(), 1).unwrap_err().to_string();
        assert!(refused.contains("9900") && refused.contains("8800") && refused.contains("post "), "{refused}");
        assert_eq!(Routes::new(&playbooks, &"1".into(), 1).unwrap_err(), RouteError::NoHome("1".into()));
    }
}
