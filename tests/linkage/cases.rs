//! Cases a dispatcher can read: a few posts, one question, the answer with its reasons, recorded beside the question.
//!
//! A case file holds blocks of commands; what stands below `---` is the recorded answer to the block above it. Words:
//! ```text
//! area A min 1 [county 430481] at 0,0           posts count for its cover; metres east,north of the middle
//! river Xiang east 1000 bridges -1000,3000       a barrier from south to north, with its crossings
//! post P1 patrol at 400,0 [area A] [hours 07:00-09:00] [can rope] [holds 300]
//! fix P1 at 100,0 age 20s                        where it last said it was
//! task P1 7-1 III ordinary en-route to 900,0 [drill] [robbed] [covers B]
//! duty P1 off | on | out-of-service | ends
//! ask II bottom-line at 0,0 [county 430405] [drill] [no-chain] needs 1 patrol|base first, 2 base reinforce rope
//! take                                           make the last answer's picks true
//! move-up A
//! call 3000 at 0,0 [drill]                       whom an all-call may call
//! ```
//! `MUSTER_BLESS=1 cargo test --test linkage` records the answers anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use muster::engine::linkage::{Around, Ask, Choice, Pick, Wanted, choose, move_up, within_radius};
use muster::engine::{Callee, Duty, Fleet, Task};
use muster::model::{
    AreaCode, AreaId, Kind, Lane, Millis, Need, OrderId, OrderState, Position, PostId, Role, Severity,
};
use muster::playbook::{Barrier, Playbook};
use serde::de::DeserializeOwned;

use crate::world::{self, NOON, NOW, at};

#[test]
fn every_case_is_answered_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/linkage/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        let recorded = std::fs::read_to_string(&path).unwrap();
        let answered = answer(&recorded);
        if std::env::var_os("MUSTER_BLESS").is_some() {
            std::fs::write(&path, answered).unwrap();
        } else {
            assert!(recorded == answered, "{} answers otherwise:\n{answered}", path.display());
        }
    }
}

/// The text with each recorded answer replaced by the one given now.
fn answer(text: &str) -> String {
    let mut desk = Case { playbook: world::playbook(), fleet: Fleet::default(), last: None, orders: 0 };
    let (mut out, mut block, mut in_answer) = (String::new(), String::new(), false);
    for line in text.lines() {
        if line == "---" {
            writeln!(out, "---\n{block}").unwrap();
            (block, in_answer) = (String::new(), true);
        } else if line.is_empty() {
            if !in_answer {
                out.push('\n');
            }
            in_answer = false;
        } else if !in_answer {
            writeln!(out, "{line}").unwrap();
            for command in line.split(';').filter(|_| !line.starts_with('#')) {
                block.push_str(&desk.command(command.trim()));
            }
        }
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

struct Case {
    playbook: Playbook,
    fleet: Fleet,
    last: Option<(Choice, Task)>,
    orders: u32,
}

/// The words of a command; each is taken once, by the word before it.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        self.0.remove(0)
    }
    fn after(&mut self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().position(|word| *word == name)?;
        self.0.remove(found);
        Some(self.0.remove(found))
    }
    fn flag(&mut self, name: &str) -> bool {
        let found = self.0.iter().position(|word| *word == name);
        found.map(|i| self.0.remove(i)).is_some()
    }
    fn spot(&mut self, name: &str) -> Position {
        let (east, north) = self.after(name).expect("a place").split_once(',').expect("east,north");
        at(east.parse().unwrap(), north.parse().unwrap())
    }
}

/// A word as it stands in a playbook.
fn word<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(text.into()).unwrap_or_else(|e| panic!("`{text}`: {e}"))
}

fn order(text: &str) -> OrderId {
    format!("4304-20261123-{text}").parse().unwrap()
}

fn short(text: &str) -> String {
    text.replace("4304-20261123-", "")
}

