//! What may keep notices from the desks: the bounds of silences, and the windows that are planned.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::model::{Calendar, Day, Hours, Matchers, Millis, Weekday};

/// `[suppression]`: the bounds of what operators may silence, and how notices are grouped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Suppression {
    /// A silence lasts at most so long.
    pub silence_longest: Millis,
    /// A silence may begin so far ahead.
    pub silence_ahead: Millis,
    /// Silences that have not ended, those that are yet to begin included.
    pub silences_max: usize,
    /// Notices hidden at one time that are kept to be said later; one more goes to the desks as if nothing hid it.
    pub hidden_max: usize,
    /// Silences and stretches of windows that have ended and are still reported; the oldest goes first.
    pub ended_kept: usize,
    /// Hidden notices that the report of a silence shows, the newest ones.
    pub latest_kept: usize,
    /// Notices of one kind in one area within this go as one with a count; 0 sends each by itself.
    pub group_within: Millis,
}

impl Default for Suppression {
    fn default() -> Self {
        Self {
            silence_longest: Millis::from_mins(24 * 60),
            silence_ahead: Millis::from_mins(7 * 24 * 60),
            silences_max: 64,
            hidden_max: 1_000,
            ended_kept: 64,
            latest_kept: 10,
            group_within: Millis::ZERO,
        }
    }
}

/// `[[window]]`: a time for which notices are hidden as planned, such as the yearly test of a fire panel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its id.
    pub id: SmolStr,
    /// Who planned it: a desk or a seat.
    pub author: SmolStr,
    /// Why.
    pub reason: SmolStr,
    /// Which notices.
    #[serde(rename = "match")]
    pub matchers: Matchers,
    /// On these days; empty means every day.
    #[serde(default)]
    pub weekdays: Vec<Weekday>,
    /// In these hours; those past midnight belong to the day on which they begin.
    #[serde(default)]
    pub hours: Hours,
    /// The first date.
    #[serde(default)]
    pub from: Option<Day>,
    /// The last date, which counts.
    #[serde(default)]
    pub to: Option<Day>,
}

impl Window {
    /// Planned windows of a playbook: a swap closes and opens each of them in a bounded number of steps.
    pub const MAX: usize = 64;

    /// One stretch of a window is shorter than this.
    pub const LONGEST: Millis = Millis::from_mins(31 * 24 * 60);

    /// When it is open.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        Calendar { weekdays: self.weekdays.clone(), hours: self.hours.clone(), from: self.from, to: self.to }
    }
}
