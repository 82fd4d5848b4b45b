//! The stage: an engine, its documents as a journal would keep them, and a clock that is moved by hand.
//!
//! Time is driven from one wake-up to the next, as the shell does it. Whatever the engine changes is kept as documents
//! only; a restart throws the engine away and reads them back. Positions change no document, so the last minute of them is
//! heard anew, as the shell does it too.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use super::ground::{self, Compiled, Header};
use super::place::Grounds;
use super::{Error, Library, print};
use crate::engine::{Answer, DOCUMENT_BYTES_MAX, Document, Effect, Engine, Entry, Input, Outage, What};
use crate::model::{IncidentId, Millis, OrderId, PostId, PostSpec, Team, TeamId, Timestamp};
use crate::playbook::Playbook;

/// Wake-ups of one `advance`, before it is plain that time stands still.
const WAKE_UPS_MAX: u32 = 1_000_000;

/// Everything a running scenario has.
pub(super) struct Stage<'l> {
    pub header: Header,
    pub playbook: Arc<Playbook>,
    pub now: Timestamp,
    /// Lines printed by the command that runs.
    pub lines: Vec<String>,
    /// Another command follows at the same instant: what falls due at it waits for that one.
    pub more_comes: bool,
    library: &'l Library<'l>,
    posts: BTreeMap<PostId, PostSpec>,
    teams: BTreeMap<TeamId, Team>,
    engine: Option<Engine>,
    documents: BTreeMap<SmolStr, Box<str>>,
    fixes: Vec<(Timestamp, Input)>,
    events: u32,
}

impl<'l> Stage<'l> {
    /// An empty stage at the start.
    pub fn new(header: Header, library: &'l Library<'l>, compiled: &mut Compiled) -> Result<Self, Error> {
        let playbook = compiled.playbook(&header, library)?;
        Ok(Self {
            now: header.start,
            header,
            playbook,
            lines: Vec::new(),
            more_comes: false,
            library,
            posts: BTreeMap::new(),
            teams: BTreeMap::new(),
            engine: None,
            documents: BTreeMap::new(),
            fixes: Vec::new(),
            events: 0,
        })
    }

