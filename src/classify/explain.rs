//! Why a report got its class: the words that were found and denied, the rule that won, the rules that came near and
//! what they lacked, and every modifier with what it did or lacked.
//!
//! Slow and thorough, for people: it asks the same parts of the same conditions as the decision does, but of every rule, and
//! remembers each answer.

use std::fmt::Write as _;

use serde::Serialize;
use smol_str::SmolStr;

use super::conditions::{Facts, Part};
use super::{conclude, first_rule};
use crate::model::{
    CategoryId, Classification, Place, Report, RuleId, Severity, SeverityStep, SourceId, Timestamp, Weekday,
};
use crate::playbook::{Condition, Hits, Keywords, ModifierEffect, Playbook, When};

/// Rules that came near are listed up to this many.
const NEAR_MAX: usize = 8;

/// A classification with its reasons.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The result, as `classify` gives it.
    pub classification: Classification,
    /// The place as it was resolved.
    pub place: Place,
    /// What the text speaks of, by group; groups that were only denied are there too.
    pub words: Vec<GroupHits>,
    /// The rule that decided.
    pub winner: RuleLine,
    /// Rules that came near, in their order: earlier ones that lacked something, later ones that would have matched too.
    pub near: Vec<RuleLine>,
    /// How many rules there are.
    pub rules: usize,
    /// Every modifier.
    pub modifiers: Vec<ModifierLine>,
}

/// What a text holds of a keyword group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupHits {
    /// The group.
    pub group: SmolStr,
    /// Whether the group counts as spoken of.
    pub counts: bool,
    /// Its words that count, each once.
    pub words: Vec<SmolStr>,
    /// Its words that do not, with the phrase that denies them.
    pub denied: Vec<Denied>,
}

/// A word that does not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Denied {
    /// The word.
    pub word: SmolStr,
    /// The phrase of the playbook around it.
    pub by: SmolStr,
}

/// A rule and how it fared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleLine {
    /// Its number, counted from 1.
    pub number: usize,
    /// Its id.
    pub rule: RuleId,
    /// What it would have said.
    pub category: CategoryId,
    /// How bad it would have been.
    pub severity: Severity,
    /// The parts of its condition that held.
    pub held: Vec<&'static str>,
    /// The parts that did not; none where it only came too late.
    pub failed: Vec<Failed>,
}

/// A part of a condition that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its name in `when`.
    pub part: &'static str,
    /// What it asks for.
    pub wanted: String,
    /// What the report had.
    pub found: String,
}

/// A modifier and how it fared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModifierLine {
    /// Its id.
    pub id: SmolStr,
    /// Up or down.
    pub effect: ModifierEffect,
    /// What it did, if its condition held.
    pub step: Option<SeverityStep>,
    /// What its condition lacked.
    pub failed: Vec<Failed>,
}

/// Classifies, and says why.
///
/// # Panics
/// As `classify` does: only with a playbook that never passed its check.
#[must_use]
pub fn explain(playbook: &Playbook, report: &Report, source: &SourceId, received: Timestamp) -> Explanation {
    let place = playbook.areas.locate(&report.place);
    let facts = Facts::of(playbook, report, source, received, &place);
    let winner = first_rule(playbook, &facts);
    let classification = conclude(playbook, &playbook.rules[winner], &facts);
    let asked = Asked { playbook, facts: &facts };
    let lines: Vec<RuleLine> = (0..playbook.rules.len()).map(|number| asked.rule(number)).collect();
    let modifiers = asked.modifiers(&classification);
    let words = group_hits(&playbook.keywords, report.text.reveal(), &facts.hits);
    Explanation {
        words,
        winner: lines[winner].clone(),
        near: near(&lines, winner),
        rules: lines.len(),
        modifiers,
        classification,
        place,
    }
}

/// Those that lacked least, among the ones of which at least one positive part held; back in their own order. The default
/// rule is near to everything and is left out.
fn near(lines: &[RuleLine], winner: usize) -> Vec<RuleLine> {
    let something = |line: &&RuleLine| line.number != winner + 1 && line.held.iter().any(|part| *part != "none");
    let mut near: Vec<RuleLine> = lines.iter().filter(something).cloned().collect();
    near.sort_by_key(|line| (line.failed.len(), line.number));
    near.truncate(NEAR_MAX);
    near.sort_by_key(|line| line.number);
    near
}

/// A playbook asked about one report.
struct Asked<'a> {
    playbook: &'a Playbook,
    facts: &'a Facts<'a>,
}

