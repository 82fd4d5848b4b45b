//! Desks, dispositions and sources.

use super::Known;
use super::places::stands_in;
use crate::model::{Millis, NoticeKind, Position};
use crate::playbook::Source;
use crate::playbook::problem::Problems;
use crate::playbook::text::{Entry, Text};

/// The kinds of source a metric may be labelled with.
const SOURCE_KINDS: [&str; 7] = ["desk", "button", "panel", "grid", "app", "camera", "centre"];

/// Notes what is wrong with subscriptions, dispositions and sources.
pub(super) fn check(text: &Text, known: &Known<'_>, problems: &mut Problems) {
    check_subscriptions(text, problems);
    check_dispositions(text, problems);
    text.sources.iter().for_each(|source| check_source(source, text, known, problems));
}

fn check_subscriptions(text: &Text, problems: &mut Problems) {
    let kinds: Vec<String> = NoticeKind::ALL.iter().map(ToString::to_string).collect();
    for subscription in &text.subscriptions {
        let who = format!("a subscription of the desk `{}`", subscription.desk);
        if subscription.kinds.is_empty() {
            problems
                .at(subscription, &["kinds".into()], format!("{who} asks for nothing"))
                .hint("\"*\" for everything");
        }
        for (i, kind) in subscription.kinds.iter().enumerate().filter(|(_, k)| *k != "*") {
            if !kinds.iter().any(|known| known == kind) {
                let what = format!("{who} asks for notices of the kind `{kind}`, which does not exist");
                problems.at(subscription, &["kinds".into(), i.into()], what);
                problems.suggest(kind, kinds.iter().map(String::as_str));
            }
        }
        match (subscription.take_within, subscription.next) {
            (Some(Millis::ZERO), _) => {
                problems.at(subscription, &["take_within".into()], format!("{who} leaves no time to take a notice"));
            }
            (None, Some(_)) => {
                let what = format!("{who} names a next desk, but no `take_within` after which it would go there");
                problems.at(subscription, &["next".into()], what);
            }
            (_, Some(next)) if next == subscription.desk => {
                problems.at(subscription, &["next".into()], format!("{who} passes to the same desk"));
            }
            _ => {}
        }
    }
}

fn check_dispositions(text: &Text, problems: &mut Problems) {
    let folding = text.folding.as_ref().map(|entry| entry.value.clone()).unwrap_or_default();
    let broken = text.broken.iter().any(|(table, _)| matches!(*table, "disposition" | "folding"));
    if !broken && !text.dispositions.iter().any(|d| d.code == folding.disposition) {
        let what = format!("a quiet flood closes as `{}`, which is no disposition", folding.disposition);
        match &text.folding {
            Some(entry) if entry.says("disposition") => _ = problems.at(entry, &["disposition".into()], what),
            _ => _ = problems.missing(&what),
        }
        problems.hint("name one under `[folding]` as `disposition`, or list a disposition of that code");
    }
    let refuted: Vec<_> = text.dispositions.iter().filter(|d| d.refuted).collect();
    match refuted.as_slice() {
        [] if text.broken.iter().any(|(table, _)| *table == "disposition") => {}
        [] => _ = problems.missing("no disposition has `refuted = true`; a refuted incident could not be closed"),
        [_] => {}
        [first, others @ ..] => {
            for other in others {
                let what =
                    format!("disposition `{}` is `refuted` as `{}` is; exactly one may be", other.code, first.code);
                problems.at(other, &["refuted".into()], what);
            }
        }
    }
}

fn check_source(source: &Entry<Source>, text: &Text, known: &Known<'_>, problems: &mut Problems) {
    let who = format!("source `{}`", source.prefix);
    if !SOURCE_KINDS.contains(&source.kind.as_str()) {
        problems.at(source, &["kind".into()], format!("{who} is of the kind `{}`, which does not exist", source.kind));
        problems.suggest(&source.kind, SOURCE_KINDS);
    }
    if source.at_once_per_minute == 0 {
        let what = format!("{who} is suspect from its first report on");
        problems.at(source, &["at_once_per_minute".into()], what);
    }
    match (&source.area, source.position) {
        (Some(area), Some(position)) => {
            stands_in(source, "position", &who, position, (area, "area"), text, known, problems);
        }
        (Some(area), None) => known.refer(problems, (source, &["area".into()]), &who, ("area", area.as_str())),
        (None, Some(position)) if !Position::is_valid(position) => {
            problems.at(source, &["position".into()], format!("{who} stands nowhere on the globe"));
        }
        (None, _) => {}
    }
}
