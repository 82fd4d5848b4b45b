//! Texts per channel and language.

use crate::playbook::problem::Problems;
use crate::playbook::templates::{CHANNELS, Template};
use crate::playbook::text::Text;

/// Notes what is wrong with templates: a channel nobody knows, a fact the message does not have, two for one thing.
pub(super) fn check(text: &Text, problems: &mut Problems) {
    for (i, entry) in text.templates.iter().enumerate() {
        if !CHANNELS.contains(&entry.channel.as_str()) {
            let what = format!("a template is for the channel `{}`, which tells nothing in words", entry.channel);
            problems.at(entry, &["channel".into()], what);
            problems.suggest(&entry.channel, CHANNELS);
        }
        for (field, words) in [("zh", &entry.zh), ("en", &entry.en)] {
            if let Err((why, fact)) = Template::parse(words, entry.of) {
                problems.at(entry, &[field.into()], format!("the text `{field}` of a template {why}"));
                if let Some(fact) = fact {
                    problems.suggest(&fact, entry.of.facts().iter().copied());
                }
            }
        }
        let same = |other: &&crate::playbook::text::Entry<_>| {
            let other: &crate::playbook::templates::TemplateText = other;
            other.channel == entry.channel && other.of == entry.of
        };
        if let Some(first) = text.templates[..i].iter().find(same) {
            let what = format!("another template of this channel and message stands at {}", problems.place(first));
            problems.at(entry, &[], what);
        }
    }
}
