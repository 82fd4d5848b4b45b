//! Silences: what keeps a notice from the desks, and what becomes of it.
//!
//! A *silence* is made by an operator for a time; a stretch of a planned *window* (`windows`) is one that the playbook
//! makes. Both are one kind of record, `silence/<id>`, which says who made it, why, which notices it means, and what it
//! hid. It hides notices to desks and nothing else: orders go out, marks run, all-calls are made as ever. It never hides
//! what belongs to the bottom line, nor what is about a loss or about ourselves (`about`).
//!
//! A hidden notice is a document of its own, `hidden/<n>`, and a line of the timeline; the same said again while it is
//! hidden is counted, not piled up. A notice that waits to be taken when a silence begins does not climb from desk to desk
//! meanwhile: at the end of its span it is held, and passes on when nothing hides it any more.
//!
//! # When nothing hides it any more
//! A silence ends at its instant, by an operator's word, or with the window of a playbook that is swapped; an incident may
//! rise to the bottom line. At that very instant every hidden notice is asked whether something else hides it still: then
//! it stays. Else it leaves, once: it is said if it is still true, and is only in the report if it is not. A notice that
//! goes out for the same while an earlier one is hidden takes that one with it.
//!
//! Notices that leave together, of one kind in one area, go as one with a count where the playbook groups, apart from
//! those that a person must take.
//!
//! # Bounds
//! Silences, hidden notices and what is kept of ended silences are bounded by the playbook's `[suppression]`. Where no more
//! can be hidden a notice goes to the desks as if nothing hid it: a full list loses nothing. What leaves is worked off in
//! small steps, from one number to the next (`agenda`).

use std::ops::Bound::{Excluded, Unbounded};

use smol_str::{SmolStr, format_smolstr};

use super::about::About;
use super::agenda::Todo;
use super::deadline::Deadline;
use super::snapshot::Key;
use super::state::{Hidden, HiddenLine, STATE_VERSION, Silence, SilenceEnd};
use super::{Actor, Answer, Engine, NoticeKind, Refusal, What};
use crate::model::{Desk, FreeText, Matchers, Timestamp};

/// Bytes of a reason: it stands in the record for as long as that is kept.
const REASON_BYTES_MAX: usize = 1024;

/// Bytes of a hidden notice's text that its report keeps.
const LATEST_BYTES_MAX: usize = 240;

/// Hidden notices that go as one.
const GROUP_MAX: usize = 12;

/// Incidents that a notice with a count names.
const NAMED_MAX: usize = 5;

/// What an operator asks for.
pub(super) struct Wanted {
    pub by: SmolStr,
    pub reason: FreeText,
    pub matchers: Matchers,
    pub from: Option<Timestamp>,
    pub until: Timestamp,
}

impl Engine {
    // Making and ending

    /// An operator silences notices for a time.
    pub(super) fn silence(&mut self, wanted: Wanted) -> Result<Answer, Refusal> {
        let from = wanted.from.unwrap_or(self.now).max(self.now);
        self.may_silence(&wanted, from)?;
        let Wanted { by, reason, matchers, until, .. } = wanted;
        let id = self.silence_id();
        let made = self.now;
        self.put_silence(Silence {
            v: STATE_VERSION,
            id,
            window: None,
            by,
            reason,
            matchers,
            made,
            from,
            until,
            ended: None,
            hidden: std::collections::BTreeMap::new(),
            said: 0,
            over: 0,
            latest: Vec::new(),
        });
        Ok(Answer::applied(None))
    }