impl Case {
    fn command(&mut self, line: &str) -> String {
        let (line, needs) = line.split_once(" needs ").unwrap_or((line, ""));
        let mut words = Words(line.split_whitespace().collect());
        let verb = words.next();
        let answer = match verb {
            "area" => self.area(&mut words),
            "river" => self.river(&mut words),
            "post" => self.post(&mut words),
            "fix" => self.fix(&mut words),
            "task" => self.task(&mut words),
            "duty" => self.duty(&mut words),
            "ask" => return self.ask(&mut words, needs),
            "take" => self.take(),
            "move-up" => return self.move_up(&mut words),
            "call" => return self.call(&mut words),
            _ => panic!("no command `{verb}`"),
        };
        assert!(words.0.is_empty(), "{verb}: what is {:?}?", words.0);
        answer
    }

    fn area(&mut self, words: &mut Words<'_>) -> String {
        let id = words.next();
        let min = words.after("min").map_or(0, |n| n.parse().unwrap());
        let county = words.after("county").unwrap_or("430405");
        let area = world::area(id, county, min, words.spot("at"));
        self.playbook.areas.areas.insert(AreaId::from(id), area);
        String::new()
    }

    fn river(&mut self, words: &mut Words<'_>) -> String {
        let name = words.next().into();
        let east: f64 = words.after("east").unwrap().parse().unwrap();
        let bridges = words.after("bridges").unwrap().split(',').map(|north| at(east, north.parse().unwrap()));
        let line = vec![at(east, -50_000.0), at(east, 50_000.0)];
        self.playbook.travel.barriers.push(Barrier { name, line, crossings: bridges.collect() });
        String::new()
    }

    fn post(&mut self, words: &mut Words<'_>) -> String {
        let (id, kind) = (words.next(), word(words.next()));
        let mut post = world::post(id, kind, words.after("area").unwrap_or("A"), words.spot("at"));
        post.hours = words.after("hours").unwrap_or("24h").parse().unwrap();
        post.capabilities.extend(words.after("can").map(Into::into));
        post.radius_m = words.after("holds").map(|metres| metres.parse().unwrap());
        self.fleet.put(post);
        // A patrol says where it is, unless a case says otherwise.
        let base = self.fleet.get(&PostId::from(id)).unwrap().spec.base;
        if kind == Kind::Patrol {
            self.fleet.fix(&PostId::from(id), base, NOW - Millis::from_secs(5), NOW);
        }
        String::new()
    }

    fn fix(&mut self, words: &mut Words<'_>) -> String {
        let id = PostId::from(words.next());
        let age: Millis = words.after("age").unwrap().parse().unwrap();
        // A case may make a fix older than the one a patrol began with.
        let unit = self.fleet.remove(&id).unwrap();
        self.fleet.put(unit.spec);
        assert!(unit.tasks.is_empty() && self.fleet.fix(&id, words.spot("at"), NOW - age, NOW));
        String::new()
    }

    fn task(&mut self, words: &mut Words<'_>) -> String {
        let (id, order) = (PostId::from(words.next()), order(words.next()));
        let (severity, lane, state) = (word(words.next()), word(words.next()), word(words.next()));
        let task = Task {
            drill: words.flag("drill"),
            robbed: words.flag("robbed"),
            covers: words.after("covers").map(AreaId::from),
            ..world::task(order, severity, lane, state, words.spot("to"))
        };
        self.fleet.assign(&id, task).unwrap();
        String::new()
    }

    fn duty(&mut self, words: &mut Words<'_>) -> String {
        let id = PostId::from(words.next());
        let duty = match words.next() {
            "off" => Duty::Off,
            "on" => Duty::On,
            "ends" => Duty::EndsAfterClearing,
            "out-of-service" => Duty::OutOfService("broken".into()),
            other => panic!("no duty `{other}`"),
        };
        assert!(self.fleet.set_duty(&id, duty));
        String::new()
    }

