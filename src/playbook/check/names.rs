//! Names: each stands once.

use std::collections::BTreeMap;

use crate::playbook::problem::Problems;
use crate::playbook::text::{Entry, Text};

/// Notes every name that stands twice.
pub(super) fn check(text: &Text, problems: &mut Problems) {
    once("risk_kind", &text.risk_kinds, |w| w.id.to_string(), problems);
    once("domain", &text.domains, |w| w.id.to_string(), problems);
    once("class", &text.classes, |c| c.id.to_string(), problems);
    once("item", &text.items, |i| i.id.to_string(), problems);
    once("keywords", &text.keywords, |k| k.id.to_string(), problems);
    once("rule", &text.rules, |r| r.id.to_string(), problems);
    once("modifier", &text.modifiers, |m| m.id.to_string(), problems);
    once("plan", &text.plans, |p| format!("{}` of the set `{}", p.id, p.set), problems);
    once("linkage", &text.linkages, |l| l.id.to_string(), problems);
    once("county", &text.counties, |c| c.code.to_string(), problems);
    once("township", &text.townships, |t| format!("{} of {}", t.code, t.vintage), problems);
    once("area", &text.areas, |a| a.id.to_string(), problems);
    once("site", &text.sites, |s| s.id.to_string(), problems);
    once("neighbour", &text.neighbours, |n| n.command_area.to_string(), problems);
    once("post", &text.posts, |p| p.id.to_string(), problems);
    once("agency", &text.agencies, |a| a.id.to_string(), problems);
    once("disposition", &text.dispositions, |d| d.code.to_string(), problems);
    once("source", &text.sources, |s| s.prefix.to_string(), problems);
}

fn once<T>(table: &str, entries: &[Entry<T>], name: impl Fn(&T) -> String, problems: &mut Problems) {
    let mut seen: BTreeMap<String, &Entry<T>> = BTreeMap::new();
    for entry in entries {
        let name = name(&entry.value);
        if let Some(first) = seen.get(&name) {
            let line = first.line(&[]);
            problems.at(entry, &[], format!("{table} `{name}` stands twice; the first is in line {line}"));
        } else {
            seen.insert(name, entry);
        }
    }
}