impl Asked<'_> {
    fn rule(&self, number: usize) -> RuleLine {
        let rule = &self.playbook.rules[number];
        let condition = &self.playbook.rule_conditions[number];
        let held = |part: &Part| part.is_asked(condition) && part.holds(condition, self.facts, None);
        RuleLine {
            number: number + 1,
            rule: rule.id.clone(),
            category: rule.category.clone(),
            severity: rule.severity,
            held: Part::ALL.iter().filter(|part| held(part)).map(|part| part.as_str()).collect(),
            failed: self.failed(&rule.when, condition, None),
        }
    }

    fn modifiers(&self, decided: &Classification) -> Vec<ModifierLine> {
        let acted = |id: &SmolStr| decided.modifiers.iter().find(|hit| hit.id == *id).map(|hit| hit.step);
        let all = self.playbook.modifiers.iter().zip(&self.playbook.modifier_conditions);
        all.map(|(modifier, condition)| ModifierLine {
            id: modifier.id.clone(),
            effect: modifier.effect,
            step: acted(&modifier.id),
            failed: self.failed(&modifier.when, condition, Some(&decided.category)),
        })
        .collect()
    }

    fn failed(&self, when: &When, condition: &Condition, category: Option<&CategoryId>) -> Vec<Failed> {
        let failed = Part::ALL.into_iter().filter(|part| !part.holds(condition, self.facts, category));
        failed
            .map(|part| Failed {
                part: part.as_str(),
                wanted: wanted(part, when),
                found: self.found(part, when, category),
            })
            .collect()
    }

    fn found(&self, part: Part, when: &When, category: Option<&CategoryId>) -> String {
        let (report, place) = (self.facts.report, self.facts.place);
        match part {
            Part::Any | Part::All => "no word of it".to_owned(),
            Part::None => self.spoken(&when.none),
            Part::Code => or_nothing(report.code.as_ref()),
            Part::Source => self.facts.source.to_owned(),
            Part::Area => or_nothing(place.area.as_ref()),
            Part::RiskClass => or_nothing(place.risk_class.map(u8::from).as_ref()),
            Part::Ring => place.ring.to_string(),
            Part::KeySite => or_nothing(place.site.as_ref()),
            Part::Urgency => words(report.urgency.as_ref()),
            Part::Severity => words(report.severity.as_ref()),
            Part::Certainty => words(report.certainty.as_ref()),
            Part::Attributes => {
                let of = |name: &SmolStr| report.attributes.get(name).map_or("nothing".to_owned(), f64::to_string);
                when.attributes.iter().map(|r| format!("{} = {}", r.name, of(&r.name))).collect::<Vec<_>>().join(", ")
            }
            Part::Category => or_nothing(category),
            Part::Hours => {
                let minute = self.facts.local().minute;
                format!("{:02}:{:02}", minute / 60, minute % 60)
            }
            Part::Weekdays => words(Some(&self.facts.local().weekday)),
        }
    }

    /// Those of the groups that the text speaks of.
    fn spoken(&self, groups: &[crate::model::KeywordGroup]) -> String {
        let is_hit = |(number, _): &(usize, &Keywords)| self.facts.hits.has(*number);
        let all = self.playbook.keywords.iter().enumerate().filter(is_hit).map(|(_, k)| &k.id);
        all.filter(|id| groups.contains(id)).map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

fn wanted(part: Part, when: &When) -> String {
    match part {
        Part::Any => list(&when.any),
        Part::All => list(&when.all),
        Part::None => list(&when.none),
        Part::Code => list(&when.code),
        Part::Source => list(&when.source),
        Part::Area => list(&when.area),
        Part::RiskClass => list(&when.risk_class.iter().map(|c| u8::from(*c)).collect::<Vec<_>>()),
        Part::Ring => list(&when.ring),
        Part::KeySite => if when.key_site == Some(false) { "no key site" } else { "a key site" }.to_owned(),
        Part::Urgency => list(&when.urgency.iter().map(|u| words(Some(u))).collect::<Vec<_>>()),
        Part::Severity => list(&when.severity.iter().map(|s| words(Some(s))).collect::<Vec<_>>()),
        Part::Certainty => list(&when.certainty.iter().map(|c| words(Some(c))).collect::<Vec<_>>()),
        Part::Attributes => {
            let mut text = String::new();
            for (i, reading) in when.attributes.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                let _ = write!(text, "{comma}{}", reading.name);
                reading.at_least.map(|limit| write!(text, " ≥ {limit}"));
                reading.below.map(|limit| write!(text, " < {limit}"));
            }
            text
        }
        Part::Category => list(&when.category),
        Part::Hours => when.hours.to_string(),
        Part::Weekdays => list(&when.weekdays.iter().map(|d: &Weekday| words(Some(d))).collect::<Vec<_>>()),
    }
}

fn list<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn or_nothing<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

/// The word of a small enumeration as it stands on the wire.
fn words<T: Serialize>(value: Option<&T>) -> String {
    let word = value.and_then(|v| serde_json::to_value(v).ok());
    word.as_ref().and_then(|w| w.as_str()).unwrap_or("nothing").to_owned()
}

/// Every word of every group in the text, with the phrase that denies it if one does. `hits` decides what counts.
fn group_hits(groups: &[Keywords], text: &str, hits: &Hits) -> Vec<GroupHits> {
    let text = text.to_ascii_lowercase();
    let of = |(number, group): (usize, &Keywords)| {
        let (mut found, mut denied) = (Vec::new(), Vec::new());
        for word in &group.words {
            let (counts, denials) = occurrences(&text, word, &group.negations);
            found.extend(counts.then(|| word.clone()));
            denied.extend(denials.into_iter().map(|by| Denied { word: word.clone(), by }));
        }
        denied.sort();
        denied.dedup();
        let heard = !found.is_empty() || !denied.is_empty();
        heard.then(|| GroupHits { group: group.id.as_str().into(), counts: hits.has(number), words: found, denied })
    };
    groups.iter().enumerate().filter_map(of).collect()
}

/// Whether some occurrence of the word counts, and the phrases that deny others.
fn occurrences(text: &str, word: &str, negations: &[SmolStr]) -> (bool, Vec<SmolStr>) {
    let word = word.to_ascii_lowercase();
    let (mut counts, mut denials) = (false, Vec::new());
    if word.is_empty() {
        return (counts, denials);
    }
    let starts = (0..text.len()).filter(|at| text.as_bytes()[*at..].starts_with(word.as_bytes()));
    for start in starts {
        let end = start + word.len();
        let covers = |phrase: &&SmolStr| {
            let phrase = phrase.to_ascii_lowercase();
            let from = end.saturating_sub(phrase.len())..=start;
            from.clone().any(|at| at + phrase.len() >= end && text.as_bytes()[at..].starts_with(phrase.as_bytes()))
        };
        match negations.iter().find(covers) {
            Some(phrase) => denials.push(phrase.clone()),
            None => counts = true,
        }
    }
    (counts, denials)
}
