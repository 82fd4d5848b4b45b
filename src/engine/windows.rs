//! Planned windows: each stretch of one is a silence that the playbook makes.
//!
//! The instant at which a window next opens is a deadline; when it fires the stretch becomes a record like any silence,
//! with its end. What has been opened is remembered in the head, as for the hours of posts: the instant and the window of
//! the newest opening. After a swap of the playbook the windows that are open are compared with those that should be: first
//! the new ones open, then those end that are no longer planned, so that what both hide stays hidden.

use super::agenda::Todo;
use super::deadline::Deadline;
use super::state::{STATE_VERSION, Silence};
use super::{Engine, Key};
use crate::model::{FreeText, Millis, Timestamp};
use crate::playbook::Window;
use smol_str::SmolStr;

impl Engine {
    /// Other windows count from now on: all that opened before this instant has been seen to.
    pub(super) fn windows_up_to_now(&mut self) {
        let now = (self.now, SmolStr::default());
        if self.head.windows.as_ref().is_none_or(|opened| *opened < now) {
            self.head.windows = Some(now);
        }
        self.touch(Key::Head);
    }

    pub(super) fn arm_all_windows(&mut self) {
        let ids: Vec<SmolStr> = self.playbook.windows.keys().cloned().collect();
        for id in ids {
            self.arm_window(&id);
        }
    }

    fn arm_window(&mut self, id: &SmolStr) {
        let (Some(window), Some((at, last))) = (self.playbook.windows.get(id), &self.head.windows) else { return };
        let after = if id > last { *at - Millis(1) } else { *at };
        if let Some(opens) = window.calendar().next_begin(after, &self.playbook.zone) {
            self.wheel.insert(opens, Deadline::WindowOpens(id.clone()));
        }
    }

    /// A window opens.
    pub(super) fn window_opens(&mut self, due: Timestamp, id: &SmolStr) {
        self.head.windows = self.head.windows.take().max(Some((due, id.clone())));
        self.arm_window(id);
        self.open_window(id);
    }

    /// Opens a window that should be open and is not.
    fn open_window(&mut self, id: &SmolStr) {
        let Some(window) = self.playbook.windows.get(id).cloned() else { return };
        // Opened late, after our own outage, it may be over.
        let Some(until) = window.calendar().until(self.now, &self.playbook.zone) else { return };
        if self.silences.values().any(|s| is_of(s, &window) && s.until == until) {
            return;
        }
        let (silence_id, now) = (self.silence_id(), self.now);
        self.put_silence(Silence {
            v: STATE_VERSION,
            id: silence_id,
            window: Some(window.id),
            by: window.author,
            reason: FreeText::from(window.reason.as_str()),
            matchers: window.matchers,
            made: now,
            from: now,
            until,
            ended: None,
            hidden: std::collections::BTreeMap::new(),
            said: 0,
            over: 0,
            latest: Vec::new(),
        });
    }

    /// Opens the windows that are open by now, then ends the stretches that nobody plans any more.
    pub(super) fn match_windows(&mut self) {
        while let Some(id) = self.window_to_open() {
            if self.enough() {
                return self.leave(Todo::MatchWindows);
            }
            self.open_window(&id);
        }
        while let Some(id) = self.stretch_to_end() {
            if self.must_wait() {
                return self.leave(Todo::MatchWindows);
            }
            self.end_silence(&id, None);
        }
    }

    fn window_to_open(&self) -> Option<SmolStr> {
        let lacks = |window: &&Window| {
            let until = window.calendar().until(self.now, &self.playbook.zone);
            until.is_some_and(|until| !self.silences.values().any(|s| is_of(s, window) && s.until == until))
        };
        self.playbook.windows.values().find(lacks).map(|window| window.id.clone())
    }

    fn stretch_to_end(&self) -> Option<SmolStr> {
        let planned = |s: &Silence| {
            let window = s.window.as_ref().and_then(|id| self.playbook.windows.get(id));
            window.is_some_and(|w| is_of(s, w) && w.calendar().until(self.now, &self.playbook.zone) == Some(s.until))
        };
        let running = self.silences.values().filter(|s| s.window.is_some() && s.ended.is_none());
        running.filter(|s| s.until > self.now && !planned(s)).map(|s| s.id.clone()).next()
    }
}

/// Whether a record is a stretch of this very window, ended or not: one that an operator ended does not open again.
fn is_of(silence: &Silence, window: &Window) -> bool {
    silence.window.as_ref() == Some(&window.id) && silence.matchers == window.matchers
}