    fn may_silence(&self, wanted: &Wanted, from: Timestamp) -> Result<(), Refusal> {
        let refuse = |code: &str, field: &str, detail: String, hint: &str| {
            Err(Refusal::new(code, Some(field), detail, Some(hint)))
        };
        let bounds = &self.playbook.suppression;
        if wanted.reason.is_empty() {
            return refuse("no-reason", "reason", "a silence needs a reason".into(), "say why nobody is to be told");
        }
        if wanted.reason.reveal().len() > REASON_BYTES_MAX {
            let detail = format!("the reason has more than {REASON_BYTES_MAX} bytes");
            return refuse("long-reason", "reason", detail, "say it shorter");
        }
        if let Some((field, fault)) = wanted.matchers.fault() {
            let field = if field.is_empty() { "matchers".to_owned() } else { format!("matchers.{field}") };
            let hint = "name sources, kinds, areas or categories; what is about a loss is never silenced";
            return refuse("bad-matchers", &field, format!("the set of matchers {fault}"), hint);
        }
        if wanted.until <= from {
            return refuse("ended", "until", "the silence would end before it begins".into(), "name a later end");
        }
        if wanted.until.since(from) > bounds.silence_longest {
            let detail = format!("a silence lasts at most {}", bounds.silence_longest);
            return refuse("too-long", "until", detail, "silence for less, or plan a window in the playbook");
        }
        if from.since(self.now) > bounds.silence_ahead {
            let detail = format!("a silence begins at most {} ahead", bounds.silence_ahead);
            return refuse("too-far", "from", detail, "make it later, or plan a window in the playbook");
        }
        if self.silences.values().filter(|s| s.ended.is_none() && s.window.is_none()).count() >= bounds.silences_max {
            let detail = format!("{} silences have not ended", bounds.silences_max);
            return refuse("too-many-silences", "command", detail, "end one first; they are listed at /v1/silences");
        }
        Ok(())
    }

    /// An operator ends a silence, or the present stretch of a window.
    pub(super) fn unsilence(&mut self, id: &SmolStr, by: &SmolStr) -> Result<Answer, Refusal> {
        if self.silences.get(id).is_none_or(|s| s.ended.is_some()) {
            let detail = format!("no silence {id} is there to be ended");
            let hint = "silences are listed at /v1/silences";
            return Err(Refusal::new("unknown-silence", Some("silence"), detail, Some(hint)));
        }
        self.end_silence(id, Some(by.clone()));
        Ok(Answer::applied(None))
    }

    /// `<command area>-<date>-s<k>`.
    pub(super) fn silence_id(&mut self) -> SmolStr {
        self.turn_day();
        self.head.silences += 1;
        format_smolstr!("{}-{:08}-s{}", self.playbook.head.command_area, self.head.date, self.head.silences)
    }

    pub(super) fn put_silence(&mut self, silence: Silence) {
        let by = if silence.window.is_some() { Actor::Engine } else { Actor::Seat(silence.by.clone()) };
        let what = What::Silenced {
            silence: silence.id.clone(),
            window: silence.window.clone(),
            matchers: Box::new(silence.matchers.clone()),
            from: silence.from,
            until: silence.until,
        };
        self.say(None, by, what);
        self.wheel.insert(silence.until, Deadline::SilenceEnds(silence.id.clone()));
        self.touch(Key::Silence(silence.id.clone()));
        self.silences.insert(silence.id.clone(), silence);
    }

    /// A silence is over: what it hid, and nothing else hides, leaves.
    pub(super) fn end_silence(&mut self, id: &SmolStr, by: Option<SmolStr>) {
        let now = self.now;
        let Some(silence) = self.silences.get_mut(id).filter(|s| s.ended.is_none()) else { return };
        silence.ended = Some(SilenceEnd { at: now, by: by.clone() });
        let (until, hidden) = (silence.until, silence.hidden.values().sum());
        self.wheel.cancel(until, &Deadline::SilenceEnds(id.clone()));
        self.touch(Key::Silence(id.clone()));
        let actor = by.map_or(Actor::Engine, Actor::Seat);
        self.say(None, actor, What::SilenceEnded { silence: id.clone(), hidden });
        self.drop_oldest_silence();
        self.then(Todo::LetOut { after: 0 });
    }

    /// Of what has ended only so much is kept; each end drops at most one.
    fn drop_oldest_silence(&mut self) {
        let ended = || self.silences.values().filter_map(|s| s.ended.as_ref().map(|end| (end.at, &s.id)));
        if ended().count() <= self.playbook.suppression.ended_kept {
            return;
        }
        if let Some(oldest) = ended().min().map(|(_, id)| id.clone()) {
            self.silences.remove(&oldest);
            self.touch(Key::Silence(oldest));
        }
    }

