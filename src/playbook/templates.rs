//! What is told in words: a text per channel, type of message and language, with places for what differs.
//!
//! ```toml
//! [[template]]
//! channel = "webhook"        # or "*" for every channel
//! of = "order"               # order, recall, notice, call, call-recall, agency
//! zh = "【{severity}级】{category}，{place}。{post}任{role}，{sign_by}前签收。"
//! en = "{category}, severity {severity}, at {place}. {post} as {role}; sign by {sign_by}."
//! ```
//! A name in braces stands for a fact of the message; `{{` and `}}` for the braces themselves. A name that the message
//! has no fact for is refused when the playbook is loaded. What a playbook leaves out is told in the words below.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// A language texts are told in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

impl Language {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Zh, Self::En];

    /// Its code, ISO 639.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }
}

/// What a text is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Telling {
    /// An order, or a change of one.
    Order,
    /// An order taken back.
    Recall,
    /// A notice to a desk.
    Notice,
    /// An all-call's call.
    Call,
    /// A call taken back.
    CallRecall,
    /// What an outside body is told.
    Agency,
}

impl Telling {
    /// The facts it has.
    #[must_use]
    pub fn facts(self) -> &'static [&'static str] {
        match self {
            Self::Order | Self::Recall => &[
                "order",
                "incident",
                "post",
                "role",
                "category",
                "severity",
                "place",
                "reason",
                "text",
                "issued_at",
                "sign_by",
                "on_scene_by",
                "recall",
            ],
            Self::Notice => &["notice", "incident", "desk", "kind", "text", "severity", "at", "take_by"],
            Self::Call | Self::CallRecall => &["incident", "unit", "place", "distance_m", "reason", "until"],
            Self::Agency => &["incident", "agency", "category", "severity", "place", "reason", "at"],
        }
    }
}

/// `[[template]]`: a text in both languages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateText {
    /// The channel it is for, or `*`.
    pub channel: SmolStr,
    /// What it tells.
    pub of: Telling,
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

/// Channels that tell in words.
pub(super) const CHANNELS: [&str; 2] = ["*", "webhook"];

/// A text, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Words(SmolStr),
    Fact(SmolStr),
}

/// A text with more than this is no message for somebody on the move.
const BYTES_MAX: usize = 2_000;

impl Template {
    /// Takes a text apart.
    ///
    /// # Errors
    /// What is wrong with it: a brace alone, or a name the message has no fact for (then with the name).
    pub(super) fn parse(text: &str, of: Telling) -> Result<Self, (String, Option<SmolStr>)> {
        if text.is_empty() || text.len() > BYTES_MAX {
            return Err((format!("has {} bytes; a text has 1 to {BYTES_MAX}", text.len()), None));
        }
        let (mut parts, mut words, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            words.push_str(&rest[..at]);
            let (brace, after) = (&rest[at..=at], &rest[at + 1..]);
            if let Some(beyond) = after.strip_prefix(brace) {
                words.push_str(brace);
                rest = beyond;
                continue;
            }
            let alone = || (format!("has a `{brace}` alone; write it twice to mean itself"), None);
            let end = if brace == "{" { after.find(['{', '}']) } else { None };
            let end = end.filter(|&end| after[end..].starts_with('}')).ok_or_else(alone)?;
            let fact = &after[..end];
            if !of.facts().contains(&fact) {
                return Err((format!("speaks of `{{{fact}}}`, which its message does not have"), Some(fact.into())));
            }
            if !words.is_empty() {
                parts.push(Part::Words(std::mem::take(&mut words).into()));
            }
            parts.push(Part::Fact(fact.into()));
            rest = &after[end + 1..];
        }
        words.push_str(rest);
        if !words.is_empty() {
            parts.push(Part::Words(words.into()));
        }
        Ok(Self(parts))
    }