    /// What places are resolved against.
    pub fn grounds(&self) -> Grounds<'_> {
        Grounds { playbook: &self.playbook, scene: self.header.scene.as_ref() }
    }

    /// Whether the first input has gone in; before that posts are part of the playbook's roster.
    pub fn is_running(&self) -> bool {
        self.engine.is_some()
    }

    /// A post of the roster, before anything has happened.
    pub fn cast_post(&mut self, spec: PostSpec) {
        Arc::make_mut(&mut self.playbook).posts.insert(spec.id.clone(), spec.clone());
        self.posts.insert(spec.id.clone(), spec);
    }

    /// A volunteer team of the roster, before anything has happened.
    pub fn cast_team(&mut self, team: Team) {
        Arc::make_mut(&mut self.playbook).teams.insert(team.id.clone(), team.clone());
        self.teams.insert(team.id.clone(), team);
    }

    /// The engine; made when it is first needed.
    pub fn engine(&mut self) -> &mut Engine {
        let (playbook, now) = (&self.playbook, self.now);
        self.engine.get_or_insert_with(|| {
            let mut engine = Engine::new(Arc::clone(playbook));
            // The hours of posts before the start are nobody's concern.
            while !engine.advance(now, &mut Vec::new()) {}
            engine
        })
    }

    /// A number for an event that was given no id.
    pub fn next_event(&mut self) -> u32 {
        self.events += 1;
        self.events
    }

    /// Puts an input in at the present instant.
    pub fn put(&mut self, input: Input) -> Result<(), String> {
        if let Input::Event(event, _) = &input
            && matches!(event.body, crate::model::Body::Position(_))
        {
            self.fixes.push((self.now, input.clone()));
        }
        let (now, mut effects) = (self.now, Vec::new());
        let answer = self.engine().step(now, input, &mut effects);
        let told = effects.iter().any(|e| matches!(e, Effect::Timeline(t) if !matches!(t.what, What::Noticed { .. })));
        match answer {
            Answer::Refused(refusal) if !told => self.lines.push(self.line(now, &format!("refused {refusal}"))),
            Answer::Report(answer) if answer.repeat && !told => {
                let of = answer.incident.map_or_else(String::new, |id| format!(" of incident {id}"));
                self.lines.push(self.line(now, &format!("repeat{of}, nothing applied")));
            }
            Answer::Applied { repeat: true, .. } if !told => {
                self.lines.push(self.line(now, "repeat, nothing applied"));
            }
            _ => {}
        }
        self.settle(&effects)?;
        // What an input began and left for the next steps.
        self.advance_to(now)
    }

    /// Lets time pass, from one wake-up to the next.
    pub fn advance_to(&mut self, to: Timestamp) -> Result<(), String> {
        let end = if self.more_comes { to - Millis(1) } else { to };
        for _ in 0..WAKE_UPS_MAX {
            let due = self.engine().next_due().map_or(end, |due| due.max(self.now).min(end));
            let mut effects = Vec::new();
            let done = self.engine().advance(due, &mut effects);
            self.now = self.now.max(due);
            self.settle(&effects)?;
            if done && due == end {
                self.now = to;
                return Ok(());
            }
        }
        Err(format!("time stands still at {}: {WAKE_UPS_MAX} wake-ups", print::clock(self).show(self.now)))
    }

    /// Keeps what changed and prints what happened.
    fn settle(&mut self, effects: &[Effect]) -> Result<(), String> {
        for document in self.engine().take_changed() {
            match document.body {
                Some(body) if body.len() > DOCUMENT_BYTES_MAX => {
                    return Err(format!(
                        "document {} has {} bytes; at most {DOCUMENT_BYTES_MAX}",
                        document.key,
                        body.len()
                    ));
                }
                Some(body) => drop(self.documents.insert(document.key, body)),
                None => drop(self.documents.remove(&document.key)),
            }
        }
        let entries = effects.iter().filter_map(|effect| match effect {
            Effect::Timeline(entry) => Some(&**entry),
            _ => None,
        });
        let entries: Vec<&Entry> = entries.collect();
        let lines = print::entries(self, &entries);
        self.lines.extend(lines);
        Ok(())
    }

    /// A line at an instant, with ids as short as they are within this scenario.
    pub fn line(&self, at: Timestamp, words: &str) -> String {
        print::line(self, at, words)
    }

    /// Throws the engine away and reads it back from its documents.
    pub fn restart(&mut self) -> Result<(), String> {
        let restored = self.restored()?;
        self.engine = Some(restored);
        let since = self.now - self.playbook.limits.position_stale;
        self.fixes.retain(|(at, _)| *at >= since);
        let now = self.now;
        for (_, fix) in self.fixes.clone() {
            let mut effects = Vec::new();
            self.engine().step(now, fix, &mut effects);
            self.settle(&effects)?;
            self.advance_to(now)?;
        }
        Ok(())
    }

    /// We are gone for this long; then we are back, and say so.
    pub fn outage(&mut self, span: Millis) -> Result<(), String> {
        let from = self.now;
        self.now = from + span;
        self.restart()?;
        self.put(Input::Outage(Outage { from, to: self.now }))
    }

    fn restored(&self) -> Result<Engine, String> {
        let documents =
            self.documents.iter().map(|(key, body)| Document { key: key.clone(), body: Some(body.clone()) });
        Engine::restore(Arc::clone(&self.playbook), documents).map_err(|e| e.to_string())
    }

    /// What must hold after every block, whatever it is about: the documents alone give the same engine.
    pub fn check(&mut self) -> Result<(), String> {
        if !self.is_running() {
            return Ok(());
        }
        let restored = self.restored()?;
        let (due, deadlines) = (self.engine().next_due(), self.engine().deadlines());
        if self.engine().left_to_do() > 0 {
            return Err("something is left to do though time was let pass".into());
        }
        if restored.next_due() != due {
            return Err(format!(
                "restored from its documents, it would wake at {:?}, not {due:?}",
                restored.next_due()
            ));
        }
        if restored.deadlines() != deadlines {
            return Err(format!(
                "restored from its documents, it has {} timers, not {deadlines}",
                restored.deadlines()
            ));
        }
        Ok(())
    }

    /// Puts another playbook in force: from another folder, or with other settings.
    pub fn swap_playbook(&mut self, folder: Option<String>, settings: Vec<(String, String)>) -> Result<(), String> {
        self.header.playbook = folder.unwrap_or_else(|| self.header.playbook.clone());
        self.header.overrides.extend(settings.into_iter().map(|(key, value)| (0, key, value)));
        let mut playbook = ground::compile(&self.header, self.library).map_err(|e| e.reason)?;
        playbook.posts.extend(self.posts.clone());
        playbook.teams.extend(self.teams.clone());
        self.playbook = Arc::new(playbook);
        let playbook = Arc::clone(&self.playbook);
        self.put(Input::Playbook(playbook))
    }

    // Names

    /// `1` is incident 1 of the day on which the scenario starts, `20261124-1` one of another day.
    pub fn incident_id(&self, word: &str) -> Result<IncidentId, String> {
        let area = &self.playbook.head.command_area;
        let full = if word.contains('-') { format!("{area}-{word}") } else { format!("{}{word}", self.prefix()) };
        full.parse().map_err(|_| format!("`{word}` is no incident; they are called `1`, `2` …"))
    }

    /// `1-2` is order 2 of incident 1.
    pub fn order_id(&self, word: &str) -> Result<OrderId, String> {
        let wrong = || format!("`{word}` is no order; they are called `1-1`, `1-2` …");
        let (incident, n) = word.rsplit_once('-').ok_or_else(wrong)?;
        let n = n.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
        Ok(OrderId { incident: self.incident_id(incident)?, n })
    }

    /// What every id of the first day begins with.
    pub fn prefix(&self) -> String {
        format!("{}-{:08}-", self.playbook.head.command_area, self.header.start.local(&self.playbook.zone).date)
    }

    /// `+90s` counts from the start, `-30s` back from now; else RFC 3339.
    pub fn instant(&self, text: &str) -> Result<Timestamp, String> {
        let span = |text: &str| text.parse::<Millis>().map_err(|e| e.to_string());
        match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(after), _) => Ok(self.header.start + span(after)?),
            (_, Some(ago)) => Ok(self.now - span(ago)?),
            _ => Timestamp::parse(text),
        }
    }
}