    // Hiding

    /// The silence that hides this notice now: of several the one that lasts longest.
    fn hider(&self, about: &About, kind: NoticeKind) -> Option<&Silence> {
        if self.silences.is_empty() || !self.may_be_hidden(about, kind) {
            return None;
        }
        let hides = |s: &&Silence| {
            s.ended.is_none() && (s.from..s.until).contains(&self.now) && self.is_meant(&s.matchers, about, kind)
        };
        self.silences.values().filter(hides).max_by_key(|s| (s.until, &s.id))
    }

    /// Hides a notice, if something hides it and there is room; whether it did.
    pub(super) fn hide(&mut self, about: &About, desk: Option<Desk>, kind: NoticeKind, text: &str) -> bool {
        let Some(by) = self.hider(about, kind).map(|s| s.id.clone()) else { return false };
        let n = match self.hidden_like(about, desk, kind) {
            Some(n) => n,
            None if self.hidden.len() >= self.playbook.suppression.hidden_max => return false,
            None => self.next_hidden(),
        };
        let now = self.now;
        let fresh = || Hidden {
            v: STATE_VERSION,
            n,
            by: by.clone(),
            about: about.clone(),
            desk,
            kind,
            text: String::new(),
            since: now,
            times: 0,
            waits: None,
        };
        let hidden = self.hidden.entry(n).or_insert_with(fresh);
        hidden.times = hidden.times.saturating_add(1);
        text.clone_into(&mut hidden.text);
        let times = hidden.times;
        self.touch(Key::Hidden(n));
        self.note_hidden(&by, about, kind, text, times);
        true
    }

    /// A notice waits to be taken, and its span is over: it does not climb while something hides it. Whether it is held.
    pub(super) fn hold_back(&mut self, id: &SmolStr) -> bool {
        let Some(open) = self.notices.get(id) else { return false };
        let (about, kind, desk, text) = (open.about(), open.kind, open.desk, open.text.clone());
        let Some(by) = self.hider(&about, kind).map(|s| s.id.clone()) else { return false };
        if self.hidden.len() >= self.playbook.suppression.hidden_max {
            return false;
        }
        let n = self.next_hidden();
        let waits = Some(id.clone());
        let hidden = Hidden {
            v: STATE_VERSION,
            n,
            by: by.clone(),
            about: about.clone(),
            desk: Some(desk),
            kind,
            text: text.clone(),
            since: self.now,
            times: 1,
            waits,
        };
        self.hidden.insert(n, hidden);
        self.touch(Key::Hidden(n));
        if let Some(open) = self.notices.get_mut(id) {
            open.held = true;
        }
        self.touch(Key::Notice(id.clone()));
        self.note_hidden(&by, &about, kind, &text, 1);
        true
    }

    fn next_hidden(&mut self) -> u64 {
        self.head.hidden += 1;
        self.head.hidden
    }

    fn hidden_like(&self, about: &About, desk: Option<Desk>, kind: NoticeKind) -> Option<u64> {
        let like = |h: &&Hidden| h.waits.is_none() && (h.kind, h.desk) == (kind, desk) && h.about == *about;
        self.hidden.values().find(like).map(|h| h.n)
    }

    /// Nothing is silent: the timeline says it, and the silence counts it.
    fn note_hidden(&mut self, by: &SmolStr, about: &About, kind: NoticeKind, text: &str, times: u32) {
        let kept = self.playbook.suppression.latest_kept;
        let line = HiddenLine { at: self.now, incident: about.incident.clone(), kind, text: cut(text) };
        if let Some(silence) = self.silences.get_mut(by) {
            *silence.hidden.entry(kind).or_default() += 1;
            silence.latest.push(line);
            let more = silence.latest.len().saturating_sub(kept);
            silence.latest.drain(..more);
        }
        self.touch(Key::Silence(by.clone()));
        let what = What::NoticeHidden { silence: by.clone(), kind, text: text.to_owned(), times };
        self.say(about.incident.as_ref(), Actor::Engine, what);
    }

    // Letting out