    fn ask(&mut self, words: &mut Words<'_>, needs: &str) -> String {
        let (severity, lane): (Severity, Lane) = (word(words.next()), word(words.next()));
        let needs: Vec<Need> = needs.split(',').map(need).collect();
        let county = AreaCode::from(words.after("county").unwrap_or("430405"));
        let excluded = words.after("declined").map(|id| (PostId::from(id), "declined".into()));
        let ask = Ask {
            target: words.spot("at"),
            county: Some(&county),
            severity,
            lane,
            drill: words.flag("drill"),
            may_preempt: !words.flag("no-chain"),
            echelon_max: 3,
            needs: needs.iter().enumerate().map(|(need, spec)| Wanted { need, spec, count: spec.count }).collect(),
            excluded: &excluded.into_iter().collect(),
            now: NOW,
            local: NOON,
        };
        let choice = choose(&self.playbook, &self.fleet, &ask);
        let mut told = String::new();
        for pick in &choice.picks {
            told.push_str(&say(&self.fleet, pick));
        }
        for lacking in &choice.short {
            let reasons: Vec<_> = lacking.reasons.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
            writeln!(told, "short of {} {}: {}", lacking.count, lacking.role, reasons.join(", ")).unwrap();
        }
        let model = world::task(order("99-1"), severity, lane, OrderState::Issued, ask.target);
        self.last = Some((choice, Task { drill: ask.drill, ..model }));
        told
    }

    /// As the engine does it: what gives way is released, then the robbed order is replaced or the new one is put behind.
    fn take(&mut self) -> String {
        let (choice, model) = self.last.take().expect("an answer to make true");
        for pick in choice.picks {
            self.orders += 1;
            let task = Task { order: order(&format!("99-{}", self.orders)), role: pick.role, ..model.clone() };
            for dropped in &pick.drops {
                self.fleet.release(dropped).unwrap();
            }
            match &pick.preempts {
                Some(robbed) => drop(self.fleet.replace(robbed, task).unwrap()),
                None => assert_eq!(self.fleet.assign(&pick.post, task).unwrap() > 0, pick.queued_behind.is_some()),
            }
        }
        String::new()
    }

    fn move_up(&mut self, words: &mut Words<'_>) -> String {
        let area = AreaId::from(words.next());
        let pick = move_up(&self.playbook, &self.fleet, &area, &BTreeMap::new(), NOW, NOON);
        pick.map_or_else(|| format!("nobody can cover {area}\n"), |pick| say(&self.fleet, &pick))
    }

    fn call(&mut self, words: &mut Words<'_>) -> String {
        let radius_m = words.next().parse().unwrap();
        let (drill, excluded) = (words.flag("drill"), BTreeMap::new());
        let centre = words.spot("at");
        let around = Around { centre, radius_m, drill, volunteers: false, excluded: &excluded, now: NOW, local: NOON };
        let (called, refused) = within_radius(&self.playbook, &self.fleet, &BTreeMap::new(), &around);
        let mut told = String::new();
        for near in called {
            let Callee::Post(post) = near.unit else { continue };
            writeln!(told, "call {post} {} m", near.distance_m).unwrap();
        }
        for (reason, n) in refused {
            writeln!(told, "not called: {n} {reason}").unwrap();
        }
        told
    }
}

/// `1 patrol|base first rope`
fn need(text: &str) -> Need {
    let mut words = Words(text.split_whitespace().collect());
    let count = words.next().parse().unwrap();
    let kinds = words.next().split('|').map(word).collect();
    let role: Role = word(words.next());
    let echelon = words.after("echelon").map_or(1, |n| n.parse().unwrap());
    Need { kinds, count, role, capability: words.0.pop().map(Into::into), echelon }
}

fn say(fleet: &Fleet, pick: &Pick) -> String {
    let weighed = &pick.weighed;
    let kind = fleet.get(&pick.post).unwrap().spec.kind;
    let mut told =
        format!("{} → {} {kind} there in {}s, costs {}s", pick.role, pick.post, weighed.travel_s, weighed.cost_s);
    if let Some((post, more_s)) = &weighed.runner_up {
        write!(told, "   runner-up {post} +{more_s}s").unwrap();
    }
    if !weighed.reasons.is_empty() {
        write!(told, "   {}", weighed.reasons.join(", ")).unwrap();
    }
    told.push('\n');
    for (post, why) in &weighed.rejected {
        writeln!(told, "    not {post}: {why}").unwrap();
    }
    let counts: Vec<_> = weighed.rejected_counts.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    if !counts.is_empty() {
        writeln!(told, "    all others: {}", counts.join(", ")).unwrap();
    }
    if let Some(area) = &pick.uncovers {
        writeln!(told, "    move-up due for {area}").unwrap();
    }
    short(&told)
}
