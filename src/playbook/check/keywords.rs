//! Keyword groups: words that can be found, negations that deny something.

use std::collections::BTreeSet;

use crate::playbook::problem::Problems;
use crate::playbook::text::{Entry, Text};
use crate::playbook::{GROUPS_MAX, Keywords};

/// The most words of all groups together.
const WORDS_MAX: usize = 50_000;
/// The most different characters of all words; the automaton numbers them in 16 bits.
const CHARS_MAX: usize = 65_000;
/// The most bytes of a word or a negation.
const WORD_BYTES_MAX: usize = 256;

/// Notes what is wrong with the keyword groups.
pub(super) fn check(text: &Text, problems: &mut Problems) {
    if let Some(group) = text.keywords.get(GROUPS_MAX) {
        problems.at(group, &[], format!("there are more than {GROUPS_MAX} keyword groups"));
    }
    if text.keywords.iter().map(|g| g.words.len()).sum::<usize>() > WORDS_MAX {
        problems.missing(format!("there are more than {WORDS_MAX} keywords"));
    }
    let chars: BTreeSet<char> = text.keywords.iter().flat_map(|g| &g.words).flat_map(|w| w.chars()).collect();
    if chars.len() > CHARS_MAX {
        problems.missing(format!("the keywords are made of more than {CHARS_MAX} different characters"));
    }
    text.keywords.iter().for_each(|group| check_group(group, problems));
}

fn check_group(group: &Entry<Keywords>, problems: &mut Problems) {
    let who = format!("keyword group `{}`", group.id);
    if group.words.is_empty() {
        problems.at(group, &["words".into()], format!("{who} has no words"));
    }
    let mut words = BTreeSet::new();
    for (i, word) in group.words.iter().enumerate() {
        let path = &["words".into(), i.into()];
        if word.trim().is_empty() || word.len() > WORD_BYTES_MAX {
            problems.at(group, path, format!("{who} holds a word that is empty or longer than {WORD_BYTES_MAX} bytes"));
        } else if !words.insert(word.to_ascii_lowercase()) {
            problems.at(group, path, format!("{who} holds `{word}` twice"));
        }
    }
    for (i, phrase) in group.negations.iter().enumerate() {
        let (path, lower) = (&["negations".into(), i.into()], phrase.to_ascii_lowercase());
        if words.contains(&lower) {
            let what = format!("{who} denies its own word `{phrase}` wherever it stands");
            problems.at(group, path, what);
        } else if !words.iter().any(|word| lower.contains(word.as_str())) || phrase.len() > WORD_BYTES_MAX {
            let what = format!("{who} has the negation `{phrase}`, which holds none of its words and denies nothing");
            problems.at(group, path, what);
        }
    }
}