    /// A notice goes out: what was hidden of the same is said by it.
    pub(super) fn takes_along(&mut self, about: &About, desk: Option<Desk>, kind: NoticeKind) {
        if let Some(n) = self.hidden_like(about, desk, kind) {
            self.leaves(n, true);
        }
    }

    /// Lets out, in the order in which they were hidden, those that nothing hides any more.
    pub(super) fn let_out(&mut self, mut after: u64) {
        while let Some(n) = self.next_out(after) {
            if self.enough() {
                return self.leave(Todo::LetOut { after });
            }
            after = n;
            self.let_one_out(n);
        }
    }

    fn next_out(&self, after: u64) -> Option<u64> {
        let mut later = self.hidden.range((Excluded(after), Unbounded));
        later.find(|(_, h)| self.hider(&h.about, h.kind).is_none()).map(|(n, _)| *n)
    }

    fn let_one_out(&mut self, n: u64) {
        let Some(hidden) = self.hidden.get(&n) else { return };
        let still = match &hidden.waits {
            Some(id) => self.notices.contains_key(id),
            None => self.is_still_true(&hidden.about, hidden.kind),
        };
        let Some(hidden) = self.leaves(n, still).filter(|_| still) else { return };
        if let Some(id) = &hidden.waits {
            if let Some(open) = self.notices.get_mut(id) {
                open.held = false;
            }
            return self.pass_notice(id);
        }
        let group = self.group_of(&hidden);
        if group.is_empty() {
            return self.notice_of(hidden.about, hidden.desk, hidden.kind, hidden.text);
        }
        let mut named = vec![hidden];
        named.extend(group.into_iter().filter_map(|n| self.leaves(n, true)));
        self.say_grouped(&named);
    }

    /// It is hidden no more; its silence counts whether it was still true.
    fn leaves(&mut self, n: u64, still_true: bool) -> Option<Hidden> {
        let hidden = self.hidden.remove(&n)?;
        self.touch(Key::Hidden(n));
        if let Some(silence) = self.silences.get_mut(&hidden.by) {
            let count = if still_true { &mut silence.said } else { &mut silence.over };
            *count = count.saturating_add(1);
            self.touch(Key::Silence(hidden.by.clone()));
        }
        Some(hidden)
    }

    /// Others that leave with this one and are like it: of its kind, to its desks, in its area; none that a person must take.
    fn group_of(&self, first: &Hidden) -> Vec<u64> {
        let groups = self.playbook.suppression.group_within.0 > 0;
        if !groups || self.desks_of(&first.about, first.desk, first.kind).iter().any(|(_, take)| take.is_some()) {
            return Vec::new();
        }
        let drill = |about: &About| {
            about.incident.as_ref().and_then(|id| self.incidents.get(id)).is_some_and(super::Incident::drill)
        };
        let key = |h: &Hidden| (h.kind, h.desk, self.whereabouts(&h.about).0.cloned(), drill(&h.about));
        let (of, desks) = (key(first), self.desks_of(&first.about, first.desk, first.kind));
        let goes_along = |h: &&Hidden| {
            h.waits.is_none()
                && key(h) == of
                && self.hider(&h.about, h.kind).is_none()
                && self.is_still_true(&h.about, h.kind)
                && self.desks_of(&h.about, h.desk, h.kind) == desks
        };
        self.hidden.values().filter(goes_along).map(|h| h.n).take(GROUP_MAX).collect()
    }

    fn say_grouped(&mut self, named: &[Hidden]) {
        let first = &named[0];
        // A text need not say which incident it is about, since its notice does; here it has to.
        let named_text = |h: &Hidden| match &h.about.incident {
            Some(id) if !h.text.contains(&id.to_string()) => format!("{id} {}", h.text),
            _ => h.text.clone(),
        };
        let texts: Vec<String> = named.iter().take(NAMED_MAX).map(named_text).collect();
        let more = named.len() - texts.len();
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        let text = format!("{} of one kind: {}{more}", named.len(), texts.join("; "));
        self.notice_of(first.about.clone(), first.desk, first.kind, text);
    }
}

/// A text as far as a report keeps it, at a whole character.
fn cut(text: &str) -> String {
    let mut end = text.len().min(LATEST_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
