//! A message in words: the playbook's template for its channel and language, filled with the facts of the effect.
//!
//! Names come from the playbook in the language asked for, where it has them; instants are the clock on the wall of the
//! city. What was reported is free text and goes only into a template that asks for it.

use crate::engine::{AgencyMessage, Call, Effect, Notice, OrderMessage};
use crate::model::{CategoryId, Desk, OrderState, Place, PostId, Role, Severity, Timestamp};
use crate::playbook::{Language, Playbook, Telling};
use crate::wire::callee;

/// The words of an effect, where it speaks to somebody.
#[must_use]
pub fn words(effect: &Effect, playbook: &Playbook, channel: &str, language: Language) -> Option<String> {
    let speaker = Speaker { playbook, language };
    let (of, drill) = match effect {
        Effect::Order(o) if o.state == OrderState::Recalled => (Telling::Recall, o.drill),
        Effect::Order(o) => (Telling::Order, o.drill),
        Effect::Notice(n) => (Telling::Notice, n.drill),
        Effect::Call(c) if c.recalled => (Telling::CallRecall, c.drill),
        Effect::Call(c) => (Telling::Call, c.drill),
        Effect::Agency(a) => (Telling::Agency, a.drill),
        Effect::Forward(..) | Effect::Timeline(_) => return None,
    };
    let template = playbook.templates.get(channel, of, language)?;
    let told = template.fill(|fact| match effect {
        Effect::Order(o) => speaker.order(o, fact),
        Effect::Notice(n) => speaker.notice(n, fact),
        Effect::Call(c) => speaker.call(c, fact),
        Effect::Agency(a) => speaker.agency(a, fact),
        Effect::Forward(..) | Effect::Timeline(_) => None,
    });
    // A drill says so first, whatever the template says.
    Some(match (drill, language) {
        (false, _) => told,
        (true, Language::Zh) => format!("【演练】{told}"),
        (true, Language::En) => format!("[DRILL] {told}"),
    })
}

struct Speaker<'p> {
    playbook: &'p Playbook,
    language: Language,
}

impl Speaker<'_> {
    fn order(&self, o: &OrderMessage, fact: &str) -> Option<String> {
        let (category, severity) = o.headline.rsplit_once(' ').unwrap_or((&o.headline, ""));
        Some(match fact {
            "order" => o.id.to_string(),
            "incident" => o.incident.to_string(),
            "post" => self.post(&o.post),
            "role" => self.role(o.role).to_owned(),
            "category" => self.category(&category.into()),
            "severity" => severity.to_owned(),
            "place" => self.place(&o.place),
            "reason" => o.reason.clone(),
            "text" => o.text.reveal().to_owned(),
            "issued_at" => self.clock(o.issued_at),
            "sign_by" => self.clock(o.sign_by?),
            "on_scene_by" => self.clock(o.on_scene_by?),
            "recall" => serde_json::to_value(o.recall.as_ref()?).ok()?.as_str()?.to_owned(),
            _ => return None,
        })
    }

    fn notice(&self, n: &Notice, fact: &str) -> Option<String> {
        Some(match fact {
            "notice" => n.id.to_string(),
            "incident" => n.incident.as_ref()?.to_string(),
            "desk" => self.desk(n.desk),
            "kind" => n.kind.to_string(),
            "text" => n.text.clone(),
            "severity" => severity(n.severity?),
            "at" => self.clock(n.at),
            "take_by" => self.clock(n.take_by?),
            _ => return None,
        })
    }

    fn call(&self, c: &Call, fact: &str) -> Option<String> {
        Some(match fact {
            "incident" => c.incident.to_string(),
            "unit" => callee(&c.unit).1.to_string(),
            "place" => self.place(&c.place),
            "distance_m" => c.distance_m.to_string(),
            "reason" => c.reason.clone(),
            "until" => self.clock(c.until),
            _ => return None,
        })
    }

    fn agency(&self, a: &AgencyMessage, fact: &str) -> Option<String> {
        Some(match fact {
            "incident" => a.incident.to_string(),
            "agency" => self
                .playbook
                .agencies
                .get(&a.agency)
                .map_or_else(|| a.agency.to_string(), |agency| self.either(&agency.zh, &agency.en).to_owned()),
            "category" => self.category(&a.classification.category),
            "severity" => severity(a.classification.severity),
            "place" => self.place(&a.place),
            "reason" => a.reason.to_string(),
            "at" => self.clock(a.at),
            _ => return None,
        })
    }

    fn either<'a>(&self, zh: &'a str, en: &'a str) -> &'a str {
        match self.language {
            Language::Zh => zh,
            Language::En => en,
        }
    }

    fn category(&self, id: &CategoryId) -> String {
        let known = self.playbook.taxonomy.categories.get(id);
        known.map_or_else(|| id.to_string(), |category| self.either(&category.zh, &category.en).to_owned())
    }

    /// The key site, else the assessed area, else the county, else the point.
    fn place(&self, place: &Place) -> String {
        let areas = &self.playbook.areas;
        let site = place.site.as_ref().and_then(|id| areas.sites.get(id)).map(|site| &site.name);
        let area = || place.area.as_ref().and_then(|id| areas.areas.get(id)).map(|area| &area.name);
        let county = || place.county.as_ref().and_then(|code| areas.counties.get(code)).map(|county| &county.name);
        match (site.or_else(area).or_else(county), place.position) {
            (Some(name), _) => name.to_string(),
            (None, Some(p)) => format!("{:.5}, {:.5}", p.lat, p.lon),
            (None, None) => String::new(),
        }
    }

    fn post(&self, id: &PostId) -> String {
        let name = self.playbook.posts.get(id).map(|post| &post.name).filter(|name| !name.is_empty());
        name.map_or_else(|| id.to_string(), |name| format!("{id} {name}"))
    }

    fn role(&self, role: Role) -> &'static str {
        match role {
            Role::First => self.either("先到处置", "first on scene"),
            Role::Reinforce => self.either("增援", "reinforcement"),
            Role::Cordon => self.either("警戒", "cordon"),
            Role::Cover => self.either("补位", "cover"),
            Role::AllCall => self.either("全员响应", "all-call"),
        }
    }

    fn desk(&self, desk: Desk) -> String {
        let zh = match desk {
            Desk::Intelligence => "情",
            Desk::Command => "指",
            Desk::Duty => "勤",
            Desk::PublicInformation => "舆",
            Desk::Supervision => "督",
        };
        self.either(zh, &desk.to_string()).to_owned()
    }

    fn clock(&self, at: Timestamp) -> String {
        crate::engine::Clock::Wall(&self.playbook.zone).show(at)
    }
}

fn severity(severity: Severity) -> String {
    severity.to_string()
}
