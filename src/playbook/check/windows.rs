//! What keeps notices from the desks.

use super::Known;
use crate::model::{Matchers, Millis, Timestamp};
use crate::playbook::problem::Problems;
use crate::playbook::text::{Entry, Text};
use crate::playbook::{Suppression, Window, covers};

/// A silence is for a piece of work, not for good: none may be longer than this.
const SILENCE_LONGEST_MAX: Millis = Millis::from_mins(31 * 24 * 60);

/// Notes what is wrong with windows and the bounds of silences.
pub(super) fn check(text: &Text, known: &Known<'_>, problems: &mut Problems) {
    if let Some(entry) = &text.suppression {
        settings(entry, problems);
    }
    if text.windows.len() > Window::MAX {
        problems.missing(format!("{} planned windows; a playbook has at most {}", text.windows.len(), Window::MAX));
    }
    for window in &text.windows {
        check_window(window, text, known, problems);
    }
}

fn settings(entry: &Entry<Suppression>, problems: &mut Problems) {
    let spans = [
        ("silence_longest", entry.silence_longest, Millis::from_secs(1), SILENCE_LONGEST_MAX),
        ("silence_ahead", entry.silence_ahead, Millis::ZERO, Millis::from_mins(366 * 24 * 60)),
        ("group_within", entry.group_within, Millis::ZERO, Millis::from_mins(10)),
    ];
    for (name, span, from, to) in spans {
        if !(from..=to).contains(&span) {
            problems.at(entry, &[name.into()], format!("`{name}` is {span}; it must lie between {from} and {to}"));
        }
    }
    let counts = [
        ("silences_max", entry.silences_max, 1, 1_000),
        ("hidden_max", entry.hidden_max, 1, 10_000),
        ("ended_kept", entry.ended_kept, 0, 1_000),
        // They stand in one document.
        ("latest_kept", entry.latest_kept, 0, 20),
    ];
    for (name, count, from, to) in counts {
        if !(from..=to).contains(&count) {
            problems.at(entry, &[name.into()], format!("`{name}` is {count}; it must lie between {from} and {to}"));
        }
    }
}

fn check_window(window: &Entry<Window>, text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let who = format!("window `{}`", window.id);
    for (name, words) in [("author", &window.author), ("reason", &window.reason)] {
        if words.trim().is_empty() || words.len() > 512 {
            problems.at(window, &[name.into()], format!("{who} needs a `{name}` of at most 512 bytes"));
        }
    }
    if let Some((field, fault)) = window.matchers.fault() {
        problems.at(window, &["match".into(), field.into()], format!("{who}: `match` {fault}"));
    }
    for (i, area) in window.matchers.areas.iter().enumerate() {
        let command_area = text.head.as_ref().is_some_and(|head| head.command_area.as_str() == area);
        if !command_area && !known.has("area", area) && !known.has("county", area) {
            let what = format!("{who} names the area `{area}`, which is no assessed area, no county and not this one");
            problems.at(window, &["match".into(), "areas".into(), i.into()], what);
        }
    }
    names_known(window, &who, known, problems);
    check_calendar(window, &who, text, problems);
}

fn names_known(window: &Entry<Window>, who: &str, known: &Known<'_>, problems: &mut Problems) {
    let Matchers { categories, .. } = &window.matchers;
    for (i, prefix) in categories.iter().enumerate() {
        if !known.categories.values().any(|category| covers(prefix, &category.id)) {
            let what = format!("{who} names the category `{prefix}`, under which there is none");
            problems.at(window, &["match".into(), "categories".into(), i.into()], what);
        }
    }
}

/// A window opens some day, and closes again.
fn check_calendar(window: &Entry<Window>, who: &str, text: &Text, problems: &mut Problems) {
    let Some(zone) = text.head.as_ref().and_then(|head| super::zone(&head.time_zone)) else { return };
    if window.from.zip(window.to).is_some_and(|(from, to)| to < from) {
        problems.at(window, &["to".into()], format!("{who} ends before it begins"));
        return;
    }
    // A Monday long before any of them: what has no first date has opened by then.
    let long_ago = Timestamp(0);
    let calendar = window.calendar();
    let opens = calendar.until(long_ago, &zone).map(|_| long_ago).or_else(|| calendar.next_begin(long_ago, &zone));
    let Some(opens) = opens else {
        problems.at(window, &[], format!("{who} never opens: none of its weekdays lies between its dates"));
        return;
    };
    let closes = calendar.until(opens, &zone).unwrap_or(opens);
    if closes.since(opens) >= Window::LONGEST {
        let what = format!("{who} stays open for {} and more", Window::LONGEST);
        problems.at(window, &[], what).hint("name weekdays, hours, or the dates `from` and `to`");
    }
}