    /// The text with its facts. What a message does not say is a dash.
    #[must_use]
    pub fn fill(&self, fact: impl Fn(&str) -> Option<String>) -> String {
        let part = |part: &Part| match part {
            Part::Words(words) => words.to_string(),
            Part::Fact(name) => fact(name).filter(|said| !said.is_empty()).unwrap_or_else(|| String::from("—")),
        };
        self.0.iter().map(part).collect()
    }
}

/// The texts of a playbook.
#[derive(Clone, Debug, Default)]
pub struct Templates(BTreeMap<(SmolStr, Telling, Language), Template>);

impl Templates {
    /// Those that stand in the playbook, checked, and our own for what it leaves out.
    pub(super) fn of<'t>(texts: impl Iterator<Item = &'t TemplateText>) -> Self {
        let mut all = BTreeMap::new();
        let mut put = |channel: &str, of: Telling, language: Language, text: &str| {
            let template = Template::parse(text, of).expect("a text that is wrong does not pass the check");
            all.insert((channel.into(), of, language), template);
        };
        for (of, zh, en) in OWN {
            put("*", of, Language::Zh, zh);
            put("*", of, Language::En, en);
        }
        for text in texts {
            put(&text.channel, text.of, Language::Zh, &text.zh);
            put(&text.channel, text.of, Language::En, &text.en);
        }
        Self(all)
    }

    /// The text for a channel.
    #[must_use]
    pub fn get(&self, channel: &str, of: Telling, language: Language) -> Option<&Template> {
        let at = |channel: &str| self.0.get(&(channel.into(), of, language));
        at(channel).or_else(|| at("*"))
    }
}

/// What is told where a playbook says nothing.
const OWN: [(Telling, &str, &str); 6] = [
    (
        Telling::Order,
        "【{severity}级】{category}，地点：{place}。{post}担任{role}，{sign_by}前签收，{on_scene_by}前到场。指令{order}。",
        "{category}, severity {severity}, at {place}. {post} as {role}: sign by {sign_by}, be there by {on_scene_by}. \
         Order {order}.",
    ),
    (
        Telling::Recall,
        "指令{order}撤回（{recall}）：{post}不再前往{place}。",
        "Order {order} is taken back ({recall}): {post} no longer goes to {place}.",
    ),
    (Telling::Notice, "【{desk}】{text}（{kind}，警情{incident}）", "{desk}: {text} ({kind}, incident {incident})"),
    (
        Telling::Call,
        "全员响应：{place}，距{unit}约{distance_m}米。原因：{reason}。有效至{until}。",
        "All-call: {place}, some {distance_m} m from {unit}. Reason: {reason}. Until {until}.",
    ),
    (
        Telling::CallRecall,
        "全员响应结束：{unit}无需前往{place}。",
        "The all-call is over: {unit} need not go to {place}.",
    ),
    (
        Telling::Agency,
        "通报{agency}：{category}（{severity}级），{place}，警情{incident}。",
        "To {agency}: {category}, severity {severity}, at {place}, incident {incident}.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_filled_and_a_wrong_one_says_why() {
        let t = Template::parse("{{{post}}} → {place}", Telling::Order).unwrap();
        assert_eq!(t.fill(|fact| (fact == "post").then(|| "P-1".to_owned())), "{P-1} → —");
        for (text, why) in [("{nobody}", "`{nobody}`"), ("a } b", "alone"), ("{post", "alone"), ("", "1 to")] {
            let refused = Template::parse(text, Telling::Order).unwrap_err();
            assert!(refused.0.contains(why), "{refused:?}");
        }
        assert!(Template::parse("{sign_by}", Telling::Notice).is_err(), "a notice is not signed");
    }

    #[test]
    fn everything_has_a_text_in_both_languages() {
        let templates = Templates::of(std::iter::empty());
        for (of, ..) in OWN {
            for language in Language::ALL {
                assert!(templates.get("webhook", of, language).is_some(), "{of:?} {language:?}");
            }
        }
    }
}
