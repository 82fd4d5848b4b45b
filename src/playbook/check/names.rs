//! Names: each stands once, and can be said, stored and keyed.

use std::collections::BTreeMap;

use crate::playbook::problem::Problems;
use crate::playbook::text::{Entry, Text};

/// The most bytes of a name: it is spoken over the radio and stored with every decision.
const BYTES_MAX: usize = 64;

/// Notes every name that stands twice or is none.
pub(super) fn check(text: &Text, problems: &mut Problems) {
    once("risk_kind", &text.risk_kinds, |w| w.id.to_string(), problems);
    once("domain", &text.domains, |w| w.id.to_string(), problems);
    once("class", &text.classes, |c| c.id.to_string(), problems);
    once("item", &text.items, |i| i.id.to_string(), problems);
    once("keywords", &text.keywords, |k| k.id.to_string(), problems);
    once("rule", &text.rules, |r| r.id.to_string(), problems);
    once("modifier", &text.modifiers, |m| m.id.to_string(), problems);
    once("linkage", &text.linkages, |l| l.id.to_string(), problems);
    once("county", &text.counties, |c| c.code.to_string(), problems);
    once("area", &text.areas, |a| a.id.to_string(), problems);
    once("site", &text.sites, |s| s.id.to_string(), problems);
    once("neighbour", &text.neighbours, |n| n.command_area.to_string(), problems);
    once("post", &text.posts, |p| p.id.to_string(), problems);
    once("post_block", &text.post_blocks, |b| b.prefix.to_string(), problems);
    once("teams", &text.teams, |b| b.prefix.to_string(), problems);
    once("agency", &text.agencies, |a| a.id.to_string(), problems);
    once("disposition", &text.dispositions, |d| d.code.to_string(), problems);
    once("window", &text.windows, |w| w.id.to_string(), problems);
    once("source", &text.sources, |s| s.prefix.to_string(), problems);
    // Two forms of one plan may stand in two sets; one code may stand in two tables.
    twice("plan", &text.plans, |p| format!("`{}` of the set `{}`", p.id, p.set), problems);
    twice("township", &text.townships, |t| format!("`{}` of the table `{}`", t.code, t.vintage), problems);
    sound("plan", &text.plans, |p| p.id.to_string(), problems);
    sound("township", &text.townships, |t| t.code.to_string(), problems);
}

fn once<T>(table: &str, entries: &[Entry<T>], name: impl Fn(&T) -> String, problems: &mut Problems) {
    twice(table, entries, |value| format!("`{}`", name(value)), problems);
    sound(table, entries, name, problems);
}

fn twice<T>(table: &str, entries: &[Entry<T>], name: impl Fn(&T) -> String, problems: &mut Problems) {
    let mut seen: BTreeMap<String, &Entry<T>> = BTreeMap::new();
    for entry in entries {
        let name = name(&entry.value);
        if let Some(first) = seen.get(&name) {
            let first = problems.place(first);
            problems.at(entry, &[], format!("{table} {name} stands twice; the first is in {first}"));
        } else {
            seen.insert(name, entry);
        }
    }
}

fn sound<T>(table: &str, entries: &[Entry<T>], name: impl Fn(&T) -> String, problems: &mut Problems) {
    for entry in entries {
        let name = name(&entry.value);
        if name.is_empty() || name.len() > BYTES_MAX || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let what = format!("{table} `{}` is no name", name.escape_debug());
            problems.at(entry, &[], what).hint(format!("1 to {BYTES_MAX} bytes without spaces"));
        }
    }
}
